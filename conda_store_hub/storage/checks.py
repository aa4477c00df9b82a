"""Which files were found to have the bytes that their keys promise, for as long as nothing touches them.

A file is read once after the start of the service, and again when its inode, times or size are others. Two who ask at
once wait for one reading, and one that nobody waits for any more is not begun. What changes a file without a trace in
them, a dying disk, is found by the next start.

The change time moves also when a file gets another name or loses one, as layers do that are lent to a builder. Then it
is enough that inode, size and time of modification are the same. Who sets that time by hand, which takes the service's
own account, is found out by the next start.
"""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import stat
from collections import OrderedDict
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

_PIECE = 1 << 20
_OPEN = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC  # a FIFO would wait for its writer
_AT_ONCE = 2
_SMALL = 16 << 20
_MOST_REMEMBERED = 10_000


class Signature(NamedTuple):
    """What of a file changes when its bytes do; nobody sets the change time by hand."""

    device: int
    inode: int
    changed: int
    modified: int
    size: int
    links: int

    @classmethod
    def of(cls, path: Path) -> Signature:
        """Look at a file; raise OSError when it is not there."""
        found = path.stat()
        return cls(found.st_dev, found.st_ino, found.st_ctime_ns, found.st_mtime_ns, found.st_size, found.st_nlink)

    def differs_by_name_alone(self, other: Signature) -> bool:
        """Tell whether it can be that nothing but the names of a file are others."""
        return self._replace(changed=0, links=0) == other._replace(changed=0, links=0)


@dataclass(kw_only=True, slots=True)
class _Reading:
    """A file that is read, or will be, for who waits for it."""

    work: Future[bool]
    done: asyncio.Future[bool]
    waiting: int = 0


class Checks:
    """What is known of files, by their digests."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, tuple[Signature, bool]] = OrderedDict()
        self._lent: set[str] = set()
        self._running: dict[tuple[str, Signature], _Reading] = {}
        # Of their own: who wants a lock file, or what is checked already, does not wait behind gigabytes.
        self._small = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="checks-small")
        self._large = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="checks-large")

    async def is_whole(self, path: Path, sha256: str) -> bool:
        """Tell whether a file has the bytes with that digest; raise OSError when it cannot be read."""
        signature = await asyncio.to_thread(Signature.of, path)
        known, good = self._known.get(sha256, (None, False))
        if known is not None and self._is_same(sha256, known, signature):
            self._known[sha256] = signature, good
            self._known.move_to_end(sha256)  # what is asked for most is forgotten last
            return good
        reading = self._running.get((sha256, signature)) or self._begin(path, sha256, signature)
        reading.waiting += 1
        try:
            return await asyncio.shield(reading.done)
        finally:
            reading.waiting -= 1
            if not reading.waiting and reading.work.cancel():  # what has begun goes on: who comes back needs it
                self._running.pop((sha256, signature), None)

    def note_link(self, sha256: str) -> None:
        """Expect the file with that digest to get another name, and to lose it some time."""
        self._lent.add(sha256)

    def _is_same(self, sha256: str, known: Signature, now: Signature) -> bool:
        """Tell whether a file has the bytes that it had."""
        is_lent = sha256 in self._lent or now.links != known.links
        if now.links == 1:
            self._lent.discard(sha256)
        return known == now or (is_lent and known.differs_by_name_alone(now))

    def _begin(self, path: Path, sha256: str, signature: Signature) -> _Reading:
        work = (self._small if signature.size < _SMALL else self._large).submit(_has_digest, path, sha256)
        reading = _Reading(work=work, done=asyncio.wrap_future(work))
        reading.done.add_done_callback(lambda done: self._remember(sha256, signature, done))
        self._running[sha256, signature] = reading
        return reading

    def _remember(self, sha256: str, signature: Signature, done: asyncio.Future[bool]) -> None:
        if done.cancelled():
            return
        del self._running[sha256, signature]
        if done.exception() is not None:
            return
        self._known[sha256] = signature, done.result()
        self._known.move_to_end(sha256)
        while len(self._known) > _MOST_REMEMBERED:
            self._known.popitem(last=False)


def _has_digest(path: Path, sha256: str) -> bool:
    """Read a file in pieces."""
    digest = hashlib.sha256()
    piece = bytearray(_PIECE)
    with open(os.open(path, _OPEN), "rb", buffering=0) as file:  # noqa: PTH123 - of a descriptor
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise IsADirectoryError(errno.EISDIR, "It is not a regular file.", os.fspath(path))
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_SEQUENTIAL)
        while size := file.readinto(piece):
            digest.update(memoryview(piece)[:size])
    return digest.hexdigest() == sha256
