"""When the janitor goes round, and what it writes down of it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

from conda_store_hub.core.errors import StorageError
from conda_store_hub.core.names import DataDirectory
from conda_store_hub.core.schemas.notes import JanitorRun
from conda_store_hub.db.session import Database
from conda_store_hub.queue.cleaner import Cleaner, Freed
from conda_store_hub.queue.janitor import Janitor
from conda_store_hub.queue.links import Links
from conda_store_hub.services import notes
from conda_store_hub.services.changes import Changes
from conda_store_hub.storage.base import LocalArtifactStore
from tests.support import make
from tests.support.make import ADMIN

LOG = logging.getLogger("test")


class FailingCleaner(Cleaner):
    """One whose caches cannot be read."""

    async def trim_caches(self) -> Freed:
        raise StorageError("no")


@asynccontextmanager
async def janitor(data: DataDirectory, kind: type[Cleaner] = Cleaner) -> AsyncGenerator[Database]:
    changes = Changes()
    db = Database(f"sqlite:///{data.database}", listener=changes.publish)
    db.upgrade()
    store = LocalArtifactStore(data.objects)
    cleaner = kind(db=db, data=data, store=store, rules=make.rules(), cache_days=30, log=LOG)
    links = Links(db=db, data=data, log=LOG)
    it = Janitor(db=db, data=data, links=links, cleaner=cleaner, changes=changes, worker="local:test", log=LOG)
    it.start()
    try:
        yield db
    finally:
        await it.stop()
        db.close()


async def wait_for(db: Database, wanted: Callable[[JanitorRun], bool]) -> JanitorRun:
    async with asyncio.timeout(20):
        while True:
            run = await db.read(notes.find_run)
            if run is not None and wanted(run):
                return run
            await asyncio.sleep(0.02)


def test_it_goes_round_at_the_start_and_whenever_somebody_asks(data: DataDirectory) -> None:
    async def scenario() -> tuple[JanitorRun, JanitorRun]:
        async with janitor(data) as db:
            first = await wait_for(db, lambda run: run.ended_on is not None)
            await db.write(notes.ask_to_clean, ADMIN)
            second = await wait_for(db, lambda run: run.ended_on is not None and run.asked_by is not None)
            return first, second

    first, second = asyncio.run(scenario())
    assert (first.asked_by, second.asked_by) == (None, ADMIN.name)
    assert second.began_on > first.began_on
    for run in (first, second):
        assert [job.said for job in run.jobs] == ["nothing"] * 7
        assert not run.failed


def test_a_job_that_fails_is_written_down_and_the_others_are_done(data: DataDirectory) -> None:
    async def scenario() -> JanitorRun:
        async with janitor(data, FailingCleaner) as db:
            return await wait_for(db, lambda run: run.ended_on is not None)

    run = asyncio.run(scenario())
    assert [job.job for job in run.jobs if job.failed] == ["caches"]
    assert len(run.jobs) == 7


def test_a_round_that_was_asked_for_before_a_crash_is_done_at_the_next_start(data: DataDirectory) -> None:
    with_nobody = Database(f"sqlite:///{data.database}")
    with_nobody.upgrade()
    with_nobody.write_sync(notes.ask_to_clean, ADMIN)
    with_nobody.close()

    async def scenario() -> JanitorRun:
        async with janitor(data) as db:
            return await wait_for(db, lambda run: run.ended_on is not None)

    assert asyncio.run(scenario()).asked_by == ADMIN.name
