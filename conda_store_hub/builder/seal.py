"""Sealing: files of a prefix become read-only, are measured, and held against what their packages say."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from conda_store_hub.builder.prefix import CondaPackage, LinkedFile


@dataclass(frozen=True, kw_only=True, slots=True)
class Sealed:
    """A sealed prefix: bytes on disk that are its own, bytes that other names share, and the size of each file."""

    own: int
    shared: int
    sizes: dict[str, int]


def seal_prefix(prefix: Path) -> Sealed:
    """Take write permission from every file; folders stay as they are.

    A mode belongs to the inode, so the package cache's copy of a linked file becomes read-only with it, once.
    """
    own = shared = 0
    sizes: dict[str, int] = {}
    start = len(str(prefix)) + 1
    for entry in _walk(str(prefix)):
        status = entry.stat(follow_symlinks=False)
        sizes[entry.path[start:]] = status.st_size
        if status.st_nlink > 1:
            shared += status.st_blocks * 512
        else:
            own += status.st_blocks * 512
        seal_file(entry.path, status.st_mode)
    return Sealed(own=own, shared=shared, sizes=sizes)


def seal_file(path: str | Path, mode: int) -> None:
    """Let everybody read the file, and run it if anybody may; nobody write it, or run it as its owner."""
    wanted = 0o555 if mode & 0o111 else 0o444
    if stat.S_IMODE(mode) != wanted:
        Path(path).chmod(wanted)


def list_damaged(packages: Iterable[CondaPackage], sizes: Mapping[str, int]) -> list[CondaPackage]:
    """Return the packages with a linked file that is not there, or not as long as its package says."""
    return [each for each in packages if any(_is_damaged(file, sizes) for file in each.files)]


def _is_damaged(file: LinkedFile, sizes: Mapping[str, int]) -> bool:
    if file.kind != "hardlink" or file.has_prefix:
        return False
    size = sizes.get(file.path)
    return size is None or (file.size is not None and size != file.size)


def _walk(folder: str) -> Iterator[os.DirEntry[str]]:
    """Yield every regular file; links to folders are not followed."""
    folders = [folder]
    while folders:
        with os.scandir(folders.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path)
                elif entry.is_file(follow_symlinks=False):
                    yield entry
