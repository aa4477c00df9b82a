"""Layers of a prefix: which of its files are in which, and what is changed in them for their place in an image."""

from __future__ import annotations

import filecmp
import hashlib
import json
import os
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, cast

from conda_pack.core import load_files
from conda_pack.prefixes import replace_prefix

from conda_store_hub.builder.bytecode import find_shared
from conda_store_hub.builder.compression import COPY_BYTES
from conda_store_hub.builder.layer_files import Member
from conda_store_hub.builder.originals import restore_file, restore_text
from conda_store_hub.builder.prefix import CondaPackage, LinkedFile, list_clobbered
from conda_store_hub.core.image_layers import depends_on_python
from conda_store_hub.core.oci import IMAGE_PREFIX

_CLOBBERS = "__clobbers__/"
_MOST_KEPT = 1 << 16  # bytes of a file that are held until it is written; more are made again then
_ROOT = IMAGE_PREFIX.lstrip("/")
_ENTRY_POINT = "unix_python_entry_point"
_OF_THIS_MACHINE = ("extracted_package_dir", "package_tarball_full_path", "link", "requested_spec", "requested_specs")


class _Changed(NamedTuple):
    """What a file is that is not in the image as it is in the prefix."""

    size: int
    sha256: str


class PrefixLayers:
    """The files of a finished prefix, sorted into layers."""

    def __init__(self, prefix: Path, packages: Sequence[CondaPackage], bytecode: Path) -> None:
        """`bytecode`: the folder of what prefixes share, by which bytecode is known that is everybody's."""
        self._prefix = prefix
        self._bytes = str(prefix).encode()
        self._packages = {each.package.name: each for each in packages}
        self._shared = find_shared(bytecode, prefix, packages)
        self._bytecode = {name: self._list_bytecode(self._shared.get(name, {})) for name in self._packages}
        self._unmanaged = self._list_unmanaged()

    @property
    def altered(self) -> frozenset[str]:
        """The packages that have not all of their files, or share the path of one: their layers are nobody else's.

        Nor are those that have not the bytecode that others have of them, or have some that their key tells nothing of.
        """
        paths = list_clobbered(self._packages.values())
        touched = (
            name
            for name, each in self._packages.items()
            if any(file.path in paths or file.ousted_from is not None for file in each.files)
            or len(self._bytecode[name]) != len(self._shared.get(name, (None,)))
            or (self._bytecode[name] and not (name == "python" or depends_on_python(each.package)))
        )
        return frozenset(touched)

    def list_package(self, name: str) -> Iterator[Member]:
        """Yield what a package has: its files, what is compiled of them, and its record."""
        package = self._packages[name]
        made = (package.details.timestamp or 0) // 1000
        changed: dict[str, _Changed] = {}
        for file in package.files:
            if not file.path.startswith(_CLOBBERS):
                member = self._read_managed(file, made)
                if member.data:
                    changed[file.path] = _Changed(len(member.data), hashlib.sha256(member.data).hexdigest())
                yield _put_off(member, partial(self._make_managed, file, made))
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

    def _list_bytecode(self, shared: Mapping[str, Path]) -> list[str]:
        """Return where bytecode is that is the store's; what stands in its place, or beside it, is of somebody else."""
        return [path for path, file in shared.items() if _is_same(self._prefix / path, file)]

    def _list_unmanaged(self) -> list[str]:
        """Return what no package brought, and is not the bytecode of one that prefixes share."""
        managed = {file.path for each in self._packages.values() for file in each.files}
        managed |= {each.record for each in self._packages.values()}
        managed.update(*self._bytecode.values())
        found = load_files(str(self._prefix)) - managed
        return sorted(path for path in found if not path.startswith(_CLOBBERS))

    def _read_managed(self, file: LinkedFile, made: int) -> Member:
        source = self._prefix / file.path
        if source.is_symlink() or not (file.has_prefix or file.kind == _ENTRY_POINT):
            member = self._read(file.path, made if file.kind != "hardlink" else None)
            if file.kind == "hardlink" and member.source is not None:
                return member._replace(sha256=file.sha256, is_odd=not file.sha256)
            return member._replace(is_odd=(file.kind == "softlink") != bool(member.link))
        if file.kind == _ENTRY_POINT:
            digest = hashlib.sha256(source.read_bytes()).hexdigest()
            return self._replace(file.path, made)._replace(is_odd=digest != file.sha256)
        restored = restore_file(self._prefix, file) if file.sha256 else None
        if restored is None:
            member = self._read(file.path, made) if file.is_binary else self._replace(file.path, made)
            return member._replace(is_odd=True)
        mode = "binary" if file.is_binary else "text"
        data = replace_prefix(restored, mode, file.placeholder, IMAGE_PREFIX)
        return self._read(file.path, made)._replace(source=None, data=data)

    def _make_managed(self, file: LinkedFile, made: int) -> bytes:
        return self._read_managed(file, made).data

    def _read_other(self, path: str) -> Member:
        """Return a file that is in no package; scripts have the prefix in their first line."""
        source = self._prefix / path
        if source.is_symlink() or not source.is_file():
            return self._read(path, None)
        if not _is_text_with(source, self._bytes):
            return self._read(path, None)
        return _put_off(self._replace(path, None), lambda: self._replace(path, None).data)

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

    def _read_record(self, package: CondaPackage, made: int, changed: Mapping[str, _Changed]) -> Member:
        """Return the record in `conda-meta` without what it tells of this machine and this environment.

        `changed`: the files that are not in the image as they are in the prefix.
        """
        record: dict[str, Any] = json.loads((self._prefix / package.record).read_bytes())
        kept = {key: value for key, value in record.items() if key not in _OF_THIS_MACHINE}
        for path in cast("list[dict[str, Any]]", record["paths_data"]["paths"]):
            if path["_path"] in changed:
                path["size_in_bytes"], path["sha256_in_prefix"] = changed[path["_path"]]
                if path["path_type"] == _ENTRY_POINT:  # it was made for the prefix: no package has it
                    path["sha256"] = path["sha256_in_prefix"]
        data = json.dumps(kept, sort_keys=True, indent=1).replace(str(self._prefix), IMAGE_PREFIX).encode()
        return Member(f"{_ROOT}/{package.record}", 0o644, made, data=data)


def _put_off(member: Member, make: Callable[[], bytes]) -> Member:
    """Have bytes made when they are written, unless they are few: a layer has thousands of files."""
    return member._replace(data=b"", make=make) if len(member.data) > _MOST_KEPT else member


def _is_text_with(path: Path, wanted: bytes) -> bool:
    """Tell whether a file looks like text and has some bytes in it; of large ones nothing else is held in memory."""
    with path.open("rb") as file:
        piece = file.read(COPY_BYTES)
        if b"\0" in piece:
            return False
        end = b""
        while piece:
            if wanted in end + piece:
                return True
            end = piece[1 - len(wanted) :]
            piece = file.read(COPY_BYTES)
    return False


def _is_same(path: Path, file: Path) -> bool:
    """Tell whether a file of a prefix is one of the store, or a copy of it where no link could be made."""
    try:
        return not path.is_symlink() and (path.samefile(file) or filecmp.cmp(path, file, shallow=False))
    except OSError:
        return False
