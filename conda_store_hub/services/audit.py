"""The audit trail: who did what when, to what, from where."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy.orm import Session

from conda_store_hub.core import schemas
from conda_store_hub.core.audit import AuditAction
from conda_store_hub.core.errors import InvalidRequestError, NotAuthenticatedError
from conda_store_hub.core.permissions import Identity, IdentityKind, Permission
from conda_store_hub.db import people
from conda_store_hub.db.tables import AuditEntry, Build, Environment, Namespace
from conda_store_hub.services import rights

#: Who does what nobody asked for.
ITSELF = Identity(name="conda-store-hub", kind=IdentityKind.SERVICE, via="service")


def record(
    session: Session,
    identity: Identity,
    action: AuditAction,
    *,
    namespace: Namespace | None = None,
    environment: Environment | None = None,
    build_id: int | None = None,
    detail: str = "",
) -> None:
    """Write down a deed, in the transaction that does it."""
    session.add(
        AuditEntry(
            at=datetime.now(UTC),
            action=action,
            actor=identity.name,
            actor_kind=identity.kind,
            user_id=identity.user_id,
            via=identity.via,
            source=identity.source,
            namespace_id=namespace.id if namespace else None,
            namespace=namespace.name if namespace else None,
            environment=environment.name if environment else None,
            build_id=build_id,
            detail=detail,
        )
    )


def record_build(session: Session, identity: Identity, action: AuditAction, build: Build, detail: str = "") -> None:
    """Write down a deed about a build of an environment."""
    environment = build.environment
    record(
        session,
        identity,
        action,
        namespace=environment.namespace,
        environment=environment,
        build_id=build.id,
        detail=detail,
    )


def list_entries(
    session: Session,
    identity: Identity,
    *,
    namespace: str | None = None,
    environment: str | None = None,
    actor: str | None = None,
    action: AuditAction | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    before: int | None = None,
    size: int,
) -> list[schemas.AuditEntry]:
    """Return what was done, the newest first, below the number `before`, from `since` on and before `until`.

    Who administers all sees all; others name a namespace that they administer, or see what happened in their own.
    """
    if not identity.authenticated:
        raise NotAuthenticatedError
    if since is not None and until is not None and since >= until:
        raise InvalidRequestError("`since` must be before `until`: nothing was done between the two.")
    row = None
    if not identity.administers_all:  # who does is told of what is gone too
        name = namespace or rights.find_own_namespace(session, identity) or ""
        row = rights.require_namespace(session, identity, name, Permission.AUDIT_READ)
    entries = people.audit_entries(
        session,
        namespace_id=row.id if row else None,
        namespace=None if row else namespace,
        environment=environment,
        actor=actor,
        action=action,
        since=since,
        until=until,
        before=before,
        size=size,
    )
    return [schemas.AuditEntry.model_validate(entry) for entry in entries]
