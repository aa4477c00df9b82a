"""Headers of layers that somebody else made, before `tarfile` reads them: it holds what is in them, however much.

Older releases of Python also take time and memory by the square of what a header has (CVE-2024-6232).
"""

from __future__ import annotations

import re
import tarfile
from typing import Any, Final, Protocol, Self, cast

from conda_store_hub.builder.compression import COPY_BYTES, HashingReader

_MOST_HELD: Final = 4 * COPY_BYTES
"""Of names, attributes and what a sparse file has; programs in Go, as Docker, take 1 MB."""
_MOST_RECORDS: Final = 10_000
"""Attributes of one file."""
_RECORD = re.compile(rb"(\d{1,10}) ")
_DIGITS = re.compile(rb"\d{1000}")


class _File(Protocol):
    def read(self, size: int, /) -> bytes: ...


class _Again:
    """A file of which a piece was read that is to be read once more."""

    def __init__(self, piece: bytes, file: _File) -> None:
        self._piece = piece
        self._file = file

    def read(self, size: int) -> bytes:
        """Return the piece, and then what follows."""
        piece, self._piece = self._piece, b""
        return piece or self._file.read(size)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def bound_headers(reader: HashingReader) -> type[tarfile.TarInfo]:
    """Return how entries of a tar that is read from there are read; ValueError is raised for what nobody writes."""

    class Member(tarfile.TarInfo):
        @classmethod
        def fromtarfile(cls, tarfile: tarfile.TarFile) -> Self:
            with reader.holding(_MOST_HELD):
                return super().fromtarfile(tarfile)

        def _proc_pax(self, tarfile: tarfile.TarFile) -> Any:
            tar = cast("Any", tarfile)
            file, size = tar.fileobj, self.size
            piece = file.read(-(-size // 512) * 512)
            _require_records(piece[:size])
            tar.fileobj = _Again(piece, file)
            try:
                return cast("Any", super())._proc_pax(tarfile)  # noqa: SLF001 - there is no other way in
            finally:
                tar.fileobj = file

    return Member


def _require_records(data: bytes) -> None:
    """Raise ValueError unless it is records, each as long as it says (POSIX, pax Extended Header), and not too many."""
    if _DIGITS.search(data):
        raise ValueError("a number in a header has no end")
    at = count = 0
    while at < len(data) and data[at]:
        length = _RECORD.match(data, at)
        end = at + int(length[1]) if length else 0
        if length is None or data[end - 1 : end] != b"\n" or data.find(b"=", length.end(), end) < 0:
            raise ValueError("a header has something else than records")
        at, count = end, count + 1
        if count > _MOST_RECORDS:
            raise ValueError("a header has too many records")
