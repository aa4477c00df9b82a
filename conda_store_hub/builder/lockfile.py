"""What others make the same environment of: a pinned YAML, and what goes into lock files."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from pydantic import BaseModel, ConfigDict

from conda_store_hub.builder.records import RecordDetails
from conda_store_hub.core.engine import strip_credentials
from conda_store_hub.core.protocol import BuildRequest, Package

_NEED = re.compile(r"(?:\S+::)?([\w.-]+)\s*(.*)")


class LockedPlatform(BaseModel):
    """All packages of an environment on one platform, conda's and pip's; `details` of conda's by address."""

    model_config = ConfigDict(frozen=True)

    platform: str
    packages: tuple[Package, ...]
    details: Mapping[str, RecordDetails] = {}


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
    An index that is not pip's own is named: there, what has the same name may be another package.
    """
    dependencies: list[object] = [_pin(each) for each in conda]
    if pip:
        index = [f"--index-url {strip_credentials(request.pip_index)}"] if request.pip_index else []
        dependencies.append({"pip": [*index, *(f"{each.name}=={each.version}" for each in pip)]})
    document: dict[str, object] = {
        "name": request.name,
        "channels": [*map(strip_credentials, request.channels), "nodefaults"],
        "dependencies": dependencies,
    }
    if request.variables:
        document["variables"] = dict(request.variables)
    return dump_yaml(document)


def _pin(package: Package) -> str:
    # With one `=` and no build, a version stands for all that begin with it.
    return (
        f"{package.name}={package.version}={package.build}" if package.build else f"{package.name}=={package.version}"
    )


def list_needs(package: Package) -> dict[str, str]:
    """Return the version specification, by name, of all that a package needs: `*` for any, several with commas."""
    found: dict[str, list[str]] = {}
    for need in package.depends:
        name, versions = _split_need(need) if package.manager == "conda" else _split_requirement(need)
        found.setdefault(name, []).append(versions)
    return {name: ",".join(_without_any(versions)) or "*" for name, versions in found.items()}


def _without_any(versions: Sequence[str]) -> list[str]:
    return [text for text in dict.fromkeys(versions) if text not in ("", "*")]


def _split_need(need: str) -> tuple[str, str]:
    match = _NEED.fullmatch(need.strip())
    return (match[1], match[2]) if match else (need.strip(), "*")


def _split_requirement(need: str) -> tuple[str, str]:
    requirement = Requirement(need)
    return canonicalize_name(requirement.name), str(requirement.specifier)


def dump_yaml(document: object) -> str:
    """Return YAML in the order of the document, each text on one line."""
    return yaml.dump(document, Dumper=yaml.CSafeDumper, sort_keys=False, allow_unicode=True, width=2**31 - 1)
