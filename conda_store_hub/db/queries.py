"""The statements about namespaces, environments and builds, each with a name."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import (
    CursorResult,
    Select,
    and_,
    bindparam,
    case,
    exists,
    func,
    literal,
    or_,
    select,
    update,
)
from sqlalchemy.orm import Session, aliased, contains_eager, selectinload
from sqlalchemy.sql.elements import ColumnElement

from conda_store_hub.core import ondemand
from conda_store_hub.core.names import NamespaceKind
from conda_store_hub.core.permissions import Identity, Permission
from conda_store_hub.core.protocol import BuildStatus
from conda_store_hub.db.tables import (
    Build,
    Environment,
    Namespace,
    Specification,
)
from conda_store_hub.db.visibility import allows_in_namespace, allows_on_environment, has_single_grants

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


def select_namespaces(
    identity: Identity, permission: Permission, search: str = "", *, after: str | None = None
) -> Select[Namespace]:
    """Select the namespaces in which `identity` has `permission`, by name; called like `search`, and behind `after`."""
    found = select(Namespace).where(allows_in_namespace(identity, permission)).order_by(Namespace.name)
    found = found if after is None else found.where(Namespace.name > after)
    return found.where(is_called(search)) if search else found


def is_called(text: str) -> ColumnElement[bool]:
    """Return what holds for a namespace that has a text in its name, or in that of whose it is on the Hub."""
    names = (Namespace.name, func.lower(Namespace.hub_name))
    return or_(*(name.contains(text.lower(), autoescape=True) for name in names))


def first_namespaces(session: Session, identity: Identity, limit: int, permission: Permission) -> Sequence[Namespace]:
    """Return the first namespaces in which `identity` has `permission`, by name."""
    return session.scalars(select_namespaces(identity, permission).limit(limit)).all()


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


_ENVIRONMENT = (
    select(Environment)
    .join(Environment.namespace)
    .outerjoin(Environment.latest_build)
    .options(contains_eager(Environment.namespace), contains_eager(Environment.latest_build))
    .where(
        Namespace.name == bindparam("namespace"),
        Namespace.deleted_at.is_(None),
        Environment.name_key == bindparam("name"),
        Environment.deleted_at.is_(None),
    )
)


def find_environment(session: Session, namespace: str, name: str) -> Environment | None:
    """Find a living environment by its names, the environment's without regard to case; its namespace comes along."""
    return session.scalar(_ENVIRONMENT, {"namespace": namespace, "name": name.lower()})


_LATEST = aliased(Build)
_SHOWN_ENVIRONMENT = (
    select(Environment, Build, _LATEST.status)
    .join(Environment.namespace)
    .outerjoin(Build, Environment.current_build_id == Build.id)
    .outerjoin(Build.specification)
    .outerjoin(_LATEST, Environment.latest_build_id == _LATEST.id)
    .options(contains_eager(Environment.namespace), contains_eager(Build.specification))
    .where(
        Namespace.name == bindparam("namespace"),
        Namespace.deleted_at.is_(None),
        Environment.name_key == bindparam("name"),
        Environment.deleted_at.is_(None),
    )
)


class ShownEnvironment(NamedTuple):
    """An environment with its namespace, its active build with its specification, and the state of its latest one."""

    row: Environment
    active: Build | None
    latest_status: BuildStatus | None


def find_shown_environment(session: Session, namespace: str, name: str) -> ShownEnvironment | None:
    """Find a living environment by its names, with all that is shown of it but what its build left."""
    found = session.execute(_SHOWN_ENVIRONMENT, {"namespace": namespace, "name": name.lower()}).one_or_none()
    return None if found is None else ShownEnvironment(*found)


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


def have_one_specification(session: Session, environment_id: int, build_ids: Collection[int]) -> bool:
    """Tell whether all of these are builds of an environment, and of the same specification."""
    which = (Build.environment_id == environment_id, Build.id.in_(build_ids))
    found = session.scalars(select(Build.specification_id).where(*which)).all()
    return len(found) == len(build_ids) and len(set(found)) == 1


_BUILD = (
    select(Build)
    .join(Build.environment)
    .join(Environment.namespace)
    .join(Build.specification)
    .options(
        contains_eager(Build.environment).contains_eager(Environment.namespace), contains_eager(Build.specification)
    )
    .where(Build.id == bindparam("build_id"))
)
_ENVIRONMENT_OF_BUILD = (
    select(Environment)
    .join(Build, Build.environment_id == Environment.id)
    .join(Environment.namespace)
    .options(contains_eager(Environment.namespace))
    .where(Build.id == bindparam("build_id"))
)


def find_build(session: Session, build_id: int) -> Build | None:
    """Find a build with its environment, namespace and specification."""
    return session.scalar(_BUILD, {"build_id": build_id})


def find_environment_of(session: Session, build_id: int) -> Environment | None:
    """Find the environment of a build, with its namespace."""
    return session.scalar(_ENVIRONMENT_OF_BUILD, {"build_id": build_id})


# Specifications


def find_specification(session: Session, text_sha256: str) -> Specification | None:
    """Find a specification that was typed before, to the letter."""
    return session.scalar(select(Specification).where(Specification.text_sha256 == text_sha256))


# Kernels


def kernel_rows(session: Session, identity: Identity, limit: int) -> Sequence[tuple[str, str, Build]]:
    """Return namespace, environment and active build of what `identity` may see and compute in, their own first.

    Images that somebody asked for are not among them: what all others name would fill everybody's launcher.
    """
    single = has_single_grants(session, identity)
    own = and_(Namespace.kind == NamespaceKind.USER, Namespace.hub_name == identity.name)
    statement = (
        select(Namespace.name, Environment.name, Build)
        .join(Environment, Environment.namespace_id == Namespace.id)
        .join(Build, Environment.current_build_id == Build.id)
        .where(
            allows_on_environment(identity, Permission.ENVIRONMENT_READ, single=single),
            Environment.deleted_at.is_(None),
            Namespace.name != ondemand.NAMESPACE,
        )
        .order_by(case((own, 0), else_=1), Namespace.name, Environment.name_key)
        .limit(limit)
    )
    return [(namespace, name, build) for namespace, name, build in session.execute(statement)]


def _rowcount(result: object) -> int:
    return result.rowcount if isinstance(result, CursorResult) else 0
