"""What is asked for of a finished build, from the request to the row: made, failed with a reason, or made next time."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from conda_store_hub.core import schemas
from conda_store_hub.core.names import DataDirectory
from conda_store_hub.core.protocol import ArtifactState, ArtifactType, BuildStatus
from conda_store_hub.db.session import Database
from conda_store_hub.queue.process import BuilderProcess
from conda_store_hub.services import artifacts, work
from tests.queue.test_runner import Bench, bench, run
from tests.support import make
from tests.support.make import ALICE

LIST = ArtifactType.EXPLICIT


def ask(db: Database, build_id: int) -> None:
    db.write_sync(artifacts.request, ALICE, build_id, LIST, make.rules())


async def asked_for(at: Bench, build_id: int) -> schemas.Artifact:
    """Return what became of what was asked for; an executor that is not woken would look only after 30 s."""
    await at.until(lambda: at.artifact(at.build(build_id), LIST).state is not ArtifactState.PENDING, 20)
    await at.ended(build_id)
    return at.artifact(at.build(build_id), LIST)


def test_it_is_made_at_once_and_kept(data: DataDirectory) -> None:
    async def scenario() -> None:
        async with bench(data) as at:
            first = await at.ended(at.submit("good"))
            ask(at.db, first.id)
            made = await asked_for(at, first.id)
            assert (made.state, made.size) == (ArtifactState.READY, len("EXPLICIT of good"))
            second = at.build(first.id)
            assert (second.status, second.active, second.prefix) == (BuildStatus.COMPLETED, True, first.prefix)
            assert (data.link("alice", "good") / "whole").exists()

    run(scenario)


def test_who_waits_for_a_file_does_not_wait_for_all_that_is_queued(data: DataDirectory) -> None:
    async def scenario() -> None:
        async with bench(data) as at:
            build_id = (await at.ended(at.submit("good"))).id
            await at.executor.stop()
            ask(at.db, build_id)
            first, second = at.submit("good"), at.submit("hangs")
        async with bench(data, concurrency=1) as at:
            assert (await asked_for(at, build_id)).state is ArtifactState.READY
            assert at.build(first).status is BuildStatus.COMPLETED, "a build is not passed over either"
            await at.until(lambda: at.build(second).status is BuildStatus.BUILDING)

    run(scenario)


@pytest.mark.parametrize(("name", "says"), [("dies-later", "exit code 3"), ("forgets", "the builder ended without it")])
def test_a_builder_that_does_not_make_it_leaves_a_reason_and_the_build_as_it_was(
    data: DataDirectory, name: str, says: str
) -> None:
    async def scenario() -> None:
        async with bench(data) as at:
            first = await at.ended(at.submit(name))
            ask(at.db, first.id)
            made = await asked_for(at, first.id)
            assert (made.state, says in str(made.error)) == (ArtifactState.FAILED, True), made.error
            second = at.build(first.id)
            assert (second.status, second.active, second.status_info) == (BuildStatus.COMPLETED, True, None)
            assert at.artifact(second, ArtifactType.CONDA_PACK).state is ArtifactState.READY
            assert (data.link("alice", name) / "whole").exists()

    run(scenario)


def test_it_is_made_after_a_restart_when_the_service_was_killed(data: DataDirectory) -> None:
    async def scenario() -> None:
        async with bench(data) as at:
            build_id = (await at.ended(at.submit("good"))).id
            worker = at.executor.worker
            await at.executor.stop()
            ask(at.db, build_id)
            assert at.db.write_sync(work.claim, worker) is not None, "and the service was killed"
        async with bench(data) as at:
            assert (await asked_for(at, build_id)).state is ArtifactState.READY

    run(scenario)


def test_a_builder_that_is_not_even_started_leaves_no_descriptor_open(data: DataDirectory) -> None:
    def count() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    async def scenario() -> None:
        command = (sys.executable, "-S", "-c", "import sys; sys.stdin.read()")
        builder = await BuilderProcess.start(data.root, command)  # what the loop opens for its first child stays open
        await builder.stop()
        builder.close()
        await asyncio.sleep(0)
        before = count()
        for steps in range(12):
            starting = asyncio.create_task(BuilderProcess.start(data.root, command))
            for _ in range(steps):
                await asyncio.sleep(0)
            starting.cancel()
            (outcome,) = await asyncio.gather(starting, return_exceptions=True)
            if isinstance(outcome, BuilderProcess):
                await outcome.stop()
                outcome.close()
            for _ in range(3):
                await asyncio.sleep(0)  # transports close on the loop's next turn
            assert count() == before, f"cancelled after {steps} steps"

    run(scenario)
