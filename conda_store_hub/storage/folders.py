"""Folders of environment files on disk: what is in them, and how one is read so that nothing else can be."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from conda_store_hub.core.errors import SpecificationTooLargeError, StorageError, WatchedFileError
from conda_store_hub.core.lockfiles import MAX_BYTES

MAX_FILES = 50_000
_MAX_LABEL = 500
_ENDINGS = (".yaml", ".yml")
_WITHOUT_NAME = ("conda-lock.yaml", "conda-lock.yml")
_OUTSIDE = "It is a link out of the watched directory, which is not followed."
_OPEN = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # a FIFO would wait for its writer

#: What changes when a file, or the link to it, does.
Signature = tuple[int, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class WatchedPath:
    """A folder of the configuration with all below it, or `only` one file in a folder."""

    folder: Path
    only: str | None = None

    @classmethod
    def of(cls, path: Path) -> WatchedPath:
        """Tell which of the two a path is; one that is not there yet is a file if it is called like one."""
        # These two say no, and raise nothing, where nothing may be entered.
        is_file = os.path.isfile(path) or (path.suffix in _ENDINGS and not os.path.isdir(path))  # noqa: PTH112, PTH113
        return cls(folder=path.parent, only=path.name) if is_file else cls(folder=path)

    def find_place(self) -> tuple[str, str] | None:
        """Return where the folder really is, and what tells it from another at the same place; None without one."""
        try:
            real = self.folder.resolve(strict=True)
            return (str(real), str(real.stat().st_ino)) if real.is_dir() else None
        except OSError:
            return None


@dataclass(frozen=True, kw_only=True, slots=True)
class FoundFile:
    """A file in a listing."""

    path: str
    signature: Signature


@dataclass(frozen=True, kw_only=True, slots=True)
class Listing:
    """The files of a folder by their label, and the labels of folders in it that could not be read as a whole."""

    identity: str
    files: dict[str, FoundFile]
    unread: tuple[str, ...]

    def may_have(self, label: str) -> bool:
        """Tell whether a file may be there: it is listed, or lies where nothing could be read."""
        return label in self.files or any(label.startswith(f"{folder}/") for folder in self.unread)


def list_files(watched: WatchedPath) -> Listing:
    """List the environment files of a folder; raise StorageError in words when it cannot be read.

    Links to folders are not followed, and folders that begin with a dot not entered: nothing is seen twice.
    """
    place = watched.find_place()
    if place is None:
        raise StorageError("There is no such directory, or it may not be entered.")
    root, identity = place
    files: dict[str, FoundFile] = {}
    unread: set[str] = set()
    for path in _walk(root, watched, unread):
        if len(files) >= MAX_FILES:
            raise StorageError(f"There are more than {MAX_FILES:,} environment files in it.")
        try:
            signature = _find_signature(path)
        except OSError as exc:  # it may be there: not what is told of a file that has gone
            _note_unread(unread, root, os.path.dirname(path), exc)  # noqa: PTH120 - of a name that is no text, too
            continue
        if signature is not None:
            files[make_label(os.path.relpath(path, root))] = FoundFile(path=path, signature=signature)
    return Listing(identity=identity, files=files, unread=tuple(sorted(unread)))


def _walk(root: str, watched: WatchedPath, unread: set[str]) -> Iterator[str]:
    waiting = [root]
    while waiting:
        folder = waiting.pop()
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        if watched.only is None and not entry.name.startswith("."):
                            waiting.append(entry.path)
                    elif entry.name == watched.only if watched.only else _is_wanted(entry.name):
                        yield entry.path
        except OSError as exc:
            _note_unread(unread, root, folder, exc)


def _note_unread(unread: set[str], root: str, folder: str, exc: OSError) -> None:
    """Remember that a folder is not known as a whole; raise StorageError in words if all depends on it."""
    if folder == root:
        raise StorageError(f"It cannot be read: {exc.strerror}.") from exc
    unread.add(make_label(os.path.relpath(folder, root)))


def _is_wanted(name: str) -> bool:
    return name.endswith(_ENDINGS) and not name.startswith(".") and name not in _WITHOUT_NAME


def _find_signature(path: str) -> Signature | None:
    """Return what changes when the file or its link does; None if it has just gone; raise OSError if nothing tells."""
    try:
        own = os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        there = Path(path).stat()
    except OSError:  # a link to nowhere
        there = own
    return (own.st_ino, there.st_dev, there.st_ino, there.st_size, there.st_mtime_ns, there.st_ctime_ns, there.st_mode)


def make_label(path: str) -> str:
    """Return a path as it is kept and shown: any bytes as text, on one line and not too long."""
    text = os.fsencode(path).decode(errors="backslashreplace")
    text = "".join(char if char.isprintable() else f"\\x{ord(char):02x}" for char in text)
    digest = hashlib.sha256(os.fsencode(path)).hexdigest()[:8]
    return text if len(text) <= _MAX_LABEL else f"{text[: _MAX_LABEL - 9]}…{digest}"


def read_file(watched: WatchedPath, found: FoundFile) -> str | None:
    """Return the text of a file, or None if it changed meanwhile; raise WatchedFileError for what is not read."""
    try:
        root = os.path.realpath(watched.folder, strict=True)
        real = os.path.realpath(found.path, strict=True)
        _require_inside(real, root)
        descriptor = os.open(real, _OPEN)
        with os.fdopen(descriptor, "rb") as file:
            opened = os.fspath(Path(f"/proc/self/fd/{descriptor}").readlink())
            _require_inside(opened, root)  # no folder became a link meanwhile
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise WatchedFileError("It is not a regular file.")
            data = file.read(MAX_BYTES + 1)
        if _find_signature(found.path) != found.signature:
            return None
    except OSError as exc:
        if _has_changed(found):
            return None
        raise WatchedFileError(f"It cannot be read: {exc.strerror}.") from exc
    if len(data) > MAX_BYTES:
        raise SpecificationTooLargeError(f"It is larger than {MAX_BYTES // 1_000_000} MB.")
    return _decode(data)


def _has_changed(found: FoundFile) -> bool:
    try:
        return _find_signature(found.path) != found.signature
    except OSError:
        return True  # who looks next is told


def _decode(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as exc:
        raise WatchedFileError(f"It is not UTF-8: byte {exc.start + 1} begins no character.") from exc


def _require_inside(path: str, root: str) -> None:
    if not path.startswith(f"{root.rstrip('/')}/"):
        raise WatchedFileError(_OUTSIDE)
