"""A further platform in uv's words: for which wheels may be, and how old its system may be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from conda_store_hub.builder.virtual import list_virtual_packages
from conda_store_hub.core.errors import PipError
from conda_store_hub.core.spec import Entry

_PLATFORMS = {
    "linux-64": "x86_64",
    "linux-aarch64": "aarch64",
    "linux-riscv64": "riscv64-unknown-linux",
    "osx-64": "x86_64-apple-darwin",
    "osx-arm64": "aarch64-apple-darwin",
    "win-32": "i686-pc-windows-msvc",
    "win-64": "x86_64-pc-windows-msvc",
    "win-arm64": "aarch64-pc-windows-msvc",
}
_GLIBC = (17, 28, *range(31, 41))  # of 2.x: those that uv has a name for


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """What `--python-platform` takes, and what uv learns by its environment."""

    name: str
    environment: Mapping[str, str] = field(default_factory=dict[str, str])


def find_target(platform: str, overrides: Sequence[Entry] = ()) -> Target:
    """Return what uv has to be told; what counts for conda's packages, by virtual packages, counts for wheels too.

    Raises PipError for a platform that uv does not know.
    """
    name = _PLATFORMS.get(platform)
    if name is None:
        raise PipError(f"The installer of the pip part knows no wheels for {platform}.")
    versions = {each.name.normalized: str(each.version) for each in list_virtual_packages(platform, overrides)}
    if name in ("x86_64", "aarch64"):
        return Target(name=f"{name}-manylinux_2_{_pick_glibc(versions.get('__glibc', ''))}")
    if platform.startswith("osx-"):
        return Target(name=name, environment={"MACOSX_DEPLOYMENT_TARGET": versions["__osx"]})
    return Target(name=name)


def _pick_glibc(version: str) -> int:
    """Return the newest that is not newer than this one; of a glibc that is older than all, the oldest."""
    _, _, minor = version.partition(".")
    number = int(minor.partition(".")[0]) if minor.partition(".")[0].isdecimal() else 0
    return max((each for each in _GLIBC if each <= number), default=_GLIBC[0])
