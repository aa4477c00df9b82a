"""`pixi.lock`, version 6: conda's and pip's packages of every platform, with hashes.

The engine can write this file as well, but takes no hashes for pip's packages; its reader is what tests hold this to.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from conda_store_hub.builder.lockfile import LockedPlatform, dump_yaml
from conda_store_hub.builder.records import RecordDetails
from conda_store_hub.core.engine import strip_credentials
from conda_store_hub.core.protocol import Package

_VERSION = 6


def format_pixi_lock(channels: Sequence[str], index: str, platforms: Sequence[LockedPlatform]) -> str:
    """Return the file with one environment, `default`; `index` is where pip's packages come from."""
    packages = {each.url: each for locked in platforms for each in locked.packages}
    details = {url: known for locked in platforms for url, known in locked.details.items()}
    addresses = [f"{strip_credentials(channel).rstrip('/')}/" for channel in channels]
    environment: dict[str, Any] = {"channels": [{"url": address} for address in addresses]}
    if any(each.manager == "pip" for each in packages.values()):
        environment["indexes"] = [strip_credentials(index)]
    environment["packages"] = {
        locked.platform: [{_key(each): each.url} for each in locked.packages] for locked in platforms
    }
    ordered = sorted(packages.values(), key=lambda each: (each.manager, each.name, each.url))
    return dump_yaml(
        {
            "version": _VERSION,
            "environments": {"default": environment},
            "packages": [_describe(each, details.get(each.url, RecordDetails())) for each in ordered],
        }
    )


def _key(package: Package) -> str:
    return "conda" if package.manager == "conda" else "pypi"


def _describe(package: Package, details: RecordDetails) -> dict[str, Any]:
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
            # Else the reader guesses it from the build string.
            "noarch": details.noarch,
            "sha256": package.sha256,
            "md5": package.md5,
            "depends": list(package.depends),
            "constrains": list(details.constrains),
            "python_site_packages_path": details.python_site_packages_path,
            "license": package.license,
            "license_family": details.license_family,
            "size": package.size,
            "timestamp": details.timestamp,
        }
    return {name: value for name, value in found.items() if value}
