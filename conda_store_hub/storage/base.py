"""Artifact bytes: one contract over obstore's stores, and every object key spelled once.

Relied on are put, get with a range, head, list and delete: what local disk, S3, GCS and Azure all do alike. Media
types and names live in the database.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import shutil
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import obstore
from obstore.store import LocalStore

from conda_store_hub.core.errors import (
    DamagedError,
    NotFoundError,
    StorageDeniedError,
    StorageError,
    StorageFullError,
)
from conda_store_hub.storage.checks import Checks
from conda_store_hub.storage.locks import ProcessLock

if TYPE_CHECKING:
    from obstore.store import ObjectStore

CHUNK = 1 << 20
_PIECE = 2 << 20  # of a local file: half of it costs a third more of the processor
_MANY = 8
_PIECE_OF_MANY = 256 << 10  # two of them wait for each reader, however slow
_LISTED = 200
_UNREADABLE = (errno.EIO, errno.EISDIR, errno.ELOOP, errno.ENOTDIR, errno.ENXIO)
"""What says that something else is in the place of a file, or that the disk cannot read it any more."""


def artifact_key(sha256: str) -> str:
    """Return where the bytes with that digest are kept; equal bytes are kept once."""
    return f"sha256/{sha256[:2]}/{sha256}"


def digest_of(key: str) -> str:
    """Return the digest of the bytes that a key promises."""
    return key.rpartition("/")[2]


def list_shards() -> Iterator[str]:
    """Yield what keys begin with, so that all of them can be walked in small parts."""
    return (f"sha256/{number:02x}" for number in range(256))


@dataclass(frozen=True, kw_only=True, slots=True)
class Stored:
    """What is under a key."""

    key: str
    size: int
    changed_at: datetime


class ArtifactStore(Protocol):
    """Keeps whole files under keys; a key is readable only once its bytes are all there."""

    changing: AbstractAsyncContextManager[None]
    """Held from taking bytes to writing the row that names them, and from giving up a row to removing its bytes.

    Between all processes that change what is stored.
    """

    def send_ahead(self, path: Path, key: str) -> None:
        """Do what takes long of adopting the file at `path`, while `changing` is not held."""
        ...

    def adopt(self, path: Path, key: str) -> None:
        """Take the file at `path` (on the work directory's file system) under `key`; `path` is gone afterwards.

        Quick where it was sent ahead, and is still there.
        """
        ...

    async def head(self, key: str) -> int:
        """Return the size in bytes; raise NotFoundError when there is nothing."""
        ...

    async def check(self, key: str, size: int) -> None:
        """Raise NotFoundError when there is nothing, and DamagedError when it is not what was stored, of that size.

        Cheap when it was done before. Not every store can tell more than the size.
        """
        ...

    async def bring(self, key: str, path: Path) -> None:
        """Have the bytes at `path` (on the work directory's file system) too, to be read and not to be changed.

        Raises NotFoundError when there are none.
        """
        ...

    def read(self, key: str, start: int, end: int) -> AsyncGenerator[bytes]:
        """Yield the bytes from `start` up to, not including, `end`, in pieces of at most 2 MB; to be closed."""
        ...

    def list_stored(self, shard: str) -> AsyncIterator[list[Stored]]:
        """Yield what there is in one of `list_shards`, some at a time."""
        ...

    async def delete(self, key: str) -> None:
        """Remove what is under `key`; nothing there is fine."""
        ...


class ObjectArtifactStore:
    """An ArtifactStore over any store of obstore."""

    def __init__(self, store: ObjectStore, changing: AbstractAsyncContextManager[None]) -> None:
        self._store = store
        self.changing = changing

    def send_ahead(self, path: Path, key: str) -> None:
        """Upload."""
        with _translated():
            obstore.put(self._store, key, path)

    def adopt(self, path: Path, key: str) -> None:
        """Upload what is not there, or was removed since it was sent ahead, and remove the file."""
        with _translated():
            if not self._has(key, path.stat().st_size):
                obstore.put(self._store, key, path)
        path.unlink()

    def _has(self, key: str, size: int) -> bool:
        try:
            return obstore.head(self._store, key)["size"] == size
        except FileNotFoundError:
            return False

    async def head(self, key: str) -> int:
        """Ask the store."""
        with _translated():
            return (await obstore.head_async(self._store, key))["size"]

    async def check(self, key: str, size: int) -> None:
        """Compare the size; the bytes are the store's to keep, which has digests and copies of its own."""
        if await self.head(key) != size:
            raise DamagedError

    async def bring(self, key: str, path: Path) -> None:
        """Download, a piece at a time."""
        size = await self.head(key)
        with path.open("wb") as file:
            async with contextlib.aclosing(self.read(key, 0, size)) as pieces:
                async for piece in pieces:
                    await asyncio.to_thread(file.write, piece)

    async def read(self, key: str, start: int, end: int) -> AsyncGenerator[bytes]:
        """Stream one range."""
        if start >= end:
            return
        with _translated():
            found = await obstore.get_async(self._store, key, options={"range": (start, end)})
            async for piece in found.stream(min_chunk_size=CHUNK):
                yield bytes(piece)

    async def list_stored(self, shard: str) -> AsyncIterator[list[Stored]]:
        """List one folder."""
        with _translated():
            async for found in obstore.list(self._store, shard, chunk_size=_LISTED):
                yield [Stored(key=one["path"], size=one["size"], changed_at=one["last_modified"]) for one in found]

    async def delete(self, key: str) -> None:
        """Remove, whichever way the store says that nothing was there."""
        with _translated():
            try:
                await obstore.delete_async(self._store, key)
            except FileNotFoundError:
                return


class LocalArtifactStore(ObjectArtifactStore):
    """Files under `root`; adopting is a rename, so that a gigabyte costs nothing."""

    def __init__(self, root: Path) -> None:
        root.mkdir(parents=True, exist_ok=True)
        super().__init__(LocalStore(root), ProcessLock(root / ".changing"))
        self._root = root
        self._checks = Checks()
        self._readers = 0

    def send_ahead(self, path: Path, key: str) -> None:
        """Do nothing: a rename is quick."""

    def adopt(self, path: Path, key: str) -> None:
        """Rename into place."""
        target = self._root / key
        with _translated():
            target.parent.mkdir(parents=True, exist_ok=True)
            if target.is_dir() and not target.is_symlink():
                shutil.rmtree(target)
            path.replace(target)
            _sync(target.parent)

    async def check(self, key: str, size: int) -> None:
        """Compare every byte with the digest in the key, when that was not done since the file was touched."""
        with _translated():
            try:
                whole = await self._checks.is_whole(self._root / key, digest_of(key))
            except OSError as exc:
                if exc.errno not in _UNREADABLE:
                    raise
                whole = False
            if not whole:
                raise DamagedError

    async def bring(self, key: str, path: Path) -> None:
        """Link: however much it is, it costs nothing."""
        self._checks.note_link(digest_of(key))
        with _translated():
            await asyncio.to_thread(path.hardlink_to, self._root / key)

    async def read(self, key: str, start: int, end: int) -> AsyncGenerator[bytes]:
        """Read in threads straight from the file, one piece ahead of who takes them."""
        if start >= end:
            return
        loop = asyncio.get_running_loop()
        with _translated():
            file = await loop.run_in_executor(None, (self._root / key).open, "rb", 0)

            def read_on(at: int) -> asyncio.Future[bytes]:
                size = _PIECE if self._readers <= _MANY else _PIECE_OF_MANY
                return loop.run_in_executor(None, os.pread, file.fileno(), min(size, end - at), at)

            self._readers += 1
            coming = read_on(start)
            try:
                while piece := await coming:
                    start += len(piece)
                    if start < end:
                        coming = read_on(start)
                    else:
                        file.close()  # who has all of it may stop at once, and the loop with them
                    yield piece
                    if start >= end:
                        return
                raise DamagedError
            finally:
                self._readers -= 1
                coming.add_done_callback(lambda _: file.close())
                await asyncio.wait([coming])


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class _translated:  # noqa: N801 - reads as a statement
    """Turn a store's errors into ours: their texts hold paths and credentials."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, _type: object, exc: BaseException | None, _traceback: object) -> None:
        if isinstance(exc, FileNotFoundError):
            raise NotFoundError("The bytes of this artifact are not in storage any more.") from exc
        if isinstance(exc, OSError) and exc.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StorageFullError from exc
        if isinstance(exc, (PermissionError, obstore.exceptions.PermissionDeniedError)):
            raise StorageDeniedError(detail=str(exc)) from exc
        if isinstance(exc, (OSError, obstore.exceptions.BaseError)):
            raise StorageError(detail=str(exc)) from exc
