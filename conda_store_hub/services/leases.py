"""Leases: who is using a build, so that nobody takes it away under them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from sqlalchemy.orm import Session

from conda_store_hub.core import schemas
from conda_store_hub.core.errors import ConflictError, GoneError
from conda_store_hub.core.permissions import Identity, Permission
from conda_store_hub.db import lifecycle
from conda_store_hub.db.tables import Lease
from conda_store_hub.services import builds

LONGEST = timedelta(hours=1)
MOST_LEASES = 1_000


def take(session: Session, identity: Identity, build_id: int, request: schemas.TakeLease) -> schemas.Lease:
    """Say that `request.holder` uses a build for a while, or go on saying so; at most an hour at a time."""
    row = builds.require(session, identity, build_id, Permission.ENVIRONMENT_READ)
    if row.prefix_name is None or row.deleted_at is not None:
        raise GoneError(f"Build {build_id} has nothing on disk that could be used; rebuild it.")
    now = datetime.now(UTC)
    holder = _holder(identity, request.holder)
    lease = lifecycle.find_lease(session, build_id, holder)
    if lease is None:
        if lifecycle.count_leases(session, build_id, now) >= MOST_LEASES:
            raise ConflictError(f"Build {build_id} is used in more than {MOST_LEASES} places.")
        lease = Lease(build_id=build_id, holder=holder, user=identity.name or "")
        session.add(lease)
    lease.expires_at = now + min(timedelta(seconds=request.seconds), LONGEST)
    return schemas.Lease(build_id=build_id, holder=request.holder, expires_on=lease.expires_at)


def end(session: Session, identity: Identity, build_id: int, holder: str) -> None:
    """Say that a build is no longer used; one that has ended already is fine."""
    builds.require(session, identity, build_id, Permission.ENVIRONMENT_READ)
    lease = lifecycle.find_lease(session, build_id, _holder(identity, holder))
    if lease is not None:
        session.delete(lease)


def forget_ended(session: Session) -> None:
    """Remove the leases whose holders have not gone on saying that they use a build; none lasts longer than it may."""
    now = datetime.now(UTC)
    lifecycle.forget_leases(session, now)
    lifecycle.shorten_leases(session, now + LONGEST)


def _holder(identity: Identity, holder: str) -> str:
    """Nobody ends the lease of somebody else, by whatever name they choose for theirs."""
    return f"{identity.user_id or identity.kind}/{holder}"
