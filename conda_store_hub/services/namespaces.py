"""Namespaces: who has which, and what one may do in them."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy.orm import Session

from conda_store_hub.core import schemas
from conda_store_hub.core.errors import ConflictError, ForbiddenError, NotAuthenticatedError, NotFoundError
from conda_store_hub.core.names import NamespaceKind, fallback_namespace_name, namespace_name, shorten
from conda_store_hub.core.permissions import PERMISSIONS, Identity, Permission, role_in
from conda_store_hub.db import queries
from conda_store_hub.db.tables import Namespace
from conda_store_hub.services import views

_MOST_SHOWN = 500


def ensure_for(session: Session, identity: Identity) -> None:
    """Make the namespaces that `identity` has by its Hub name and groups; idempotent."""
    if identity.name is not None:
        _ensure(session, NamespaceKind.USER, identity.name)
    for group in sorted(identity.groups):
        _ensure(session, NamespaceKind.GROUP, group)


def _ensure(session: Session, kind: NamespaceKind, hub_name: str) -> None:
    if queries.find_hub_namespace(session, kind, hub_name) is not None:
        return
    names = (namespace_name(kind, hub_name), fallback_namespace_name(kind, hub_name))
    free = next((name for name in names if queries.find_namespace(session, name) is None), None)
    if free is None:
        raise ConflictError(f"There is no free name for the namespace of the {kind} “{shorten(hub_name)}”.")
    session.add(Namespace(name=free, kind=kind, hub_name=hub_name, created_at=datetime.now(UTC)))
    session.flush()


def require(session: Session, identity: Identity, name: str, permission: Permission) -> Namespace:
    """Return a namespace in which `identity` has `permission`.

    A namespace one may not read is not found, so that its name stays private.
    """
    row = queries.find_namespace(session, name)
    role = None if row is None else role_in(identity, row.kind, row.hub_name)
    if row is None or role is None:
        raise _hidden(identity, f"There is no namespace “{shorten(name)}”, or you may not see it.")
    if permission not in PERMISSIONS[role]:
        raise ForbiddenError(f"You may read “{shorten(name)}”, but {permission} needs more than the role {role}.")
    return row


def may(session: Session, identity: Identity, name: str, permission: Permission) -> bool:
    """Tell whether `identity` has `permission` in a namespace; pages offer only what can be done."""
    row = queries.find_namespace(session, name)
    return row is not None and _may(identity, row, permission)


def _hidden(identity: Identity, message: str) -> NotFoundError | NotAuthenticatedError:
    return NotFoundError(message) if identity.authenticated else NotAuthenticatedError()


def list_namespaces(
    session: Session, identity: Identity, *, page: int, size: int
) -> tuple[list[schemas.Namespace], int]:
    """Return a page of the namespaces that `identity` may see, and their count."""
    rows, count = queries.page_of(session, queries.select_namespaces(identity), page=page, size=size)
    return [views.namespace(row) for row in rows], count


def own_namespace(session: Session, identity: Identity) -> str | None:
    """Return the name of the user's own namespace."""
    if identity.name is None:
        return None
    row = queries.find_hub_namespace(session, NamespaceKind.USER, identity.name)
    return row.name if row else None


def list_writable(session: Session, identity: Identity) -> list[schemas.Namespace]:
    """Return the namespaces in which `identity` may create environments, its own first."""
    rows = queries.first_namespaces(session, identity, _MOST_SHOWN)
    may = [row for row in rows if _may(identity, row, Permission.ENVIRONMENT_CREATE)]
    may.sort(key=lambda row: (row.hub_name != identity.name or row.kind is not NamespaceKind.USER, row.name))
    return [views.namespace(row) for row in may]


def _may(identity: Identity, row: Namespace, permission: Permission) -> bool:
    role = role_in(identity, row.kind, row.hub_name)
    return role is not None and permission in PERMISSIONS[role]


def summarise(session: Session, identity: Identity) -> schemas.PermissionSummary:
    """Say what `identity` may do, in conda-store's shape: keys hold exactly one `/`."""
    rows = queries.first_namespaces(session, identity, _MOST_SHOWN)
    roles = {f"{row.name}/*": role_in(identity, row.kind, row.hub_name) for row in rows}
    return schemas.PermissionSummary(
        authenticated=identity.authenticated,
        primary_namespace=own_namespace(session, identity) or "default",
        entity_permissions={key: sorted(PERMISSIONS[role]) for key, role in roles.items() if role is not None},
        entity_roles={key: [role] for key, role in roles.items() if role is not None},
    )
