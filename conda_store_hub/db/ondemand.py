"""The statements about images on demand: what was made of which wish, who asked for how much, what nobody pulls."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import ColumnElement, delete, exists, func, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session, aliased, contains_eager, selectinload

from conda_store_hub.core.protocol import BuildStatus
from conda_store_hub.db.claims import is_live
from conda_store_hub.db.tables import Build, Environment, ImageBlob, OnDemand


def ensure(session: Session, key: str, wish: str, now: datetime) -> OnDemand:
    """Return the row of an order, which is made once, and keep it as it is until the transaction ends."""
    insert_new = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    session.execute(insert_new(OnDemand).values(key=key, wish=wish, pulled_at=now).on_conflict_do_nothing())
    return session.scalars(select(OnDemand).where(OnDemand.key == key).with_for_update()).one()


def drop_without_environment(session: Session) -> None:
    """Remove the rows of orders whose environment is gone for good."""
    session.execute(delete(OnDemand).where(OnDemand.environment_id.is_(None)))


def find_environment(session: Session, key: str) -> Environment | None:
    """Find the living environment of an order, with its namespace, its active build and its latest."""
    return session.scalar(
        select(Environment)
        .join(OnDemand, OnDemand.environment_id == Environment.id)
        .join(Environment.namespace)
        .options(
            contains_eager(Environment.namespace),
            selectinload(Environment.current_build),
            selectinload(Environment.latest_build),
        )
        .where(OnDemand.key == key, Environment.deleted_at.is_(None))
        .execution_options(populate_existing=True)
    )


class Asked(NamedTuple):
    """Builds that somebody asked for, and when the first was."""

    builds: int
    first: datetime | None


def count_since(session: Session, namespace_id: int, who: str | None, since: datetime) -> Asked:
    """Count the builds in a namespace that somebody has asked for since then; None are all who are not known."""
    row = session.execute(
        select(func.count(), func.min(Build.scheduled_on))
        .join(Environment, Build.environment_id == Environment.id)
        .where(
            Environment.namespace_id == namespace_id,
            Build.requested_by.is_not_distinct_from(who),
            Build.scheduled_on > since,
        )
    ).one()
    return Asked(*row)


class Held(NamedTuple):
    """How many builds there are that somebody asked for, and the bytes of them and of the layers of their images."""

    builds: int
    storage: int


def count_held(session: Session, namespace_id: int, who: str, own_id: int) -> Held:
    """Count the builds of what somebody has asked for that have files, or will: those made anew since are among them.

    A layer counts once, and not at all if an image in the namespace `own_id` has it, where it is counted already.
    """
    wanted = (
        Environment.namespace_id == namespace_id,
        Environment.deleted_at.is_(None),
        OnDemand.asked_by == who,
        or_(is_live(), (Build.status == BuildStatus.COMPLETED) & Build.prefix_name.is_not(None)),
    )
    there = (
        select(Build.id, Build.size)
        .join(Environment, Build.environment_id == Environment.id)
        .join(OnDemand, OnDemand.environment_id == Environment.id)
        .where(*wanted)
        .cte()
    )
    builds, size = session.execute(select(func.count(), func.coalesce(func.sum(there.c.size), 0))).one()
    counted = aliased(ImageBlob)
    layers = (
        select(func.max(ImageBlob.size).label("size"))
        .where(
            ImageBlob.build_id.in_(select(there.c.id)),
            ~exists().where(counted.key == ImageBlob.key, counted.namespace_id == own_id),
        )
        .group_by(ImageBlob.key)
        .subquery()
    )
    return Held(builds, int(size) + int(session.scalar(select(func.sum(layers.c.size))) or 0))


def is_noted(session: Session, build_id: int, since: datetime) -> bool:
    """Tell whether it is known that the environment of a build was pulled since then, or was made of no wish."""
    pulled_at = session.scalar(
        select(OnDemand.pulled_at)
        .join(Build, Build.environment_id == OnDemand.environment_id)
        .where(Build.id == build_id)
        .limit(1)
    )
    return pulled_at is None or pulled_at > since


def note_pull(session: Session, build_id: int, now: datetime) -> None:
    """Record that the environment of a build was pulled."""
    environment = select(Build.environment_id).where(Build.id == build_id).scalar_subquery()
    session.execute(update(OnDemand).where(OnDemand.environment_id == environment).values(pulled_at=now))


def unused_environments(session: Session, namespace_id: int, before: datetime, after: int, limit: int) -> Sequence[int]:
    """Return living environments of a namespace, above the id `after`, that nobody needs since a moment.

    They were pulled last before it, are not being built, and nobody has pinned a build of theirs.
    """
    return session.scalars(
        select(Environment.id)
        .outerjoin(OnDemand, OnDemand.environment_id == Environment.id)
        .where(
            Environment.id > after,
            Environment.namespace_id == namespace_id,
            Environment.deleted_at.is_(None),
            _is_unused(before),
        )
        .order_by(Environment.id)
        .limit(limit)
    ).all()


def find_unused(session: Session, environment_id: int, before: datetime) -> Environment | None:
    """Find one of those again, with its namespace: somebody may have pulled it meanwhile."""
    return session.scalar(
        select(Environment)
        .outerjoin(OnDemand, OnDemand.environment_id == Environment.id)
        .join(Environment.namespace)
        .options(contains_eager(Environment.namespace))
        .where(Environment.id == environment_id, Environment.deleted_at.is_(None), _is_unused(before))
        .with_for_update(of=Environment)
    )


def _is_unused(before: datetime) -> ColumnElement[bool]:
    needed = exists().where(Build.environment_id == Environment.id, or_(is_live(), Build.pinned.is_(True)))
    return (func.coalesce(OnDemand.pulled_at, Environment.updated_at) < before) & ~needed
