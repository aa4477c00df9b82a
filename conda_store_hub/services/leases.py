"""Leases: who is using a build, so that nobody takes it away under them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from sqlalchemy.orm import Session

from conda_store_hub.core import schemas
from conda_store_hub.core.errors import ConflictError, GoneError, NotAuthenticatedError
from conda_store_hub.core.permissions import Identity, Permission
from conda_store_hub.db import lifecycle, queries
from conda_store_hub.db.session import leave_lists
from conda_store_hub.db.tables import Build, Lease
from conda_store_hub.services import builds, rights

LONGEST = timedelta(hours=1)
MOST_LEASES = 1_000
MOST_OF_ONE = 200
"""On one build, of one person or program: nobody alone takes the room of all others."""


def take(session: Session, identity: Identity, build_id: int, request: schemas.TakeLease) -> schemas.Lease:
    """Say that `request.holder` uses a build for a while, or go on saying so; at most an hour at a time."""
    leave_lists(session)
    holder = _holder(identity, request.holder)
    row = builds.require(session, identity, build_id, Permission.ENVIRONMENT_READ)
    _hold(session, identity, row)
    now = datetime.now(UTC)
    lease = lifecycle.find_lease(session, build_id, holder)
    if lease is None:
        _require_room(session, build_id, identity, now)
        lease = Lease(build_id=build_id, holder=holder, user=identity.name or "")
        session.add(lease)
    lease.expires_at = now + min(timedelta(seconds=request.seconds), LONGEST)
    return schemas.Lease(build_id=build_id, holder=request.holder, expires_on=lease.expires_at)


def end(session: Session, identity: Identity, build_id: int, holder: str) -> None:
    """Say that a build is no longer used; one that has ended already is fine."""
    leave_lists(session)
    own = _holder(identity, holder)
    builds.require(session, identity, build_id, Permission.ENVIRONMENT_READ)
    lease = lifecycle.find_lease(session, build_id, own)
    if lease is not None:
        session.delete(lease)


def forget_ended(session: Session) -> None:
    """Remove the leases whose holders have not gone on saying that they use a build; none lasts longer than it may."""
    now = datetime.now(UTC)
    lifecycle.forget_leases(session, now)
    lifecycle.shorten_leases(session, now + LONGEST)


def _hold(session: Session, identity: Identity, row: Build) -> None:
    """Keep a build, and what it is in, from being removed until the transaction ends; raise if that came first."""
    rights.hold(session, identity, row.environment.namespace)
    lifecycle.hold_environment_of(session, row)
    queries.hold_build(session, row)
    if row.prefix_name is None or row.deleted_at is not None or row.environment.deleted_at is not None:
        raise GoneError(f"Build {row.id} has nothing on disk that could be used; rebuild it.")


def _require_room(session: Session, build_id: int, identity: Identity, now: datetime) -> None:
    if lifecycle.count_leases(session, build_id, now, user=identity.name or "") >= MOST_OF_ONE:
        raise ConflictError(f"You use build {build_id} in {MOST_OF_ONE} places already: end the leases of some.")
    if lifecycle.count_leases(session, build_id, now) >= MOST_LEASES:
        raise ConflictError(f"Build {build_id} is used in {MOST_LEASES} places already.")


def _holder(identity: Identity, holder: str) -> str:
    """Nobody ends the lease of somebody else, by whatever name they choose for theirs; who is nobody has none."""
    if not identity.authenticated:
        raise NotAuthenticatedError
    return f"{identity.user_id or identity.kind}/{holder}"
