"""Which files were found to have the bytes that their keys promise, for as long as nothing touches them.

A file is read once after the start of the service, and again when its inode, times or size are others. Two who ask at
once wait for one reading. What changes a file without a trace in them, a dying disk, is found by the next start.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

_PIECE = 1 << 20
_AT_ONCE = 2
_MOST_REMEMBERED = 10_000


class Signature(NamedTuple):
    """What of a file changes when its bytes do; nobody sets the change time by hand."""

    device: int
    inode: int
    changed: int
    modified: int
    size: int

    @classmethod
    def of(cls, path: Path) -> Signature:
        """Look at a file; raise OSError when it is not there."""
        found = path.stat()
        return cls(found.st_dev, found.st_ino, found.st_ctime_ns, found.st_mtime_ns, found.st_size)


class Checks:
    """What is known of files, by their digests."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, tuple[Signature, bool]] = OrderedDict()
        self._running: dict[tuple[str, Signature], asyncio.Future[bool]] = {}
        # Of its own: who reads what is checked already does not wait behind a gigabyte.
        self._threads = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="checks")

    async def is_whole(self, path: Path, sha256: str) -> bool:
        """Tell whether a file has the bytes with that digest; raise OSError when it cannot be read."""
        signature = await asyncio.to_thread(Signature.of, path)
        known, good = self._known.get(sha256, (None, False))
        if known == signature:
            return good
        return await asyncio.shield(self._join(path, sha256, signature))

    def _join(self, path: Path, sha256: str, signature: Signature) -> asyncio.Future[bool]:
        """Return the reading of this file that is under way, or begin it."""
        key = sha256, signature
        if key not in self._running:
            reading = asyncio.get_running_loop().run_in_executor(self._threads, _has_digest, path, sha256)
            reading.add_done_callback(lambda done: self._remember(sha256, signature, done))
            self._running[key] = reading
        return self._running[key]

    def _remember(self, sha256: str, signature: Signature, done: asyncio.Future[bool]) -> None:
        del self._running[sha256, signature]
        if done.cancelled() or done.exception() is not None:
            return
        self._known[sha256] = signature, done.result()
        self._known.move_to_end(sha256)
        while len(self._known) > _MOST_REMEMBERED:
            self._known.popitem(last=False)


def _has_digest(path: Path, sha256: str) -> bool:
    """Read a file in pieces."""
    digest = hashlib.sha256()
    piece = bytearray(_PIECE)
    with path.open("rb", buffering=0) as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_SEQUENTIAL)
        while size := file.readinto(piece):
            digest.update(memoryview(piece)[:size])
    return digest.hexdigest() == sha256
