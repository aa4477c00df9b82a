"""The statements about namespaces, environments and builds, each with a name; who may see what."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TypeVar

from sqlalchemy import (
    CursorResult,
    Select,
    and_,
    func,
    literal,
    or_,
    select,
    true,
    tuple_,
    update,
)
from sqlalchemy.orm import Session, contains_eager, selectinload
from sqlalchemy.sql.elements import ColumnElement

from conda_store_hub.core.names import NamespaceKind
from conda_store_hub.core.permissions import Identity
from conda_store_hub.core.protocol import BuildStatus
from conda_store_hub.db.tables import (
    Build,
    Environment,
    Namespace,
    Specification,
)

R = TypeVar("R")

COUNT_LIMIT = 10_000

# Who sees what: `core.permissions.role_in` as a condition; a test compares the two over a generated matrix.


def visible_to(identity: Identity) -> ColumnElement[bool]:
    """Return the condition on Namespace under which `identity` has any role in it."""
    if not identity.authenticated:
        return literal(value=False)
    if identity.admin:
        return true()
    own = and_(Namespace.kind == NamespaceKind.USER, Namespace.hub_name == identity.name)
    groups = and_(Namespace.kind == NamespaceKind.GROUP, Namespace.hub_name.in_(sorted(identity.groups)))
    return or_(own, groups, Namespace.kind == NamespaceKind.SHARED)


# Namespaces


def find_namespace(session: Session, name: str) -> Namespace | None:
    """Find a namespace by its exact name."""
    return session.scalar(select(Namespace).where(Namespace.name == name))


def find_hub_namespace(session: Session, kind: NamespaceKind, hub_name: str) -> Namespace | None:
    """Find the open namespace of a Hub user or group."""
    return session.scalar(select(Namespace).where(Namespace.kind == kind, Namespace.hub_name == hub_name))


def select_namespaces(identity: Identity) -> Select[Namespace]:
    """Select what `identity` may see, by name."""
    return select(Namespace).where(visible_to(identity)).order_by(Namespace.name)


def first_namespaces(session: Session, identity: Identity, limit: int) -> Sequence[Namespace]:
    """Return the first of what `identity` may see, by name."""
    return session.scalars(select_namespaces(identity).limit(limit)).all()


# Environments


def find_environment(session: Session, namespace: str, name: str) -> Environment | None:
    """Find a living environment by its names, the environment's without regard to case; its namespace comes along."""
    return session.scalar(
        select(Environment)
        .join(Environment.namespace)
        .outerjoin(Environment.latest_build)
        .options(contains_eager(Environment.namespace), contains_eager(Environment.latest_build))
        .where(Namespace.name == namespace, Environment.name_key == name.lower(), Environment.deleted_at.is_(None))
    )


def select_environments(
    identity: Identity,
    *,
    namespace: str | None = None,
    name: str | None = None,
    search: str | None = None,
    status: BuildStatus | None = None,
    after: tuple[str, str] | None = None,
) -> Select[Environment]:
    """Select living environments that `identity` may see, by namespace and name, with their latest builds.

    `after` begins behind a namespace and an environment, whether or not they are still there.
    """
    statement = (
        select(Environment)
        .join(Environment.namespace)
        .outerjoin(Environment.latest_build)
        .options(contains_eager(Environment.namespace), contains_eager(Environment.latest_build))
        .where(visible_to(identity), Environment.deleted_at.is_(None))
        .order_by(Namespace.name, Environment.name_key)
    )
    if namespace is not None:
        statement = statement.where(Namespace.name == namespace)
    if name is not None:
        statement = statement.where(Environment.name_key == name.lower())
    if search:
        statement = statement.where(
            or_(
                Environment.name_key.contains(search.lower(), autoescape=True),
                Namespace.name.contains(search.lower(), autoescape=True),
            )
        )
    if status is not None:
        statement = statement.where(Build.status == status)
    if after is not None:
        last = tuple_(literal(after[0]), literal(after[1].lower()))
        statement = statement.where(tuple_(Namespace.name, Environment.name_key) > last)
    return statement


