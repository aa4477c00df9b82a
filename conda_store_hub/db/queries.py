"""The statements about namespaces, environments and builds, each with a name."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TypeVar

from sqlalchemy import (
    CursorResult,
    Select,
    and_,
    case,
    exists,
    func,
    literal,
    or_,
    select,
    tuple_,
    update,
)
from sqlalchemy.orm import Session, contains_eager, selectinload

from conda_store_hub.core.names import NamespaceKind
from conda_store_hub.core.permissions import Identity, Permission
from conda_store_hub.core.protocol import BuildStatus
from conda_store_hub.db.tables import (
    NAMESPACE_NAMES,
    Build,
    Environment,
    Namespace,
    Specification,
)
from conda_store_hub.db.visibility import allows_in_namespace, allows_on_environment

R = TypeVar("R")

COUNT_LIMIT = 10_000
#: When the link on disk does not show what it has to, or has another name; the index on links has the same words.
_BEHIND = or_(
    Environment.linked_build_id.is_distinct_from(
        case((Environment.deleted_at.is_(None), Environment.current_build_id))
    ),
    and_(Environment.linked_build_id.is_not(None), Environment.linked_name.is_distinct_from(Environment.name)),
)

# Namespaces


def find_namespace(session: Session, name: str) -> Namespace | None:
    """Find a namespace that was not deleted by its exact name."""
    return session.scalar(select(Namespace).where(Namespace.name == name, Namespace.deleted_at.is_(None)))


def find_deleted_namespace(session: Session, name: str, since: datetime) -> Namespace | None:
    """Find the namespace of that name that was deleted last and not before `since`; one with something in it first."""
    full = exists().where(Environment.namespace_id == Namespace.id)
    return session.scalar(
        select(Namespace)
        .where(Namespace.name == name, Namespace.deleted_at >= since)
        .order_by(full.desc(), Namespace.deleted_at.desc())
        .limit(1)
    )


def has_links(session: Session, namespace_id: int) -> bool:
    """Tell whether links on disk still stand under the name of a namespace."""
    statement = select(Environment.id).where(
        Environment.namespace_id == namespace_id, Environment.linked_build_id.is_not(None)
    )
    return session.scalar(statement.limit(1)) is not None


def find_hub_namespace(session: Session, kind: NamespaceKind, hub_name: str) -> Namespace | None:
    """Find the open namespace of a Hub user or group."""
    return session.scalar(
        select(Namespace).where(
            Namespace.kind == kind,
            Namespace.hub_name == hub_name,
            Namespace.sealed_at.is_(None),
            Namespace.deleted_at.is_(None),
        )
    )


def unsealed_namespaces(session: Session, kind: NamespaceKind, hub_name: str) -> Sequence[Namespace]:
    """Return all that a Hub user or group has, deleted ones too."""
    return session.scalars(
        select(Namespace).where(Namespace.kind == kind, Namespace.hub_name == hub_name, Namespace.sealed_at.is_(None))
    ).all()


def hold_namespace(session: Session, row: Namespace) -> Namespace:
    """Keep a namespace as it is until the transaction ends, and read it anew; SQLite has one writer anyway."""
    session.refresh(row, with_for_update=True)
    return row


def read_anew(session: Session, row: Environment | Build) -> None:
    """Read the columns of a row again: they may have changed while this transaction waited to hold something."""
    session.refresh(row, _columns(row))


def hold_build(session: Session, row: Build) -> Build:
    """Keep a build as it is until the transaction ends, and read it anew; rows may come to refer to it meanwhile."""
    session.refresh(row, _columns(row), with_for_update={"key_share": True})
    return row


def _columns(row: Environment | Build) -> list[str]:
    """Return the names of the columns: with them alone, relationships that were loaded stay."""
    return [column.key for column in type(row).__mapper__.column_attrs]


def select_namespaces(identity: Identity, permission: Permission, now: datetime) -> Select[Namespace]:
    """Select the namespaces in which `identity` has `permission`, by name."""
    return select(Namespace).where(allows_in_namespace(identity, permission, now)).order_by(Namespace.name)


def first_namespaces(
    session: Session, identity: Identity, limit: int, permission: Permission, now: datetime
) -> Sequence[Namespace]:
    """Return the first namespaces in which `identity` has `permission`, by name."""
    return session.scalars(select_namespaces(identity, permission, now).limit(limit)).all()


def delete_environments(session: Session, namespace_id: int, now: datetime) -> None:
    """Delete what a namespace has, at one moment that tells later what went with it."""
    session.execute(
        update(Environment)
        .where(Environment.namespace_id == namespace_id, Environment.deleted_at.is_(None))
        .values(deleted_at=now)
    )


def restore_environments(session: Session, namespace_id: int, deleted_at: datetime | None) -> None:
    """Bring back what was deleted at that moment."""
    session.execute(
        update(Environment)
        .where(Environment.namespace_id == namespace_id, Environment.deleted_at == deleted_at)
        .values(deleted_at=None)
    )


# Environments


def find_environment(session: Session, namespace: str, name: str) -> Environment | None:
    """Find a living environment by its names, the environment's without regard to case; its namespace comes along."""
    return session.scalar(
        select(Environment)
        .join(Environment.namespace)
        .outerjoin(Environment.latest_build)
        .options(contains_eager(Environment.namespace), contains_eager(Environment.latest_build))
        .where(
            Namespace.name == namespace,
            Namespace.deleted_at.is_(None),
            Environment.name_key == name.lower(),
            Environment.deleted_at.is_(None),
        )
    )


