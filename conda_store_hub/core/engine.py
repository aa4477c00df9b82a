"""What conda's engine takes and says: records of locked packages, and failed installs in words."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import unquote

from conda_store_hub.core import disk
from conda_store_hub.core.errors import (
    BuildDiskFullError,
    BuildError,
    InstallError,
    InvalidRequestError,
    PackageCorruptError,
)
from conda_store_hub.core.lockfiles import LockedPackage

if TYPE_CHECKING:
    from rattler import RepoDataRecord

# Some indexes keep wheels by their first letter: `/t/tqdm/tqdm-4.67-py3-none-any.whl` has no token in it.
_CREDENTIALS = re.compile(r"""(?<=://)[^/\s"'<>]*@|/t/[^/\s"'<>]+(?=/(?![^/\s"'<>]+\.whl\b))""")
_HASH_MISMATCH = re.compile(r"hash mismatch.*?expected ([0-9a-f]{8,}).*?got ([0-9a-f]{8,})", re.DOTALL)
_CUT_SHORT = "end of file before message length reached"
_BAD_ARCHIVE = ("Invalid checksum", "failed to extract", "failed to unpack", "numeric field was not a number")
_WITHOUT_GLOBAL_LOCK = re.compile(r"_cp(\d)(\d+)t$")


def strip_credentials(text: str) -> str:
    """Return addresses without a user, a password, or a token in the path (`/t/TOKEN/`)."""
    return _CREDENTIALS.sub("", text)


def name_file(package: LockedPackage) -> str:
    """Return where a package lies in its channel: SUBDIR/FILE."""
    return unquote("/".join(package.url.split("/")[-2:]))


def make_record(package: LockedPackage) -> RepoDataRecord:
    """Return a record of what a lock says of a package of conda's, hashes included; raise InvalidRequestError."""
    from rattler import BuildString, PackageRecord, RepoDataRecord, VersionWithSource
    from rattler.exceptions import InvalidVersionError

    number = re.search(r"(?:^|_)(\d+)$", package.build)
    try:
        version = VersionWithSource(package.version)
    except InvalidVersionError as exc:
        raise InvalidRequestError(f"“{package.version}” of {package.name} is no version.") from exc
    record = PackageRecord(
        package.name,
        version,
        BuildString(package.build),
        int(number[1]) if number else 0,
        package.subdir,
        depends=list(package.dependencies),
        sha256=bytes.fromhex(package.sha256) if package.sha256 else None,
        md5=bytes.fromhex(package.md5) if package.md5 else None,
        python_site_packages_path=_find_site_packages(package),
    )
    return RepoDataRecord(record, name_file(package).rpartition("/")[2], package.url, f"{package.channel}/")


def _find_site_packages(package: LockedPackage) -> str | None:
    """Return where a Python without the global lock keeps its packages (CEP 17): locks do not tell."""
    found = _WITHOUT_GLOBAL_LOCK.search(package.build) if package.name == "python" else None
    return f"lib/python{found[1]}.{found[2]}t/site-packages" if found else None


def explain_install(text: str) -> BuildError:
    """Return the error for what the engine said; its text names paths of the machine and goes to the detail."""
    text = strip_credentials(text)
    if disk.tells_full(text):
        return BuildDiskFullError(detail=text)
    if match := _HASH_MISMATCH.search(text):
        return PackageCorruptError(
            f"{_find_package(text)} is not what its channel says it is: expected sha256 {match[1]}, got {match[2]}.",
            detail=text,
        )
    if _CUT_SHORT in text:
        return InstallError(f"{_find_package(text)} could not be downloaded: it ended early.", detail=text)
    if any(sign in text for sign in _BAD_ARCHIVE):
        return PackageCorruptError(f"{_find_package(text)} could not be unpacked.", detail=text)
    if "://" in text:
        return InstallError(f"{_find_package(text)} could not be downloaded: {_last_cause(text)}.", detail=text)
    return InstallError(f"{_find_package(text)} could not be installed.", detail=text)


def _last_cause(text: str) -> str:
    return text.strip().rsplit("\n", 1)[-1].removeprefix("Caused by: ").rstrip(".")


def _find_package(text: str) -> str:
    found = re.search(r"([\w.-]+)\.(?:conda|tar\.bz2)\b", text)
    return f"The package {found[1]}" if found else "A package"
