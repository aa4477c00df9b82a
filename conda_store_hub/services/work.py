"""Builds as their runner sees them: claim, record, finish; what it needs to ask the builder for one."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy.orm import Session

from conda_store_hub.core import schemas
from conda_store_hub.core.errors import BuildLostError, CondaStoreHubError, NotFoundError
from conda_store_hub.core.layers import Layer as PolicyLayer
from conda_store_hub.core.names import new_prefix_name
from conda_store_hub.core.oci import Layer
from conda_store_hub.core.protocol import (
    OF_IMAGES,
    TRANSITIONS,
    ArtifactEvent,
    ArtifactState,
    ArtifactType,
    BlobEvent,
    BuildStatus,
    Package,
    PhaseEvent,
    ProgressEvent,
    UsableEvent,
)
from conda_store_hub.core.reasons import Wanted, key_of
from conda_store_hub.db import claims, lifecycle, queries, records
from conda_store_hub.db.session import announce, leave_lists
from conda_store_hub.db.tables import Artifact, Build
from conda_store_hub.services import environments, images, policies
from conda_store_hub.services.artifacts import AGAIN_AFTER
from conda_store_hub.services.changes import QUEUE, artifacts_topic, build_topic
from conda_store_hub.services.rules import BuildRules

_SHOWN = set(schemas.LogProgress.model_fields)
_ENDED = "It was not made: somebody ended the work on it."
_NEVER_TOLD = "It was not made: the builder ended without it, and did not say why."


@dataclass(frozen=True, kw_only=True, slots=True)
class Ticket:
    """The right to write about a build: `turn` is that of the claim, and whoever claims next makes it void."""

    build_id: int
    turn: int


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredLock:
    """Where the lock of a build is in storage; `records` is empty where it should be and is gone."""

    build_id: int
    records: str
    pip_lock: str | None = None
    channel_state: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Solve:
    """In which state the channels were at a solve, and whose lock was taken if there was none."""

    channel_state: str | None
    reused: StoredLock | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Claim:
    """A build that this worker has to do; `prefix_ready` when only `artifacts` are missing.

    `policy` is what is set now where the build belongs, and not what was when it was submitted.
    """

    ticket: Ticket
    name: str
    text: str
    sha256: str
    prefix_name: str
    artifacts: tuple[ArtifactType, ...]
    prefix_ready: bool
    attempt: int
    lock: StoredLock | None = None
    """The lock that it is made from, exactly."""
    policy: tuple[PolicyLayer, ...] = ()
    namespace: str = ""
    requested_by: str | None = None
    waited: float | None = None
    """For how many seconds it was queued; None if it was begun before."""
    layers: dict[str, tuple[Layer, ...]] = field(default_factory=dict[str, tuple[Layer, ...]])
    """Of the image that is asked for: those that another one has, by what they are known by."""
    base: str | None = None
    """The digest of what the image was put on when it was made before, empty for nothing; None if it never was."""

    @property
    def build_id(self) -> int:
        """The build's id."""
        return self.ticket.build_id


class Usable(StrEnum):
    """What became of a build whose prefix is whole."""

    ACTIVE = "active"
    INACTIVE = "inactive"
    CANCELLED = "cancelled"


def claim(session: Session, worker: str, *, files_first: bool = False, with_images: bool = True) -> Claim | None:
    """Take the next build to do: a queued one, or one whose artifacts somebody waits for or left unfinished.

    `files_first` says which of the two is looked for before the other, `with_images` whether images are made now.
    """
    besides = () if with_images else OF_IMAGES
    for ready in (files_first, not files_first):
        build_id = _take_files(session, worker, besides) if ready else _take_queued(session, worker)
        if build_id is not None:
            announce(session, build_topic(build_id))
            # Which layers of an image there are is known once the packages are: it is a claim of its own.
            return _claim(session, _get(session, build_id), ready, besides if ready else OF_IMAGES)
    leave_lists(session)
    return None


def _take_queued(session: Session, worker: str) -> int | None:
    return claims.claim(session, worker, new_prefix_name(), datetime.now(UTC))


def _take_files(session: Session, worker: str, besides: Sequence[ArtifactType]) -> int | None:
    return claims.claim_artifacts(session, worker, datetime.now(UTC), besides)


def _claim(session: Session, row: Build, prefix_ready: bool, besides: Sequence[ArtifactType]) -> Claim:
    row.log_complete = False
    artifacts = records.hand_out_artifacts(session, row.id, besides)
    return Claim(
        ticket=Ticket(build_id=row.id, turn=row.turn),
        name=row.environment.name,
        text=row.specification.text,
        sha256=row.specification.sha256,
        prefix_name=row.prefix_name or "",
        artifacts=tuple(artifacts),
        prefix_ready=prefix_ready,
        attempt=row.attempt,
        lock=None if row.lock_build_id is None else _find_lock(session, row.lock_build_id),
        policy=policies.list_layers(session, row.environment.namespace_id, row.environment_id),
        namespace=row.environment.namespace.name,
        requested_by=row.requested_by,
        waited=_find_wait(row) if not prefix_ready else None,
        layers=images.find_layers(session, row.id) if set(OF_IMAGES) & set(artifacts) else {},
        base=_find_base(session, row.id),
    )


