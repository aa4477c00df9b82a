"""Layers of an image: files of a prefix as a tar that is the same whenever it is written, compressed and hashed."""

from __future__ import annotations

import hashlib
import io
import json
import os
import stat
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any, NamedTuple, cast

from conda_pack.compat import find_py_source
from conda_pack.core import load_files
from conda_pack.prefixes import replace_prefix
from isal import igzip

from conda_store_hub.builder.events import say
from conda_store_hub.builder.files import HashingFile
from conda_store_hub.builder.originals import restore_file, restore_text
from conda_store_hub.builder.prefix import CondaPackage, LinkedFile, list_clobbered
from conda_store_hub.core.oci import IMAGE_PREFIX, Layer

_LEVEL = 2  # of 0 to 3
_COPY_BYTES = 1 << 20
_CLOBBERS = "__clobbers__/"
_ROOT = IMAGE_PREFIX.lstrip("/")
_ENTRY_POINT = "unix_python_entry_point"
_OF_THIS_MACHINE = ("extracted_package_dir", "package_tarball_full_path", "link", "requested_spec", "requested_specs")


class Member(NamedTuple):
    """A file, link or folder of a layer: its path in the image, and what it is."""

    path: str
    mode: int
    mtime: int = 0
    source: Path | None = None
    data: bytes = b""
    link: str = ""
    is_folder: bool = False


class PrefixLayers:
    """The files of a finished prefix, sorted into layers."""

    def __init__(self, prefix: Path, packages: Iterable[CondaPackage]) -> None:
        self._prefix = prefix
        self._bytes = str(prefix).encode()
        self._packages = {each.package.name: each for each in packages}
        self._owners = self._find_owners()
        self._bytecode, self._unmanaged = self._sort_others()

    @property
    def altered(self) -> frozenset[str]:
        """The packages that have not all of their files, or share the path of one: their layers are nobody else's."""
        paths = list_clobbered(self._packages.values())
        touched = (
            name
            for name, each in self._packages.items()
            if any(file.path in paths or file.ousted_from is not None for file in each.files)
        )
        return frozenset(touched)

    def list_package(self, name: str) -> Iterator[Member]:
        """Yield what a package has: its files, what is compiled of them, and its record."""
        package = self._packages[name]
        made = (package.details.timestamp or 0) // 1000
        changed: dict[str, bytes] = {}
        for file in package.files:
            if not file.path.startswith(_CLOBBERS):
                member = self._read_managed(file, made)
                if member.data:
                    changed[file.path] = member.data
                yield member
        for path in self._bytecode[name]:
            yield self._read(path, made)
        yield self._read_record(package, made, changed)

    def list_others(self) -> Iterator[Member]:
        """Yield what no package has: the pip part; each file keeps its time, which bytecode is compared with."""
        yield from (self._read_other(path) for path in self._unmanaged if not path.startswith("conda-meta/"))

    def list_own(self) -> Iterator[Member]:
        """Yield what tells of the environment as a whole."""
        own = (path for path in self._unmanaged if path.startswith("conda-meta/") and not path.endswith("/history"))
        yield from (self._read(path, 0) for path in own)

    def _find_owners(self) -> dict[str, str]:
        pairs = ((file.path, name) for name, each in self._packages.items() for file in each.files)
        return {path: name for path, name in pairs if not path.startswith(_CLOBBERS)}

    def _sort_others(self) -> tuple[Mapping[str, list[str]], list[str]]:
        """Return what no package brought: bytecode that builds share, by its source's package, and all else."""
        bytecode: dict[str, list[str]] = {name: [] for name in self._packages}
        others: list[str] = []
        records = {f"conda-meta/{_name_record(each)}" for each in self._packages.values()}
        for path in sorted(load_files(str(self._prefix)) - self._owners.keys() - records):
            if not path.startswith(_CLOBBERS):
                owner = self._owners.get(find_py_source(path) or "")
                (bytecode[owner] if owner is not None else others).append(path)
        return bytecode, others

    def _read_managed(self, file: LinkedFile, made: int) -> Member:
        source = self._prefix / file.path
        if source.is_symlink() or not (file.has_prefix or file.kind == _ENTRY_POINT):
            return self._read(file.path, made if file.kind != "hardlink" else None)
        if file.kind == _ENTRY_POINT:
            return self._replace(file.path, made)
        restored = restore_file(self._prefix, file)
        if restored is None:
            say(f"Warning: {file.path} is not as its package has it, and is put into the image as it is")
            return self._read(file.path, made) if file.is_binary else self._replace(file.path, made)
        mode = "binary" if file.is_binary else "text"
        data = replace_prefix(restored, mode, file.placeholder, IMAGE_PREFIX)
        return self._read(file.path, made)._replace(source=None, data=data)

    def _read_other(self, path: str) -> Member:
        """Return a file that is in no package; scripts have the prefix in their first line."""
        source = self._prefix / path
        if source.is_symlink() or not source.is_file():
            return self._read(path, None)
        with source.open("rb") as file:
            is_text = b"\0" not in file.read(_COPY_BYTES)
        return self._replace(path, None) if is_text else self._read(path, None)

    def _replace(self, path: str, made: int | None) -> Member:
        data = (self._prefix / path).read_bytes()
        replaced = restore_text(data, self._bytes, IMAGE_PREFIX.encode())
        member = self._read(path, made)
        return member if replaced == data else member._replace(source=None, data=replaced)

    def _read(self, path: str, made: int | None) -> Member:
        """Return a file as it is in the prefix, from `made`, or from its own time."""
        source = self._prefix / path
        status = os.lstat(source)
        mtime = int(status.st_mtime) if made is None else made
        if stat.S_ISLNK(status.st_mode):
            return Member(f"{_ROOT}/{path}", 0o777, mtime, link=self._retarget(str(source.readlink())))
        if stat.S_ISDIR(status.st_mode):
            return Member(f"{_ROOT}/{path}", 0o755, is_folder=True)
        return Member(f"{_ROOT}/{path}", 0o755 if status.st_mode & 0o111 else 0o644, mtime, source)

    def _retarget(self, target: str) -> str:
        prefix = str(self._prefix)
        return IMAGE_PREFIX + target[len(prefix) :] if (target + "/").startswith(prefix + "/") else target

    def _read_record(self, package: CondaPackage, made: int, changed: Mapping[str, bytes]) -> Member:
        """Return the record in `conda-meta` without what it tells of this machine and this environment.

        `changed`: the files that are not in the image as they are in the prefix.
        """
        name = _name_record(package)
        record: dict[str, Any] = json.loads((self._prefix / "conda-meta" / name).read_bytes())
        kept = {key: value for key, value in record.items() if key not in _OF_THIS_MACHINE}
        for path in cast("list[dict[str, Any]]", record["paths_data"]["paths"]):
            if path["_path"] in changed:
                data = changed[path["_path"]]
                path["size_in_bytes"] = len(data)
                path["sha256_in_prefix"] = hashlib.sha256(data).hexdigest()
                if path["path_type"] == _ENTRY_POINT:  # it was made for the prefix: no package has it
                    path["sha256"] = path["sha256_in_prefix"]
        data = json.dumps(kept, sort_keys=True, indent=1).replace(str(self._prefix), IMAGE_PREFIX).encode()
        return Member(f"{_ROOT}/conda-meta/{name}", 0o644, made, data=data)


