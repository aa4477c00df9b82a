from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from conda_store_hub.core import policy, schemas
from conda_store_hub.core.errors import BuildLostError
from conda_store_hub.core.names import DataDirectory
from conda_store_hub.core.protocol import ArtifactState, ArtifactType, BuildStatus
from conda_store_hub.db.session import Database
from conda_store_hub.db.tables import Lease
from conda_store_hub.queue.builders import Builders
from conda_store_hub.queue.cleaner import Cleaner
from conda_store_hub.queue.executor import LocalExecutor
from conda_store_hub.queue.janitor import Janitor
from conda_store_hub.queue.links import Links
from conda_store_hub.queue.runner import Runner
from conda_store_hub.services import builds, environments, logs, policies, recovery, work
from conda_store_hub.services.changes import Changes
from conda_store_hub.services.metrics import Metrics
from conda_store_hub.services.policies import Place
from conda_store_hub.services.rules import BuildRules
from conda_store_hub.storage.base import ArtifactStore, LocalArtifactStore
from tests.support import make
from tests.support.make import ALICE
from tests.support.sqlite import put_database

SCRIPT = (sys.executable, str(Path(__file__).parents[1] / "support" / "scripted_builder.py"))
LOG = logging.getLogger("test")


@dataclass
class Bench:
    """A running executor over a database of its own."""

    db: Database
    data: DataDirectory
    executor: LocalExecutor
    changes: Changes
    metrics: Metrics

    def submit(self, name: str) -> int:
        return make.submit(self.db, yaml=make.text(name))

    def build(self, build_id: int) -> schemas.Build:
        return self.db.read_sync(builds.get_build, ALICE, build_id, data=self.data)

    async def until(self, happened: Callable[[], object], seconds: float = 30) -> None:
        async with asyncio.timeout(seconds):
            while not happened():
                await asyncio.sleep(0.02)

    async def ended(self, build_id: int) -> schemas.Build:
        await self.until(lambda: self.log_of(build_id).whole)
        return self.build(build_id)

    def log_of(self, build_id: int) -> logs.LogSlice:
        return self.db.read_sync(logs.read, ALICE, build_id, 0)

    def artifact(self, build: schemas.Build, kind: ArtifactType) -> schemas.Artifact:
        return next(item for item in build.build_artifacts if item.artifact_type is kind)


@asynccontextmanager
async def bench(
    data: DataDirectory,
    *,
    build_seconds: int = 60,
    concurrency: int = 1,
    rules: BuildRules | None = None,
    command: Sequence[str] = SCRIPT,
    store: ArtifactStore | None = None,
) -> AsyncIterator[Bench]:
    changes = Changes()
    put_database(data)
    db = Database(f"sqlite:///{data.database}", listener=changes.publish)
    executor = LocalExecutor(concurrency=concurrency, allow_root=True)
    links = Links(db=db, data=data, log=LOG)
    store = store or LocalArtifactStore(data.objects)
    builders = Builders(data, command)
    metrics = Metrics()
    runner = Runner(
        links=links,
        db=db,
        store=store,
        data=data,
        rules=rules or make.rules(build_seconds=build_seconds),
        log=LOG,
        builders=builders,
        metrics=metrics,
    )
    cleaner = Cleaner(db=db, data=data, store=store, rules=rules or make.rules(), cache_days=0, log=LOG)
    janitor = Janitor(db=db, data=data, links=links, cleaner=cleaner, changes=changes, worker=executor.worker, log=LOG)
    await janitor.repair_after_start()
    janitor.start()
    executor.start(db=db, changes=changes, runner=runner)
    try:
        yield Bench(db, data, executor, changes, metrics)
    finally:
        await executor.stop()
        await builders.stop()
        await janitor.stop()
        db.close()


