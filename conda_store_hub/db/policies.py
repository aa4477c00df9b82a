"""The statements about policies: what was set where, and how much there is where that is limited."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import and_, case, delete, func, or_, select
from sqlalchemy.orm import Session
from sqlalchemy.sql.elements import ColumnElement

from conda_store_hub.core.protocol import ArtifactState, BuildStatus
from conda_store_hub.db.claims import is_live
from conda_store_hub.db.tables import (
    Artifact,
    Build,
    BuildPackage,
    Environment,
    ImageBlob,
    Namespace,
    Package,
    Policy,
)


def list_values(session: Session, namespace_id: int | None, environment_id: int | None) -> Sequence[Policy]:
    """Return what was set for the service, for a namespace, and for an environment of it, in that order."""
    places: list[ColumnElement[bool]] = [Policy.namespace_id.is_(None)]
    if namespace_id is not None:
        places.append(and_(Policy.namespace_id == namespace_id, Policy.environment_id.is_(None)))
    if environment_id is not None:
        places.append(Policy.environment_id == environment_id)
    return session.scalars(select(Policy).where(or_(*places)).order_by(Policy.id)).all()


def list_values_of(
    session: Session, keys: Sequence[str], namespace_ids: Sequence[int], environment_ids: Sequence[int]
) -> Sequence[Policy]:
    """Return what was set for some keys for the service, for some namespaces, and for some environments."""
    namespaces = and_(Policy.namespace_id.in_(namespace_ids), Policy.environment_id.is_(None))
    places = or_(Policy.namespace_id.is_(None), namespaces, Policy.environment_id.in_(environment_ids))
    return session.scalars(select(Policy).where(Policy.key.in_(keys), places).order_by(Policy.id)).all()


def find_value(session: Session, namespace_id: int | None, environment_id: int | None, key: str) -> Policy | None:
    """Find what was set for a key in exactly one place."""
    return session.scalar(select(Policy).where(_at(namespace_id, environment_id), Policy.key == key))


def is_set_anywhere(session: Session, keys: Sequence[str]) -> bool:
    """Tell whether one of `keys` was set, wherever that is."""
    return session.scalar(select(Policy.id).where(Policy.key.in_(keys)).limit(1)) is not None


def remove_value(session: Session, namespace_id: int | None, environment_id: int | None, key: str) -> bool:
    """Take back what was set for a key in exactly one place; tell whether there was anything."""
    where = and_(_at(namespace_id, environment_id), Policy.key == key)
    return session.scalar(delete(Policy).where(where).returning(Policy.id)) is not None


def _at(namespace_id: int | None, environment_id: int | None) -> ColumnElement[bool]:
    if namespace_id is None:
        return Policy.namespace_id.is_(None)
    level = Policy.environment_id.is_(None) if environment_id is None else Policy.environment_id == environment_id
    return and_(Policy.namespace_id == namespace_id, level)


class Held(NamedTuple):
    """How many builds take room, how many of those in deleted environments, and the bytes that all of it takes."""

    builds: int
    deleted: int
    storage: int


def lock_namespace(session: Session, namespace_id: int) -> None:
    """Have others who count what a namespace has wait until this transaction has ended."""
    session.execute(select(Namespace.id).where(Namespace.id == namespace_id).with_for_update())


def count_held(session: Session, namespace_id: int, environment_id: int | None, *, besides: int | None = None) -> Held:
    """Count what takes room in a namespace, or in an environment of it, with what can be brought back there.

    `besides`: the build that is not counted.
    What builds share counts once: packages that they link, layers of their images, and bytes that artifacts of the
    same content name.
    """
    there = (
        select(
            Build.id,
            case((Build.prefix_name.is_not(None), Build.size), else_=0).label("own"),
            Build.prefix_name.is_not(None).label("has_files"),
            Build.log_size,
            Environment.deleted_at,
            _takes_room().label("takes_room"),
        )
        .join(Environment, Build.environment_id == Environment.id)
        .where(_is_in(namespace_id, environment_id), Build.id.is_distinct_from(besides))
        .cte()
    )
    linked = select(BuildPackage.package_id).join(there, there.c.id == BuildPackage.build_id).where(there.c.has_files)
    packages = select(func.sum(Package.installed_size)).where(Package.id.in_(linked))
    stored = (
        select(func.max(Artifact.size).label("size"))
        .where(Artifact.build_id.in_(select(there.c.id)), Artifact.state == ArtifactState.READY)
        .group_by(Artifact.key)
        .subquery()
    )
    parts = (func.sum(there.c.own + there.c.log_size), packages.scalar_subquery())
    layers = (
        select(func.max(ImageBlob.size).label("size"))
        .where(ImageBlob.build_id.in_(select(there.c.id)))
        .group_by(ImageBlob.key)
        .subquery()
    )
    parts += (select(func.sum(stored.c.size)).scalar_subquery(), select(func.sum(layers.c.size)).scalar_subquery())
    deleted = and_(there.c.takes_room, there.c.deleted_at.is_not(None))
    row = session.execute(select(_count(there.c.takes_room), _count(deleted), *parts).select_from(there)).one()
    return Held(row[0], row[1], sum(int(part or 0) for part in row[2:]))


def _count(condition: ColumnElement[bool]) -> ColumnElement[int]:
    return func.coalesce(func.sum(case((condition, 1), else_=0)), 0)


def find_spare(session: Session, namespace_id: int, environment_id: int | None) -> tuple[int, str] | None:
    """Find the oldest build that could go, and the name of its environment: neither active nor pinned."""
    row = session.execute(
        select(Build.id, Environment.name)
        .join(Environment, Build.environment_id == Environment.id)
        .where(
            _is_in(namespace_id, environment_id),
            _takes_room(),
            Environment.deleted_at.is_(None),
            Build.status == BuildStatus.COMPLETED,
            Build.pinned.is_(False),
            Environment.current_build_id.is_distinct_from(Build.id),
        )
        .order_by(Build.id)
        .limit(1)
    ).first()
    return None if row is None else (row[0], row[1])


def _is_in(namespace_id: int, environment_id: int | None) -> ColumnElement[bool]:
    """Whether a build that was not deleted is in a place; retention deletes those that cannot be brought back."""
    place = Environment.namespace_id == namespace_id
    if environment_id is not None:
        place = and_(place, Environment.id == environment_id)
    return and_(place, Build.deleted_at.is_(None))


def _takes_room() -> ColumnElement[bool]:
    """Whether a build has files, will have them, or would be made again with its environment."""
    comes_back = or_(Build.prefix_name.is_not(None), Environment.current_build_id == Build.id)
    return or_(is_live(), and_(Build.status == BuildStatus.COMPLETED, comes_back))
