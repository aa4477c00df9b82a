"""Namespaces: create, describe, list, change, delete and restore."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy.orm import Session

from conda_store_hub.core import ondemand, schemas
from conda_store_hub.core.audit import AuditAction
from conda_store_hub.core.errors import ConflictError, ForbiddenError, InUseError, InvalidNameError, InvalidRequestError
from conda_store_hub.core.names import NamespaceKind, check_namespace_name, is_reserved, list_namespace_names, shorten
from conda_store_hub.core.permissions import PERMISSIONS, Identity, Permission, Role, SubjectKind
from conda_store_hub.db import claims, lifecycle, lists, queries, usage
from conda_store_hub.db.tables import Grant, Namespace
from conda_store_hub.services import audit, rights, views
from conda_store_hub.services.changes import announce_artifacts, announce_ends

UNDO = timedelta(days=7)
MOST_ABOUT = 10_000
MOST_SHOWN = 500
"""So many namespaces are listed to choose from."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Doomed:
    """What would go with a namespace: `busy` builds, `used` kernels or programs; until when it can be brought back."""

    usage: schemas.Usage
    busy: int
    used: int
    until: datetime


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
    rights.announce_namespace(session, row)
    return views.namespace(row)


def ensure_system(session: Session, writer: Identity, name: str) -> Namespace:
    """Return a namespace of the service's own; if there is none, make it.

    Everybody who is logged in is a viewer there, until an administrator takes that away.
    """
    found = queries.find_namespace(session, name)
    if found is not None:
        return found
    now = datetime.now(UTC)
    row = Namespace(name=name, kind=NamespaceKind.SYSTEM, about={}, created_at=now)
    session.add(row)
    session.flush()
    audit.record(session, writer, AuditAction.NAMESPACE_CREATE, namespace=row)
    everybody = Grant(namespace_id=row.id, subject=SubjectKind.AUTHENTICATED, role=Role.VIEWER, created_at=now)
    everybody.granted_by = writer.name
    session.add(everybody)
    words = f"{Role.VIEWER} for {SubjectKind.AUTHENTICATED}"
    audit.record(session, writer, AuditAction.GRANT_SET, namespace=row, detail=words)
    session.flush()
    rights.announce_namespace(session, row)
    return row


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
    try:
        size = len(json.dumps(about, allow_nan=False))
    except ValueError as exc:
        raise InvalidRequestError(
            "What is noted about a namespace must be JSON: it has no `NaN` and no `Infinity`."
        ) from exc
    if size > MOST_ABOUT:
        raise InvalidRequestError(f"What is noted about a namespace has at most {MOST_ABOUT} characters as JSON.")
    row.about = dict(about)
    audit.record(session, identity, AuditAction.NAMESPACE_UPDATE, namespace=row)


def list_namespaces(
    session: Session, identity: Identity, *, page: int, size: int, after: str | None = None
) -> tuple[list[schemas.NamespaceSummary], int]:
    """Return a page of the namespaces that `identity` may see with how many environments each has, and their count.

    after: only those behind this name.
    """
    statement = queries.select_namespaces(identity, Permission.NAMESPACE_READ, after=after)
    rows, count = lists.list_of_rows(statement).page(session, page=page, size=size)
    living = usage.count_environments(session, [row.id for row in rows])
    return [views.namespace_summary(row, living.get(row.id, 0)) for row in rows], count


@dataclass(frozen=True, kw_only=True, slots=True)
class Overview:
    """A namespace in a list, with what it holds and the role that somebody has in it."""

    namespace: schemas.Namespace
    role: Role | None
    usage: schemas.Usage


