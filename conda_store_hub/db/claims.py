"""The statements of the queue: who has which build, and who still works on it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import (
    Select,
    and_,
    bindparam,
    exists,
    func,
    or_,
    select,
    update,
)
from sqlalchemy.orm import Session
from sqlalchemy.sql.elements import ColumnElement

from conda_store_hub.core.protocol import ArtifactState, ArtifactType, BuildStatus
from conda_store_hub.db.tables import (
    Artifact,
    Build,
    Environment,
)

_PER_STATEMENT = 500


def is_live() -> ColumnElement[bool]:
    """Whether a build is queued or running; written out, so that SQLite sees that the index of these alone has them."""
    live = bindparam(None, [BuildStatus.QUEUED, BuildStatus.BUILDING], expanding=True, literal_execute=True)
    return Build.status.in_(live)


def queue_position(session: Session, build_id: int) -> int:
    """Return the place of a queued build, from 1."""
    statement = select(func.count()).where(is_live(), Build.status == BuildStatus.QUEUED, Build.id <= build_id)
    return session.scalar(statement) or 1


def queue_positions(session: Session, build_ids: Collection[int]) -> dict[int, int]:
    """Return the places of queued builds, from 1."""
    if not build_ids:
        return {}
    statement = select(Build.id).where(is_live(), Build.status == BuildStatus.QUEUED, Build.id <= max(build_ids))
    queued = session.scalars(statement.order_by(Build.id))
    return {build_id: place for place, build_id in enumerate(queued, 1) if build_id in build_ids}


def claim(session: Session, worker: str, prefix_name: str, now: datetime) -> int | None:
    """Take the oldest queued build, in one conditional statement; None when there is none."""
    oldest = select(func.min(Build.id)).where(is_live(), Build.status == BuildStatus.QUEUED).scalar_subquery()
    return session.scalar(
        update(Build)
        .where(Build.id == oldest, Build.status == BuildStatus.QUEUED)
        .values(
            status=BuildStatus.BUILDING,
            worker=worker,
            prefix_name=prefix_name,
            attempt=Build.attempt + 1,
            turn=Build.turn + 1,
            started_on=now,
            heartbeat_at=now,
        )
        .returning(Build.id)
    )


def claim_artifacts(session: Session, worker: str, now: datetime, besides: Sequence[ArtifactType] = ()) -> int | None:
    """Take a usable build whose artifacts nobody is making any more, where others than `besides` are to be made.

    Not one that was deleted, by itself or with its environment, or has no prefix.
    """
    wanted = _pending().where(Artifact.artifact_type.not_in(besides)) if besides else _pending()
    is_there = exists().where(Environment.id == Build.environment_id, Environment.deleted_at.is_(None))
    usable = and_(
        Build.status == BuildStatus.COMPLETED, Build.deleted_at.is_(None), Build.prefix_name.is_not(None), is_there
    )
    orphan = select(func.min(Build.id)).where(Build.id.in_(wanted), usable, Build.worker.is_(None)).scalar_subquery()
    return session.scalar(
        update(Build)
        .where(Build.id == orphan, Build.worker.is_(None))
        .values(worker=worker, heartbeat_at=now, turn=Build.turn + 1)
        .returning(Build.id)
    )


def beat(session: Session, build_id: int, turn: int, now: datetime, progress: dict[str, Any] | None) -> bool | None:
    """Say that the work goes on; return whether its end was asked for, or None when it changed hands."""
    shown = {} if progress is None else {"progress": progress}
    return session.scalar(
        update(Build)
        .where(Build.id == build_id, Build.turn == turn)
        .values(heartbeat_at=now, **shown)
        .returning(Build.cancel_requested)
    )


def count_busy(session: Session, namespace_id: int) -> int:
    """Count the builds of a namespace that are queued or running."""
    return session.scalar(select(func.count(Build.id)).where(_busy_in(namespace_id))) or 0


class Ended(NamedTuple):
    """Builds that were ended, by id."""

    running: Sequence[int]
    """Those whose runners end them when they see it."""
    queued: Sequence[int]

    @property
    def all(self) -> Sequence[int]:
        """Both."""
        return (*self.running, *self.queued)


def end_all(session: Session, namespace_id: int, now: datetime, words: str) -> Ended:
    """End the builds of a namespace."""
    return _end(session, _busy_in(namespace_id), now, words)


def _end(session: Session, which: ColumnElement[bool], now: datetime, words: str) -> Ended:
    """End builds: those that are queued now, those that run when their runners see it."""
    asked = {"cancel_requested": True, "status_info": words}
    over = {"status": BuildStatus.CANCELED, "status_info": words, "ended_on": now, "log_complete": True}
    running = update(Build).where(which, Build.status == BuildStatus.BUILDING).values(asked).returning(Build.id)
    queued = update(Build).where(which, Build.status == BuildStatus.QUEUED).values(over).returning(Build.id)
    return Ended(session.scalars(running).all(), session.scalars(queued).all())


def count_busy_of(session: Session, environment_id: int) -> int:
    """Count the builds of an environment that are queued or running."""
    return session.scalar(select(func.count(Build.id)).where(is_live(), Build.environment_id == environment_id)) or 0


def end_builds_of(session: Session, environment_id: int, now: datetime, words: str) -> Ended:
    """End the builds of an environment."""
    return _end(session, and_(is_live(), Build.environment_id == environment_id), now, words)


def _busy_in(namespace_id: int) -> ColumnElement[bool]:
    own = select(Environment.id).where(Environment.namespace_id == namespace_id)
    return and_(is_live(), Build.environment_id.in_(own))


def builds_of_worker(session: Session, worker: str) -> Sequence[Build]:
    """Return the running builds that a worker has."""
    running = and_(is_live(), Build.status == BuildStatus.BUILDING)
    return session.scalars(select(Build).where(running, Build.worker == worker)).all()


def hold_builds_of_others(session: Session, own: str) -> Sequence[Build]:
    """Keep, and return, what other workers than `own` have: running builds, and usable ones without their artifacts."""
    running = select(Build.id).where(is_live(), Build.status == BuildStatus.BUILDING)
    return session.scalars(
        select(Build)
        .where(or_(Build.id.in_(running), Build.id.in_(_pending()), Build.id.in_(_deleted())))
        .where(Build.worker != own, Build.status.in_([BuildStatus.BUILDING, BuildStatus.COMPLETED]))
        .with_for_update(key_share=True)
    ).all()


def _pending() -> Select[int]:
    # Written out for the same reason as `is_live`.
    pending = bindparam(None, ArtifactState.PENDING, literal_execute=True)
    return select(Artifact.build_id).where(Artifact.state == pending)


def _deleted() -> Select[int]:
    """Select deleted builds that have their prefix, which is freed once nobody works on them; none may be pending."""
    return select(Build.id).where(Build.deleted_at.is_not(None), Build.prefix_name.is_not(None))


def list_awaited(session: Session, namespace_id: int, environment_id: int | None = None) -> Sequence[int]:
    """Return the builds of a namespace, or of an environment in it, of which an artifact is still to be made."""
    statement = select(Build.id).join(Build.environment).where(Build.id.in_(_pending()))
    statement = statement.where(Environment.namespace_id == namespace_id)
    return session.scalars(
        statement if environment_id is None else statement.where(Build.environment_id == environment_id)
    ).all()


def usable_of_worker(session: Session, worker: str) -> Sequence[Build]:
    """Return usable builds whose artifacts a worker was making, or which were deleted while it did."""
    which = or_(Build.id.in_(_pending()), Build.id.in_(_deleted()))
    usable = Build.status == BuildStatus.COMPLETED
    return session.scalars(select(Build).where(Build.worker == worker, usable, which)).all()


def known_prefixes(session: Session, names: Iterable[str]) -> set[str]:
    """Return those of `names` that belong to a build which may still need its prefix."""
    wanted = list(names)
    found: set[str] = set()
    for start in range(0, len(wanted), _PER_STATEMENT):
        found.update(
            name
            for name in session.scalars(
                select(Build.prefix_name).where(
                    Build.prefix_name.in_(wanted[start : start + _PER_STATEMENT]),
                    Build.status.in_([BuildStatus.BUILDING, BuildStatus.COMPLETED]),
                )
            )
            if name is not None
        )
    return found
