"""What somebody may do with a row: roles worked out, and refusals that give nothing away."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy.orm import Session

from conda_store_hub.core.errors import ForbiddenError, NotAuthenticatedError, NotFoundError
from conda_store_hub.core.names import NamespaceKind, shorten
from conda_store_hub.core.permissions import (
    PERMISSIONS,
    Identity,
    Permission,
    Role,
    SubjectKind,
    Target,
    group_subject,
    role_on,
    user_subject,
)
from conda_store_hub.db import people, queries, visibility
from conda_store_hub.db.session import announce
from conda_store_hub.db.tables import Environment, Namespace
from conda_store_hub.db.visibility import GrantedRole
from conda_store_hub.services.changes import ALL_KERNELS, kernels_topic, rights_topic


def target_of(namespace: Namespace, environment: Environment | None = None) -> Target:
    """Return a namespace, or an environment in it, as the table that decides takes it."""
    return Target(
        namespace_id=namespace.id,
        namespace=namespace.name,
        kind=namespace.kind,
        hub_name=namespace.hub_name,
        sealed=namespace.sealed_at is not None,
        environment_id=environment.id if environment else None,
        environment=environment.name_key if environment else None,
    )


def find_role(
    session: Session, identity: Identity, namespace: Namespace, environment: Environment | None = None
) -> Role | None:
    """Return the role of `identity` in a namespace, or on an environment in it."""
    return find_roles(session, identity, [(namespace, environment)])[0]


def find_roles(
    session: Session, identity: Identity, places: Sequence[tuple[Namespace, Environment | None]]
) -> list[Role | None]:
    """Return the role of `identity` in each namespace, or on each environment; one statement for all."""
    granted: defaultdict[tuple[int, int | None], list[GrantedRole]] = defaultdict(list)
    for grant in visibility.granted_roles(session, identity, sorted({namespace.id for namespace, _ in places})):
        granted[grant.namespace_id, grant.environment_id].append(grant)
    return [
        role_on(identity, target_of(*place), [grant.role for grant in _on_place(granted, *place)]) for place in places
    ]


def _on_place(
    granted: Mapping[tuple[int, int | None], list[GrantedRole]], namespace: Namespace, environment: Environment | None
) -> list[GrantedRole]:
    whole = granted.get((namespace.id, None), [])
    return whole if environment is None else [*whole, *granted.get((namespace.id, environment.id), [])]


def find_end(
    session: Session, identity: Identity, namespace: Namespace, environment: Environment | None, role: Role
) -> datetime | None:
    """Return when `identity` ceases to have at least `role` there, as far as that is known; None for never."""
    by_nature = role_on(identity, target_of(namespace, environment))
    ends = [identity.expires] if identity.expires is not None else []
    if by_nature is None or by_nature.rank < role.rank:
        found = visibility.granted_roles(session, identity, [namespace.id])
        place = {None, environment.id if environment else None}
        held = [grant.expires_at for grant in found if grant.environment_id in place and grant.role.rank >= role.rank]
        lasting = [end for end in held if end is not None]
        if len(lasting) == len(held) and lasting:
            ends.append(max(lasting))
    return min(ends, default=None)


def may(
    session: Session,
    identity: Identity,
    permission: Permission,
    namespace: Namespace,
    environment: Environment | None = None,
) -> bool:
    """Tell whether `identity` has `permission` there."""
    role = find_role(session, identity, namespace, environment)
    return role is not None and permission in PERMISSIONS[role]


def may_on_environment(session: Session, identity: Identity, permission: Permission, namespace: str, name: str) -> bool:
    """Tell whether `identity` has `permission` on an environment; pages offer only what can be done."""
    row = queries.find_environment(session, namespace, name)
    return row is not None and may(session, identity, permission, row.namespace, row)


def list_permissions(session: Session, identity: Identity, namespace: str, name: str) -> frozenset[Permission]:
    """Return what `identity` may do with an environment, of which there may be none."""
    row = queries.find_environment(session, namespace, name)
    role = None if row is None else find_role(session, identity, row.namespace, row)
    return frozenset() if role is None else PERMISSIONS[role]


def require_namespace(session: Session, identity: Identity, name: str, permission: Permission) -> Namespace:
    """Return a namespace in which `identity` has `permission`; one that they may not read is not found."""
    row = queries.find_namespace(session, name)
    role = None if row is None else find_role(session, identity, row)
    if row is None or role is None:
        raise hidden(identity, f"There is no namespace “{shorten(name)}”, or you may not see it.")
    _require(identity, role, permission, shorten(name))
    return row


def require_environment(
    session: Session, identity: Identity, namespace: str, name: str, permission: Permission
) -> Environment:
    """Return an environment on which `identity` has `permission`; one that they may not read is not found."""
    row, words = queries.find_environment(session, namespace, name), say_hidden(namespace, name)
    if row is None:
        raise hidden(identity, words)
    return require_row(session, identity, row, permission, words)


def say_hidden(namespace: str, name: str) -> str:
    """Return what is said of an environment to who may not see it, whether or not it is there."""
    return f"There is no environment “{shorten(namespace)}/{shorten(name)}”, or you may not see it."


def require_row(
    session: Session, identity: Identity, row: Environment, permission: Permission, words: str
) -> Environment:
    """Return an environment that was found if `identity` has `permission` on it; `words` are for who may not see it."""
    by_nature = role_on(identity, target_of(row.namespace, row))
    if by_nature is not None and permission in PERMISSIONS[by_nature]:
        return row  # what was granted could only add to it
    role = find_role(session, identity, row.namespace, row)
    if role is None:
        raise hidden(identity, words)
    _require(identity, role, permission, f"{shorten(row.namespace.name)}/{shorten(row.name)}")
    return row


def hold(session: Session, identity: Identity, row: Namespace) -> Namespace:
    """Keep a namespace as it is until the transaction ends; raise if it was deleted meanwhile."""
    if queries.hold_namespace(session, row).deleted_at is not None:
        raise hidden(identity, f"There is no namespace “{shorten(row.name)}”, or you may not see it.")
    return row


def hold_environment(session: Session, identity: Identity, row: Environment) -> Environment:
    """Keep what belongs to an environment's namespace as it is; raise if it was deleted or renamed meanwhile.

    Whoever activates, renames, deletes or brings back holds the namespace: of two at once the second sees the first.
    """
    before, words = row.name, f"There is no environment “{shorten(row.namespace.name)}/{shorten(row.name)}” any more."
    hold(session, identity, row.namespace)
    queries.read_anew(session, row)
    if row.deleted_at is not None or row.name != before:
        raise hidden(identity, words)
    return row


def own_first(
    session: Session, identity: Identity, rows: Sequence[Namespace], permission: Permission
) -> list[Namespace]:
    """Return the first of what somebody has with their own at the head, also where it is not among the first."""
    own = queries.find_hub_namespace(session, NamespaceKind.USER, identity.name or "") if identity.is_user else None
    if own is None or not may(session, identity, permission, own):
        return list(rows)
    return [own, *(row for row in rows if row.id != own.id)]


def find_own_namespace(session: Session, identity: Identity) -> str | None:
    """Return the name of the namespace that somebody works in when they name none."""
    if not identity.is_user or identity.name is None:
        return identity.primary
    row = queries.find_hub_namespace(session, NamespaceKind.USER, identity.name)
    return row.name if row else None


def announce_namespace(session: Session, row: Namespace) -> None:
    """Wake everybody who waits for what is in a namespace, or for whom it may just have appeared or gone."""
    announce(session, kernels_topic(row.id))
    announce(session, ALL_KERNELS)
    for subject in _subjects_of(session, row):
        announce(session, rights_topic(subject))


def _subjects_of(session: Session, row: Namespace) -> list[str]:
    granted = people.subjects_of(session, row.id)
    if row.kind is NamespaceKind.SHARED:
        return [*granted, SubjectKind.AUTHENTICATED]
    if row.kind is NamespaceKind.GROUP and row.hub_name is not None:
        return [*granted, group_subject(row.hub_name)]
    owner = people.find_user(session, row.hub_name) if row.hub_name is not None else None
    return [*granted, *([user_subject(owner.id)] if owner else [])]


def require_service(identity: Identity, permission: Permission) -> None:
    """Raise unless `identity` administers the whole service, which `permission` needs."""
    if not identity.authenticated:
        raise NotAuthenticatedError
    if not identity.administers_all:
        raise ForbiddenError(f"This needs {permission}, which only administrators of the Hub have.")


def hidden(identity: Identity, words: str) -> NotFoundError | NotAuthenticatedError:
    """Return the answer to who may not know whether it is there: the same as if it were not."""
    return NotFoundError(words) if identity.authenticated else NotAuthenticatedError()


def _require(identity: Identity, role: Role, permission: Permission, what: str) -> None:
    if permission in PERMISSIONS[role]:
        return
    if not identity.authenticated:
        raise NotAuthenticatedError
    raise ForbiddenError(f"You may read “{what}”, but {permission} needs more than the role {role}.")
