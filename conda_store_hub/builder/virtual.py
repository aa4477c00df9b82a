"""Virtual packages: what the machines that compute offer to packages."""

from __future__ import annotations

from collections.abc import Sequence

from rattler import BuildString, GenericVirtualPackage, PackageName, Subdir, Version, VirtualPackage

from conda_store_hub.core.matchspec import parse_virtual_package
from conda_store_hub.core.spec import Entry

# What runs on every machine of a platform: the processor of the one that solves may be newer than that of
# the one that computes.
_BASELINE = {
    "linux-64": "x86_64",
    "linux-aarch64": "aarch64",
    "linux-ppc64le": "ppc64le",
    "osx-64": "x86_64",
    "osx-arm64": "m1",
    "win-64": "x86_64",
}


# What a machine of another system offers at least: the oldest macOS that uv and pixi count on, and glibc of the oldest
# Linux that is maintained.
_ELSEWHERE = {
    "linux": {"__unix": "0", "__linux": "4.18", "__glibc": "2.28"},
    "osx": {"__unix": "0", "__osx": "13.0"},
    "win": {"__win": "10"},
}

# Which systems have these: what a specification says of the machines that compute here is no word about others.
_SYSTEMS = {
    "__linux": ("linux",),
    "__glibc": ("linux",),
    "__osx": ("osx",),
    "__win": ("win",),
    "__unix": ("linux", "osx"),
    "__cuda": ("linux", "win"),
}


def list_virtual_packages(platform: str, overrides: Sequence[Entry] = ()) -> list[GenericVirtualPackage]:
    """Return what machines of a platform offer, with the plainest processor of its kind, and `overrides` in its place.

    Of this machine's platform, that is what this machine offers.
    """
    found = {package.name.normalized: package for package in _offered(platform)}
    found.pop("__archspec", None)
    if platform in _BASELINE:
        found["__archspec"] = _make("__archspec", Version("1"), _BASELINE[platform])
    for entry in overrides:
        package = _make(*parse_virtual_package(entry))
        if _can_have(platform, package.name.normalized):
            found[package.name.normalized] = package
    return list(found.values())


def _can_have(platform: str, name: str) -> bool:
    system = platform.partition("-")[0]
    if platform != str(Subdir.current()) and name == "__archspec":
        return False
    return system in _SYSTEMS.get(name, (system,))


def _offered(platform: str) -> list[GenericVirtualPackage]:
    if platform == str(Subdir.current()):
        return [_detected(package) for package in VirtualPackage.detect()]
    system = platform.partition("-")[0]
    return [_make(name, Version(version), "0") for name, version in _ELSEWHERE.get(system, {}).items()]


def _detected(package: VirtualPackage) -> GenericVirtualPackage:
    return package.into_generic()


def _make(name: str, version: Version, build: str) -> GenericVirtualPackage:
    return GenericVirtualPackage(PackageName(name), version, BuildString(build))
