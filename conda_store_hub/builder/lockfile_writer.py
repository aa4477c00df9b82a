"""`conda-lock.yml` through conda-lock's own models; a program, because these take more than a second to import.

`python -m conda_store_hub.builder.lockfile_writer REQUEST` reads a `LockfileRequest` and writes the file.
"""

from __future__ import annotations

import hashlib
import sys
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

from conda_lock.lockfile import write_conda_lock_file
from conda_lock.lockfile.v1.models import HashModel, LockMeta
from conda_lock.lockfile.v2prelim.models import LockedDependency, Lockfile
from conda_lock.models.channel import Channel

from conda_store_hub.builder.lockfile import LockfileRequest, list_needs
from conda_store_hub.core.protocol import Package

_CHUNK = 1 << 20
_TIMEOUT = 60  # seconds


def write_lockfile(request: LockfileRequest) -> None:
    """Write the lockfile of version 1."""
    lockfile = Lockfile(
        package=[_lock(each, locked.platform) for locked in request.platforms for each in locked.packages],
        metadata=LockMeta(
            content_hash={locked.platform: request.sha256 for locked in request.platforms},
            channels=[Channel(url=channel, used_env_vars=()) for channel in request.channels],
            platforms=[locked.platform for locked in request.platforms],
            sources=["environment.yaml"],
            time_metadata=None,
            custom_metadata=None,
        ),
    )
    write_conda_lock_file(lockfile, Path(request.path), metadata_choices=None, include_help_text=False)


def _lock(package: Package, platform: str) -> LockedDependency:
    # Without a category a package would vanish when it is written.
    return LockedDependency(
        name=package.name,
        version=package.version,
        manager=package.manager,
        platform=platform,
        dependencies=dict(list_needs(package)),
        url=package.url,
        hash=_hash(package),
        build=package.build or None,
        categories={"main"},
    )


def _hash(package: Package) -> HashModel:
    """Return the hashes; conda-lock wants an MD5 of a conda package, and not every channel tells it."""
    md5 = package.md5 or (_fetch_md5(package) if package.manager == "conda" else "")
    return HashModel(md5=md5 or None, sha256=package.sha256 or None)


def _fetch_md5(package: Package) -> str:
    if urlsplit(package.url).scheme not in ("http", "https"):
        raise ValueError(f"{package.name} has no MD5 and cannot be fetched")
    md5, sha256 = hashlib.md5(usedforsecurity=False), hashlib.sha256()
    with urllib.request.urlopen(package.url, timeout=_TIMEOUT) as response:  # noqa: S310 - checked above
        while chunk := response.read(_CHUNK):
            md5.update(chunk)
            sha256.update(chunk)
    if package.sha256 and sha256.hexdigest() != package.sha256:
        raise ValueError(f"{package.name} is not what its channel says it is")
    return md5.hexdigest()


if __name__ == "__main__":
    write_lockfile(LockfileRequest.model_validate_json(Path(sys.argv[1]).read_bytes()))
