"""MD5 of packages whose channel tells only SHA-256: conda-lock wants one of each of conda's packages."""

from __future__ import annotations

import hashlib
import http.client
import urllib.request
from collections.abc import Iterator
from urllib.parse import urlsplit

from conda_store_hub.builder.events import say
from conda_store_hub.builder.lockfile import LockedPlatform
from conda_store_hub.core.errors import ArtifactError
from conda_store_hub.core.protocol import Package

_CHUNK = 1 << 20
_TIMEOUT = 60  # seconds


class Md5Finder:
    """Fetches packages, each once, and hashes them while they pass."""

    def __init__(self) -> None:
        self._known: dict[str, str] = {}

    def complete(self, locked: LockedPlatform) -> LockedPlatform:
        """Return the packages with an MD5 each; raise ArtifactError for one that cannot be had as it was locked."""
        packages = tuple(self._complete(each) for each in locked.packages)
        return locked.model_copy(update={"packages": packages})

    def _complete(self, package: Package) -> Package:
        if package.manager != "conda" or package.md5:
            return package
        if package.url not in self._known:
            say(f"{package.name} has no MD5 in its channel: fetching it")
            self._known[package.url] = _fetch_md5(package)
        return package.model_copy(update={"md5": self._known[package.url]})


def _fetch_md5(package: Package) -> str:
    md5, sha256 = hashlib.md5(usedforsecurity=False), hashlib.sha256()
    try:
        for chunk in _fetch(package.url):
            md5.update(chunk)
            sha256.update(chunk)
    except (OSError, http.client.HTTPException, ValueError) as exc:
        raise ArtifactError(
            f"{package.name} has no MD5 in its channel, and could not be fetched to find it.", detail=str(exc)
        ) from exc
    if package.sha256 and sha256.hexdigest() != package.sha256:
        raise ArtifactError(f"{package.name} is not what its channel says it is: its SHA-256 is another one.")
    return md5.hexdigest()


def _fetch(url: str) -> Iterator[bytes]:
    if urlsplit(url).scheme not in ("http", "https"):
        raise ValueError("It has no http(s) address.")
    with urllib.request.urlopen(url, timeout=_TIMEOUT) as response:  # noqa: S310 - checked above
        while chunk := response.read(_CHUNK):
            yield chunk
