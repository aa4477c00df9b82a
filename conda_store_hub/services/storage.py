"""What can be freed on disk: prefixes and bytes of what was deleted, once nobody needs them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy.orm import Session

from conda_store_hub.core.audit import AuditAction
from conda_store_hub.core.protocol import ArtifactState
from conda_store_hub.db import images, lifecycle, queries, records, retention
from conda_store_hub.services import audit, removals
from conda_store_hub.services.changes import announce_artifacts


@dataclass(frozen=True, kw_only=True, slots=True)
class DoomedPrefix:
    """A prefix that nobody needs any more."""

    build_id: int
    prefix_name: str
    size: int
    """Bytes that are free without it."""


def list_prefixes_to_free(session: Session, limit: int) -> list[DoomedPrefix]:
    """Return prefixes of deleted builds, and of environments that were deleted more than a day ago."""
    now = datetime.now(UTC)
    rows = lifecycle.builds_to_free(session, now, now - removals.PREFIX_STAYS, limit)
    return [DoomedPrefix(build_id=row.id, prefix_name=row.prefix_name or "", size=row.size) for row in rows]


def give_up_prefix(session: Session, doomed: DoomedPrefix) -> bool:
    """Record that a prefix is gone, before it is; tell whether it may go: it may have been restored meanwhile."""
    now = datetime.now(UTC)
    row = queries.find_build(session, doomed.build_id)
    if row is None:
        return False
    queries.hold_namespace(session, row.environment.namespace)
    queries.read_anew(session, row.environment)
    queries.hold_build(session, row)
    gone = row.deleted_at is not None or (
        row.environment.deleted_at is not None and row.environment.deleted_at <= now - removals.PREFIX_STAYS
    )
    if not gone or row.prefix_name != doomed.prefix_name or row.worker is not None:
        return False
    if lifecycle.count_leases(session, row.id, now):
        return False
    audit.record_build(session, audit.ITSELF, AuditAction.STORAGE_FREE, row, f"{row.size} bytes")
    row.prefix_name = None
    row.size = row.shared_size = 0
    for artifact in records.pending_artifacts(session, row.id):  # what it would be made from is gone
        artifact.state, artifact.error = ArtifactState.FAILED, "It was not made."
    announce_artifacts(session, [row.id])
    return True


@dataclass(frozen=True, kw_only=True, slots=True)
class GivenUp:
    """Keys of bytes that nobody needs any more; whether there may be more of them."""

    free: tuple[str, ...]
    size: int
    more: bool


def give_up_keys(session: Session, limit: int) -> GivenUp:
    """Forget bytes of deleted artifacts, and return the keys of those that no other artifact has."""
    free: dict[str, int] = {}
    found = lifecycle.keys_to_free(session, limit)
    for artifact in found:
        key, size, artifact.key, artifact.size = artifact.key, artifact.size, "", None
        session.flush()
        if not lifecycle.is_needed(session, key) and not images.known_keys(session, [key]):
            free[key] = size or 0
    return GivenUp(free=tuple(free), size=sum(free.values()), more=bool(found))


def unknown_keys(session: Session, keys: Sequence[str]) -> set[str]:
    """Return those of `keys` in storage that no artifact and no image has."""
    return set(keys) - retention.known_keys(session, keys) - images.known_keys(session, keys)
