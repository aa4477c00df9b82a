"""A full disk, or a full quota on it: how the system says so, and how other programs do."""

from __future__ import annotations

import ctypes
import errno
import os
from pathlib import Path

_SIGNS = ("No space left on device", "os error 28)", "Disk quota exceeded")


def is_full(exc: BaseException) -> bool:
    """Tell whether this is the system's refusal to write more."""
    return isinstance(exc, OSError) and exc.errno in (errno.ENOSPC, errno.EDQUOT)


def force(path: Path) -> None:
    """Have all that was written on the file system of a path be on disk; others, where that is known, do not count."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        sync = getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None)
        if sync is None:  # Linux has it
            os.sync()
        elif sync(descriptor):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), str(path))
    finally:
        os.close(descriptor)


def tells_full(text: str) -> bool:
    """Tell whether that is what another program means."""
    return any(sign in text for sign in _SIGNS)
