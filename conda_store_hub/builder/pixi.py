"""`pixi.lock`, version 6: conda's and pip's packages of every platform, with hashes.

The engine can write this file as well, but takes no hashes for pip's packages; its reader is what tests hold this to.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from conda_store_hub.builder.lockfile import LockedPlatform, dump_yaml
from conda_store_hub.core.protocol import Package

_VERSION = 6


def format_pixi_lock(channels: Sequence[str], index: str, platforms: Sequence[LockedPlatform]) -> str:
    """Return the file with one environment, `default`; `index` is where pip's packages come from."""
    packages = {each.url: each for locked in platforms for each in locked.packages}
    environment: dict[str, Any] = {"channels": [{"url": f"{channel.rstrip('/')}/"} for channel in channels]}
    if any(each.manager == "pip" for each in packages.values()):
        environment["indexes"] = [index]
    environment["packages"] = {
        locked.platform: [{_key(each): each.url} for each in locked.packages] for locked in platforms
    }
    ordered = sorted(packages.values(), key=lambda each: (each.manager, each.name, each.url))
    return dump_yaml(
        {
            "version": _VERSION,
            "environments": {"default": environment},
            "packages": [_describe(each) for each in ordered],
        }
    )


def _key(package: Package) -> str:
    return "conda" if package.manager == "conda" else "pypi"


def _describe(package: Package) -> dict[str, Any]:
    """Return an entry; what is not known is left out."""
    if package.manager == "pip":
        found: dict[str, Any] = {
            "pypi": package.url,
            "name": package.name,
            "version": package.version,
            "sha256": package.sha256,
            "requires_dist": list(package.depends),
        }
    else:
        found = {
            "conda": package.url,
            "sha256": package.sha256,
            "md5": package.md5,
            "depends": list(package.depends),
            "license": package.license,
            "size": package.size,
        }
    return {name: value for name, value in found.items() if value}
