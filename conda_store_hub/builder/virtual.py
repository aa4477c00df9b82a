"""Virtual packages: what the machines that compute offer to packages."""

from __future__ import annotations

import re
from collections.abc import Sequence

from rattler import BuildString, GenericVirtualPackage, PackageName, Version, VirtualPackage
from rattler.exceptions import InvalidVersionError

from conda_store_hub.core.errors import InvalidRequestError

# What runs on every machine of a platform: the processor of the one that solves may be newer than that of
# the one that computes.
_BASELINE = {"linux-64": "x86_64", "linux-aarch64": "aarch64", "linux-ppc64le": "ppc64le", "osx-64": "x86_64"}

_TEXT = re.compile(r"(__[a-z0-9_]+)=([0-9][^\s=]*)(?:=([^\s=]+))?")


def list_virtual_packages(platform: str, overrides: Sequence[str] = ()) -> list[GenericVirtualPackage]:
    """Return what this machine offers, with the plainest processor of its kind, and `overrides` in its place."""
    found = {package.name.normalized: package for package in map(_detected, VirtualPackage.detect())}
    found.pop("__archspec", None)
    if platform in _BASELINE:
        found["__archspec"] = _make("__archspec", "1", _BASELINE[platform])
    for text in overrides:
        package = parse_virtual_package(text)
        found[package.name.normalized] = package
    return list(found.values())


def parse_virtual_package(text: str) -> GenericVirtualPackage:
    """Read `__cuda=12.6`, or `__archspec=1=x86_64_v3` with a build; raise InvalidRequestError for anything else."""
    match = _TEXT.fullmatch(text)
    try:
        if match:
            return _make(match[1], match[2], match[3] or "0")
    except InvalidVersionError:
        pass
    raise InvalidRequestError(f"“{text}” is no virtual package; write one such as __cuda=12.6.")


def _detected(package: VirtualPackage) -> GenericVirtualPackage:
    return package.into_generic()


def _make(name: str, version: str, build: str) -> GenericVirtualPackage:
    return GenericVirtualPackage(PackageName(name), Version(version), BuildString(build))
