"""The archive: what conda-pack makes of a prefix, compressed beside the thread that writes the tar."""

from __future__ import annotations

import io
import os
import stat
import tarfile
import tempfile
from pathlib import Path
from typing import IO, cast

from conda_pack.core import CondaPackException, Packer
from isal import igzip_threaded

from conda_store_hub.builder.compression import COPY_BYTES, LEVEL
from conda_store_hub.builder.files import HashingFile, Written
from conda_store_hub.builder.pack_files import list_pack_files
from conda_store_hub.builder.prefix import read_time
from conda_store_hub.core.errors import ArtifactError


def write_archive(prefix: Path, path: Path) -> Written:
    """Write the prefix as `tar.gz` with `conda-unpack` in it; the same prefix gives the same bytes.

    Raises ArtifactError; then there is no file.
    """
    out = HashingFile(path)
    try:
        stream = cast("IO[bytes]", igzip_threaded.open(out, "wb", compresslevel=LEVEL, threads=1))
        with stream, tempfile.TemporaryDirectory(dir=path.parent) as scratch, _Tar(stream, prefix, scratch) as tar:
            # `conda_pack.pack` itself only writes to a path, and only with its own compressors.
            packer = Packer(str(prefix), tar)
            for file in list_pack_files(prefix, Path(scratch) / "file"):
                packer.add(file)
            packer.finish()
        return out.finish()
    except CondaPackException as exc:
        raise ArtifactError("The environment cannot be packed.", detail=str(exc).strip()) from exc
    finally:
        out.close()


class _Sink:
    """A stream that is asked where it stands before the first byte."""

    def __init__(self, stream: IO[bytes]) -> None:
        self.write = stream.write

    def tell(self) -> int:
        """Return where a new file stands."""
        return 0


class _Tar:
    """What conda-pack's packer writes into: files that their new owner, whoever that is, can write."""

    def __init__(self, stream: IO[bytes], *folders: Path | str) -> None:
        """Files in one of the folders keep their time; what is made on the way gets that of the environment."""
        self._folders = tuple(f"{folder}/" for folder in folders)
        self._time = read_time(Path(folders[0]))
        self._tar = tarfile.TarFile(
            fileobj=cast("IO[bytes]", _Sink(stream)),
            mode="w",
            format=tarfile.GNU_FORMAT,
            copybufsize=COPY_BYTES,
        )

    def __enter__(self) -> _Tar:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self._tar.close()

    def add(self, source: str, target: str) -> None:
        """Add a file, a link, or an empty folder."""
        member = self._describe(source, target)
        if member.isreg():
            with Path(source).open("rb") as file:
                self._tar.addfile(member, file)
        else:
            self._tar.addfile(member)

    def add_bytes(self, source: str, sourcebytes: bytes, target: str) -> None:
        """Add a file with other content than it has on disk."""
        member = self._describe(source, target)
        member.size = len(sourcebytes)
        self._tar.addfile(member, io.BytesIO(sourcebytes))

    def _describe(self, source: str, target: str) -> tarfile.TarInfo:
        """Return the head of a member. Twice as fast as `gettarinfo`, and without the service's account."""
        status = os.lstat(source)
        member = tarfile.TarInfo(target)
        # A fraction of a second would cost a second head for each file.
        member.mtime = int(status.st_mtime) if source.startswith(self._folders) else self._time
        member.mode = stat.S_IMODE(status.st_mode) | stat.S_IWUSR
        if stat.S_ISLNK(status.st_mode):
            member.type, member.linkname, member.mode = tarfile.SYMTYPE, str(Path(source).readlink()), 0o777
        elif stat.S_ISDIR(status.st_mode):
            member.type = tarfile.DIRTYPE
        else:
            member.size = status.st_size
        return member
