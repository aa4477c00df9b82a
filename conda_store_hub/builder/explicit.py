"""conda's `@EXPLICIT` list: the address and hash of each package, in the order in which they can be installed."""

from __future__ import annotations

from collections.abc import Sequence

from rattler import BuildString, PackageRecord, VersionWithSource

from conda_store_hub.builder.lockfile import LockedPlatform
from conda_store_hub.core.protocol import Package

_HEAD = """\
# This file may be used to create an environment using:
# $ conda create --name <env> --file <this file>
"""


def format_explicit(locked: LockedPlatform) -> str:
    """Return the list; pip's packages stand in comments, which conda-lock and micromamba install and conda passes over.

    The hash is the MD5 where there is one: all that read these lists know it (conda reads SHA-256 since 24.1).
    """
    conda = [each for each in locked.packages if each.manager == "conda"]
    pip = [each for each in locked.packages if each.manager == "pip"]
    lines = [f"# platform: {locked.platform}", "@EXPLICIT", *map(_format, _order(conda))]
    lines += [f"# pip {each.name} @ {each.url}#sha256={each.sha256}" for each in pip]
    return _HEAD + "".join(f"{line}\n" for line in lines)


def _format(package: Package) -> str:
    digest = package.md5 or (f"sha256:{package.sha256}" if package.sha256 else "")
    return f"{package.url}#{digest}" if digest else package.url


def _order(packages: Sequence[Package]) -> list[Package]:
    """Return what others need before those: some tools link the packages as they are listed."""
    by_name = {each.name: each for each in packages}
    records = [
        PackageRecord(
            each.name, VersionWithSource(each.version), BuildString(each.build), 0, each.subdir, depends=[*each.depends]
        )
        for each in packages
    ]
    return [by_name[record.name.normalized] for record in PackageRecord.sort_topologically(records)]
