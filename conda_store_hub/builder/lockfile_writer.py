"""`conda-lock.yml` through conda-lock's own models; a program, because these take more than a second to import.

`python -m conda_store_hub.builder.lockfile_writer REQUEST` reads a `LockfileRequest` and writes the file.
"""

from __future__ import annotations

import sys
from pathlib import Path

from conda_lock.lockfile import write_conda_lock_file
from conda_lock.lockfile.v1.models import HashModel, LockMeta
from conda_lock.lockfile.v2prelim.models import LockedDependency, Lockfile
from conda_lock.models.channel import Channel

from conda_store_hub.builder.lockfile import LockfileRequest, list_needs
from conda_store_hub.core.engine import strip_credentials
from conda_store_hub.core.protocol import Package


def write_lockfile(request: LockfileRequest) -> None:
    """Write the lockfile of version 1."""
    lockfile = Lockfile(
        package=[_lock(each, locked.platform) for locked in request.platforms for each in locked.packages],
        metadata=LockMeta(
            content_hash={locked.platform: request.sha256 for locked in request.platforms},
            channels=[Channel(url=strip_credentials(channel), used_env_vars=()) for channel in request.channels],
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
        dependencies=list_needs(package),
        url=package.url,
        hash=HashModel(md5=package.md5 or None, sha256=package.sha256 or None),
        build=package.build or None,
        categories={"main"},
    )


if __name__ == "__main__":
    write_lockfile(LockfileRequest.model_validate_json(Path(sys.argv[1]).read_bytes()))
