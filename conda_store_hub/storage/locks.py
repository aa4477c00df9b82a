"""Locks that hold between the tasks of a process and between processes, and end with whoever holds them."""

from __future__ import annotations

import asyncio
import fcntl
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import IO


class ProcessLock:
    """`async with` it; the file at `path` is locked by flock(2), in a thread, so that the event loop goes on."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._here = asyncio.Lock()
        self._file: IO[bytes] | None = None

    async def __aenter__(self) -> None:
        await self._here.acquire()
        taking = asyncio.ensure_future(asyncio.to_thread(self._take))
        try:
            self._file = await asyncio.shield(taking)
        except BaseException:
            # The thread cannot be stopped: what it gets when nobody waits any more is given back.
            taking.add_done_callback(_give_back)
            self._here.release()
            raise

    async def __aexit__(
        self, _type: type[BaseException] | None, _value: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
        self._here.release()

    def _take(self) -> IO[bytes]:
        file = self._path.open("ab")
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
        except BaseException:
            file.close()
            raise
        return file


def _give_back(taking: asyncio.Future[IO[bytes]]) -> None:
    if not taking.cancelled() and taking.exception() is None:
        taking.result().close()


@contextmanager
def try_exclusive(path: Path) -> Generator[bool]:
    """Lock a file if nobody has it, and tell whether that went well; never wait."""
    with path.open("ab") as file:
        taken = False
        with suppress(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            taken = True
        yield taken
