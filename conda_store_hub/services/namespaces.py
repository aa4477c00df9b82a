"""Namespaces: create, describe, list, change, delete and restore."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

from sqlalchemy.orm import Session

from conda_store_hub.core import schemas
from conda_store_hub.core.audit import AuditAction
from conda_store_hub.core.errors import ConflictError, InUseError, InvalidNameError, InvalidRequestError
from conda_store_hub.core.names import NamespaceKind, check_namespace_name, is_reserved, shorten
from conda_store_hub.core.permissions import PERMISSIONS, Identity, Permission
from conda_store_hub.db import claims, lifecycle, queries, usage
from conda_store_hub.db.session import announce
from conda_store_hub.db.tables import Namespace
from conda_store_hub.services import audit, rights, views
from conda_store_hub.services.changes import ALL_KERNELS, QUEUE

UNDO = timedelta(days=7)
MOST_ABOUT = 10_000
_MOST_SHOWN = 500


def create(session: Session, identity: Identity, name: str) -> schemas.Namespace:
    """Make a shared namespace; only who administers all may."""
    rights.require_service(identity, Permission.NAMESPACE_CREATE)
    check_namespace_name(name)
    if is_reserved(name):
        raise InvalidNameError(f"“{name}” is a name that the service keeps for itself; choose another.")
    _require_free(session, name)
    row = Namespace(name=name, kind=NamespaceKind.SHARED, about={}, created_at=datetime.now(UTC))
    session.add(row)
    session.flush()
    audit.record(session, identity, AuditAction.NAMESPACE_CREATE, namespace=row)
    announce(session, ALL_KERNELS)
    return views.namespace(row)


def _require_free(session: Session, name: str) -> None:
    if queries.find_namespace(session, name) is not None:
        raise ConflictError(f"There is a namespace “{shorten(name)}” already; choose another name.")


def describe(session: Session, identity: Identity, name: str) -> schemas.NamespaceDetails:
    """Return a namespace with what it holds, and what `identity` may do in it."""
    row = rights.require_namespace(session, identity, name, Permission.NAMESPACE_READ)
    role = rights.find_role(session, identity, row)
    held = usage.usage_of(session, [row.id])[row.id]
    return schemas.NamespaceDetails(
        **dict(views.namespace(row)),
        metadata_=row.about,
        created_on=row.created_at,
        sealed=row.sealed_at is not None,
        role=role,
        permissions=sorted(PERMISSIONS[role]) if role else [],
        usage=views.usage(held),
    )


def change(session: Session, identity: Identity, name: str, about: dict[str, schemas.Json]) -> None:
    """Replace what is noted about a namespace."""
    row = rights.require_namespace(session, identity, name, Permission.NAMESPACE_UPDATE)
    if len(json.dumps(about)) > MOST_ABOUT:
        raise InvalidRequestError(f"What is noted about a namespace has at most {MOST_ABOUT} characters as JSON.")
    row.about = dict(about)
    audit.record(session, identity, AuditAction.NAMESPACE_UPDATE, namespace=row)


def list_namespaces(
    session: Session, identity: Identity, *, page: int, size: int
) -> tuple[list[schemas.NamespaceSummary], int]:
    """Return a page of the namespaces that `identity` may see with how many environments each has, and their count."""
    statement = queries.select_namespaces(identity, Permission.NAMESPACE_READ, datetime.now(UTC))
    rows, count = queries.page_of(session, statement, page=page, size=size)
    living = usage.count_environments(session, [row.id for row in rows])
    return [views.namespace_summary(row, living.get(row.id, 0)) for row in rows], count


def list_usage(session: Session, identity: Identity, *, page: int, size: int) -> tuple[dict[str, schemas.Usage], int]:
    """Return what the namespaces of a page hold, by name, and how many namespaces there are to see."""
    statement = queries.select_namespaces(identity, Permission.NAMESPACE_READ, datetime.now(UTC))
    rows, count = queries.page_of(session, statement, page=page, size=size)
    held = usage.usage_of(session, [row.id for row in rows])
    return {row.name: views.usage(held[row.id]) for row in rows}, count


def list_writable(session: Session, identity: Identity) -> list[schemas.Namespace]:
    """Return the namespaces in which `identity` may create environments, its own first."""
    own = rights.find_own_namespace(session, identity)
    rows = queries.first_namespaces(session, identity, _MOST_SHOWN, Permission.ENVIRONMENT_CREATE, datetime.now(UTC))
    return [views.namespace(row) for row in sorted(rows, key=lambda row: (row.name != own, row.name))]


def delete(session: Session, identity: Identity, name: str, *, force: bool) -> schemas.Usage:
    """Delete a namespace with all that is in it, and return what that was; for UNDO it can be brought back.

    Refused while something in it is being built, unless forced; then that is cancelled.
    """
    row = rights.require_namespace(session, identity, name, Permission.NAMESPACE_DELETE)
    now = datetime.now(UTC)
    if not force:
        _require_unused(session, row, now)
    held = usage.usage_of(session, [row.id])[row.id]
    claims.end_all(session, row.id, now, f"Cancelled by {identity.name} with its namespace.")
    announce(session, QUEUE)
    row.deleted_at = now
    queries.delete_environments(session, row.id, now)
    words = f"{held.environments} environments, {held.builds} builds"
    audit.record(session, identity, AuditAction.NAMESPACE_DELETE, namespace=row, detail=words)
    announce(session, ALL_KERNELS)
    return views.usage(held)


def _require_unused(session: Session, row: Namespace, now: datetime) -> None:
    busy = claims.count_busy(session, row.id)
    if busy:
        raise InUseError(f"“{shorten(row.name)}” has {busy} builds queued or running: cancel them, or use force.")
    used = lifecycle.count_leases_in(session, row.id, now)
    if used:
        raise InUseError(f"“{shorten(row.name)}” is in use by {used} kernels or programs: end them, or use force.")


def restore(session: Session, identity: Identity, name: str, new_name: str | None) -> schemas.Namespace:
    """Bring back the namespace of that name which was deleted last, under another name if that one is taken."""
    row = queries.find_deleted_namespace(session, name, datetime.now(UTC) - UNDO)
    role = None if row is None else rights.find_role(session, identity, row)
    if row is None or role is None or Permission.NAMESPACE_DELETE not in PERMISSIONS[role]:
        raise rights.hidden(identity, f"There is no namespace “{shorten(name)}” that you could bring back.")
    _make_way(session, row)
    _require_free(session, check_namespace_name(new_name or name))
    queries.restore_environments(session, row.id, row.deleted_at)
    row.deleted_at = None
    row.name = new_name or name
    session.flush()
    audit.record(session, identity, AuditAction.NAMESPACE_RESTORE, namespace=row, detail=f"was “{name}”")
    announce(session, ALL_KERNELS)
    return views.namespace(row)


def _make_way(session: Session, row: Namespace) -> None:
    """Remove the namespace that a user or a group got at their next contact, if there is nothing in it yet."""
    if row.hub_name is None or row.sealed_at is not None:
        return
    successor = queries.find_hub_namespace(session, row.kind, row.hub_name)
    if successor is None:
        return
    if usage.count_environments(session, [successor.id]):
        raise ConflictError(
            f"The {row.kind} has a new namespace since, “{successor.name}”, with environments in it: each has one."
        )
    successor.deleted_at = datetime.now(UTC)
    session.flush()