def list_overviews(
    session: Session, identity: Identity, *, page: int, size: int, search: str = ""
) -> tuple[list[Overview], int]:
    """Return a page of the namespaces that `identity` may see, each with what it holds, and their count.

    `search`: only those with this in their name, or in that of whose they are.
    """
    statement = queries.select_namespaces(identity, Permission.NAMESPACE_READ, search)
    rows, count = lists.list_of_rows(statement).page(session, page=page, size=size)
    held = usage.usage_of(session, [row.id for row in rows])
    roles = rights.find_roles(session, identity, [(row, None) for row in rows])
    return [
        Overview(namespace=views.namespace(row), role=role, usage=views.usage(held[row.id]))
        for row, role in zip(rows, roles, strict=True)
    ], count


@dataclass(frozen=True, kw_only=True, slots=True)
class DeletedNamespace:
    """A namespace that can be brought back; under another name if its own `is_taken`."""

    name: str
    deleted_on: datetime
    is_taken: bool

    @property
    def until(self) -> datetime:
        """Until when that is possible."""
        return self.deleted_on + UNDO


def list_deleted(session: Session, identity: Identity) -> list[DeletedNamespace]:
    """Return the namespaces that `identity` may bring back, the last deleted first; of a name the last alone."""
    rows = lifecycle.list_deleted_namespaces(session, datetime.now(UTC) - UNDO, MOST_SHOWN)
    roles = rights.find_roles(session, identity, [(row, None) for row in rows])
    found: dict[str, DeletedNamespace] = {}
    for row, role in zip(rows, roles, strict=True):
        if row.name not in found and row.deleted_at and role and Permission.NAMESPACE_DELETE in PERMISSIONS[role]:
            taken = row.kind is NamespaceKind.SHARED and queries.find_namespace(session, row.name) is not None
            found[row.name] = DeletedNamespace(name=row.name, deleted_on=row.deleted_at, is_taken=taken)
    return list(found.values())


def foresee(session: Session, identity: Identity, name: str) -> Doomed:
    """Return what would go if the namespace was deleted now; raise for who may not delete it."""
    row = rights.require_namespace(session, identity, name, Permission.NAMESPACE_DELETE)
    held, now = usage.usage_of(session, [row.id])[row.id], datetime.now(UTC)
    return Doomed(
        usage=views.usage(held),
        busy=claims.count_busy(session, row.id),
        used=lifecycle.count_leases_in(session, row.id, now),
        until=now + UNDO,
    )


def list_usage(session: Session, identity: Identity, *, page: int, size: int) -> tuple[dict[str, schemas.Usage], int]:
    """Return what the namespaces of a page hold, by name, and how many namespaces there are to see."""
    statement = queries.select_namespaces(identity, Permission.NAMESPACE_READ)
    rows, count = lists.list_of_rows(statement).page(session, page=page, size=size)
    held = usage.usage_of(session, [row.id for row in rows])
    return {row.name: views.usage(held[row.id]) for row in rows}, count


def list_writable(session: Session, identity: Identity) -> list[schemas.Namespace]:
    """Return the namespaces in which `identity` may write environments, its own first."""
    rows = rights.own_first(
        session,
        identity,
        queries.first_namespaces(session, identity, MOST_SHOWN, Permission.ENVIRONMENT_CREATE),
        Permission.ENVIRONMENT_CREATE,
    )
    return [views.namespace(row) for row in rows if row.name != ondemand.NAMESPACE]


def may_write(session: Session, identity: Identity, name: str) -> bool:
    """Tell whether `identity` may write environments in a namespace, which need not be there."""
    row = queries.find_namespace(session, name) if name != ondemand.NAMESPACE else None
    return row is not None and rights.may(session, identity, Permission.ENVIRONMENT_CREATE, row)


def list_readable(session: Session, identity: Identity) -> list[schemas.Namespace]:
    """Return the first namespaces that `identity` may see, its own before all others."""
    rows = queries.first_namespaces(session, identity, MOST_SHOWN, Permission.NAMESPACE_READ)
    return [views.namespace(row) for row in rights.own_first(session, identity, rows, Permission.NAMESPACE_READ)]


