"""Locks on files, which end with the processes that hold them, and are handed on to those they start."""

from __future__ import annotations

import errno
import fcntl
import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from conda_store_hub.core.errors import CondaStoreHubError, LocalEnvironmentError

CACHE_ELSEWHERE = "set CONDA_STORE_CACHE to a folder on another one"
_LOOK_SECONDS = 0.1
_NO_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS)


class FileLock:
    """An open file to be locked by flock(2). Several holders in one process exclude each other as processes do.

    The lock belongs to what was opened, not to the process: a child that inherits the descriptor holds it too.
    """

    def __init__(
        self, path: Path, *, advice: str = CACHE_ELSEWHERE, error: type[CondaStoreHubError] = LocalEnvironmentError
    ) -> None:
        """`advice`: what to do where a file system knows no locks; `error`: what is raised then, and after waiting."""
        self._path = path
        self._advice = advice
        self._error = error
        self._descriptor = _open(path)

    def __enter__(self) -> Self:
        """Use as a context manager: let go at the end."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let go."""
        self.close()

    def fileno(self) -> int:
        """Return the descriptor, for children to inherit."""
        return self._descriptor

    def try_lock(self, *, shared: bool = False) -> bool:
        """Lock, if nobody stands in the way; a lock that is held already is changed. Never waits."""
        how = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
        try:
            fcntl.flock(self._descriptor, how | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError as exc:
            if exc.errno in _NO_LOCKS:
                raise self._error(f"The file system of {self._path.parent} knows no locks: {self._advice}.") from exc
            raise
        return True

    def lock(self, *, seconds: float, shared: bool = False, check: Callable[[], object] = lambda: None) -> None:
        """Lock as soon as nobody stands in the way; `check` is called while this waits, and may raise.

        Raises an error for what somebody else has for longer than `seconds`.
        """
        until = time.monotonic() + seconds
        while not self.try_lock(shared=shared):
            check()
            if time.monotonic() > until:
                folder, name = self._path.parent, self._path.name
                raise self._error(
                    f"Another process has been at {folder} for more than {seconds:g} s, and has to end first: try again"
                    f" later. If it hangs, end it; `fuser` tells who has its file {name} open."
                )
            time.sleep(_LOOK_SECONDS)

    def is_current(self) -> bool:
        """Tell whether the file is still the one of that name: who removes what it guards removes it too."""
        with suppress(FileNotFoundError):
            return os.path.samestat(os.fstat(self._descriptor), self._path.stat())
        return False

    def remove(self) -> None:
        """Remove the file; whoever opened it before finds that it is no longer current."""
        self._path.unlink(missing_ok=True)

    def close(self) -> None:
        """Let go, unless a child has inherited it; a second time does nothing."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def _open(path: Path) -> int:
    """Open the file, which is made; where nothing can be written, one that is there can still be locked."""
    flags = os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | flags, 0o600)
    except OSError as exc:
        if exc.errno != errno.EROFS:
            raise
        return os.open(path, os.O_RDONLY | flags)