def unlinked_environments(session: Session, after: int, limit: int) -> Sequence[Environment]:
    """Return environments above the id `after` whose link on disk does not show their active build yet."""
    return session.scalars(
        select(Environment)
        .join(Environment.namespace)
        .options(contains_eager(Environment.namespace), selectinload(Environment.current_build))
        .where(Environment.id > after, Environment.linked_build_id.is_distinct_from(Environment.current_build_id))
        .order_by(Environment.id)
        .limit(limit)
    ).all()


def set_linked(session: Session, environment_id: int, build_id: int | None) -> None:
    """Record what the link on disk shows."""
    session.execute(update(Environment).where(Environment.id == environment_id).values(linked_build_id=build_id))


def activate_if_newest(session: Session, build: Build, now: datetime) -> bool:
    """Make a finished build active unless something was activated since it was submitted; tell whether it was."""
    result = session.execute(
        update(Environment)
        .where(Environment.id == build.environment_id, Environment.activation_seq < build.id)
        .values(current_build_id=build.id, activation_seq=build.id, updated_at=now)
    )
    return _rowcount(result) == 1


def activate(session: Session, build: Build, now: datetime) -> None:
    """Make a build active because somebody asked for it: builds submitted before do not undo it."""
    session.execute(
        update(Environment)
        .where(Environment.id == build.environment_id)
        .values(current_build_id=build.id, activation_seq=Environment.latest_build_id, updated_at=now)
    )


# Builds


def find_build(session: Session, build_id: int, *, full: bool = False) -> Build | None:
    """Find a build with its environment and namespace; `full` brings all that hangs on it."""
    options = [selectinload(Build.artifacts), selectinload(Build.phases)] if full else []
    return session.scalar(
        select(Build)
        .join(Build.environment)
        .join(Environment.namespace)
        .options(
            contains_eager(Build.environment).contains_eager(Environment.namespace),
            selectinload(Build.specification),
            *options,
        )
        .where(Build.id == build_id)
    )


def select_builds(
    identity: Identity,
    *,
    environment_id: int | None = None,
    namespace: str | None = None,
    name: str | None = None,
    status: BuildStatus | None = None,
    ascending: bool = False,
) -> Select[Build]:
    """Select builds of environments that `identity` may see, the newest first."""
    statement = (
        select(Build)
        .join(Build.environment)
        .join(Environment.namespace)
        .options(
            contains_eager(Build.environment).contains_eager(Environment.namespace),
            selectinload(Build.specification),
        )
        .where(visible_to(identity), Environment.deleted_at.is_(None))
        .order_by(Build.id if ascending else Build.id.desc())
    )
    if environment_id is not None:
        statement = statement.where(Build.environment_id == environment_id)
    if namespace is not None:
        statement = statement.where(Namespace.name == namespace)
    if name is not None:
        statement = statement.where(Environment.name_key == name.lower())
    if status is not None:
        statement = statement.where(Build.status == status)
    return statement


# Specifications


def find_specification(session: Session, text_sha256: str) -> Specification | None:
    """Find a specification that was typed before, to the letter."""
    return session.scalar(select(Specification).where(Specification.text_sha256 == text_sha256))


# Kernels


def kernel_rows(session: Session, identity: Identity) -> Sequence[tuple[str, str, Build]]:
    """Return namespace, environment and active build of what `identity` may see and compute in."""
    statement = (
        select(Namespace.name, Environment.name, Build)
        .join(Environment, Environment.namespace_id == Namespace.id)
        .join(Build, Environment.current_build_id == Build.id)
        .where(visible_to(identity), Environment.deleted_at.is_(None))
        .order_by(Namespace.name, Environment.name_key)
    )
    return [(namespace, name, build) for namespace, name, build in session.execute(statement)]


# Pages


def page_of(session: Session, statement: Select[R], *, page: int, size: int) -> tuple[Sequence[R], int]:
    """Return one page of a list and how many there are, exact up to COUNT_LIMIT."""
    inner = statement.options().order_by(None).limit(COUNT_LIMIT).with_only_columns(literal(1)).subquery()
    count = session.scalar(select(func.count()).select_from(inner)) or 0
    return session.scalars(statement.limit(size).offset((page - 1) * size)).unique().all(), count


def _rowcount(result: object) -> int:
    return result.rowcount if isinstance(result, CursorResult) else 0
