"""Files that are hashed while they are written, and on the disk when they are finished."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True, slots=True)
class Written:
    """A finished file."""

    path: Path
    sha256: str
    size: int


class HashingFile:
    """A file being written, as far as compressors need one; closed before it is finished, it is gone."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = path.open("wb", buffering=0)
        self._digest = hashlib.sha256()
        self._size = 0
        self._is_whole = False

    def write(self, data: bytes) -> int:
        """Write all of it, and hash it."""
        self._digest.update(data)
        self._size += len(data)
        view = memoryview(data)
        while view:
            view = view[self._file.write(view) :]
        return len(data)

    def tell(self) -> int:
        """Return how much was written."""
        return self._size

    def flush(self) -> None:
        """Do nothing: there is no buffer."""

    def finish(self) -> Written:
        """Bring it to the disk and close it; return what it is."""
        os.fsync(self._file.fileno())
        self._file.close()
        self._is_whole = True
        return Written(path=self._path, sha256=self._digest.hexdigest(), size=self._size)

    def close(self) -> None:
        """Close it, and remove it unless it is whole."""
        self._file.close()
        if not self._is_whole:
            self._path.unlink(missing_ok=True)


def write_file(path: Path, text: str) -> Written:
    """Write a small file at once."""
    out = HashingFile(path)
    try:
        out.write(text.encode())
        return out.finish()
    finally:
        out.close()


def finish_file(path: Path) -> Written:
    """Return what a file is that another process wrote, once it is on the disk."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
        digest = hashlib.file_digest(file, "sha256")
        return Written(path=path, sha256=digest.hexdigest(), size=file.tell())
