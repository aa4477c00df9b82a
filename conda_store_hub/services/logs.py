"""Logs of builds, read in pieces from a byte on; a character is never split."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

from sqlalchemy.orm import Session

from conda_store_hub.core import schemas
from conda_store_hub.core.errors import NotFoundError
from conda_store_hub.core.permissions import Identity
from conda_store_hub.core.protocol import BuildStatus
from conda_store_hub.db import records
from conda_store_hub.services import builds, tokens, views

_MOST_CHUNKS = 64


@dataclass(frozen=True, kw_only=True, slots=True)
class LogSlice:
    """A piece of a log from a byte offset, and where the build is."""

    data: bytes
    next_offset: int
    size: int
    """Bytes that the log has now."""
    whole: bool
    """Whether it will have no more."""
    status: BuildStatus
    status_info: str | None
    progress: schemas.LogProgress | None
    phases: schemas.LogPhases

    @property
    def complete(self) -> bool:
        """Whether nothing will follow this slice."""
        return self.whole and self.next_offset >= self.size


def read(session: Session, identity: Identity, build_id: int, offset: int) -> LogSlice:
    """Return the log from byte `offset` on, at most 64 chunks; ask again from `next_offset` for more.

    An offset inside a character moves to its beginning, one past the end to the end.
    """
    builds.require_readable(session, identity, build_id)
    return peek(session, build_id, offset)


def follow(session: Session, identity: Identity, build_id: int, offset: int) -> LogSlice:
    """Do what `read` does, for somebody who stays: what they came with may have ended since."""
    tokens.require_live(session, identity)
    return read(session, identity, build_id, offset)


def peek(session: Session, build_id: int, offset: int) -> LogSlice:
    """Do what `read` does, for a reader whose right was checked when they began."""
    state = records.log_state(session, build_id)
    if state is None:
        raise NotFoundError(f"There is no build {build_id}, or you may not see it.")
    status, info, size, whole, progress = state
    start = min(max(offset, 0), size)
    chunks = records.log_chunks(session, build_id, start, _MOST_CHUNKS) if start < size else ()
    first = chunks[0].start if chunks else start
    text = b"".join(chunk.data for chunk in chunks)
    begin = _start_of_character(text, start - first)
    return LogSlice(
        data=text[begin:],
        next_offset=first + len(text),
        size=size,
        whole=whole,
        status=status,
        status_info=info,
        progress=schemas.LogProgress.model_validate(progress) if progress else None,
        phases=schemas.LogPhases(phases=tuple(views.phase_times(records.list_phases(session, build_id)))),
    )


def peek_bytes(session: Session, build_id: int, start: int, end: int) -> bytes:
    """Return bytes from `start` on, wherever characters begin, and none from `end` on; at most 64 chunks."""
    chunks = records.log_chunks(session, build_id, start, _MOST_CHUNKS) if start < end else ()
    first = chunks[0].start if chunks else start
    return b"".join(chunk.data for chunk in chunks)[start - first : end - first]


def find_explanation(log: str, reason: str) -> str:
    """Return what a builder said in its log behind why it failed, such as the solver's tree; empty if nothing.

    A builder says it last, each line set in; `reason` is what the build says of its failure.
    """
    _, found, rest = f"\n{log}".rpartition(f"\nFailed: {reason}\n")
    lines = rest.splitlines() if found else []
    said = itertools.takewhile(lambda line: line.startswith("  ") or not line, lines)
    return "\n".join(line.removeprefix("  ") for line in said).strip("\n")


def _start_of_character(text: bytes, at: int) -> int:
    """Return the index of the UTF-8 character that holds byte `at`: continuation bytes are 10xxxxxx (RFC 3629)."""
    while 0 < at < len(text) and text[at] & 0xC0 == 0x80:
        at -= 1
    return at
