"""What administrators look at: what runs and waits, how builds went lately, and what takes the disk."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median, quantiles

from sqlalchemy.orm import Session

from conda_store_hub.core.permissions import Identity, Permission
from conda_store_hub.core.protocol import BuildStatus, Phase
from conda_store_hub.core.schemas.notes import JanitorRun
from conda_store_hub.db import overview as rows
from conda_store_hub.db import totals
from conda_store_hub.services import notes, rights

HOURS = 24
FAILURE_DAYS = 7
PHASES_OF = 200
"""Of how many builds it is told how long phases took: the newest."""
_MOST_LIVE = 50
_MOST_LARGE = 10
_HOUR = timedelta(hours=1)
_SILENCE = timedelta(minutes=3)


@dataclass(frozen=True, kw_only=True, slots=True)
class Hour:
    """How many builds ended in an hour, by how."""

    began: datetime
    completed: int = 0
    failed: int = 0
    cancelled: int = 0

    @property
    def count(self) -> int:
        """All of them."""
        return self.completed + self.failed + self.cancelled


@dataclass(frozen=True, kw_only=True, slots=True)
class PhaseTimes:
    """How long a phase took in the newest builds: half no longer than `usual`, one in twenty longer than `slow`."""

    phase: Phase
    builds: int
    usual: float
    slow: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Overview:
    """All of it, of one moment."""

    live: dict[BuildStatus, int]
    builds: tuple[rows.LiveBuild, ...]
    hours: tuple[Hour, ...]
    phases: tuple[PhaseTimes, ...]
    failures: tuple[rows.Failures, ...]
    namespaces: tuple[rows.HeldByNamespace, ...]
    namespace_count: int
    largest: tuple[rows.HeldByEnvironment, ...]
    deleted: rows.HeldByDeleted
    janitor: JanitorRun | None


def read(session: Session, identity: Identity, now: datetime) -> Overview:
    """Return what there is to see at `now`; only for who administers all."""
    rights.require_service(identity, Permission.METRICS_READ)
    return Overview(
        live=totals.count_live(session),
        builds=tuple(rows.list_live(session, _MOST_LIVE)),
        hours=_count_hours(session, now),
        phases=_time_phases(rows.list_phase_seconds(session, PHASES_OF)),
        failures=tuple(rows.count_failures(session, now - timedelta(days=FAILURE_DAYS))),
        namespaces=tuple(rows.list_namespaces(session, _MOST_LARGE, 0)),
        namespace_count=rows.count_namespaces(session),
        largest=tuple(rows.list_largest(session, _MOST_LARGE)),
        deleted=rows.sum_deleted(session),
        janitor=notes.find_run(session),
    )


def list_namespaces(
    session: Session, identity: Identity, *, page: int, size: int, search: str = ""
) -> tuple[list[rows.HeldByNamespace], int]:
    """Return a page of all namespaces, those with the most on disk first, and how many there are.

    `search`: only those with this in their name, or in that of whose they are.
    """
    rights.require_service(identity, Permission.METRICS_READ)
    return rows.list_namespaces(session, size, (page - 1) * size, search), rows.count_namespaces(session, search)


def find_silent(session: Session, identity: Identity, now: datetime) -> tuple[dict[BuildStatus, int], list[int]]:
    """Return how many builds wait and run, and the numbers of those of which nothing was heard for long."""
    rights.require_service(identity, Permission.METRICS_READ)
    running = [row for row in rows.list_live(session, _MOST_LIVE) if row.status == BuildStatus.BUILDING]
    silent = [row.id for row in running if row.heartbeat_at is not None and now - row.heartbeat_at > _SILENCE]
    return totals.count_live(session), silent


def _count_hours(session: Session, now: datetime) -> tuple[Hour, ...]:
    last = now.replace(minute=0, second=0, microsecond=0)
    starts = [last - (HOURS - 1 - number) * _HOUR for number in range(HOURS)]
    counted: defaultdict[int, dict[BuildStatus, int]] = defaultdict(dict)
    for row in rows.count_ended(session, starts):
        counted[row.span][row.status] = row.builds
    return tuple(
        Hour(
            began=began,
            completed=counted[number].get(BuildStatus.COMPLETED, 0),
            failed=counted[number].get(BuildStatus.FAILED, 0),
            cancelled=counted[number].get(BuildStatus.CANCELED, 0),
        )
        for number, began in enumerate(starts)
    )


def _time_phases(taken: list[rows.PhaseSeconds]) -> tuple[PhaseTimes, ...]:
    seconds: defaultdict[Phase, list[float]] = defaultdict(list)
    for row in taken:
        seconds[row.phase].append(row.seconds)
    return tuple(
        PhaseTimes(phase=phase, builds=len(found), usual=median(found), slow=_find_slow(found))
        for phase in Phase
        if (found := seconds[phase])
    )


def _find_slow(seconds: list[float]) -> float:
    return seconds[0] if len(seconds) == 1 else min(quantiles(seconds, n=20)[-1], max(seconds))
