"""What others make the same environment of: the pinned `environment.yaml`, and what goes into `conda-lock.yml`."""

from __future__ import annotations

from collections.abc import Sequence

import yaml
from pydantic import BaseModel, ConfigDict

from conda_store_hub.builder.distributions import Distributions
from conda_store_hub.builder.prefix import CondaPackage
from conda_store_hub.core.protocol import BuildRequest, Package


class LockfileEntry(BaseModel):
    """A package, and the packages that it needs: name and version specification, `*` for any."""

    model_config = ConfigDict(frozen=True)

    package: Package
    needs: tuple[tuple[str, str], ...]


class LockfileRequest(BaseModel):
    """All that goes into a lockfile, and where it goes."""

    model_config = ConfigDict(frozen=True)

    path: str
    channels: tuple[str, ...]
    platform: str
    sha256: str
    packages: tuple[LockfileEntry, ...]


def format_pinned(request: BuildRequest, conda: Sequence[Package], pip: Sequence[Package]) -> str:
    """Return YAML with each package's version and build, and each pip package's version."""
    dependencies: list[object] = [f"{each.name}={each.version}={each.build}" for each in conda]
    if pip:
        dependencies.append({"pip": [f"{each.name}=={each.version}" for each in pip]})
    document: dict[str, object] = {
        "name": request.name,
        "channels": list(request.channels),
        "dependencies": dependencies,
    }
    if request.variables:
        document["variables"] = dict(request.variables)
    return yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=2**31)


def lock_conda(packages: Sequence[CondaPackage]) -> list[LockfileEntry]:
    """Return conda's packages with what they depend on."""
    return [
        LockfileEntry(package=each.package, needs=tuple(_split(need) for need in each.depends)) for each in packages
    ]


def lock_pip(packages: Sequence[Package], distributions: Distributions, names: set[str]) -> list[LockfileEntry]:
    """Return pip's packages with those of their requirements that are among the `names` of this environment."""
    return [LockfileEntry(package=each, needs=tuple(distributions.list_needs(each.name, names))) for each in packages]


def _split(need: str) -> tuple[str, str]:
    name, _, version = need.strip().partition(" ")
    return name, version.strip() or "*"
