from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, text
from sqlalchemy.orm import Session

from conda_store_hub.core.errors import ConfigurationError
from conda_store_hub.core.names import DataDirectory
from conda_store_hub.core.protocol import BuildStatus
from conda_store_hub.db import records
from conda_store_hub.db.session import HEAD, Database, announce, leave_lists
from conda_store_hub.db.tables import Base, Environment
from conda_store_hub.services import builds, logs, work
from conda_store_hub.services.changes import Changes, wait
from tests.support import make


def test_the_migrations_make_exactly_the_tables(db: Database, data: DataDirectory) -> None:
    with create_engine(f"sqlite:///{data.database}").connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []
    connection.engine.dispose()


def test_the_head_that_is_asked_for_is_the_newest_migration() -> None:
    config = Config()
    config.set_main_option("script_location", "conda_store_hub:db/migrations")
    assert ScriptDirectory.from_config(config).get_current_head() == HEAD


def test_an_upgrade_that_has_nothing_to_do_changes_nothing(db: Database) -> None:
    make.submit(db)
    db.upgrade()
    assert db.read_sync(builds.list_builds, make.ALICE, page=1, size=10)[1] == 1


def test_a_database_from_the_future_is_refused_in_words(db: Database) -> None:
    db.write_sync(lambda session: session.execute(text("UPDATE alembic_version SET version_num = '9999'")))
    with pytest.raises(ConfigurationError, match="9999, which this version does not know"):
        db.upgrade()


def test_the_version_counts_what_was_committed_and_what_lists_show(db: Database) -> None:
    versions = [db.version]
    make.submit(db)
    versions.append(db.version)
    with pytest.raises(ZeroDivisionError):
        db.write_sync(lambda session: 1 // 0)
    db.write_sync(leave_lists)
    db.read_sync(lambda session: session.execute(text("SELECT 1")))
    versions.append(db.version)
    assert versions[0] < versions[1] == versions[2]


def test_concurrent_updates_are_never_lost(db: Database, data: DataDirectory) -> None:
    make.submit(db)
    other = Database(f"sqlite:///{data.database}")  # as another process has it

    def increment(session: Session) -> None:
        row = session.query(Environment).one()
        row.activation_seq += 1

    with ThreadPoolExecutor(6) as pool:
        for future in [pool.submit((db, other)[n % 2].write_sync, increment) for n in range(120)]:
            future.result()
    assert db.read_sync(lambda session: session.query(Environment).one().activation_seq) == 120
    other.close()


def test_readers_do_not_wait_for_a_writer(db: Database) -> None:
    make.submit(db)

    def read_inside(session: Session) -> int:
        session.execute(text("UPDATE environment SET description = 'x'"))
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(db.read_sync, builds.list_builds, make.ALICE, page=1, size=1).result(timeout=5)[1]

    assert db.write_sync(read_inside) == 1


def test_every_queued_build_is_claimed_once(db: Database, data: DataDirectory) -> None:
    ids = [make.submit(db) for _ in range(30)]
    other = Database(f"sqlite:///{data.database}")
    with ThreadPoolExecutor(6) as pool:
        claims = list(pool.map(lambda n: (db, other)[n % 2].write_sync(work.claim, f"local:{n}"), range(40)))
    assert sorted(claim.build_id for claim in claims if claim) == ids
    other.close()


def test_a_failed_write_announces_nothing_and_leaves_nothing(data: DataDirectory) -> None:
    heard: list[set[str]] = []
    db = Database(f"sqlite:///{data.database}", listener=heard.append)
    db.upgrade()
    build_id = make.submit(db)
    heard.clear()

    def fail(session: Session) -> None:
        session.execute(text("UPDATE build SET status = 'FAILED'"))
        announce(session, "build")
        raise RuntimeError("no")

    with pytest.raises(RuntimeError, match="no"):
        db.write_sync(fail)
    assert heard == []
    status = db.read_sync(logs.peek, build_id, 0).status
    assert status is BuildStatus.QUEUED
    db.close()


def test_a_watcher_hears_what_is_committed_in_another_thread(data: DataDirectory) -> None:
    async def scenario() -> None:
        changes = Changes()
        db = Database(f"sqlite:///{data.database}", listener=changes.publish)
        await asyncio.to_thread(db.upgrade)
        with changes.watch("queue") as event, changes.watch("other") as other:
            await asyncio.to_thread(make.submit, db)
            assert await wait(event, 10)
            assert not other.is_set()
        db.close()

    asyncio.run(scenario())


def test_a_cancellation_that_comes_with_the_event_is_not_lost() -> None:
    async def scenario() -> None:
        event = asyncio.Event()

        async def forever() -> None:
            while True:
                await wait(event, 30)
                event.clear()

        task = asyncio.create_task(forever())
        await asyncio.sleep(0)
        event.set()
        task.cancel()
        async with asyncio.timeout(10):
            await asyncio.gather(task, return_exceptions=True)
        assert task.cancelled()

    asyncio.run(scenario())


def test_a_long_piece_of_log_is_kept_in_pieces_that_split_no_character(db: Database) -> None:
    build_id = make.submit(db)
    said = ("é☃𝄞" * 30_000).encode()
    db.write_sync(records.append_log, build_id, said)
    kept = db.read_sync(records.log_chunks, build_id, 0, 1000)
    assert b"".join(chunk.data for chunk in kept) == said
    assert max(len(chunk.data) for chunk in kept) <= records.LOG_CHUNK
    for chunk in kept:
        chunk.data.decode()