def _find_base(session: Session, build_id: int) -> str | None:
    found = (records.find_artifact(session, build_id, kind) for kind in OF_IMAGES)
    return next((each.base for each in found if each is not None and each.base is not None), None)


def _find_wait(row: Build) -> float | None:
    if row.started_on is None or row.attempt > 1:
        return None
    return max(0.0, (row.started_on - row.scheduled_on).total_seconds())


def _find_lock(session: Session, build_id: int, channel_state: str = "") -> StoredLock:
    records, pip_lock = (
        lifecycle.find_lock(session, build_id, kind) for kind in (ArtifactType.RECORDS, ArtifactType.PIP_LOCK)
    )
    return StoredLock(
        build_id=build_id,
        records=records.key if records else "",
        pip_lock=pip_lock.key if pip_lock else None,
        channel_state=channel_state,
    )


def note_request(session: Session, ticket: Ticket, lock_key: str) -> StoredLock | None:
    """Record what a build asks of the solver; return the lock of the last build that asked for the same, if it may do.

    It will if the channels are as they were then, which the builder finds out.
    """
    row = require_held(session, ticket)
    row.lock_key = lock_key
    return None if row.fresh else find_reusable_lock(session, lock_key)


def find_reusable_lock(session: Session, lock_key: str) -> StoredLock | None:
    """Find the lock of the last build that asked the solver for the same, and in which state the channels were."""
    row = lifecycle.find_solved_build(session, lock_key)
    return None if row is None else _find_lock(session, row.id, row.channel_state or "")


def _get(session: Session, build_id: int) -> Build:
    row = queries.find_build(session, build_id)
    if row is None:
        raise NotFoundError(f"There is no build {build_id}.")
    return row


def require_held(session: Session, ticket: Ticket) -> Build:
    """Return the build of a ticket; raise BuildLostError when the work has changed hands."""
    row = queries.hold_build(session, _get(session, ticket.build_id))
    if row.turn != ticket.turn:
        raise BuildLostError
    return row


def move(row: Build, status: BuildStatus) -> None:
    """Change the state of a build, as `TRANSITIONS` allows."""
    if status not in TRANSITIONS[row.status]:
        raise ValueError(f"build {row.id}: {row.status} -> {status}")
    row.status = status


def tick(
    session: Session,
    ticket: Ticket,
    *,
    log: bytes,
    phases: Sequence[PhaseEvent],
    progress: ProgressEvent | None,
) -> bool:
    """Record what happened since the last tick; tell whether the builder should go on, or somebody cancelled."""
    leave_lists(session)
    now, build_id = datetime.now(UTC), ticket.build_id
    shown = None if progress is None else progress.model_dump(mode="json", include=_SHOWN)
    cancelled = claims.beat(session, build_id, ticket.turn, now, shown)
    if cancelled is None:
        raise BuildLostError
    if log:
        records.append_log(session, build_id, log)
    for event in phases:
        if event.state == "started":
            records.start_phase(session, build_id, event.name, now)
        else:
            records.finish_phase(session, build_id, event.name, event.seconds)
    if log or phases or progress:
        announce(session, build_topic(build_id))
    return not cancelled


def mark_usable(
    session: Session,
    ticket: Ticket,
    event: UsableEvent,
    rules: BuildRules | None = None,
    wanted: Wanted | None = None,
) -> Usable:
    """Complete a build whose prefix is whole, and activate it if nothing newer was.

    A cancel that was answered before this is kept: the build is not completed. Raises QuotaExceededError when, by the
    `rules` of the configuration and what is set, there is no room for it any more. `wanted` tells why each package is
    in the build; without it, nobody knows.
    """
    row = require_held(session, ticket)
    if row.cancel_requested:
        return Usable.CANCELLED
    if rules is not None:
        policies.require_bytes(session, rules, row)
    now = datetime.now(UTC)
    move(row, BuildStatus.COMPLETED)
    row.status_info = None
    row.ended_on = now
    row.size = event.size
    row.shared_size = event.shared_size
    row.kernels = [{**kernel.model_dump(), "python": _find_python(event)} for kernel in event.kernels]
    _record_packages(session, row.id, event, wanted)
    announce(session, build_topic(row.id))
    if not queries.activate_if_newest(session, row, now):
        return Usable.INACTIVE
    environments.announce_kernels(session, row.environment.namespace_id)
    return Usable.ACTIVE