def delete(session: Session, identity: Identity, name: str, *, force: bool) -> schemas.Usage:
    """Delete a namespace with all that is in it, and return what that was; for UNDO it can be brought back.

    Refused while something in it is being built, unless forced; then that is cancelled.
    """
    row = rights.require_namespace(session, identity, name, Permission.NAMESPACE_DELETE)
    row = rights.hold(session, identity, row)
    now = datetime.now(UTC)
    if not force:
        _require_unused(session, row, now)
    held = usage.usage_of(session, [row.id])[row.id]
    ended = claims.end_all(session, row.id, now, f"Cancelled by {identity.name} with its namespace.")
    announce_ends(session, ended)
    announce_artifacts(session, claims.list_awaited(session, row.id))
    row.deleted_at = now
    queries.delete_environments(session, row.id, now)
    words = f"{held.environments} environments, {held.builds} builds"
    audit.record(session, identity, AuditAction.NAMESPACE_DELETE, namespace=row, detail=words)
    rights.announce_namespace(session, row)
    return views.usage(held)


def _require_unused(session: Session, row: Namespace, now: datetime) -> None:
    busy = claims.count_busy(session, row.id)
    if busy:
        raise InUseError(f"“{shorten(row.name)}” has {busy} builds queued or running: cancel them, or use force.")
    used = lifecycle.count_leases_in(session, row.id, now)
    if used:
        raise InUseError(f"“{shorten(row.name)}” is in use by {used} kernels or programs: end them, or use force.")


def restore(session: Session, identity: Identity, name: str, new_name: str | None) -> schemas.Namespace:
    """Bring back the namespace of that name which was deleted last and had something in it.

    A shared one may get another name, from who administers all; one of a user or a group has a name of theirs.
    """
    row = queries.find_deleted_namespace(session, name, datetime.now(UTC) - UNDO)
    role = None if row is None else rights.find_role(session, identity, row)
    if row is None or role is None or Permission.NAMESPACE_DELETE not in PERMISSIONS[role]:
        raise rights.hidden(identity, f"There is no namespace “{shorten(name)}” that you could bring back.")
    _make_way(session, identity, row)
    wanted = _choose_name(session, identity, row, new_name)
    if wanted != row.name and queries.has_links(session, row.id):
        raise ConflictError("Links under the old name are still being removed; try again in a moment.")
    queries.restore_environments(session, row.id, row.deleted_at)
    row.deleted_at = None
    row.name = wanted
    session.flush()
    audit.record(session, identity, AuditAction.NAMESPACE_RESTORE, namespace=row, detail=f"was “{name}”")
    rights.announce_namespace(session, row)
    return views.namespace(row)


def _choose_name(session: Session, identity: Identity, row: Namespace, new_name: str | None) -> str:
    """Return the name that a namespace comes back with; whose it is decides what it may be called."""
    if new_name is not None and new_name != row.name:
        _check_new_name(identity, row, new_name)
        _require_free(session, new_name)
        return new_name
    names = [row.name] if row.hub_name is None else [row.name, *list_namespace_names(row.kind, row.hub_name)]
    free = next((one for one in names if queries.find_namespace(session, one) is None), None)
    if free is None:
        raise ConflictError(
            f"There is a namespace “{shorten(row.name)}” again; an administrator can choose another name."
        )
    return free


def _check_new_name(identity: Identity, row: Namespace, new_name: str) -> None:
    check_namespace_name(new_name)
    if is_reserved(new_name):
        raise InvalidNameError(f"“{new_name}” is a name that the service keeps for itself; choose another.")
    if row.kind is not NamespaceKind.SHARED or not identity.administers_all:
        raise ForbiddenError(
            "Only an administrator of the Hub can give a shared namespace another name, and no other one."
        )


def _make_way(session: Session, identity: Identity, row: Namespace) -> None:
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
    words = f"empty, it made way for what “{row.name}” had"
    audit.record(session, identity, AuditAction.NAMESPACE_DELETE, namespace=successor, detail=words)
