"""A file on its way here: taken up where the connection broke, and held against its digest."""

from __future__ import annotations

import base64
import hashlib
import random
import re
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from http import HTTPStatus

import httpx

from conda_store_hub.client.parts import Part
from conda_store_hub.core.errors import BeingMadeError, DamagedError, RangeNotSatisfiableError, UnavailableError

RETRIES = 6
_MOST_DAMAGED = 2
_PAUSE_SECONDS = 1.0  # between two questions for what is being made; the service holds each for most of a minute
_PIECE = 1 << 20
_DIGEST = re.compile(r"(?:^|,)\s*sha-256=:([A-Za-z0-9+/=]+):")
_RANGE = re.compile(r"bytes (\d+)-")

#: Asks with these headers; the answer is good, or an error was raised.
Ask = Callable[[Mapping[str, str]], AbstractContextManager[httpx.Response]]
#: Is told how many bytes there are, and of how many (0: unknown); what it raises ends the download.
OnBytes = Callable[[int, int], None]


class Download:
    """The bytes that came so far, also in an earlier try."""

    def __init__(self, part: Part) -> None:
        self._part = part
        self._file = part.file
        self._expected: bytes | None = None
        self._digest = hashlib.sha256()
        self.size, self.total = 0, 0
        if part.etag is not None:
            self._read_again()

    def _read_again(self) -> None:
        while piece := self._file.read(_PIECE):
            self._digest.update(piece)
            self.size += len(piece)

    def forget(self) -> None:
        """Begin anew."""
        self._file.seek(0)
        self._file.truncate()
        self.size, self.total = 0, 0
        self._expected = None
        self._digest = hashlib.sha256()

    def make_headers(self) -> dict[str, str]:
        """Return what asks for all that is missing, of the same bytes (RFC 9110, 13.1.5 and 14.2)."""
        headers = {"Accept": "*/*", "Accept-Encoding": "identity"}
        if self.size and self._part.etag is not None:
            headers |= {"Range": f"bytes={self.size}-", "If-Range": self._part.etag}
        return headers

    def begin(self, answer: httpx.Response) -> None:
        """Take the head of an answer: it goes on, or begins anew."""
        if answer.status_code == HTTPStatus.PARTIAL_CONTENT:
            start = _RANGE.match(answer.headers.get("Content-Range", ""))
            if start is None or int(start[1]) != self.size:
                raise UnavailableError("The service sent another part of the file than it was asked for.")
        else:
            self.forget()
            etag = answer.headers.get("ETag", "")
            self._part.name_after(etag if etag.startswith('"') else None)
        digest = _DIGEST.search(answer.headers.get("Repr-Digest", ""))
        self._expected = base64.b64decode(digest[1]) if digest else self._expected
        self.total = self.size + int(answer.headers.get("Content-Length", "0"))

    def take(self, piece: bytes) -> None:
        """Write what came next."""
        self._file.write(piece)
        self._digest.update(piece)
        self.size += len(piece)

    def require_whole(self) -> None:
        """Raise DamagedError when these are not the bytes that the service told of."""
        if self._expected not in (None, self._digest.digest()):
            raise DamagedError("What came is not what the service said that it would send: it was changed on the way.")


def fetch(ask: Ask, download: Download, *, wait: float, on_bytes: OnBytes | None) -> None:
    """Bring a file here, whatever breaks off on the way.

    Raises UnavailableError when the service is not there at first, or stays away for about half a minute;
    BeingMadeError when it has not made the file within `wait` seconds; DamagedError when it comes with other bytes
    than it should twice.
    """
    until, furthest, failures, damaged = time.monotonic() + wait, download.size, 0, 0
    start = furthest
    while True:
        try:
            _fetch_on(ask, download, on_bytes)
            download.require_whole()
        except BeingMadeError:
            if time.monotonic() >= until:
                raise
            time.sleep(_PAUSE_SECONDS)
        except DamagedError:
            damaged += 1
            if damaged == _MOST_DAMAGED:
                raise
            download.forget()
        except UnavailableError:
            failures = 0 if download.size > furthest else failures + 1
            furthest = max(furthest, download.size)
            if furthest == start or failures > RETRIES:
                raise
            pause(failures)
        else:
            return


def pause(failures: int) -> None:
    """Wait before the next try: longer each time, for 8 s at most, and not all clients for the same time."""
    time.sleep(min(8.0, 0.25 * 2**failures) * random.uniform(0.5, 1))  # noqa: S311 not a secret


def _fetch_on(ask: Ask, download: Download, on_bytes: OnBytes | None) -> None:
    try:
        _fetch_rest(ask, download, on_bytes)
    except RangeNotSatisfiableError:
        if not download.size:
            raise
        download.forget()  # all of it was there, and it had not got its name
        _fetch_rest(ask, download, on_bytes)


def _fetch_rest(ask: Ask, download: Download, on_bytes: OnBytes | None) -> None:
    with ask(download.make_headers()) as answer:
        download.begin(answer)
        for piece in answer.iter_raw():  # as they come: what is gathered to larger ones is lost when it breaks off
            download.take(piece)
            if on_bytes is not None:
                on_bytes(download.size, download.total)
