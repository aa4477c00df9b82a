"""Locks that hold between the tasks of a process and between processes, and end with whoever holds them."""

from __future__ import annotations

import asyncio
import fcntl
import threading
from collections.abc import Generator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import IO


class ProcessLock:
    """`async with` it; the file at `path` is locked by flock(2), in a thread, so that the event loop goes on."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._here = asyncio.Lock()
        self._hold = _Hold(path)

    async def __aenter__(self) -> None:
        await self._here.acquire()
        self._hold = _Hold(self._path)
        try:
            await asyncio.to_thread(self._hold.take)
        except BaseException:
            self._release()
            raise

    async def __aexit__(
        self, _type: type[BaseException] | None, _value: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        self._release()

    def _release(self) -> None:
        self._hold.end()
        self._here.release()


class _Hold:
    """One hold of a lock. Its thread cannot be stopped: what it gets after the end is given back at once."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._changing = threading.Lock()
        self._file: IO[bytes] | None = None
        self._over = False

    def take(self) -> None:
        with ExitStack() as stack:
            file = stack.enter_context(self._path.open("ab"))
            fcntl.flock(file, fcntl.LOCK_EX)
            with self._changing:
                if not self._over:
                    self._file = file
                    stack.pop_all()

    def end(self) -> None:
        with self._changing:
            self._over = True
            if self._file is not None:
                self._file.close()


@contextmanager
def try_exclusive(path: Path) -> Generator[bool]:
    """Lock a file if nobody has it, and tell whether that went well; never wait."""
    with path.open("ab") as file:
        taken = False
        with suppress(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            taken = True
        yield taken