def run(scenario: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(90):
            await scenario()

    asyncio.run(bounded())


def prefixes_on_disk(data: DataDirectory) -> list[str]:
    return sorted(path.name for path in data.prefixes.iterdir())


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_build_becomes_usable_active_linked_and_gets_its_artifacts(data: DataDirectory) -> None:
    async def scenario() -> None:
        async with bench(data) as at:
            build = await at.ended(at.submit("good"))
            assert build.status is BuildStatus.COMPLETED
            assert build.active
            assert data.link("alice", "good").readlink() == Path(build.prefix or "")
            assert (data.link("alice", "good") / "whole").exists()
            assert {item.artifact_type: item.state for item in build.build_artifacts} == dict.fromkeys(
                [ArtifactType.LOCKFILE, ArtifactType.YAML, ArtifactType.CONDA_PACK, ArtifactType.RECORDS],
                ArtifactState.READY,
            )
            assert "hello ☃ from the builder" in at.log_of(build.id).data.decode()
            assert [(phase.phase, phase.seconds) for phase in build.phases] == [("install", 0.5)]
            await at.until(lambda: list(data.work.iterdir()) == [])

    run(scenario)


def test_a_failure_keeps_its_reason_and_leaves_no_prefix(data: DataDirectory) -> None:
    async def scenario() -> None:
        async with bench(data) as at:
            build = await at.ended(at.submit("fails"))
            assert (build.status, build.error_code) == (BuildStatus.FAILED, "package-not-found")
            assert build.status_info == "There is no package nosuch. (line 4, column 5)"
            await at.until(lambda: prefixes_on_disk(data) == [])
            assert not data.link("alice", "fails").exists()

    run(scenario)


@pytest.mark.parametrize(
    ("name", "says"), [("dies", "exit code 3"), ("killed", "out of memory"), ("half-prefix", "exit code 1")]
)
def test_a_builder_that_ends_without_a_result_fails_the_build(data: DataDirectory, name: str, says: str) -> None:
    async def scenario() -> None:
        async with bench(data) as at:
            build = await at.ended(at.submit(name))
            assert (build.status, build.error_code) == (BuildStatus.FAILED, "builder-died")
            assert says in (build.status_info or "")
            await at.until(lambda: prefixes_on_disk(data) == [])

    run(scenario)


def test_what_becomes_of_builds_is_counted(data: DataDirectory) -> None:
    async def scenario() -> None:
        async with bench(data) as at:
            for name in ("good", "dies", "good"):
                await at.ended(at.submit(name))
            told = (await at.metrics.render(at.db, data.root)).decode().splitlines()
            for line in (
                'conda_store_hub_builds{status="building"} 0.0',
                'conda_store_hub_builds_ended_total{status="completed"} 2.0',
                'conda_store_hub_builds_ended_total{status="failed"} 1.0',
                'conda_store_hub_build_phase_seconds_sum{phase="install"} 1.0',
                "conda_store_hub_build_queue_seconds_count 3.0",
            ):
                assert line in told

    run(scenario)


def test_a_crash_after_the_written_result_is_a_success(data: DataDirectory) -> None:
    async def scenario() -> None:
        async with bench(data) as at:
            build = await at.ended(at.submit("crashes-after-success"))
            assert build.status is BuildStatus.COMPLETED
            assert all(item.state is ArtifactState.READY for item in build.build_artifacts)

    run(scenario)


def test_nonsense_among_the_events_is_passed_over(data: DataDirectory) -> None:
    async def scenario() -> None:
        async with bench(data) as at:
            assert (await at.ended(at.submit("talks-nonsense"))).status is BuildStatus.COMPLETED

    run(scenario)


def test_one_artifact_that_cannot_be_made_does_not_fail_the_build(data: DataDirectory) -> None:
    async def scenario() -> None:
        async with bench(data) as at:
            build = await at.ended(at.submit("artifact-fails"))
            assert build.status is BuildStatus.COMPLETED
            failed = at.artifact(build, ArtifactType.CONDA_PACK)
            assert (failed.state, failed.error) == (ArtifactState.FAILED, "It would not pack.")

    run(scenario)


def test_a_builder_cannot_have_foreign_files_adopted(data: DataDirectory) -> None:
    async def scenario() -> None:
        async with bench(data) as at:
            build = await at.ended(at.submit("escapes"))
            assert at.artifact(build, ArtifactType.YAML).state is ArtifactState.FAILED
            assert Path("/etc/passwd").exists()

    run(scenario)


def test_a_long_log_is_whole_and_no_character_is_split(data: DataDirectory) -> None:
    async def scenario() -> None:
        async with bench(data) as at:
            build_id = at.submit("floods")
            await at.ended(build_id)
            text, offset = b"", 0
            while True:
                piece = at.db.read_sync(logs.read, ALICE, build_id, offset)
                piece.data.decode()
                text, offset = text + piece.data, piece.next_offset
                if piece.complete:
                    break
            assert text.decode().count("☃") == 99 * 20_000 + 1

    run(scenario)


def test_what_a_builder_says_is_in_the_log_once(data: DataDirectory) -> None:
    async def scenario() -> None:
        async with bench(data, concurrency=2) as at:
            ids = [at.submit("good") for _ in range(12)]
            for build_id in ids:
                await at.ended(build_id)
                assert at.log_of(build_id).data.decode() == "hello ☃ from the builder\n"

    run(scenario)


def test_a_running_build_is_cancelled_with_all_that_it_started(data: DataDirectory) -> None:
    async def scenario() -> None:
        async with bench(data) as at:
            build_id = at.submit("ignores-term")
            await at.until((data.work / "hanging").exists)
            pids = [int(pid) for pid in (data.work / "hanging").read_text().split()]
            at.db.write_sync(builds.cancel, ALICE, build_id)
            build = await at.ended(build_id)
            assert (build.status, build.status_info) == (BuildStatus.CANCELED, "Cancelled by alice.")
            await at.until(lambda: not any(is_alive(pid) for pid in pids))

    run(scenario)


def test_a_queued_build_is_cancelled_at_once(data: DataDirectory) -> None:
    async def scenario() -> None:
        async with bench(data) as at:
            at.submit("hangs")
            await at.until((data.work / "hanging").exists)
            waiting = at.submit("good")
            assert at.build(waiting).position == 1
            at.db.write_sync(builds.cancel, ALICE, waiting)
            assert at.build(waiting).status is BuildStatus.CANCELED

    run(scenario)


def test_a_build_that_takes_too_long_is_ended_and_says_so(data: DataDirectory) -> None:
    async def scenario() -> None:
        async with bench(data, build_seconds=1) as at:
            build = await at.ended(at.submit("hangs"))
            assert (build.status, build.error_code) == (BuildStatus.FAILED, "timed-out")

    run(scenario)


def test_a_service_that_stops_gives_its_build_back_and_the_next_one_does_it(data: DataDirectory) -> None:
    async def scenario() -> None:
        async with bench(data) as at:
            build_id = at.submit("hangs")
            await at.until((data.work / "hanging").exists)
            pid = int((data.work / "hanging").read_text())
        assert not is_alive(pid)
        (data.work / "hanging").unlink()
        async with bench(data) as at:
            await at.until((data.work / "hanging").exists)
            assert at.build(build_id).status is BuildStatus.BUILDING

    run(scenario)


def test_artifacts_left_unfinished_are_made_after_a_restart_without_a_new_prefix(data: DataDirectory) -> None:
    async def scenario() -> None:
        async with bench(data) as at:
            build_id = at.submit("slow-artifacts")
            await at.until((data.work / "hanging").exists)
            await at.until(lambda: at.build(build_id).active)
            first = at.build(build_id)
        async with bench(data) as at:
            build = await at.ended(build_id)
            assert build.prefix == first.prefix
            assert at.artifact(build, ArtifactType.CONDA_PACK).state is ArtifactState.READY

    run(scenario)


def test_builds_of_a_killed_service_are_tried_again_and_then_given_up(data: DataDirectory, db: Database) -> None:
    worker = LocalExecutor().worker
    build_id = make.submit(db)
    for _ in range(recovery.MOST_ATTEMPTS - 1):
        assert db.write_sync(work.claim, worker) is not None
        db.write_sync(recovery.take_over, worker)
        assert db.read_sync(builds.get_build, ALICE, build_id, data=data).status is BuildStatus.QUEUED
    assert db.write_sync(work.claim, worker) is not None
    db.write_sync(recovery.take_over, worker)
    build = db.read_sync(builds.get_build, ALICE, build_id, data=data)
    assert (build.status, build.error_code) == (BuildStatus.FAILED, "interrupted")


def test_a_worker_whose_build_was_queued_again_can_write_nothing_more(data: DataDirectory, db: Database) -> None:
    build_id = make.submit(db)
    old = make.claim(db, build_id)
    db.write_sync(recovery.take_over, "local:test")
    new = make.claim(db, build_id)
    tick = {"log": b"old", "phases": (), "progress": None}
    writes = [
        lambda: db.write_sync(work.tick, old, **tick),
        lambda: db.write_sync(work.mark_usable, old, make.usable()),
        lambda: db.write_sync(work.record_artifact, old, make.artifact_event(ArtifactType.YAML), "key"),
        lambda: db.write_sync(work.finish, old, None, cancelled=True),
        lambda: db.write_sync(recovery.give_back, old),
    ]
    for write in writes:
        with pytest.raises(BuildLostError):
            write()
    build = db.read_sync(builds.get_build, ALICE, build_id, data=data)
    assert build.status is BuildStatus.BUILDING
    assert all(item.state is ArtifactState.PENDING for item in build.build_artifacts)
    assert db.write_sync(work.mark_usable, new, make.usable()) is work.Usable.ACTIVE


def test_a_runner_that_lost_its_build_ends_its_builder_and_leaves_the_rest(data: DataDirectory) -> None:
    async def scenario() -> None:
        async with bench(data) as at:
            build_id = at.submit("hangs")
            await at.until((data.work / "hanging").exists)
            pid = int((data.work / "hanging").read_text())
            at.db.write_sync(recovery.take_over, at.executor.worker)
            await at.until(lambda: not is_alive(pid))
            (data.work / "hanging").unlink()
            await at.until((data.work / "hanging").exists)
            assert at.build(build_id).status is BuildStatus.BUILDING
            assert not at.log_of(build_id).complete

    run(scenario)


def test_a_cancel_that_was_answered_is_kept_however_late_it_came(data: DataDirectory, db: Database) -> None:
    build_id = make.submit(db)
    ticket = make.claim(db, build_id)
    db.write_sync(builds.cancel, ALICE, build_id)
    assert db.write_sync(work.mark_usable, ticket, make.usable()) is work.Usable.CANCELLED
    db.write_sync(work.finish, ticket, None, cancelled=True)
    build = db.read_sync(builds.get_build, ALICE, build_id, data=data)
    assert (build.status, build.active) == (BuildStatus.CANCELED, False)


def test_a_cancel_just_before_the_end_leaves_no_prefix(data: DataDirectory) -> None:
    async def scenario() -> None:
        async with bench(data) as at:
            build_id = at.submit("usable-when-asked")
            await at.until((data.work / "hanging").exists)
            at.db.write_sync(builds.cancel, ALICE, build_id)
            (data.work / "go").touch()
            build = await at.ended(build_id)
            assert build.status is BuildStatus.CANCELED
            await at.until(lambda: prefixes_on_disk(data) == [])

    run(scenario)


def test_one_row_that_cannot_be_read_does_not_end_the_queue(data: DataDirectory) -> None:
    async def scenario() -> None:
        async with bench(data) as at:
            at.submit("hangs")
            await at.until((data.work / "hanging").exists)
            bad, good = at.submit("bad"), at.submit("good")
            spoil = text("UPDATE specification SET text = '[' WHERE name = 'bad'")
            at.db.write_sync(lambda session: session.execute(spoil))
            at.db.write_sync(builds.cancel, ALICE, 1)
            assert (await at.ended(good)).status is BuildStatus.COMPLETED
            failed = await at.ended(bad)
            assert (failed.status, failed.error_code) == (BuildStatus.FAILED, "invalid-specification")

    run(scenario)


def test_a_channel_that_is_no_longer_allowed_fails_the_build_with_that_reason(data: DataDirectory) -> None:
    async def scenario() -> None:
        async with bench(data, rules=make.rules(allowed_channels=["https://channels.example/other"])) as at:
            build = await at.ended(at.submit("good"))
            assert (build.status, build.error_code) == (BuildStatus.FAILED, "policy-refused")
            assert "“main” is not among those" in (build.status_info or "")

    run(scenario)


def test_a_policy_that_was_set_since_counts_for_what_is_queued(data: DataDirectory) -> None:
    async def scenario() -> None:
        async with bench(data) as at:
            at.submit("hangs")
            await at.until((data.work / "hanging").exists)
            queued = at.submit("good")
            place, wanted = Place(namespace="alice"), policy.read_change({"forbidden_packages": ["python"]})
            at.db.write_sync(policies.change, ALICE, place, wanted, make.rules())
            at.db.write_sync(builds.cancel, ALICE, 1)
            build = await at.ended(queued)
            assert (build.status, build.error_code) == (BuildStatus.FAILED, "policy-refused")
            assert build.status_info == (
                "“python” cannot be used here: the policy of the namespace forbids “python”. (line 5, column 5)"
            )

    run(scenario)


def test_the_time_that_a_build_may_take_is_that_of_its_place(data: DataDirectory) -> None:
    async def scenario() -> None:
        async with bench(data) as at:
            first = at.submit("good")
            await at.ended(first)
            place, wanted = Place(namespace="alice"), policy.read_change({"build_seconds": 1})
            at.db.write_sync(policies.change, ALICE, place, wanted, make.rules())
            build = await at.ended(at.submit("hangs"))
            assert (build.error_code, build.status_info) == ("timed-out", "The build took longer than 1 s.")

    run(scenario)


def test_a_link_that_cannot_be_made_holds_up_nothing(data: DataDirectory) -> None:
    (data.links / "alice" / "good").mkdir(parents=True)

    async def scenario() -> None:
        async with bench(data) as at:
            build = await at.ended(at.submit("good"))
            assert build.status is BuildStatus.COMPLETED
            assert all(item.state is ArtifactState.READY for item in build.build_artifacts)
            await at.ended(at.submit("talks-nonsense"))
            assert data.link("alice", "talks-nonsense").is_symlink()
        async with bench(data) as at:  # nor a start
            (data.links / "alice" / "good").rmdir()
            await at.ended(at.submit("artifact-fails"))
            assert data.link("alice", "good").readlink() == Path(build.prefix or "")

    run(scenario)


def test_a_service_that_stops_as_a_build_ends_loses_nothing(
    data: DataDirectory, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        for _ in range(8):
            async with bench(data) as at:
                build_id = at.submit("good")
                await at.until(lambda: at.log_of(build_id).whole)  # noqa: B023 - asked at once
            async with bench(data) as at:
                assert at.build(build_id).status is BuildStatus.COMPLETED
        assert [record for record in caplog.records if record.levelname == "ERROR"] == []

    run(scenario)


def test_what_a_killed_service_left_to_work_on_is_removed(data: DataDirectory) -> None:
    (data.work / "7-1").mkdir()
    (data.work / "7-1" / "half.tar.gz").touch()

    async def scenario() -> None:
        async with bench(data) as at:
            await at.until(lambda: not (data.work / "7-1").exists())

    run(scenario)


def test_a_link_behind_its_row_is_put_right_at_the_next_start(data: DataDirectory, db: Database) -> None:
    build_id = make.submit(db)
    make.complete(db, build_id)  # the crash comes here: row written, link not
    assert not data.link("alice", "ml").is_symlink()

    async def scenario() -> None:
        async with bench(data):
            build = db.read_sync(builds.get_build, ALICE, build_id, data=data)
            assert data.link("alice", "ml").readlink() == Path(build.prefix or "")

    run(scenario)


def test_a_link_follows_at_once_when_somebody_activates_another_build(data: DataDirectory) -> None:
    async def scenario() -> None:
        async with bench(data) as at:
            first, second = await at.ended(at.submit("good")), await at.ended(at.submit("good"))
            assert data.link("alice", "good").readlink() == Path(second.prefix or "")
            at.db.write_sync(environments.update, ALICE, "alice", "good", schemas.ActivateBuild(build_id=first.id))
            await at.until(lambda: data.link("alice", "good").readlink() == Path(first.prefix or ""), 10)

    run(scenario)


def test_prefixes_that_no_build_owns_are_removed_at_start(data: DataDirectory) -> None:
    (data.prefixes / "orphan" / "bin").mkdir(parents=True)
    (data.prefixes / "orphan" / "bin" / "python").touch(mode=0o444)

    async def scenario() -> None:
        async with bench(data) as at:
            await at.until(lambda: prefixes_on_disk(data) == [])

    run(scenario)


def test_no_more_builds_run_at_once_than_there_are_slots(data: DataDirectory) -> None:
    async def scenario() -> None:
        async with bench(data, concurrency=2) as at:
            ids = [at.submit("hangs") for _ in range(4)]
            await at.until(lambda: [at.build(i).status for i in ids].count(BuildStatus.BUILDING) == 2)
            assert [at.build(i).position for i in ids[2:]] == [1, 2]

    run(scenario)


def test_a_build_submitted_earlier_does_not_undo_a_later_one(db: Database, data: DataDirectory) -> None:
    early, late = make.submit(db), make.submit(db)
    first, second = make.claim(db, early), make.claim(db, late)
    assert db.write_sync(work.mark_usable, second, make.usable()) is work.Usable.ACTIVE
    assert db.write_sync(work.mark_usable, first, make.usable()) is work.Usable.INACTIVE
    assert db.read_sync(builds.get_build, ALICE, late, data=data).active


def test_a_rollback_made_while_a_build_runs_stays(db: Database, data: DataDirectory) -> None:
    old = make.submit(db)
    make.complete(db, old)
    make.complete(db, make.submit(db))
    running = make.claim(db, make.submit(db))
    db.write_sync(environments.update, ALICE, "alice", "ml", schemas.ActivateBuild(build_id=old))
    assert db.write_sync(work.mark_usable, running, make.usable()) is work.Usable.INACTIVE
    assert db.read_sync(builds.get_build, ALICE, old, data=data).active
    after = make.submit(db)
    make.complete(db, after)
    assert db.read_sync(builds.get_build, ALICE, after, data=data).active


def test_the_janitor_forgets_leases_that_ended(monkeypatch: pytest.MonkeyPatch, data: DataDirectory) -> None:
    monkeypatch.setattr("conda_store_hub.queue.janitor.EVERY_SECONDS", 0.05)

    def add_ended(session: Session) -> None:
        session.add(Lease(build_id=1, holder="1/x", user="alice", expires_at=datetime.now(UTC)))

    async def scenario() -> None:
        async with bench(data) as at:
            make.submit(at.db)
            at.db.write_sync(add_ended)
            await at.until(lambda: at.db.read_sync(lambda session: session.query(Lease).count()) == 0)

    run(scenario)


def test_the_janitor_looks_at_an_environment_once_a_build_of_it_is_completed(
    monkeypatch: pytest.MonkeyPatch, data: DataDirectory
) -> None:
    monkeypatch.setattr("conda_store_hub.queue.janitor.EVERY_SECONDS", 0.05)

    async def scenario() -> None:
        async with bench(data, rules=make.rules(keep_builds=1)) as at:
            for _ in range(2):
                last = await at.ended(at.submit("good"))
            await at.until(lambda: prefixes_on_disk(data) == [Path(last.prefix or "").name])

    run(scenario)


def test_the_runner_never_passes_the_services_secrets_on(monkeypatch: pytest.MonkeyPatch, data: DataDirectory) -> None:
    monkeypatch.setenv("JUPYTERHUB_API_TOKEN", "secret-of-the-hub")

    async def scenario() -> None:
        async with bench(data) as at:
            at.submit("hangs")
            await at.until((data.work / "hanging").exists)
            pid = int((data.work / "hanging").read_text())
            environment = Path(f"/proc/{pid}/environ").read_bytes()
            assert b"secret-of-the-hub" not in environment
            assert b"HOME=" in environment
            assert os.getpgid(pid) == pid

    run(scenario)
