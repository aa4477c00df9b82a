"""The statements about what a build leaves: log, phases, artifacts, packages."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import (
    and_,
    bindparam,
    delete,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from conda_store_hub.core.protocol import ArtifactState, ArtifactType, BuildStatus, PackageReason, Phase
from conda_store_hub.db.tables import (
    Artifact,
    Build,
    BuildPackage,
    BuildPhase,
    LogChunk,
    Package,
)

LOG_CHUNK = 1 << 16
_PER_STATEMENT = 500


def append_log(session: Session, build_id: int, data: bytes) -> None:
    """Put `data`, whole characters of UTF-8, at the end of a build's log; that of a deleted build stays as it is."""
    end = session.scalar(
        update(Build)
        .where(Build.id == build_id, Build.deleted_at.is_(None))
        .values(log_size=Build.log_size + len(data))
        .returning(Build.log_size)
    )
    if end is None:
        return
    start = end - len(data)
    for piece in _pieces(data):
        session.execute(insert(LogChunk).values(build_id=build_id, start=start, data=piece))
        start += len(piece)


def _pieces(data: bytes) -> Iterator[bytes]:
    """Cut where no character is split (RFC 3629: a byte 10xxxxxx continues one): readers hold whole chunks."""
    start = 0
    while start < len(data):
        end = min(start + LOG_CHUNK, len(data))
        while end < len(data) and data[end] & 0xC0 == 0x80:
            end -= 1
        yield data[start:end]
        start = end


def log_chunks(session: Session, build_id: int, offset: int, limit: int) -> Sequence[LogChunk]:
    """Return up to `limit` chunks from the one that holds byte `offset`."""
    first = select(func.max(LogChunk.start)).where(LogChunk.build_id == build_id, LogChunk.start <= offset)
    return session.scalars(
        select(LogChunk)
        .where(LogChunk.build_id == build_id, LogChunk.start >= func.coalesce(first.scalar_subquery(), 0))
        .order_by(LogChunk.start)
        .limit(limit)
    ).all()


LogRow = tuple[BuildStatus, str | None, int, bool, dict[str, Any] | None]


def log_state(session: Session, build_id: int) -> LogRow | None:
    """Return status, its reason, the log's size, whether it is whole, and progress; one row, no joins."""
    row = session.execute(
        select(Build.status, Build.status_info, Build.log_size, Build.log_complete, Build.progress).where(
            Build.id == build_id
        )
    ).one_or_none()
    return None if row is None else (row[0], row[1], row[2], row[3], row[4])


# Phases, artifacts, packages


def start_phase(session: Session, build_id: int, phase: Phase, now: datetime) -> None:
    """Record that a phase began; a second attempt begins it anew."""
    session.execute(delete(BuildPhase).where(BuildPhase.build_id == build_id, BuildPhase.phase == phase))
    session.execute(insert(BuildPhase).values(build_id=build_id, phase=phase, started_at=now))


def finish_phase(session: Session, build_id: int, phase: Phase, seconds: float) -> None:
    """Record how long a phase took."""
    session.execute(
        update(BuildPhase).where(BuildPhase.build_id == build_id, BuildPhase.phase == phase).values(seconds=seconds)
    )


class PhaseRow(NamedTuple):
    """How long a phase of a build took, in seconds; None while it runs."""

    phase: Phase
    seconds: float | None


class ArtifactRow(NamedTuple):
    """An artifact of a build as it is shown."""

    id: int
    build_id: int
    artifact_type: ArtifactType
    state: ArtifactState
    size: int | None
    sha256: str | None
    error: str | None
    note: str | None


_PLACES = {phase: place for place, phase in enumerate(Phase)}
_PHASES = (
    select(BuildPhase.phase, BuildPhase.seconds)
    .where(BuildPhase.build_id == bindparam("build_id"))
    .order_by(BuildPhase.started_at)
)
_ARTIFACTS = (
    select(
        *(Artifact.id, Artifact.build_id, Artifact.artifact_type, Artifact.state),
        *(Artifact.size, Artifact.sha256, Artifact.error, Artifact.note),
    )
    .where(Artifact.build_id == bindparam("build_id"))
    .order_by(Artifact.id)
)


