"""How slowly a server may send: what comes drop by drop is never silent for long, and would hardly ever end."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from typing import Final, Protocol, runtime_checkable

from conda_store_hub.builder.words import format_seconds, format_size
from conda_store_hub.core.errors import ArtifactNotNowError

SLOWEST: Final = 10_000
"""Bytes a second; a modem of 1998 is not much slower."""
_OPENED = (".connect_tcp.complete", ".start_tls.complete")  # the same of proxies, which have other words in front


@runtime_checkable
class _Stream(Protocol):
    """A connection of httpcore's."""

    def get_extra_info(self, info: str) -> object: ...


class Pace:
    """Holds a server to a time for all that it sends, and to so many bytes in each part of it."""

    def __init__(self, seconds: float, whole_seconds: float) -> None:
        """`seconds`: the part of the time in which it must not be too slow."""
        self._seconds = seconds
        self._whole = whole_seconds
        self._end = time.monotonic() + whole_seconds
        self._sockets: list[socket.socket] = []
        self.begin()

    def begin(self) -> None:
        """Count from now on: an answer begins."""
        self._since, self._got = time.monotonic(), 0

    def note(self, size: int) -> None:
        """Count what came; raise ArtifactNotNowError when it was too little, or has taken too long."""
        self.require_time()
        self._got += size
        now = time.monotonic()
        if now - self._since < self._seconds:
            return
        if self._got < SLOWEST * (now - self._since):
            raise ArtifactNotNowError(f"the registry sends less than {format_size(SLOWEST)} a second")
        self.begin()

    def require_time(self) -> None:
        """Raise ArtifactNotNowError when all of it has taken too long."""
        if time.monotonic() > self._end:
            raise ArtifactNotNowError(f"the registry has not sent it within {format_seconds(self._whole)}")

    def trace(self, event: str, info: Mapping[str, object]) -> None:
        """Take note of connections that are opened; what httpcore calls as its extension `trace`."""
        opened = info.get("return_value")
        if event.endswith(_OPENED) and isinstance(opened, _Stream):
            found = opened.get_extra_info("socket")
            self._sockets += [found] if isinstance(found, socket.socket) else []

    @contextmanager
    def ending(self) -> Generator[None]:
        """Close the connections under what the block waits for, the head of an answer, when that has no end."""
        over = threading.Event()

        def hang_up() -> None:
            over.set()
            for each in self._sockets:
                with suppress(OSError):  # it was closed meanwhile
                    each.shutdown(socket.SHUT_RDWR)

        timer = threading.Timer(self._seconds, hang_up)
        timer.start()
        try:
            yield
        except Exception as exc:
            if over.is_set():
                raise ArtifactNotNowError("the registry does not answer in time", detail=repr(exc)) from exc
            raise
        finally:
            timer.cancel()
