"""What administrators are told, by both kinds of database."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy.orm import Session

from conda_store_hub.core.errors import ForbiddenError, SolveError
from conda_store_hub.core.protocol import BuildStatus, Phase
from conda_store_hub.db import overview as rows
from conda_store_hub.db import records
from conda_store_hub.db.session import Database
from conda_store_hub.db.tables import Build
from conda_store_hub.services import notes, overview, work
from conda_store_hub.services.overview import Overview
from tests.support import make
from tests.support.make import ADMIN, ALICE

NOW = datetime(2026, 11, 26, 12, 30, tzinfo=UTC)


def end(db: Database, *, at: datetime, failed: bool = False, size: int = 0, name: str = "ml") -> int:
    """Submit a build that ended then, after a solve of as many seconds as its number."""
    number = make.submit(db, yaml=make.text(name))
    ticket = make.claim(db, number)
    if failed:
        db.write_sync(work.finish, ticket, SolveError("no"))
    else:
        db.write_sync(work.mark_usable, ticket, make.usable())
        db.write_sync(work.finish, ticket, None)

    def change(session: Session) -> None:
        build = session.get_one(Build, number)
        build.ended_on, build.size = at, size
        records.start_phase(session, number, Phase.SOLVE, at)
        records.finish_phase(session, number, Phase.SOLVE, float(number))

    db.write_sync(change)
    return number


def read(db: Database) -> Overview:
    return db.read_sync(overview.read, ADMIN, NOW)


def test_builds_are_counted_in_the_hour_in_which_they_ended(db: Database) -> None:
    for hours in (0.1, 0.2, 1, 23, 24):
        end(db, at=NOW - timedelta(hours=hours))
    end(db, at=NOW - timedelta(hours=1), failed=True)
    hours = read(db).hours
    assert [hour.began.hour for hour in hours] == [*range(13, 24), *range(13)]
    assert [(at, hour.completed, hour.failed) for at, hour in enumerate(hours) if hour.count] == [
        (0, 1, 0),
        (22, 1, 1),
        (23, 2, 0),
    ]


def test_reasons_of_a_week_are_counted_and_times_of_phases_summed_up(db: Database) -> None:
    for days in (1, 2, 8):
        end(db, at=NOW - timedelta(days=days), failed=True)
    found = read(db)
    assert found.failures == (rows.Failures("unsatisfiable", 2),)
    (solve,) = found.phases
    assert (solve.phase, solve.builds, solve.usual, solve.slow) == (Phase.SOLVE, 3, 2.0, 3.0)


def test_disks_are_summed_up_by_environment_and_namespace(db: Database) -> None:
    end(db, at=NOW, size=5)
    end(db, at=NOW, size=7)
    end(db, at=NOW, size=20, name="large")
    found = read(db)
    assert [(row.name, row.builds, row.size) for row in found.largest] == [("large", 1, 20), ("ml", 2, 12)]
    assert [(row.name, row.environments, row.builds, row.size) for row in found.namespaces] == [
        ("alice", 2, 3, 32),
        ("group.physics", 0, 0, 0),
    ]
    assert db.read_sync(overview.list_namespaces, ADMIN, page=3, size=1) == ([], 2)


def test_what_runs_stands_before_what_waits(db: Database) -> None:
    first, second = make.submit(db), make.submit(db)
    make.claim(db, first)
    found = read(db)
    assert found.live == {BuildStatus.BUILDING: 1, BuildStatus.QUEUED: 1}
    assert [(row.id, row.status) for row in found.builds] == [
        (first, BuildStatus.BUILDING),
        (second, BuildStatus.QUEUED),
    ]


def test_a_note_is_replaced_and_forgotten(db: Database) -> None:
    db.write_sync(notes.ask_to_clean, ADMIN)
    db.write_sync(notes.ask_to_clean, ADMIN)
    run = db.write_sync(notes.begin_run)
    assert (run.asked_by, run.ended_on) == (ADMIN.name, None)
    db.write_sync(notes.set_banner, ADMIN, None)
    assert db.read_sync(notes.find_banner) is None


def test_others_are_told_nothing(db: Database) -> None:
    for ask in (overview.read, overview.find_silent):
        with pytest.raises(ForbiddenError):
            db.read_sync(ask, ALICE, NOW)
    with pytest.raises(ForbiddenError):
        db.read_sync(overview.list_namespaces, ALICE, page=1, size=1)
