"""How lists looked that pages ask for again and again."""

from __future__ import annotations

import time
from collections.abc import Hashable
from dataclasses import dataclass

_LONGEST_SECONDS = 30.0  # what ends by itself, as a role does, is no write
_MOST = 2_000


@dataclass(frozen=True, slots=True)
class _Shown:
    etag: str
    version: int
    at: float


class ShownLists:
    """How each list looked that somebody's page asks for again and again: its `ETag`, and the database's version."""

    def __init__(self) -> None:
        self._shown: dict[Hashable, _Shown] = {}

    def find(self, key: Hashable, version: int) -> str | None:
        """Return the `ETag` of what looks as it did; None where that is not known."""
        known = self._shown.get(key)
        is_new = known is not None and known.version == version and time.monotonic() - known.at < _LONGEST_SECONDS
        return known.etag if known is not None and is_new else None

    def note(self, key: Hashable, etag: str, version: int) -> None:
        """Remember how it looks; `version` is of before it was read."""
        self._shown.pop(key, None)
        if len(self._shown) >= _MOST:
            del self._shown[next(iter(self._shown))]
        self._shown[key] = _Shown(etag, version, time.monotonic())
