"""Virtual packages: what the machines that compute offer to packages."""

from __future__ import annotations

from collections.abc import Sequence

from rattler import BuildString, GenericVirtualPackage, PackageName, Version, VirtualPackage

from conda_store_hub.core.matchspec import parse_virtual_package
from conda_store_hub.core.spec import Entry

# What runs on every machine of a platform: the processor of the one that solves may be newer than that of
# the one that computes.
_BASELINE = {"linux-64": "x86_64", "linux-aarch64": "aarch64", "linux-ppc64le": "ppc64le", "osx-64": "x86_64"}


def list_virtual_packages(platform: str, overrides: Sequence[Entry] = ()) -> list[GenericVirtualPackage]:
    """Return what this machine offers, with the plainest processor of its kind, and `overrides` in its place."""
    found = {package.name.normalized: package for package in map(_detected, VirtualPackage.detect())}
    found.pop("__archspec", None)
    if platform in _BASELINE:
        found["__archspec"] = _make("__archspec", Version("1"), _BASELINE[platform])
    for entry in overrides:
        package = _make(*parse_virtual_package(entry))
        found[package.name.normalized] = package
    return list(found.values())


def _detected(package: VirtualPackage) -> GenericVirtualPackage:
    return package.into_generic()


def _make(name: str, version: Version, build: str) -> GenericVirtualPackage:
    return GenericVirtualPackage(PackageName(name), version, BuildString(build))
