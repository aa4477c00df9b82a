"""The statements behind the page of administrators: each reads an index, or a part of one that does not grow."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Subquery, case, func, literal, select
from sqlalchemy.orm import Session
from sqlalchemy.sql.elements import ColumnElement

from conda_store_hub.core.names import NamespaceKind
from conda_store_hub.core.protocol import BuildStatus, Phase
from conda_store_hub.db import images, queries
from conda_store_hub.db.claims import is_live
from conda_store_hub.db.tables import Build, BuildPhase, Environment, Namespace


class LiveBuild(NamedTuple):
    """A build that waits or runs."""

    id: int
    namespace: str
    environment: str
    status: BuildStatus
    requested_by: str | None
    scheduled_on: datetime
    started_on: datetime | None
    worker: str | None
    heartbeat_at: datetime | None


class EndedBuilds(NamedTuple):
    """How many builds ended in one of several spans of time, and how."""

    span: int
    status: BuildStatus
    builds: int


class Failures(NamedTuple):
    """How many builds failed for a reason; None where none was given."""

    code: str | None
    builds: int


class PhaseSeconds(NamedTuple):
    """How long a phase of one build took."""

    phase: Phase
    seconds: float


class HeldByEnvironment(NamedTuple):
    """What an environment has on disk, and in how many builds."""

    namespace: str
    name: str
    builds: int
    size: int


class HeldByDeleted(NamedTuple):
    """What environments have on disk that were deleted and can be brought back, and how many they are."""

    environments: int
    size: int


class HeldByNamespace(NamedTuple):
    """What a namespace has on disk, of how many environments and builds; `images`: layers that it has alone."""

    name: str
    kind: NamespaceKind
    hub_name: str | None
    environments: int
    builds: int
    size: int
    images: int


def list_live(session: Session, limit: int) -> list[LiveBuild]:
    """Return builds that run and then those that wait, the oldest first; an index has these alone."""
    columns = (Build.id, Namespace.name, Environment.name, Build.status, Build.requested_by)
    columns += (Build.scheduled_on, Build.started_on, Build.worker, Build.heartbeat_at)
    rows = session.execute(
        select(*columns)
        .join(Environment, Build.environment_id == Environment.id)
        .join(Namespace, Environment.namespace_id == Namespace.id)
        .where(is_live())
        .order_by(Build.status, Build.id)
        .limit(limit)
    )
    return [LiveBuild(*row) for row in rows]


def count_ended(session: Session, starts: Sequence[datetime]) -> list[EndedBuilds]:
    """Count the builds that ended since each of `starts`, which go up, and before the next of them, by how."""
    span = _find_span(starts)
    rows = session.execute(
        select(span, Build.status, func.count()).where(Build.ended_on >= starts[0]).group_by(span, Build.status)
    )
    return [EndedBuilds(*row) for row in rows]


def _find_span(starts: Sequence[datetime]) -> ColumnElement[int]:
    ends = [(Build.ended_on < end, literal(number)) for number, end in enumerate(starts[1:])]
    return case(*ends, else_=literal(len(ends))) if ends else literal(0)


def count_failures(session: Session, since: datetime) -> list[Failures]:
    """Count the builds that failed since a time, by reason, the most frequent first.

    SQLite is told the index: by itself it goes through all that ever failed, or ever ended.
    """
    ended = select(Build.status, Build.error_code, func.count()).where(Build.ended_on >= since)
    ended = ended.with_hint(Build, "INDEXED BY ix_build_ended_on", "sqlite")
    rows = session.execute(ended.group_by(Build.status, Build.error_code))
    failed = [Failures(code, count) for status, code, count in rows if status == BuildStatus.FAILED]
    return sorted(failed, key=lambda row: (-row.builds, row.code or ""))


def list_phase_seconds(session: Session, builds: int) -> list[PhaseSeconds]:
    """Return how long phases took in the newest builds: so many numbers of builds back."""
    first = session.scalar(select(func.coalesce(func.max(Build.id), 0))) or 0
    rows = session.execute(
        select(BuildPhase.phase, BuildPhase.seconds).where(
            BuildPhase.build_id > first - builds, BuildPhase.seconds.is_not(None)
        )
    )
    return [PhaseSeconds(phase, seconds or 0.0) for phase, seconds in rows]


def _held() -> Subquery:
    """Add up what each environment has on disk; an index has the builds with a prefix alone, and their sizes."""
    columns = (Build.environment_id, func.count().label("builds"), func.sum(Build.size).label("size"))
    return select(*columns).where(Build.prefix_name.is_not(None)).group_by(Build.environment_id).subquery()


def list_largest(session: Session, limit: int) -> list[HeldByEnvironment]:
    """Return the living environments that have the most on disk."""
    held = _held()
    rows = session.execute(
        select(Namespace.name, Environment.name, held.c.builds, held.c.size)
        .join(Environment, Environment.id == held.c.environment_id)
        .join(Namespace, Environment.namespace_id == Namespace.id)
        .where(Environment.deleted_at.is_(None))
        .order_by(held.c.size.desc(), Environment.id)
        .limit(limit)
    )
    return [HeldByEnvironment(*row[:3], int(row[3])) for row in rows]


def sum_deleted(session: Session) -> HeldByDeleted:
    """Add up what is on disk of environments that were deleted."""
    held = _held()
    row = session.execute(
        select(func.count(), func.coalesce(func.sum(held.c.size), 0))
        .join(Environment, Environment.id == held.c.environment_id)
        .where(Environment.deleted_at.is_not(None))
    ).one()
    return HeldByDeleted(row[0], int(row[1]))


def list_namespaces(session: Session, limit: int, offset: int, search: str = "") -> list[HeldByNamespace]:
    """Return namespaces with what they have on disk, those with the most first; with a `search`, those called so."""
    held = _held()
    sums = (
        select(
            Environment.namespace_id,
            func.count().label("environments"),
            func.sum(held.c.builds).label("builds"),
            func.sum(held.c.size).label("size"),
        )
        .join(held, Environment.id == held.c.environment_id)
        .group_by(Environment.namespace_id)
        .subquery()
    )
    layers = images.sizes_by_namespace()
    of_images = func.coalesce(layers.c.size, 0)
    size = func.coalesce(sums.c.size, 0) + of_images
    numbers = (func.coalesce(sums.c.environments, 0), func.coalesce(sums.c.builds, 0), size, of_images)
    rows = session.execute(
        select(Namespace.name, Namespace.kind, Namespace.hub_name, *numbers)
        .outerjoin(sums, sums.c.namespace_id == Namespace.id)
        .outerjoin(layers, layers.c.namespace_id == Namespace.id)
        .where(*_living(search))
        .order_by(size.desc(), Namespace.name)
        .limit(limit)
        .offset(offset)
    )
    return [HeldByNamespace(*row[:3], *(int(number) for number in row[3:])) for row in rows]


def count_namespaces(session: Session, search: str = "") -> int:
    """Count the namespaces that are not deleted; with a `search`, those called so."""
    return session.scalar(select(func.count()).select_from(Namespace).where(*_living(search))) or 0


def _living(search: str) -> list[ColumnElement[bool]]:
    return [Namespace.deleted_at.is_(None), *([queries.is_called(search)] if search else [])]
