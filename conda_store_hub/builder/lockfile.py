"""What others make the same environment of: pinned YAML, an explicit list, and what goes into lock files."""

from __future__ import annotations

from collections.abc import Sequence

import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from pydantic import BaseModel, ConfigDict

from conda_store_hub.core.protocol import BuildRequest, Package


class LockedPlatform(BaseModel):
    """All packages of an environment on one platform, conda's and pip's."""

    model_config = ConfigDict(frozen=True)

    platform: str
    packages: tuple[Package, ...]


class LockfileRequest(BaseModel):
    """All that goes into a `conda-lock.yml`, and where it goes."""

    model_config = ConfigDict(frozen=True)

    path: str
    channels: tuple[str, ...]
    sha256: str
    platforms: tuple[LockedPlatform, ...]


def format_pinned(request: BuildRequest, conda: Sequence[Package], pip: Sequence[Package]) -> str:
    """Return YAML with each package's version and build, and each pip package's version.

    `nodefaults`: conda itself would look into its own channel first, where the same version may be another package.
    """
    dependencies: list[object] = [f"{each.name}={each.version}={each.build}" for each in conda]
    if pip:
        dependencies.append({"pip": [f"{each.name}=={each.version}" for each in pip]})
    document: dict[str, object] = {
        "name": request.name,
        "channels": [*request.channels, "nodefaults"],
        "dependencies": dependencies,
    }
    if request.variables:
        document["variables"] = dict(request.variables)
    return dump_yaml(document)


def format_explicit(locked: LockedPlatform) -> str:
    """Return conda's explicit list: the address and hash of each conda package; pip's stand in comments.

    The hash is the MD5 where there is one: all that read these lists know it (conda reads SHA-256 since 24.1).
    """
    conda = [each for each in locked.packages if each.manager == "conda"]
    pip = [each for each in locked.packages if each.manager == "pip"]
    lines = [f"# platform: {locked.platform}"]
    if pip:
        lines += ["# An explicit list has conda's packages only. To be added with pip:"]
        lines += [f"# pip {each.name}=={each.version}" for each in pip]
    lines += ["@EXPLICIT", *(f"{each.url}#{each.md5 or f'sha256:{each.sha256}'}" for each in conda)]
    return "".join(f"{line}\n" for line in lines)


def list_needs(package: Package) -> list[tuple[str, str]]:
    """Return the name and version specification of each package that one needs, `*` for any."""
    if package.manager == "conda":
        return [_split(need) for need in package.depends]
    needs = map(Requirement, package.depends)
    return [(canonicalize_name(need.name), str(need.specifier) or "*") for need in needs]


def dump_yaml(document: object) -> str:
    """Return YAML in the order of the document, each text on one line."""
    return yaml.dump(document, Dumper=yaml.CSafeDumper, sort_keys=False, allow_unicode=True, width=2**31 - 1)


def _split(need: str) -> tuple[str, str]:
    name, _, version = need.strip().partition(" ")
    return name, version.strip() or "*"
