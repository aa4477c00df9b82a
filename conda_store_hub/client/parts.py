"""What came of a file before its download ended, kept beside its place for who downloads it next.

Its name tells which bytes they are of: `.NAME.ETAG.part`. Whoever writes to it has it locked.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import secrets
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO

from conda_store_hub.core.errors import UnavailableError

_KEPT = re.compile(r"[A-Za-z0-9_-]{1,80}")
_LONGEST = 150  # bytes of a name, to which more is added


class Part:
    """An open file for the bytes that come. `etag`: of those that are in it already, None where it is empty."""

    def __init__(self, target: Path, path: Path, file: IO[bytes], etag: str | None = None) -> None:
        self._target = target
        self._path = path
        self.file = file
        self.etag = etag

    def name_after(self, etag: str | None) -> None:
        """Name it after the bytes that are about to come, unless somebody else has one of them."""
        self.etag = etag
        path = None if etag is None else _name(self._target, etag.strip('"'))
        if path is not None and path != self._path and not path.exists():
            self._path = self._path.rename(path)

    def finish(self) -> None:
        """Have the target be what is in it."""
        self.file.flush()
        self._path.replace(self._target)

    def end(self, error: BaseException) -> None:
        """Keep it for the next try where that can go on, and remove it else: a full disk needs the room."""
        can_go_on = isinstance(error, (UnavailableError, KeyboardInterrupt)) and self.file.tell() > 0
        if not can_go_on or self.etag is None or self._path != _name(self._target, self.etag.strip('"')):
            self._path.unlink(missing_ok=True)


def open_part(target: Path) -> Part:
    """Return what is kept of a file, or an empty one; what is left of others is removed."""
    found: Part | None = None
    for path, etag in _list_kept(target):
        file = _open_own(path)
        if file is None:
            continue
        if found is None:
            found = Part(target, path, file, f'"{etag}"')
        else:
            path.unlink(missing_ok=True)
            file.close()
    return found or _open_new(target)


def is_kept(target: Path) -> bool:
    """Tell whether something is kept of a file."""
    return any(True for _ in _list_kept(target))


def _open_new(target: Path) -> Part:
    path = _name(target, secrets.token_hex(4))
    file = path.open("x+b")
    with suppress(OSError):  # a file system without locks
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return Part(target, path, file)


def _name(target: Path, etag: str) -> Path:
    return target.with_name(f"{_begin(target)}{etag if _KEPT.fullmatch(etag) else secrets.token_hex(4)}.part")


def _begin(target: Path) -> str:
    name = os.fsencode(target.name)
    return f".{target.name if len(name) <= _LONGEST else hashlib.sha256(name).hexdigest()[:32]}."


def _list_kept(target: Path) -> Iterator[tuple[Path, str]]:
    begin = _begin(target)
    for name in sorted(os.listdir(target.parent)):  # noqa: PTH208 a folder may hold many
        etag = name.removeprefix(begin).removesuffix(".part")
        if name == f"{begin}{etag}.part" and _KEPT.fullmatch(etag):
            yield target.with_name(name), etag


def _open_own(path: Path) -> IO[bytes] | None:
    """Open what one has left there oneself and nobody is at now; in a folder of everybody's, others could plant it."""
    try:
        file = os.fdopen(os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "r+b")
    except OSError:
        return None
    try:
        status = os.fstat(file.fileno())
        is_own = stat.S_ISREG(status.st_mode) and status.st_uid == os.geteuid() and status.st_nlink == 1
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Who had it may have put it in its place meanwhile.
        if is_own and os.path.samestat(status, path.lstat()):
            return file
    except OSError:
        pass
    file.close()
    return None
