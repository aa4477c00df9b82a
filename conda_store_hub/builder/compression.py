"""Compression of what builders write, to the same bytes whenever that is done, and digests of what is packed."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final, cast

import zstandard
from isal import igzip, isal_zlib

from conda_store_hub.builder.files import HashingFile
from conda_store_hub.builder.words import format_seconds
from conda_store_hub.core.errors import ArtifactError

LEVEL: Final = 2
"""Of 0 to 3."""
COPY_BYTES: Final = 1 << 20
MOST_UNPACKED: Final = 32 << 30
"""Bytes of all layers of somebody else's image; more is taken for one that is to fill memory or time."""
MOST_ENTRIES: Final = 1_000_000
"""Files, links and folders in them; a whole desktop has half a million."""
READ_SECONDS: Final = 600.0
"""How long it may take to read all of them."""
_DAMAGED = (EOFError, igzip.BadGzipFile, cast("type[Exception]", isal_zlib.IsalError), zstandard.ZstdError)
_GZIP = b"\x1f\x8b"
_ZSTD = b"\x28\xb5\x2f\xfd"
_ZSTD_SKIPPED = b"\x2a\x4d\x18"  # behind a byte that is free to be one of 16 (RFC 8878, 3.1.2)


def open_packed(out: HashingFile) -> igzip.IGzipFile:
    """Return what packs all that is written to it into `out`, without a name and a time."""
    return igzip.IGzipFile(filename="", mode="wb", fileobj=cast("IO[bytes]", out), compresslevel=LEVEL, mtime=0)


def is_gzip(start: bytes) -> bool:
    """Tell by its first bytes whether something is packed with gzip."""
    return start.startswith(_GZIP)


def is_zstd(start: bytes) -> bool:
    """Tell by its first bytes whether something is packed with zstd; some programs begin with a frame to be skipped."""
    return start.startswith(_ZSTD) or (start[1:4] == _ZSTD_SKIPPED and start[0] >> 4 == 5)


@contextmanager
def open_unpacked(path: Path) -> Generator[IO[bytes]]:
    """Give what a layer unpacks to; raise ArtifactError for what cannot be unpacked, by then or while it is read.

    Of zstd, a layer that is cut short is not told from a whole one: its digest has to be looked at.
    """
    with path.open("rb") as file:
        start = file.read(len(_ZSTD))
        file.seek(0)
        try:
            with _open_reader(file, start) as unpacked:
                yield unpacked
        except _DAMAGED as exc:
            raise ArtifactError("The base image is damaged: a layer cannot be unpacked.", detail=repr(exc)) from exc


def _open_reader(file: IO[bytes], start: bytes) -> IO[bytes]:
    if is_zstd(start):
        # Layers may have several frames, which is how one of them can be found alone.
        reader = zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True)
        return cast("IO[bytes]", reader)
    return cast("IO[bytes]", igzip.IGzipFile(fileobj=file, mode="rb")) if is_gzip(start) else file


class Budget:
    """What it may take to read an image of somebody else, in all of its layers: bytes, entries, time."""

    def __init__(
        self, *, most: int = MOST_UNPACKED, entries: int = MOST_ENTRIES, seconds: float = READ_SECONDS
    ) -> None:
        self._most = self._left = most
        self._most_entries = self._entries_left = entries
        self._seconds = seconds
        self._until = time.monotonic() + seconds

    def spend(self, size: int) -> None:
        """Count bytes; raise ArtifactError for more than there may be, or when it takes too long."""
        self._left -= size
        if self._left < 0:
            raise _too_large(f"unpacks to more than {self._most >> 30} GB")
        if time.monotonic() > self._until:
            raise _too_large(f"takes longer than {format_seconds(self._seconds)} to look through")

    def spend_entry(self) -> None:
        """Count a file, link or folder; raise ArtifactError for more than there may be."""
        self._entries_left -= 1
        if self._entries_left < 0:
            raise _too_large(f"has more than {self._most_entries:,} files and folders")


def _too_large(what: str) -> ArtifactError:
    return ArtifactError(
        f"The base image {what}, which is too much to put environments on."
        " An administrator can name a smaller one in `c.CondaStore.image_base`."
    )


def digest_unpacked(path: Path, budget: Budget) -> str:
    """Return the SHA-256 of what a layer unpacks to, as hex.

    Raises ArtifactError for more than there may be, and for what cannot be unpacked.
    """
    with open_unpacked(path) as unpacked:
        reader = HashingReader(unpacked, budget)
        while reader.read(COPY_BYTES):
            pass
    return reader.digest.hexdigest()


class HashingReader:
    """What a layer unpacks to, hashed as it is read, up to so much."""

    def __init__(self, file: IO[bytes], budget: Budget) -> None:
        self._file = file
        self._budget = budget
        self._held: int | None = None
        self.digest = hashlib.sha256()

    @contextmanager
    def holding(self, most: int) -> Generator[None]:
        """Have no more bytes be read in the block than can be held in memory; a block within it has no more."""
        if self._held is not None:
            yield
            return
        self._held = most
        try:
            yield
        finally:
            self._held = None

    def read(self, size: int) -> bytes:
        """Read and hash; raise ArtifactError for more than there may be."""
        piece = self._file.read(size)
        self._budget.spend(len(piece))
        if self._held is not None:
            self._held -= len(piece)
            if self._held < 0:
                raise ArtifactError("The base image is damaged: what stands before a file in a layer has no end.")
        self.digest.update(piece)
        return piece
