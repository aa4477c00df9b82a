"""The statements about what stays for how long: spare builds, environments that cannot come back, unnamed bytes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import and_, exists, func, select
from sqlalchemy.orm import Session, aliased, contains_eager
from sqlalchemy.sql.elements import ColumnElement

from conda_store_hub.core.protocol import LIVE, ArtifactState, BuildStatus
from conda_store_hub.db.claims import is_live
from conda_store_hub.db.lifecycle import leased
from conda_store_hub.db.tables import Artifact, Build, Environment
from conda_store_hub.db.tags import is_tagged


class Spare(NamedTuple):
    """A build that nobody needs at this moment, and that is not the newest of its kind in its environment.

    Completed ones are a kind, and those that failed or were cancelled another. `place` counts from the newest of the
    kind that is there, which has 1. `ended_at` is the latest end of it and of all before it: a clock that was behind
    for a while makes nothing look older than what was built earlier.
    """

    environment_id: int
    build_id: int
    namespace_id: int
    place: int
    ended_at: datetime


def spare_builds(session: Session, environment_ids: Sequence[int], now: datetime) -> list[Spare]:
    """Return the spare builds of some environments, by environment, the newest first.

    Left out are active and pinned ones, those with a tag or a living lease, those whose files are still being made, and
    those whose lock another build waits for.
    """
    kind = [Build.environment_id, Build.status == BuildStatus.COMPLETED]
    place = func.row_number().over(partition_by=kind, order_by=Build.id.desc())
    ended_on = func.coalesce(Build.ended_on, Build.scheduled_on)
    ended_at = func.max(ended_on).over(partition_by=kind, order_by=Build.id)
    there = (
        select(Build.id, place.label("place"), ended_at.label("ended_at"))
        .where(Build.environment_id.in_(environment_ids), _is_there())
        .subquery()
    )
    rows = session.execute(
        select(Environment.id, Build.id, Environment.namespace_id, there.c.place, there.c.ended_at)
        .join(there, there.c.id == Build.id)
        .join(Build.environment)
        .where(
            there.c.place > 1,
            Environment.deleted_at.is_(None),
            Environment.current_build_id.is_distinct_from(Build.id),
            Build.pinned.is_(False),
            ~is_tagged(),
            Build.worker.is_(None),
            ~leased(now),
            ~_is_being_made(),
            ~_is_waited_for(),
        )
        .order_by(Environment.id, Build.id.desc())
    )
    return [Spare(*row) for row in rows]


def _is_there() -> ColumnElement[bool]:
    return and_(_has_ended(), Build.deleted_at.is_(None))


def _is_being_made() -> ColumnElement[bool]:
    """Whether artifacts of a build are still to come: those of one that was cancelled while it was queued never do."""
    pending = exists().where(Artifact.build_id == Build.id, Artifact.state == ArtifactState.PENDING)
    return and_(Build.status == BuildStatus.COMPLETED, pending)


def _is_waited_for() -> ColumnElement[bool]:
    other = aliased(Build)
    return exists().where(other.lock_build_id == Build.id, other.status.in_(LIVE))


def living_environments(session: Session, after: int, limit: int) -> list[tuple[int, bool]]:
    """Return ids of environments above the id `after`, and whether each has more than one build that is there."""
    there = select(func.count()).where(Build.environment_id == Environment.id, _is_there()).scalar_subquery()
    rows = session.execute(
        select(Environment.id, there > 1)
        .where(Environment.id > after, Environment.deleted_at.is_(None))
        .order_by(Environment.id)
        .limit(limit)
    )
    return [(row[0], bool(row[1])) for row in rows]


def environments_ended_in(session: Session, first: int) -> Sequence[int]:
    """Return the ids of environments of which a build with that id, or a later one, has ended."""
    return session.scalars(select(Build.environment_id).where(Build.id >= first, _is_there()).distinct()).all()


def first_unfinished(session: Session) -> int:
    """Return an id below which every build has ended."""
    oldest = session.scalar(select(func.min(Build.id)).where(is_live()))
    return oldest if oldest is not None else (session.scalar(select(func.max(Build.id))) or 0) + 1


# Environments that cannot be brought back


def expired_environments(session: Session, before: datetime, after: int, limit: int) -> Sequence[int]:
    """Return ids above `after` of environments that were deleted before a moment and still have something."""
    return session.scalars(
        select(Environment.id)
        .where(
            Environment.id > after,
            Environment.deleted_at <= before,
            exists().where(Build.environment_id == Environment.id, _is_there()),
        )
        .order_by(Environment.id)
        .limit(limit)
    ).all()


def ended_builds(session: Session, environment_id: int, limit: int) -> Sequence[Build]:
    """Return builds of an environment that are over and were not deleted."""
    return session.scalars(
        select(Build).where(Build.environment_id == environment_id, _is_there()).order_by(Build.id).limit(limit)
    ).all()


def _has_ended() -> ColumnElement[bool]:
    return Build.status.not_in(LIVE)


def artifact_bytes(session: Session, build_ids: Sequence[int]) -> int:
    """Add up the artifacts that some builds have."""
    statement = select(func.sum(Artifact.size)).where(
        Artifact.build_id.in_(build_ids), Artifact.state == ArtifactState.READY
    )
    return int(session.scalar(statement) or 0)


def hold_environment(session: Session, environment_id: int) -> Environment | None:
    """Find an environment with its namespace, and keep it as it is until the transaction ends."""
    return session.scalar(
        select(Environment)
        .join(Environment.namespace)
        .options(contains_eager(Environment.namespace))
        .where(Environment.id == environment_id)
        .with_for_update(of=Environment)
    )


# Bytes


def known_keys(session: Session, keys: Iterable[str]) -> set[str]:
    """Return those of `keys` that a row names."""
    return set(session.scalars(select(Artifact.key).where(Artifact.key.in_(list(keys)))))
