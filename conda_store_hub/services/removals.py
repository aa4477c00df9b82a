"""Deleting and bringing back: environments and builds, and what of them stays for how long."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy.orm import Session

from conda_store_hub.core import schemas
from conda_store_hub.core.audit import AuditAction
from conda_store_hub.core.errors import ConflictError, InUseError
from conda_store_hub.core.names import check_environment_name, shorten
from conda_store_hub.core.permissions import Identity, Permission
from conda_store_hub.core.protocol import LIVE, ArtifactType
from conda_store_hub.db import claims, lifecycle, queries, tags, usage
from conda_store_hub.db.session import announce
from conda_store_hub.db.tables import Build, Environment
from conda_store_hub.services import audit, builds, environments, images, rebuilds, rights, views
from conda_store_hub.services.changes import ALL_KERNELS, QUEUE, announce_artifacts, announce_ends, build_topic
from conda_store_hub.services.rules import BuildRules

UNDO = timedelta(days=7)
PREFIX_STAYS = timedelta(days=1)
_MOST_DELETED = 50


@dataclass(frozen=True, kw_only=True, slots=True)
class DeletedEnvironment:
    """An environment that can be brought back; under another name if its own `is_taken`."""

    name: str
    deleted_on: datetime
    builds: int
    is_taken: bool

    @property
    def until(self) -> datetime:
        """Until when that is possible."""
        return self.deleted_on + UNDO


def list_deleted_environments(session: Session, identity: Identity, namespace: str) -> list[DeletedEnvironment]:
    """Return the environments of a namespace that `identity` may bring back, the last deleted first."""
    row = rights.require_namespace(session, identity, namespace, Permission.NAMESPACE_READ)
    if not rights.may(session, identity, Permission.ENVIRONMENT_DELETE, row):
        return []
    found = lifecycle.list_deleted_environments(session, row.id, datetime.now(UTC) - UNDO, _MOST_DELETED)
    return [
        DeletedEnvironment(name=name, deleted_on=deleted_at, builds=count, is_taken=taken)
        for name, deleted_at, count, taken in found
    ]


@dataclass(frozen=True, kw_only=True, slots=True)
class Doomed:
    """What would go with an environment or a build: `storage` in bytes, `busy` builds, `used` kernels or programs."""

    name: str
    """Of the environment, with its namespace."""
    builds: int
    storage: int
    busy: int
    used: int
    until: datetime | None
    """Until when an environment that is deleted now can be brought back; None for a build, which cannot be."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Deleted:
    """An environment that can be brought back until a moment; under another name if its own `is_taken`."""

    namespace: str
    name: str
    deleted_on: datetime
    until: datetime
    is_taken: bool
    may_rename: bool
    """Whether who asks may give it another name, which needs more than to bring it back."""


def foresee_environment(session: Session, identity: Identity, namespace: str, name: str) -> Doomed:
    """Return what would go if the environment was deleted now; raise for who may not delete it."""
    row = rights.require_environment(session, identity, namespace, name, Permission.ENVIRONMENT_DELETE)
    held, now = usage.usage_of_environment(session, row.id), datetime.now(UTC)
    return Doomed(
        name=f"{row.namespace.name}/{row.name}",
        builds=held.builds,
        storage=held.storage,
        busy=claims.count_busy_of(session, row.id),
        used=lifecycle.count_leases_of(session, row.id, now),
        until=now + UNDO,
    )


def foresee_build(session: Session, identity: Identity, build_id: int) -> Doomed:
    """Return what would go if the build was deleted now; raise if it cannot be, also by force."""
    row, now = builds.require(session, identity, build_id, Permission.BUILD_DELETE), datetime.now(UTC)
    if row.deleted_at is not None:
        raise ConflictError(f"Build {build_id} was deleted.")
    _require_deletable(session, row, force=True)
    used = lifecycle.count_leases(session, build_id, now)
    name = f"{row.environment.namespace.name}/{row.environment.name}"
    return Doomed(name=name, builds=1, storage=row.size, busy=0, used=used, until=None)


def find_deleted(session: Session, identity: Identity, namespace: str, name: str) -> Deleted:
    """Return the environment of those names that `identity` could bring back; raise if there is none."""
    row = _require_deleted(session, identity, namespace, name)
    deleted_on = row.deleted_at or datetime.now(UTC)
    return Deleted(
        namespace=row.namespace.name,
        name=row.name,
        deleted_on=deleted_on,
        until=deleted_on + UNDO,
        is_taken=queries.find_environment(session, namespace, row.name) is not None,
        may_rename=rights.may(session, identity, Permission.ENVIRONMENT_CREATE, row.namespace),
    )


def delete_environment(session: Session, identity: Identity, namespace: str, name: str, *, force: bool) -> None:
    """Delete an environment; for UNDO it can be brought back, and its name is free at once.

    Refused while it is being built or somebody computes with it, unless forced; then builds are cancelled.
    """
    row = rights.require_environment(session, identity, namespace, name, Permission.ENVIRONMENT_DELETE)
    rights.hold_environment(session, identity, row)
    now = datetime.now(UTC)
    if not force:
        _require_unused(session, row, now)
    ended = claims.end_builds_of(session, row.id, now, f"Cancelled by {identity.name} with its environment.")
    announce_ends(session, ended)
    announce_artifacts(session, claims.list_awaited(session, row.namespace_id, row.id))
    row.deleted_at = now
    audit.record(session, identity, AuditAction.ENVIRONMENT_DELETE, namespace=row.namespace, environment=row)
    environments.announce_kernels(session, row.namespace_id)