def select_environments(
    session: Session,
    identity: Identity,
    now: datetime,
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
        .where(
            allows_on_environment(session, identity, Permission.ENVIRONMENT_READ, now), Environment.deleted_at.is_(None)
        )
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
    """Return environments above the id `after` whose link on disk does not show their active build, or none, yet."""
    return session.scalars(
        select(Environment)
        .join(Environment.namespace)
        .options(contains_eager(Environment.namespace), selectinload(Environment.current_build))
        .where(Environment.id > after, _BEHIND)
        .order_by(Environment.id)
        .limit(limit)
    ).all()


def prefix_names(session: Session, build_ids: Sequence[int]) -> dict[int, str | None]:
    """Return the names of the prefixes of some builds."""
    rows = session.execute(select(Build.id, Build.prefix_name).where(Build.id.in_(build_ids)))
    return {build_id: prefix_name for build_id, prefix_name in rows}  # noqa: C416 - a row is no pair to the checker


def set_linked(session: Session, environment_id: int, build_id: int | None, name: str) -> None:
    """Record what the link on disk shows, and under which name."""
    values = {"linked_build_id": build_id, "linked_name": name}
    session.execute(update(Environment).where(Environment.id == environment_id).values(values))


def activate_if_newest(session: Session, build: Build, now: datetime) -> bool:
    """Make a finished build active unless something was activated since it was submitted; tell whether it was."""
    result = session.execute(
        update(Environment)
        .where(Environment.id == build.environment_id, Environment.activation_seq < build.id, literal(build.activates))
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
    session: Session,
    identity: Identity,
    now: datetime,
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
        .where(
            allows_on_environment(session, identity, Permission.ENVIRONMENT_READ, now), Environment.deleted_at.is_(None)
        )
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


def kernel_rows(session: Session, identity: Identity, now: datetime) -> Sequence[tuple[str, str, Build]]:
    """Return namespace, environment and active build of what `identity` may see and compute in."""
    statement = (
        select(Namespace.name, Environment.name, Build)
        .join(Environment, Environment.namespace_id == Namespace.id)
        .join(Build, Environment.current_build_id == Build.id)
        .where(
            allows_on_environment(session, identity, Permission.ENVIRONMENT_READ, now), Environment.deleted_at.is_(None)
        )
        .order_by(Namespace.name, Environment.name_key)
    )
    return [(namespace, name, build) for namespace, name, build in session.execute(statement)]


# Pages


def page_of(
    session: Session, statement: Select[R], *, page: int, size: int, by_namespace: bool = False
) -> tuple[Sequence[R], int]:
    """Return one page of a list and how many there are, exact up to COUNT_LIMIT.

    `by_namespace`: the list is ordered by namespace, and is walked by its name until the page is full, instead of
    sorting all that somebody may see.
    """
    inner = statement.options().order_by(None).limit(COUNT_LIMIT).with_only_columns(literal(1)).subquery()
    count = session.scalar(select(func.count()).select_from(inner)) or 0
    if by_namespace:
        statement = statement.with_hint(Namespace, f"INDEXED BY {NAMESPACE_NAMES}", "sqlite")
    return session.scalars(statement.limit(size).offset((page - 1) * size)).unique().all(), count


def _rowcount(result: object) -> int:
    return result.rowcount if isinstance(result, CursorResult) else 0
