"""The statements about what comes and goes: deleted environments, leases, prefixes and artifacts to free."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import and_, bindparam, delete, exists, func, literal_column, or_, select, union_all, update
from sqlalchemy.orm import Session, aliased, contains_eager, selectinload
from sqlalchemy.sql.elements import ColumnElement

from conda_store_hub.core.protocol import ArtifactState, ArtifactType, BuildStatus
from conda_store_hub.db.claims import is_live
from conda_store_hub.db.tables import (
    Artifact,
    Build,
    BuildPackage,
    Environment,
    Lease,
    LogChunk,
    Namespace,
    Package,
)

# Environments


def find_deleted_environment(session: Session, namespace: str, name: str, since: datetime) -> Environment | None:
    """Find the environment of those names that was deleted last, and not before `since`."""
    return session.scalar(
        select(Environment)
        .join(Environment.namespace)
        .options(
            contains_eager(Environment.namespace),
            selectinload(Environment.current_build).selectinload(Build.specification),
        )
        .where(
            Namespace.name == namespace,
            Namespace.deleted_at.is_(None),
            Environment.name_key == name.lower(),
            Environment.deleted_at >= since,
        )
        .order_by(Environment.deleted_at.desc())
        .limit(1)
    )


class DeletedRow(NamedTuple):
    """A deleted environment; `is_taken` when another one has its name by now."""

    name: str
    deleted_at: datetime
    builds: int
    is_taken: bool


def list_deleted_environments(session: Session, namespace_id: int, since: datetime, limit: int) -> list[DeletedRow]:
    """Return what was deleted in a namespace and not before `since`, the last first; of a name the last alone."""
    later, living = aliased(Environment), aliased(Environment)
    same = (later.namespace_id == namespace_id, later.name_key == Environment.name_key)
    builds = select(func.count()).where(Build.environment_id == Environment.id).scalar_subquery()
    taken = (living.namespace_id == namespace_id, living.name_key == Environment.name_key, living.deleted_at.is_(None))
    rows = session.execute(
        select(Environment.name, Environment.deleted_at, builds, exists().where(*taken))
        .where(
            Environment.namespace_id == namespace_id,
            Environment.deleted_at >= since,
            ~exists().where(*same, later.deleted_at > Environment.deleted_at),
        )
        .order_by(Environment.deleted_at.desc(), Environment.id.desc())
        .limit(limit)
    )
    return [DeletedRow(*row) for row in rows]


def list_deleted_namespaces(session: Session, since: datetime, limit: int) -> Sequence[Namespace]:
    """Return the namespaces that were deleted with something in them and not before `since`, the last first."""
    went_with_it = (Environment.deleted_at == Namespace.deleted_at, Environment.namespace_id == Namespace.id)
    full = exists().where(*went_with_it)
    statement = select(Namespace).where(Namespace.deleted_at >= since, full).order_by(Namespace.deleted_at.desc())
    return session.scalars(statement.limit(limit)).all()


def hold_environment_of(session: Session, row: Build) -> None:
    """Keep builds of an environment from being deleted, activated or pinned by others until the transaction ends."""
    session.refresh(row.environment, ["current_build_id", "deleted_at"], with_for_update=True)


# Leases


def find_lease(session: Session, build_id: int, holder: str) -> Lease | None:
    """Find the lease that a holder has on a build."""
    return session.get(Lease, (build_id, holder))


def count_leases(session: Session, build_id: int, now: datetime, *, user: str | None = None) -> int:
    """Count the living leases on a build, or those of them that `user` has."""
    statement = select(func.count()).select_from(Lease).where(Lease.build_id == build_id, Lease.expires_at > now)
    return session.scalar(statement if user is None else statement.where(Lease.user == user)) or 0


def count_leases_of(session: Session, environment_id: int, now: datetime) -> int:
    """Count the living leases on the builds of an environment."""
    builds = select(Build.id).where(Build.environment_id == environment_id)
    statement = select(func.count()).select_from(Lease).where(Lease.build_id.in_(builds), Lease.expires_at > now)
    return session.scalar(statement) or 0


def count_leases_in(session: Session, namespace_id: int, now: datetime) -> int:
    """Count the living leases on the builds of a namespace."""
    builds = select(Build.id).join(Build.environment).where(Environment.namespace_id == namespace_id)
    statement = select(func.count()).select_from(Lease).where(Lease.build_id.in_(builds), Lease.expires_at > now)
    return session.scalar(statement) or 0


def forget_leases(session: Session, now: datetime) -> None:
    """Remove leases that have ended."""
    session.execute(delete(Lease).where(Lease.expires_at <= now))


def shorten_leases(session: Session, latest: datetime) -> None:
    """Let no lease last beyond `latest`: one that does was taken before the clock was set back."""
    session.execute(update(Lease).where(Lease.expires_at > latest).values(expires_at=latest))


def leased(now: datetime) -> ColumnElement[bool]:
    """Whether a build has a living lease."""
    return exists().where(Lease.build_id == Build.id, Lease.expires_at > now)


# What can be freed


def builds_to_free(session: Session, now: datetime, deleted_before: datetime, limit: int) -> Sequence[Build]:
    """Return builds that keep a prefix nobody needs: deleted ones, and those of environments deleted a while ago."""
    # Two questions, each with an index of its own: there are few answers among very many builds.
    deleted = select(Build.id).where(Build.deleted_at.is_not(None), Build.prefix_name.is_not(None))
    places = select(Environment.id).where(Environment.deleted_at <= deleted_before)
    left = select(Build.id).where(Build.environment_id.in_(places), Build.prefix_name.is_not(None))
    return session.scalars(
        select(Build)
        .where(
            Build.id.in_(union_all(deleted, left)),
            Build.status == BuildStatus.COMPLETED,
            Build.worker.is_(None),
            ~leased(now),
        )
        .order_by(Build.id)
        .limit(limit)
    ).all()


def drop_artifacts(session: Session, build_id: int, kept: Sequence[ArtifactType]) -> None:
    """Mark the artifacts of a build as deleted, but for those that are kept."""
    session.execute(
        update(Artifact)
        .where(Artifact.build_id == build_id, Artifact.artifact_type.not_in(kept))
        .values(state=ArtifactState.DELETED)
    )


def drop_log(session: Session, build_id: int) -> None:
    """Remove the log of a build."""
    session.execute(delete(LogChunk).where(LogChunk.build_id == build_id))
    session.execute(update(Build).where(Build.id == build_id).values(log_size=0))


def keys_to_free(session: Session, limit: int) -> Sequence[Artifact]:
    """Return artifacts that were deleted and still name bytes; not the locks that builds are being made from."""
    # Written out, so that SQLite sees that the index of these alone has them.
    is_deleted = Artifact.state == bindparam(None, ArtifactState.DELETED, literal_execute=True)
    return session.scalars(
        select(Artifact).where(is_deleted, Artifact.key != literal_column("''"), ~_is_lock_of_living()).limit(limit)
    ).all()


def is_needed(session: Session, key: str) -> bool:
    """Tell whether an artifact that is there has these bytes, or a build is being made from them."""
    needed = or_(Artifact.state == ArtifactState.READY, _is_lock_of_living())
    return session.scalar(select(Artifact.id).where(Artifact.key == key, needed).limit(1)) is not None


def _is_lock_of_living() -> ColumnElement[bool]:
    """Whether an artifact is a lock that a queued or running build is made from."""
    living = select(Build.lock_build_id).where(is_live(), Build.lock_build_id.is_not(None))
    return and_(
        Artifact.artifact_type.in_([ArtifactType.RECORDS, ArtifactType.PIP_LOCK]), Artifact.build_id.in_(living)
    )


def find_lock(session: Session, build_id: int, kind: ArtifactType) -> Artifact | None:
    """Find a lock of a build whose bytes are there, also if it was deleted since somebody asked to build from it."""
    there = [ArtifactState.READY, ArtifactState.DELETED]
    return session.scalar(
        select(Artifact).where(
            Artifact.build_id == build_id,
            Artifact.artifact_type == kind,
            Artifact.state.in_(there),
            Artifact.key != "",
        )
    )


# Locks


def find_solved_build(session: Session, lock_key: str) -> Build | None:
    """Find the last build that asked the solver for the same, whose lock is there and whose channels had a state."""
    return session.scalar(
        select(Build)
        .join(Artifact, Artifact.build_id == Build.id)
        .where(
            Build.lock_key == lock_key,
            Build.channel_state.is_not(None),
            Artifact.artifact_type == ArtifactType.RECORDS,
            Artifact.state == ArtifactState.READY,
        )
        .order_by(Build.id.desc())
        .limit(1)
    )


# Packages of two builds


def packages_of(session: Session, build_id: int) -> Sequence[Package]:
    """Return all packages of a build."""
    return session.scalars(
        select(Package)
        .join(BuildPackage, BuildPackage.package_id == Package.id)
        .where(BuildPackage.build_id == build_id)
    ).all()


def find_ready_artifact(session: Session, build_id: int, kind: ArtifactType) -> Artifact | None:
    """Find an artifact of a build whose bytes are there."""
    return session.scalar(
        select(Artifact).where(
            and_(
                Artifact.build_id == build_id,
                Artifact.artifact_type == kind,
                Artifact.state == ArtifactState.READY,
            )
        )
    )
