"""Memory that the engine reserves from many threads, and gives back only when it is told to."""

from __future__ import annotations

import ctypes
import sys

_M_ARENA_MAX = -8  # mallopt(3)


def keep_together() -> None:
    """Have threads share what they reserve: an index is read by all of them."""
    if sys.platform == "linux":
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 2)


def give_back() -> None:
    """Return to the system what was freed."""
    if sys.platform == "linux":
        ctypes.CDLL(None).malloc_trim(0)
