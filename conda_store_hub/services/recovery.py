"""What was under way when a worker stopped, died or fell silent: queued again, unless that was tried often enough."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from conda_store_hub.core.errors import BuildInterruptedError
from conda_store_hub.core.protocol import ArtifactState, BuildStatus
from conda_store_hub.db import claims, records
from conda_store_hub.db.session import announce
from conda_store_hub.db.tables import Build
from conda_store_hub.services import work
from conda_store_hub.services.changes import QUEUE, artifacts_topic, build_topic
from conda_store_hub.services.work import Ticket

MOST_ATTEMPTS = 2
_INTERRUPTED = "It was not made: the service stopped in the middle more often than it is tried again."


@dataclass(frozen=True, kw_only=True, slots=True)
class Beat:
    """The last that was heard of a build that another worker has."""

    build_id: int
    turn: int
    at: datetime | None


def take_over(session: Session, worker: str) -> None:
    """Queue again what a worker had when it began anew: a process that starts has no builders."""
    for row in claims.builds_of_worker(session, worker):
        _requeue(session, row)
    for row in claims.usable_of_worker(session, worker):
        _release(session, row)


def requeue_silent(session: Session, own: str, heard: frozenset[Beat]) -> frozenset[Beat]:
    """Queue builds again of whose worker nothing was heard since `heard`; return what is heard now.

    Only whether a heartbeat is another one counts, and not its time: clocks jump, and those of two machines differ.
    `own` knows of its builds itself.
    """
    held = claims.hold_builds_of_others(session, own)
    rows = {Beat(build_id=row.id, turn=row.turn, at=row.heartbeat_at): row for row in held}
    for beat in rows.keys() & heard:
        if rows[beat].status is BuildStatus.BUILDING:
            _requeue(session, rows[beat])
        else:
            _release(session, rows[beat])
    return frozenset(rows)


def give_back(session: Session, ticket: Ticket) -> None:
    """Queue a build again because its worker stops on purpose: this was no attempt."""
    row = work.require_held(session, ticket)
    if row.status is BuildStatus.BUILDING:
        row.attempt -= 1
        _queue_again(session, row, b"\nThe service stops; the build begins anew when it is back.\n\n")
    else:
        records.forget_attempts(session, row.id)
    row.worker = None


def _release(session: Session, row: Build) -> None:
    """Have another worker make what one was making of a usable build, unless that was tried often enough."""
    pending = records.pending_artifacts(session, row.id)
    for artifact in pending:
        if artifact.attempt >= MOST_ATTEMPTS:
            work.give_up(session, artifact, _INTERRUPTED)
    if all(artifact.state is not ArtifactState.PENDING for artifact in pending):
        row.log_complete = True
    row.worker = None
    announce(session, artifacts_topic(row.id))
    announce(session, QUEUE)


def _requeue(session: Session, row: Build) -> None:
    if row.cancel_requested:
        work.end(session, row, None, cancelled=True)
    elif row.attempt >= MOST_ATTEMPTS:
        work.end(session, row, BuildInterruptedError())
    else:
        _queue_again(session, row, b"\nThe service stopped in the middle; the build begins anew.\n\n")


def _queue_again(session: Session, row: Build, words: bytes) -> None:
    work.move(row, BuildStatus.QUEUED)
    row.prefix_name = None
    row.worker = None
    row.turn += 1
    records.forget_attempts(session, row.id)
    records.append_log(session, row.id, words)
    announce(session, build_topic(row.id))
    announce(session, QUEUE)