def _name_record(package: CondaPackage) -> str:
    for end in (".conda", ".tar.bz2"):
        if package.file_name.endswith(end):
            return f"{package.file_name.removesuffix(end)}.json"
    return f"{package.file_name}.json"


def write_layer(path: Path, members: Iterable[Member]) -> Layer:
    """Write a layer: by path, each folder before what is in it, owned by root; the same members give the same bytes."""
    out = HashingFile(path)
    try:
        with igzip.IGzipFile(
            filename="", mode="wb", fileobj=cast("IO[bytes]", out), compresslevel=_LEVEL, mtime=0
        ) as zipped:
            sink = _Sink(cast("IO[bytes]", zipped))
            _write_tar(sink, members)
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


def _write_tar(sink: _Sink, members: Iterable[Member]) -> None:
    by_path = {member.path: member for member in members}
    folders = {parent for path in by_path for parent in _list_parents(path)} - by_path.keys()
    by_path |= {path: Member(path, 0o755, is_folder=True) for path in folders}
    with tarfile.TarFile(
        fileobj=cast("IO[bytes]", sink), mode="w", format=tarfile.GNU_FORMAT, copybufsize=_COPY_BYTES
    ) as tar:
        # By parts, so that a folder's own files stay together and come behind it.
        for path in sorted(by_path, key=lambda path: path.split("/")):
            _add(tar, by_path[path])


def _list_parents(path: str) -> Iterator[str]:
    at = path.find("/")
    while at >= 0:
        yield path[:at]
        at = path.find("/", at + 1)


def _add(tar: tarfile.TarFile, member: Member) -> None:
    info = tarfile.TarInfo(member.path)
    info.mode, info.mtime = member.mode, member.mtime
    if member.link:
        info.type, info.linkname = tarfile.SYMTYPE, member.link
    elif member.is_folder:
        info.type = tarfile.DIRTYPE
    elif member.source is not None:
        with member.source.open("rb") as file:
            info.size = os.fstat(file.fileno()).st_size
            tar.addfile(info, file)
        return
    else:
        info.size = len(member.data)
        tar.addfile(info, io.BytesIO(member.data))
        return
    tar.addfile(info)