def _record_packages(session: Session, build_id: int, event: UsableEvent, wanted: Wanted | None) -> None:
    reasons = wanted.explain(event.packages) if wanted is not None else {}
    rows = [_package_row(package) for package in event.packages]
    links = [reasons.get(key_of(package)) for package in event.packages]
    records.add_packages(session, build_id, rows, links)


def _package_row(package: Package) -> dict[str, Any]:
    values = package.model_dump(mode="json")
    digest = hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()
    return {"digest": digest, **values}


def _find_python(event: UsableEvent) -> str | None:
    """Return the version of conda's Python, which lists of kernels tell without looking at packages."""
    pythons = (each.version for each in event.packages if (each.manager, each.name) == ("conda", "python"))
    return next(pythons, None)


def record_blob(session: Session, ticket: Ticket, event: BlobEvent, key: str) -> None:
    """Say that the image of a build has a blob whose bytes are in storage under `key`."""
    images.add(session, require_held(session, ticket).id, event, key)


def record_artifact(
    session: Session,
    ticket: Ticket,
    event: ArtifactEvent,
    key: str,
    solve: Solve | None = None,
    blobs: Iterable[str] | None = None,
) -> None:
    """Say that an artifact's bytes are in storage under `key`, or why there are none; of a lock, how it was found.

    Of an image, `blobs` are the keys of all that it has; what else was recorded of it is forgotten.
    One that was deleted with its build before it was there stays deleted, and what it has is freed.
    """
    build = require_held(session, ticket)
    if solve is not None:
        _record_solve(build, solve)
    build_id = build.id
    row = records.find_artifact(session, build_id, event.artifact)
    if row is None:
        row = Artifact(build_id=build_id, artifact_type=event.artifact)
        session.add(row)
    if row.state is not ArtifactState.DELETED:
        row.state = ArtifactState.FAILED if event.error else ArtifactState.READY
    row.key = key
    row.error = event.error or None
    row.again_at = datetime.now(UTC) + AGAIN_AFTER if event.error and event.passes else None
    row.note = event.note or None
    row.base = row.base if event.base is None else event.base
    row.sha256 = event.sha256 or (row.sha256 if event.passes else None)
    row.size = event.size if not event.error else None
    if event.artifact is ArtifactType.DOCKER_MANIFEST:
        _forget_blobs(session, row, blobs)
    announce(session, build_topic(build_id))
    announce(session, artifacts_topic(build_id))


def _forget_blobs(session: Session, row: Artifact, blobs: Iterable[str] | None) -> None:
    """Forget of an image what is not of it, which is all of one that is not there."""
    if row.state is not ArtifactState.READY:
        images.forget(session, row.build_id)
    elif blobs is not None:
        images.forget_others(session, row.build_id, blobs)


def _record_solve(row: Build, solve: Solve) -> None:
    row.channel_state = solve.channel_state
    if solve.reused is not None:
        row.lock_build_id = solve.reused.build_id


def finish(session: Session, ticket: Ticket, error: CondaStoreHubError | None, *, cancelled: bool = False) -> bool:
    """End the work on a build: cancelled, failed with `error`, or done; tell whether it needs its prefix."""
    row = require_held(session, ticket)
    end(session, row, error, cancelled=cancelled)
    return row.status is BuildStatus.COMPLETED


def end(session: Session, row: Build, error: CondaStoreHubError | None, *, cancelled: bool = False) -> None:
    """End the work on a build that this transaction holds; what was not made of it by now is not made."""
    if row.status is BuildStatus.BUILDING:
        _note_end(row, error, cancelled=cancelled)
    said = _ENDED if cancelled or row.deleted_at is not None else error.message if error else _NEVER_TOLD
    for artifact in records.pending_artifacts(session, row.id):
        # One that was asked for while the builder worked is not known to it: the next one makes it.
        if artifact.attempt or row.status is not BuildStatus.COMPLETED:
            give_up(session, artifact, said)
    row.log_complete = True
    row.cancel_requested = row.deleted_at is not None
    row.progress = None
    row.worker = None
    row.turn += 1
    announce(session, build_topic(row.id))
    announce(session, artifacts_topic(row.id))
    announce(session, QUEUE)


def give_up(session: Session, artifact: Artifact, words: str) -> None:
    """Say why an artifact is not made."""
    artifact.state, artifact.error = ArtifactState.FAILED, words
    if artifact.artifact_type is ArtifactType.DOCKER_MANIFEST:
        images.forget(session, artifact.build_id)


def _note_end(row: Build, error: CondaStoreHubError | None, *, cancelled: bool) -> None:
    row.ended_on = datetime.now(UTC)
    if cancelled:
        move(row, BuildStatus.CANCELED)
        return
    move(row, BuildStatus.FAILED)
    row.status_info = error.public_message if error else None
    row.error_code = error.code if error else None
