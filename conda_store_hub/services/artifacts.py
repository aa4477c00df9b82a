"""Artifacts: where the bytes of one are, for those who may have them, and having one made that is not there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from sqlalchemy.orm import Session

from conda_store_hub.core.artifacts import find_file
from conda_store_hub.core.audit import AuditAction
from conda_store_hub.core.errors import (
    ConflictError,
    FailedForNowError,
    GoneError,
    NotAuthenticatedError,
    NotFoundError,
    TooManyRequestsError,
)
from conda_store_hub.core.ondemand import NAMESPACE
from conda_store_hub.core.permissions import Identity, Permission
from conda_store_hub.core.protocol import MADE_OF_PREFIXES, OF_IMAGES, ArtifactState, ArtifactType, BuildStatus
from conda_store_hub.db import queries, records
from conda_store_hub.db.session import announce
from conda_store_hub.db.tables import Artifact, Build
from conda_store_hub.services import audit, builds, policies, rights
from conda_store_hub.services.changes import QUEUE, artifacts_topic, build_topic
from conda_store_hub.services.rules import BuildRules

_ENDS = {ArtifactType.CONDA_PACK: ".tar.gz", ArtifactType.OCI_ARCHIVE: "-image.tar"}
"""Files that are called by their environment and build."""
MOST_IMAGES_AN_HOUR = 20
"""Images that one can have made in an hour of environments that one may read and not change."""
AGAIN_AFTER = timedelta(minutes=1)
"""For so long what failed for a reason that passes is answered with that, and not made again."""
_HOUR = timedelta(hours=1)
_DO_AGAIN = "build it exactly once more, from its lock"


@dataclass(frozen=True, kw_only=True, slots=True)
class Location:
    """Bytes in storage: `size` in bytes, `sha256` in hex, and how a browser should name and take them."""

    build_id: int
    kind: ArtifactType
    key: str
    size: int
    sha256: str
    filename: str
    media_type: str


class Missing(StrEnum):
    """Why there is no location of what can be made: nobody asked for it yet, or it is being made."""

    UNASKED = "unasked"
    PENDING = "pending"


def find_active_build(session: Session, identity: Identity, namespace: str, name: str) -> int:
    """Return the active build of an environment; raise NotFoundError when it has none."""
    row = rights.require_environment(session, identity, namespace, name, Permission.ENVIRONMENT_READ)
    if row.current_build_id is None:
        raise NotFoundError(f"“{namespace}/{name}” has no active build yet.")
    return row.current_build_id


def list_states(
    session: Session, build_ids: Sequence[int], kinds: Sequence[ArtifactType]
) -> dict[int, dict[ArtifactType, ArtifactState]]:
    """Return how far files of builds are that who asks was shown; a kind that nobody asked for yet is not there."""
    return records.list_artifact_states(session, build_ids, kinds)


def find(session: Session, identity: Identity, build_id: int, kind: ArtifactType) -> Location | Missing:
    """Return where an artifact is, or why it can only be there later; raise in words when it cannot be had.

    What was kept is there, whether or not what it was made from is.
    """
    build = builds.require(session, identity, build_id, Permission.ENVIRONMENT_READ)
    row = records.find_artifact(session, build_id, kind)
    if row is not None and row.state is ArtifactState.READY:
        return locate(row, build)
    _require_makeable(build, kind)
    if row is None or _is_due(row):
        return Missing.UNASKED
    if row.state is ArtifactState.FAILED and row.again_at is not None:
        raise _refuse_for_now(row, row.again_at)
    if row.state is ArtifactState.FAILED:
        raise NotFoundError(
            f"The {kind} of build {build_id} could not be made: {row.error} Who may change the environment can have it"
            f' tried again: POST {{"artifact_type": "{kind}"}} to api/v1/build/{build_id}/artifact/.'
        )
    return Missing.PENDING


def _is_due(row: Artifact) -> bool:
    """Tell whether something that failed for a reason that passes is made again for who asks."""
    return row.state is ArtifactState.FAILED and row.again_at is not None and row.again_at <= datetime.now(UTC)


def _refuse_for_now(row: Artifact, again_at: datetime) -> FailedForNowError:
    error = FailedForNowError(
        f"The {row.artifact_type} of build {row.build_id} could not be made: {row.error} That may pass: whoever asks"
        " again in a minute has it tried again."
    )
    error.seconds = max(1, int((again_at - datetime.now(UTC)).total_seconds()) + 1)
    return error


def locate(row: Artifact, build: Build) -> Location:
    """Return where an artifact is that is there; raise NotFoundError for what is not given to anybody."""
    file = find_file(row.artifact_type)
    if file is None or row.size is None or row.sha256 is None:
        raise NotFoundError(f"Build {build.id} has no {row.artifact_type}.")
    end = _ENDS.get(row.artifact_type)
    return Location(
        build_id=build.id,
        kind=row.artifact_type,
        key=row.key,
        size=row.size,
        sha256=row.sha256,
        filename=file.name if end is None else f"{build.environment.name}-{build.id}{end}",
        media_type=file.media_type,
    )


def _require_makeable(build: Build, kind: ArtifactType) -> None:
    """Raise unless an artifact can be made of what a build left on disk."""
    if kind not in MADE_OF_PREFIXES or build.status in (BuildStatus.FAILED, BuildStatus.CANCELED):
        raise NotFoundError(f"Build {build.id} is {build.status} and has no {kind}.")
    if build.status is not BuildStatus.COMPLETED:
        raise ConflictError(f"Build {build.id} is {build.status}: its {kind} can be had once it is usable.")
    if builds.has_files(build):
        return
    if build.deleted_at is not None:
        raise GoneError(f"The {kind} of build {build.id} was deleted with it: {_DO_AGAIN}.")
    raise GoneError(f"The files of build {build.id} were freed, and its {kind} was not kept: {_DO_AGAIN}.")


def request(session: Session, identity: Identity, build_id: int, kind: ArtifactType, rules: BuildRules) -> None:
    """Have an artifact made that is not there; once, however many ask. One that failed for good stays as it is.

    Whoever is logged in and may read an environment may ask for what it yields; each is made once. So may who is not,
    for images on demand, where they may ask for those. Raises PolicyRefusedError where this service builds nothing,
    QuotaExceededError where there is no room for more, and TooManyRequestsError for who has too many images made of
    environments that they may only read.
    """
    build = builds.require(session, identity, build_id, Permission.ENVIRONMENT_READ)
    is_wish = kind is ArtifactType.DOCKER_MANIFEST and _may_wish(session, identity, build)
    if not identity.authenticated and not is_wish:
        raise NotAuthenticatedError(
            f"The {kind} of build {build_id} is not there yet, and made for who is logged in: log in, or send a token."
        )
    row = _hold(session, build, kind)
    if row is None or _is_due(row):
        is_limited = kind in OF_IMAGES and not _may_change(session, identity, build)
        now = datetime.now(UTC)
        if is_limited:
            _require_rate(session, identity, now)
        row = _order_more(session, build, kind, row, rules)
        if is_limited:
            row.requested_by, row.requested_at = identity.name, now


def _may_change(session: Session, identity: Identity, build: Build) -> bool:
    place = build.environment
    return rights.may(session, identity, Permission.ENVIRONMENT_UPDATE, place.namespace, place)


def _may_wish(session: Session, identity: Identity, build: Build) -> bool:
    place = build.environment.namespace
    return place.name == NAMESPACE and rights.may(session, identity, Permission.IMAGE_REQUEST, place)


def _require_rate(session: Session, identity: Identity, now: datetime) -> None:
    """Raise TooManyRequestsError for who had images made at the cost of others as often as one may in an hour."""
    asked = records.count_requested(session, identity.name, now - _HOUR)
    if asked.images < MOST_IMAGES_AN_HOUR or asked.first is None:
        return
    seconds = max(1, int((asked.first + _HOUR - now).total_seconds()) + 1)
    raise TooManyRequestsError.until(
        seconds,
        f"You have had {asked.images} images made in an hour of environments that others keep: ask again in {seconds}"
        " seconds, or ask who may change the environment. What is there can be pulled meanwhile.",
    )


def request_again(session: Session, identity: Identity, build_id: int, kind: ArtifactType, rules: BuildRules) -> None:
    """Do the same on purpose, also for one that failed: that may cost much and fail again, so it takes more rights."""
    build = builds.require(session, identity, build_id, Permission.ENVIRONMENT_UPDATE)
    _require_makeable(build, kind)
    row = _hold(session, build, kind)
    if row is None or row.state is ArtifactState.FAILED:
        _order_more(session, build, kind, row, rules)


def _hold(session: Session, build: Build, kind: ArtifactType) -> Artifact | None:
    """Find an artifact of a build that nobody else changes until the transaction ends."""
    queries.hold_build(session, build)
    return records.find_artifact(session, build.id, kind)


def _order_more(
    session: Session, build: Build, kind: ArtifactType, row: Artifact | None, rules: BuildRules
) -> Artifact:
    """Do it where there is room for what was not there before."""
    _require_makeable(build, kind)
    policies.require_bytes_for_more(session, rules, build)
    return _order(session, build, kind, row, rules)


def _order(session: Session, build: Build, kind: ArtifactType, row: Artifact | None, rules: BuildRules) -> Artifact:
    _require_makeable(build, kind)
    rules.require_builds()
    if row is None:
        row = Artifact(build_id=build.id, artifact_type=kind)
        session.add(row)
    row.state, row.attempt = ArtifactState.PENDING, 0
    # The digest stays: it is what an image is pulled by that is made again.
    row.key, row.size, row.error, row.note, row.again_at = "", None, None, None, None
    for topic in (QUEUE, build_topic(build.id), artifacts_topic(build.id)):
        announce(session, topic)
    return row


def replace_damaged(session: Session, location: Location, words: str, rules: BuildRules) -> None:
    """Have an artifact made again whose bytes are not those that were stored; `words` say what they are.

    Raises GoneError when there is nothing to make it from. Then its row stays as it is: what is not there now, because
    a disk is missing, can be back later.
    """
    build = queries.find_build(session, location.build_id)
    row = None if build is None else _hold(session, build, location.kind)
    if build is None or row is None or row.state is not ArtifactState.READY or row.key != location.key:
        return  # somebody else was here
    try:
        _order(session, build, location.kind, row, rules)
    except (ConflictError, NotFoundError, GoneError) as exc:
        raise GoneError(
            f"The {location.kind} of build {build.id} {words}, and what it was made from is gone: {_DO_AGAIN}."
        ) from exc
    audit.record_build(session, audit.ITSELF, AuditAction.ARTIFACT_DAMAGED, build, f"{location.kind}: {words}")
