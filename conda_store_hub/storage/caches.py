"""Trimming the caches beside the prefixes: what no prefix has a hard link to, and nobody has used for long.

An entry is a folder or a file that goes as a whole. It is renamed away while no builder uses the caches, and removed
after that. Builders note their use on entries of packages and of bytecode; of the others, the system knows when a file
was read.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from conda_store_hub.core.names import DataDirectory, new_prefix_name
from conda_store_hub.storage.locks import try_exclusive
from conda_store_hub.storage.prefixes import remove_tree

_TRASH = ".trash-"
_ENGINES_LOCK = ".cache.lock"
_PYTHONS = "pythons"
_ARCHIVES = "archive-"  # of the pip part's cache: each folder below is one unpacked wheel


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """Something in a cache that can go as a whole; its locks go with it."""

    path: Path
    reads_count: bool = False
    """Whether nobody notes its use on it: then it is as old as the last time one of its files was read."""
    half_made: bool = False
    """Whether a process that was killed left it behind, if no builder is at work."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Trimmed:
    """What was removed from caches."""

    entries: int
    size: int


def list_stale(data: DataDirectory, before: float) -> Iterator[Entry]:
    """Yield, one by one, entries that nothing uses and nobody has used since `before`, in seconds of the epoch."""
    return (entry for entry in _list_entries(data) if _is_stale(entry, before))


def remove_stale(data: DataDirectory, entries: Sequence[Entry], before: float) -> Trimmed | None:
    """Remove those of `entries` that are still stale; None, and nothing is done, if builders use the caches now."""
    trash = data.packages / f"{_TRASH}{new_prefix_name()}"
    with try_exclusive(data.packages_lock) as alone:
        if not alone:
            return None
        trash.mkdir()
        stale = (entry for entry in entries if _is_stale(entry, before))
        moved = sum(_put_aside(entry.path, trash / str(number)) for number, entry in enumerate(stale))
    size = sum(status.st_blocks * 512 for status in _walk(trash) if status.st_nlink == 1)
    remove_tree(trash)
    return Trimmed(entries=moved, size=size)


def _put_aside(path: Path, target: Path) -> bool:
    """Rename an entry away with its lock; tell whether it was there: another process may remove what is half made."""
    try:
        path.rename(target)
    except FileNotFoundError:
        return False
    lock = path.with_name(f"{path.name}.lock")
    if lock.is_file():
        lock.rename(target.with_name(f"{target.name}.lock"))
    return True


def _list_entries(data: DataDirectory) -> Iterator[Entry]:
    own = {data.bytecode, data.repodata, data.pip_cache, data.packages_lock, data.packages / _ENGINES_LOCK}
    for path in _list(data.packages):
        # The engine's locks go with what they are for; other files are archives of packages.
        if path not in own and not (path.suffix == ".lock" and path.with_suffix("").exists()):
            yield Entry(path=path, half_made=path.name.startswith("."))
    for python in _list_folders(data.bytecode):
        if python.name != _PYTHONS:
            yield from (Entry(path=path) for path in _list_folders(python))
    yield from (Entry(path=path, reads_count=True) for path in _list_files(data.repodata))
    for bucket in _list_folders(data.pip_cache):
        units = _list_folders(bucket) if bucket.name.startswith(_ARCHIVES) else _list_units(bucket)
        yield from (Entry(path=path, reads_count=True) for path in units)


def _list(folder: Path) -> Iterator[Path]:
    """Yield what is in a folder; one that is gone has nothing in it."""
    try:
        with os.scandir(folder) as entries:
            yield from (Path(entry.path) for entry in entries)
    except FileNotFoundError:
        return


def _is_folder(path: Path) -> bool:
    """Tell whether it is a folder, and not a link to one: to follow a link would count as reading it."""
    return not path.is_symlink() and path.is_dir()


def _list_folders(folder: Path) -> Iterator[Path]:
    return (path for path in _list(folder) if _is_folder(path))


def _list_files(folder: Path) -> Iterator[Path]:
    for path in _list(folder):
        if _is_folder(path):
            yield from _list_files(path)
        else:
            yield path


def _list_units(folder: Path) -> Iterator[Path]:
    """Yield the outermost folders that have files in them: what belongs together lies together."""
    if not all(_is_folder(path) for path in _list(folder)):
        yield folder
    else:
        for path in _list(folder):
            yield from _list_units(path)


def _is_stale(entry: Entry, before: float) -> bool:
    if entry.half_made:
        return True
    try:
        if entry.path.lstat().st_mtime >= before:
            return False
    except FileNotFoundError:
        return False
    return all(each.st_nlink == 1 and _was_read(each, entry) < before for each in _walk(entry.path))


def _was_read(status: os.stat_result, entry: Entry) -> float:
    return max(status.st_mtime, status.st_atime) if entry.reads_count else 0.0


def _walk(path: Path) -> Iterator[os.stat_result]:
    """Yield what is known of each file at and below a path."""
    if _is_folder(path):
        for inner in _list(path):
            yield from _walk(inner)
    else:
        with suppress(FileNotFoundError):
            yield path.lstat()
