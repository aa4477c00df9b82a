"""A full disk, or a full quota on it: how the system says so, and how other programs do."""

from __future__ import annotations

import errno

_SIGNS = ("No space left on device", "os error 28)", "Disk quota exceeded")


def is_full(exc: BaseException) -> bool:
    """Tell whether this is the system's refusal to write more."""
    return isinstance(exc, OSError) and exc.errno in (errno.ENOSPC, errno.EDQUOT)


def tells_full(text: str) -> bool:
    """Tell whether that is what another program means."""
    return any(sign in text for sign in _SIGNS)