def list_phases(session: Session, build_id: int) -> list[PhaseRow]:
    """Return the phases that a build went through, in their order, whatever clocks said when they began."""
    rows = [PhaseRow(*row) for row in session.connection().execute(_PHASES, {"build_id": build_id})]
    return sorted(rows, key=lambda row: _PLACES[row.phase])


def list_artifacts(session: Session, build_id: int) -> list[ArtifactRow]:
    """Return what a build yields or will."""
    return [ArtifactRow(*row) for row in session.connection().execute(_ARTIFACTS, {"build_id": build_id})]


def list_artifact_states(
    session: Session, build_ids: Sequence[int], kinds: Sequence[ArtifactType]
) -> dict[int, dict[ArtifactType, ArtifactState]]:
    """Return the states of what is there, or will be, of these kinds of artifacts, by build."""
    found: dict[int, dict[ArtifactType, ArtifactState]] = {}
    wanted = (Artifact.build_id.in_(build_ids), Artifact.artifact_type.in_(kinds))
    for build_id, kind, state in session.execute(
        select(Artifact.build_id, Artifact.artifact_type, Artifact.state).where(*wanted)
    ):
        found.setdefault(build_id, {})[kind] = state
    return found


def find_artifact(session: Session, build_id: int, artifact_type: ArtifactType) -> Artifact | None:
    """Find one artifact of a build."""
    return session.scalar(
        select(Artifact).where(Artifact.build_id == build_id, Artifact.artifact_type == artifact_type)
    )


class Requested(NamedTuple):
    """How many images somebody had made, and when the first was asked for."""

    images: int
    first: datetime | None


def count_requested(session: Session, who: str | None, since: datetime) -> Requested:
    """Count the images that somebody has had made since then of what they may not change."""
    wanted = (Artifact.requested_by == who, Artifact.requested_at > since)
    return Requested(*session.execute(select(func.count(), func.min(Artifact.requested_at)).where(*wanted)).one())


def pending_artifacts(session: Session, build_id: int) -> Sequence[Artifact]:
    """Return the artifacts of a build that are still to be made."""
    return session.scalars(
        select(Artifact).where(Artifact.build_id == build_id, Artifact.state == ArtifactState.PENDING)
    ).all()


def hand_out_artifacts(session: Session, build_id: int, besides: Sequence[ArtifactType] = ()) -> Sequence[ArtifactType]:
    """Note that a builder is given what a build has yet to yield, and return that; `besides` some that wait."""
    return session.scalars(
        update(Artifact)
        .where(
            Artifact.build_id == build_id,
            Artifact.state == ArtifactState.PENDING,
            Artifact.artifact_type.not_in(besides),
        )
        .values(attempt=Artifact.attempt + 1)
        .returning(Artifact.artifact_type)
    ).all()


def forget_attempts(session: Session, build_id: int) -> None:
    """Take back that builders were given what a build has yet to yield."""
    pending = and_(Artifact.build_id == build_id, Artifact.state == ArtifactState.PENDING)
    session.execute(update(Artifact).where(pending).values(attempt=0))


def add_packages(
    session: Session, build_id: int, rows: Sequence[dict[str, Any]], reasons: Sequence[PackageReason | None]
) -> None:
    """Link a build to its packages, whose rows are shared by all builds that have them; idempotent.

    `reasons`: why the build has each of them.
    """
    why = {row["digest"]: reason for row, reason in zip(rows, reasons, strict=True)}
    # In one order everywhere: two builds that wait for each other's rows would be a deadlock.
    rows = sorted(rows, key=lambda row: row["digest"])
    insert_new = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    for start in range(0, len(rows), _PER_STATEMENT):
        part = rows[start : start + _PER_STATEMENT]
        session.execute(insert_new(Package).on_conflict_do_nothing(index_elements=["digest"]), part)
        known = select(Package.id, Package.name, Package.digest).where(
            Package.digest.in_([row["digest"] for row in part])
        )
        links = [
            {"build_id": build_id, "name": name, "package_id": package_id, "reason": why[digest]}
            for package_id, name, digest in session.execute(known)
        ]
        session.execute(insert_new(BuildPackage).on_conflict_do_nothing(), links)
