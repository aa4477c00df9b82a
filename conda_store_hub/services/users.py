"""The people of the Hub as this service knows them, and what each of them has and may do."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy.orm import Session

from conda_store_hub.core import schemas
from conda_store_hub.core.audit import AuditAction
from conda_store_hub.core.errors import ConflictError, UnavailableError
from conda_store_hub.core.names import NamespaceKind, list_namespace_names, shorten
from conda_store_hub.core.permissions import (
    PERMISSIONS,
    SERVICE_PERMISSIONS,
    Claim,
    Identity,
    Permission,
    Role,
    role_on,
)
from conda_store_hub.db import people, queries
from conda_store_hub.db.session import leave_lists
from conda_store_hub.db.tables import Environment, HubUser, Namespace
from conda_store_hub.services import audit, rights

_MOST_SHOWN = 500
_OWN = "your own"


def meet(session: Session, name: str, created: datetime | None) -> int:
    """Return this service's number of the person whom the Hub calls `name` now; idempotent.

    `created`: when the Hub made that user, None where it does not tell. If another user of that name was known, the
    name has been given to somebody new: what the former one had is sealed, and nothing of it is the newcomer's.
    """
    now = datetime.now(UTC)
    row = people.find_user(session, name)
    if row is not None and row.hub_created is None:
        row.hub_created = created
    if row is not None and created is not None and row.hub_created is not None and row.hub_created != created:
        if created < row.hub_created:
            raise UnavailableError("The Hub has just given this name to somebody else; try again in a moment.")
        _seal(session, row, now)
        row = None
    if row is None:
        row = HubUser(name=name, hub_created=created, first_seen_at=now)
        session.add(row)
        session.flush()
    return row.id


def let_in(session: Session, user_id: int, scopes: tuple[Claim, ...] | None) -> None:
    """Record that the Hub lets a user in, and what its scopes give them; None leaves what was known."""
    leave_lists(session)
    people.mark_seen(session, user_id, datetime.now(UTC))
    if scopes is not None:
        people.keep_scopes(session, user_id, [list(claim.as_words()) for claim in scopes])


def keep_out(session: Session, name: str) -> None:
    """Record that the Hub does not let a user in any more: their tokens are worth nothing until it does."""
    row = people.find_user(session, name)
    if row is not None and row.denied_at is None:
        row.denied_at = datetime.now(UTC)


def _seal(session: Session, row: HubUser, now: datetime) -> None:
    row.replaced_at = now
    people.revoke_tokens(session, row.id, now)
    for namespace in queries.unsealed_namespaces(session, NamespaceKind.USER, row.name):
        namespace.sealed_at = now
        audit.record(
            session,
            audit.ITSELF,
            AuditAction.NAMESPACE_SEAL,
            namespace=namespace,
            detail=f"The Hub has given the name “{shorten(row.name)}” to a new user.",
        )
        rights.announce_namespace(session, namespace)
    session.flush()


def ensure_namespaces(session: Session, identity: Identity) -> None:
    """Make the namespaces that a user has by Hub name and groups; idempotent."""
    missing = [each for each in _list_own(identity) if queries.find_hub_namespace(session, *each) is None]
    if not missing:
        leave_lists(session)
    for kind, hub_name in missing:
        _make(session, kind, hub_name)


def _list_own(identity: Identity) -> list[tuple[NamespaceKind, str]]:
    if not identity.is_user or identity.name is None:
        return []
    groups = [(NamespaceKind.GROUP, group) for group in sorted(identity.groups)]
    return [(NamespaceKind.USER, identity.name), *groups]


def _make(session: Session, kind: NamespaceKind, hub_name: str) -> None:
    names = list_namespace_names(kind, hub_name)
    free = next((name for name in names if queries.find_namespace(session, name) is None), None)
    if free is None:
        raise ConflictError(f"There is no free name for the namespace of the {kind} “{shorten(hub_name)}”.")
    session.add(Namespace(name=free, kind=kind, hub_name=hub_name, about={}, created_at=datetime.now(UTC)))
    session.flush()


def summarise(session: Session, identity: Identity) -> schemas.PermissionSummary:
    """Say what `identity` may do, in conda-store's shape: keys hold exactly one `/`."""
    roles = _list_roles(session, identity)
    return schemas.PermissionSummary(
        authenticated=identity.authenticated,
        primary_namespace=rights.find_own_namespace(session, identity) or "default",
        entity_permissions={key: _permissions(identity, role) for key, role in roles.items()},
        entity_roles={key: [role] for key, role in roles.items()},
        expiration=identity.expires,
    )


def _permissions(identity: Identity, role: Role) -> list[str]:
    return sorted(PERMISSIONS[role] | (SERVICE_PERMISSIONS if identity.administers_all else set[Permission]()))


def _list_roles(session: Session, identity: Identity) -> dict[str, Role]:
    if identity.administers_all:
        return {"*/*": Role.ADMIN}
    return {f"{place.namespace}/{place.environment or '*'}": place.role for place in list_places(session, identity)}


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """A namespace, or one environment, on which somebody has a role; `origin` says in words where that is from."""

    namespace: str
    environment: str | None
    role: Role
    origin: str

    @property
    def name(self) -> str:
        """As people write it."""
        return self.namespace if self.environment is None else f"{self.namespace}/{self.environment}"


def list_places(session: Session, identity: Identity) -> list[Place]:
    """Return the namespaces that `identity` may read, their own first, and single environments granted to them."""
    namespaces = rights.own_first(
        session,
        identity,
        queries.first_namespaces(session, identity, _MOST_SHOWN, Permission.NAMESPACE_READ),
        Permission.NAMESPACE_READ,
    )
    environments = people.single_environments(session, identity, _MOST_SHOWN)
    rows = [*((row, None) for row in namespaces), *((row.namespace, row) for row in environments)]
    roles = rights.find_roles(session, identity, rows)
    places = [_place(identity, *row, role) for row, role in zip(rows, roles, strict=True) if role is not None]
    return sorted(places, key=lambda place: place.origin != _OWN)


def _place(identity: Identity, namespace: Namespace, environment: Environment | None, role: Role) -> Place:
    by_itself = role_on(identity, rights.target_of(namespace, environment))
    granted = by_itself is None or by_itself.rank < role.rank
    return Place(
        namespace=namespace.name,
        environment=environment.name if environment else None,
        role=role,
        origin="shared with you" if granted else _say_origin(identity, namespace),
    )


def _say_origin(identity: Identity, namespace: Namespace) -> str:
    """Say where a role is from that nobody granted."""
    if namespace.kind is NamespaceKind.USER and identity.is_user and namespace.hub_name == identity.name:
        return _OWN
    if namespace.kind is NamespaceKind.GROUP and namespace.hub_name in identity.groups:
        return f"of your group {namespace.hub_name}"
    if identity.admin:
        return "you administer the Hub"
    if namespace.kind is NamespaceKind.SHARED:
        return "shared with everybody logged in"
    return "by your roles on the Hub"
