"""Wheels of a lock: fetched, held against their hashes, and installed without pip, which not every environment has."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

import httpx

from conda_store_hub.client.making import MakePhase, OnProgress, Progress
from conda_store_hub.core.errors import PackageCorruptError, PipError
from conda_store_hub.core.lockfiles import LockedPackage

_SECONDS = 60.0  # for a connection, and between two pieces of an answer
_CHUNK = 1 << 20


def install_wheels(
    packages: Sequence[LockedPackage], prefix: Path, site_packages: str | None, work: Path, tell: OnProgress
) -> None:
    """Install packages of pip's; raise PipError or PackageCorruptError. `site_packages` is relative to the prefix."""
    if site_packages is None:
        raise PipError("The lock has packages of pip's and no Python.")
    with httpx.Client(timeout=_SECONDS, follow_redirects=True) as client:
        for number, package in enumerate(packages):
            tell(Progress(phase=MakePhase.PIP, done=number, total=len(packages), unit="packages"))
            wheel = _fetch(client, package, work)
            _install(package, wheel, prefix, site_packages)
            wheel.unlink()


def _fetch(client: httpx.Client, package: LockedPackage, work: Path) -> Path:
    path = work / unquote(urlsplit(package.url).path).rpartition("/")[2]
    digest = hashlib.sha256()
    try:
        with client.stream("GET", package.url) as response, path.open("xb") as file:
            response.raise_for_status()
            for chunk in response.iter_bytes(_CHUNK):
                digest.update(chunk)
                file.write(chunk)
    except httpx.HTTPError as exc:
        raise PipError(f"The package {package.name} could not be downloaded: {exc}.") from exc
    if digest.hexdigest() != package.sha256:
        raise PackageCorruptError(
            f"The package {package.name} is not what its lock says: expected sha256 {package.sha256}, got"
            f" {digest.hexdigest()}."
        )
    return path


def _install(package: LockedPackage, wheel: Path, prefix: Path, site_packages: str) -> None:
    # Only an environment with packages of pip's pays for the import.
    from installer import install
    from installer.destinations import SchemeDictionaryDestination
    from installer.exceptions import InstallerError
    from installer.sources import WheelFile

    library = str(prefix / site_packages)
    python = Path(site_packages).parent.name
    scheme = {
        "purelib": library,
        "platlib": library,
        "headers": str(prefix / "include" / python / package.name),
        "scripts": str(prefix / "bin"),
        "data": str(prefix),
    }
    destination = SchemeDictionaryDestination(scheme, str(prefix / "bin" / "python"), "posix")
    try:
        with WheelFile.open(wheel) as source:
            install(source, destination, {"INSTALLER": b"conda-store-hub\n"})
    except FileExistsError as exc:
        raise PipError(f"The package {package.name} would replace a file that is there: {exc}.") from exc
    except (InstallerError, zipfile.BadZipFile, ValueError, KeyError, EOFError) as exc:
        raise PackageCorruptError(f"The package {package.name} is no wheel that can be installed: {exc}.") from exc
