"""Layers as files: a tar that is the same whenever it is written, compressed and hashed."""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO, NamedTuple, cast

from conda_store_hub.builder.compression import COPY_BYTES, open_packed
from conda_store_hub.builder.files import HashingFile
from conda_store_hub.core.oci import Layer


class Member(NamedTuple):
    """A file, link or folder of a layer: its path in the image, and what it is."""

    path: str
    mode: int
    mtime: int = 0
    source: Path | None = None
    data: bytes = b""
    make: Callable[[], bytes] | None = None
    """Returns `data` where that is too much to be held."""
    link: str = ""
    is_folder: bool = False
    sha256: str = ""
    """Of a file that has to be what it is in a package; what is read is held against it."""
    is_odd: bool = False
    """Whether it is known already not to be what its package has, or cannot be told."""


def write_layer(path: Path, members: Iterable[Member], odd: list[str] | None = None) -> Layer:
    """Write a layer: by path, each folder before what is in it, owned by root; the same members give the same bytes.

    Appends to `odd` the paths of what is not as its package has it.
    """
    out = HashingFile(path)
    try:
        with open_packed(out) as zipped:
            sink = _Sink(cast("IO[bytes]", zipped))
            _write_tar(sink, members, [] if odd is None else odd)
        written = out.finish()
    finally:
        out.close()
    return Layer(digest=f"sha256:{written.sha256}", size=written.size, diff_id=f"sha256:{sink.digest.hexdigest()}")


class _Sink:
    """What a tar is written into: hashed before it is compressed."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self.digest = hashlib.sha256()

    def write(self, data: bytes) -> int:
        """Hash and pass on."""
        self.digest.update(data)
        return self._stream.write(data)

    def tell(self) -> int:
        """Return where a new file stands."""
        return 0


def _write_tar(sink: _Sink, members: Iterable[Member], odd: list[str]) -> None:
    by_path = {member.path: member for member in members}
    folders = {parent for path in by_path for parent in _list_parents(path)} - by_path.keys()
    by_path |= {path: Member(path, 0o755, is_folder=True) for path in folders}
    with tarfile.TarFile(
        fileobj=cast("IO[bytes]", sink), mode="w", format=tarfile.GNU_FORMAT, copybufsize=COPY_BYTES
    ) as tar:
        # By parts, so that a folder's own files stay together and come behind it.
        for path in sorted(by_path, key=lambda path: path.split("/")):
            is_whole = _add(tar, by_path[path])
            odd += [] if is_whole else [path]


def _list_parents(path: str) -> Iterator[str]:
    at = path.find("/")
    while at >= 0:
        yield path[:at]
        at = path.find("/", at + 1)


class _HashingReader:
    """A file that is hashed while it is read."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.digest = hashlib.sha256()

    def read(self, size: int) -> bytes:
        """Read and hash."""
        data = self._file.read(size)
        self.digest.update(data)
        return data


def _add(tar: tarfile.TarFile, member: Member) -> bool:
    """Add it; tell whether it is as its package has it."""
    info = tarfile.TarInfo(member.path)
    info.mode, info.mtime = member.mode, member.mtime
    if member.link:
        info.type, info.linkname = tarfile.SYMTYPE, member.link
    elif member.is_folder:
        info.type = tarfile.DIRTYPE
    elif member.source is not None:
        with member.source.open("rb") as file:
            info.size = os.fstat(file.fileno()).st_size
            reader = _HashingReader(file)
            tar.addfile(info, cast("IO[bytes]", reader))
        return not member.is_odd and member.sha256 in ("", reader.digest.hexdigest())
    else:
        data = member.data if member.make is None else member.make()
        info.size = len(data)
        tar.addfile(info, io.BytesIO(data))
        return not member.is_odd
    tar.addfile(info)
    return not member.is_odd
