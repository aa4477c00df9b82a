"""Tags: names that people give to builds, by which their images are pulled. A build that has one stays."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy.orm import Session

from conda_store_hub.core import schemas
from conda_store_hub.core.audit import AuditAction
from conda_store_hub.core.errors import ConflictError, NotFoundError
from conda_store_hub.core.names import shorten
from conda_store_hub.core.permissions import Identity, Permission
from conda_store_hub.core.protocol import BuildStatus
from conda_store_hub.core.tags import MOST_TAGS, check_tag
from conda_store_hub.db import lifecycle, queries, tags
from conda_store_hub.db.tables import Build, BuildTag
from conda_store_hub.services import audit, builds, rights


def list_tags(session: Session, identity: Identity, namespace: str, name: str) -> list[schemas.Tag]:
    """Return the tags that were given in an environment, by name."""
    row = rights.require_environment(session, identity, namespace, name, Permission.ENVIRONMENT_READ)
    return [
        schemas.Tag(name=each.name, build_id=each.build_id, given_on=each.given_at)
        for each in tags.tags_of_environment(session, row.id)
    ]


def give(session: Session, identity: Identity, build_id: int, name: str, *, move: bool) -> None:
    """Give a tag to a build; from another build of the environment it is taken only if it is to `move`.

    Raises InvalidNameError for what cannot be a tag, and ConflictError where another build has it, or this one is not
    whole.
    """
    check_tag(name)
    build = _hold(session, identity, build_id)
    if build.status is not BuildStatus.COMPLETED or build.deleted_at is not None:
        what = "was deleted" if build.deleted_at is not None else f"is {build.status}"
        raise ConflictError(f"Build {build_id} {what}: only one that can be used gets a tag.")
    found = tags.find_tag(session, build.environment_id, name)
    if found is not None and found.build_id == build_id:
        return
    if found is not None and not move:
        raise ConflictError(
            f"“{shorten(name)}” is a tag of build {found.build_id}: say that it is to move, or remove it there."
        )
    _write(session, build, name, found)
    moved = "" if found is None else f", before of build {found.build_id}"
    audit.record_build(session, identity, AuditAction.BUILD_TAG, build, f"{name}{moved}")


def _write(session: Session, build: Build, name: str, found: BuildTag | None) -> None:
    if found is not None:
        session.delete(found)
        session.flush()
    elif tags.count_tags(session, build.environment_id) >= MOST_TAGS:
        raise ConflictError(f"This environment has {MOST_TAGS} tags already: remove some.")
    now = datetime.now(UTC)
    session.add(BuildTag(environment_id=build.environment_id, name=name, build_id=build.id, given_at=now))


def remove(session: Session, identity: Identity, build_id: int, name: str) -> None:
    """Take a tag from a build; raise NotFoundError for one that it does not have."""
    build = _hold(session, identity, build_id)
    found = tags.find_tag(session, build.environment_id, name)
    if found is None or found.build_id != build_id:
        raise NotFoundError(f"Build {build_id} has no tag “{shorten(name)}”.")
    session.delete(found)
    audit.record_build(session, identity, AuditAction.BUILD_UNTAG, build, name)


def _hold(session: Session, identity: Identity, build_id: int) -> Build:
    """Return a build that `identity` may tag; nobody else changes it, or a tag of its environment, meanwhile."""
    build = builds.require(session, identity, build_id, Permission.ENVIRONMENT_UPDATE)
    lifecycle.hold_environment_of(session, build)
    return queries.hold_build(session, build)
