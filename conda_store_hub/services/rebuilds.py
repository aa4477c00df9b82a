"""Builds made from builds: anew from the same specification, exactly from its lock, elsewhere as a clone."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy.orm import Session

from conda_store_hub.core import source
from conda_store_hub.core.audit import AuditAction
from conda_store_hub.core.errors import ConflictError
from conda_store_hub.core.names import check_environment_name, shorten
from conda_store_hub.core.permissions import Identity, Permission
from conda_store_hub.core.protocol import LIVE, ArtifactType
from conda_store_hub.db import lifecycle, queries
from conda_store_hub.db.tables import Build, Environment, Specification
from conda_store_hub.services import audit, builds, rights
from conda_store_hub.services.rules import BuildRules


def rebuild(
    session: Session, identity: Identity, build_id: int, rules: BuildRules, *, exact: bool, activate: bool
) -> int:
    """Queue a build of the same specification and return its id: a new solve, or `exact`, from the lock."""
    row = builds.require(session, identity, build_id, Permission.ENVIRONMENT_UPDATE)
    rights.hold_environment(session, identity, row.environment)
    lock = require_lock(session, row) if exact else None
    made = builds.queue(
        session, identity, row.environment, row.specification, rules, lock=lock, activates=activate, fresh=not exact
    )
    words = f"exactly build {build_id}" if exact else f"build {build_id} anew"
    audit.record_build(session, identity, AuditAction.BUILD_SUBMIT, made, words)
    return made.id


def require_lock(session: Session, row: Build) -> Build:
    """Return a build whose lock is there: it can be made exactly once more; raise ConflictError without one."""
    queries.hold_build(session, row)
    if lifecycle.find_ready_artifact(session, row.id, ArtifactType.RECORDS) is None:
        raise ConflictError(f"Build {row.id} has no lock: {_say_why(row)}")
    return row


def _say_why(row: Build) -> str:
    if row.deleted_at is not None:
        return "it was deleted, and its lock was not kept. Rebuild it anew, which chooses packages once more."
    if row.status in LIVE:
        return "it has not chosen its packages yet."
    return "it never got as far as choosing its packages."


def clone(
    session: Session,
    identity: Identity,
    origin: tuple[str, str],
    target: tuple[str, str],
    rules: BuildRules,
) -> int:
    """Make an environment in another place from the lock of an active build, and return the id of its build."""
    row = rights.require_environment(session, identity, *origin, Permission.ENVIRONMENT_READ)
    owner = rights.require_namespace(session, identity, target[0], Permission.ENVIRONMENT_CREATE)
    rights.hold(session, identity, owner)
    name = check_environment_name(target[1])
    if queries.find_environment(session, owner.name, name) is not None:
        raise ConflictError(f"There is an environment “{shorten(name)}” in “{shorten(owner.name)}” already.")
    active = queries.find_build(session, row.current_build_id) if row.current_build_id else None
    if active is None:
        raise ConflictError(f"“{shorten(row.name)}” has no active build that could be cloned.")
    lock = require_lock(session, active)
    now = datetime.now(UTC)
    made = Environment(
        namespace=owner,
        name=name,
        name_key=name.lower(),
        description=row.description,
        created_at=now,
        updated_at=now,
    )
    session.add(made)
    session.flush()
    specification = renamed(session, active.specification, name, now)
    build = builds.queue(session, identity, made, specification, rules, lock=lock)
    words = f"a clone of {row.namespace.name}/{row.name}, build {active.id}"
    audit.record_build(session, identity, AuditAction.ENVIRONMENT_CREATE, build, words)
    return build.id


def renamed(session: Session, row: Specification, name: str, now: datetime) -> Specification:
    """Return the specification with another name in its text: the same otherwise, comments and all."""
    return builds.ensure_specification(session, name, source.rename(row.text, name), row.sha256, row.parsed, now)