def _require_unused(session: Session, row: Environment, now: datetime) -> None:
    busy = claims.count_busy_of(session, row.id)
    if busy:
        raise InUseError(f"“{shorten(row.name)}” has {busy} builds queued or running: cancel them, or use force.")
    used = lifecycle.count_leases_of(session, row.id, now)
    if used:
        raise InUseError(f"“{shorten(row.name)}” is in use by {used} kernels or programs: end them, or use force.")


def restore_environment(
    session: Session, identity: Identity, namespace: str, name: str, new_name: str | None, rules: BuildRules
) -> schemas.Environment:
    """Bring back the environment of those names that was deleted last, under another name if that one is taken.

    If its prefix has gone meanwhile, a build exactly from the lock of its active build is queued.
    """
    row = _require_deleted(session, identity, namespace, name)
    rights.hold(session, identity, row.namespace)
    queries.read_anew(session, row)
    if row.deleted_at is None:
        raise ConflictError(f"“{shorten(namespace)}/{shorten(name)}” was brought back by somebody else at this moment.")
    wanted = check_environment_name(new_name or row.name)
    if wanted != row.name:
        environments.require_new_name(session, identity, row)
    if queries.find_environment(session, namespace, wanted) is not None:
        raise ConflictError(f"There is an environment “{shorten(wanted)}” again; give another name to this one.")
    environments.write_name(session, row, wanted)
    row.deleted_at = None
    session.flush()
    audit.record(session, identity, AuditAction.ENVIRONMENT_RESTORE, namespace=row.namespace, environment=row)
    if row.current_build is not None and queries.hold_build(session, row.current_build).prefix_name is None:
        _make_again(session, identity, row, row.current_build, rules)
    environments.announce_kernels(session, row.namespace_id)
    announce(session, QUEUE)  # what somebody waited for is made after all
    found = queries.find_environment(session, namespace, wanted)
    return views.environment(found or row, found.latest_build.status if found and found.latest_build else None)


def _require_deleted(session: Session, identity: Identity, namespace: str, name: str) -> Environment:
    row = lifecycle.find_deleted_environment(session, namespace, name, datetime.now(UTC) - UNDO)
    words = f"There is no environment “{shorten(namespace)}/{shorten(name)}” that you could bring back."
    if row is None:
        raise rights.hidden(identity, words)
    return rights.require_row(session, identity, row, Permission.ENVIRONMENT_DELETE, words)


def _make_again(session: Session, identity: Identity, row: Environment, build: Build, rules: BuildRules) -> None:
    """Queue what the active build was, exactly; it takes its place when it is usable."""
    lock = rebuilds.require_lock(session, build)
    builds.queue(session, identity, row, build.specification, rules, lock=lock, restores=True)
    row.current_build_id = None


def delete_build(
    session: Session, identity: Identity, build_id: int, kept: Sequence[ArtifactType], *, force: bool
) -> None:
    """Delete what a build left on disk, but for the artifacts that are kept; it stays listed.

    Refused for the active build, one that is pinned or has a tag, one that is not over, and one that somebody computes
    with.
    """
    row = builds.require(session, identity, build_id, Permission.BUILD_DELETE)
    rights.hold_environment(session, identity, row.environment)
    lifecycle.hold_environment_of(session, row)
    if queries.hold_build(session, row).deleted_at is not None:
        return
    _require_deletable(session, row, force=force)
    remove(session, row, kept)
    audit.record_build(session, identity, AuditAction.BUILD_DELETE, row)


def _require_deletable(session: Session, row: Build, *, force: bool) -> None:
    if row.status in LIVE:
        raise ConflictError(f"Build {row.id} is {row.status}: cancel it first.")
    if row.environment.current_build_id == row.id:
        raise ConflictError(f"Build {row.id} is the active one: activate another build first.")
    if row.pinned:
        raise ConflictError(f"Build {row.id} is pinned: let it go first.")
    if given := tags.tags_of_build(session, row.id):
        raise ConflictError(f"Build {row.id} has the tag “{shorten(given[0])}”: remove it first.")
    used = lifecycle.count_leases(session, row.id, datetime.now(UTC))
    if used and not force:
        raise InUseError(f"Build {row.id} is in use by {used} kernels or programs: end them, or use force.")


def remove(session: Session, row: Build, kept: Sequence[ArtifactType]) -> None:
    """Mark a build and its artifacts as deleted; the janitor frees what they had, and what is still made is not."""
    row.deleted_at = datetime.now(UTC)
    row.cancel_requested = True
    # The lock is what a kept lockfile was written from: with it, the build can be made once more.
    locks = [ArtifactType.RECORDS, ArtifactType.PIP_LOCK] if ArtifactType.LOCKFILE in kept else []
    stays = [*kept, *locks]
    lifecycle.drop_artifacts(session, row.id, stays)
    if ArtifactType.DOCKER_MANIFEST not in stays:
        images.forget(session, row.id)
    if ArtifactType.LOGS not in kept:
        lifecycle.drop_log(session, row.id)
    announce(session, build_topic(row.id))
    announce_artifacts(session, [row.id])
    announce(session, ALL_KERNELS)


def pin(session: Session, identity: Identity, build_id: int, *, pinned: bool) -> None:
    """Protect a build from being deleted by anybody, retention included, or let it go."""
    row = builds.require(session, identity, build_id, Permission.ENVIRONMENT_UPDATE)
    lifecycle.hold_environment_of(session, row)
    if queries.hold_build(session, row).deleted_at is not None:
        raise ConflictError(f"Build {build_id} was deleted.")
    if row.pinned is not pinned:
        row.pinned = pinned
        audit.record_build(session, identity, AuditAction.BUILD_PIN, row, "pinned" if pinned else "let go")
