"""What the base of images holds up while it comes: other images, and nothing else."""

from __future__ import annotations

import os
import signal
from dataclasses import replace
from pathlib import Path

from conda_store_hub.core.names import DataDirectory
from conda_store_hub.core.protocol import ArtifactState, ArtifactType, BuildStatus
from conda_store_hub.demo.channel import serve_channel
from conda_store_hub.queue.process import BUILDER
from conda_store_hub.services import artifacts
from tests.queue.test_images import IMAGE, ask, made
from tests.queue.test_runner import Bench, bench, run
from tests.support import make
from tests.support.channel import tiny_channel
from tests.support.make import ALICE
from tests.support.registries import hang


async def begin(at: Bench, data: DataDirectory) -> int:
    """Have an image asked for whose base does not come yet; return its build once it waits, with all places free."""
    build_id = (await at.ended(at.submit("brings-base"))).id
    ask(at.db, build_id)
    await at.until((data.work / "hanging").exists)
    return build_id


def image_of(at: Bench, build_id: int) -> ArtifactState:
    return at.artifact(at.build(build_id), IMAGE).state


def go(data: DataDirectory) -> None:
    (data.work / "go").touch()


def test_builds_go_on_and_images_wait_with_the_first_one(data: DataDirectory) -> None:
    async def scenario() -> None:
        async with bench(data, concurrency=1) as at:
            first = await begin(at, data)
            second = (await at.ended(at.submit("good"))).id
            ask(at.db, second)
            assert (await at.ended(at.submit("also-good"))).status is BuildStatus.COMPLETED
            assert (image_of(at, first), image_of(at, second)) == (ArtifactState.PENDING, ArtifactState.PENDING)
            assert len(list(data.work.glob(f"{second}-*"))) == 0, "each that waits takes the memory of a builder"
            go(data)
            assert await made(at, first) is ArtifactState.READY
            assert await made(at, second) is ArtifactState.READY

    run(scenario)


def test_other_files_are_made_meanwhile(data: DataDirectory) -> None:
    async def scenario() -> None:
        async with bench(data, concurrency=1) as at:
            await begin(at, data)
            second = (await at.ended(at.submit("good"))).id
            for kind in (IMAGE, ArtifactType.OCI_ARCHIVE, ArtifactType.CONDA_PACK):
                at.db.write_sync(artifacts.request, ALICE, second, kind, make.rules())
            await at.until(lambda: at.artifact(at.build(second), ArtifactType.CONDA_PACK).state is ArtifactState.READY)
            left = {each.artifact_type for each in at.build(second).build_artifacts if each.state == "PENDING"}
            assert left == {IMAGE, ArtifactType.OCI_ARCHIVE}
            go(data)
            assert await made(at, second) is ArtifactState.READY

    run(scenario)


def test_images_are_made_again_once_the_one_that_was_waited_for_is_killed(data: DataDirectory) -> None:
    async def scenario() -> None:
        async with bench(data, concurrency=1) as at:
            first = await begin(at, data)
            os.kill(int((data.work / "hanging").read_text()), signal.SIGKILL)
            assert await made(at, first) is ArtifactState.FAILED
            second = (await at.ended(at.submit("good"))).id
            ask(at.db, second)
            assert await made(at, second) is ArtifactState.READY

    run(scenario)


def test_a_place_is_taken_again_by_who_comes_back(data: DataDirectory) -> None:
    async def scenario() -> None:
        async with bench(data, concurrency=1) as at:
            first = await begin(at, data)
            hanging = data.work / "hanging"
            hanging.unlink()
            second = at.submit("hangs")
            await at.until(hanging.exists)
            go(data)
            assert await made(at, first) is ArtifactState.READY
            third = at.submit("good")
            assert at.build(second).status is BuildStatus.BUILDING
            assert at.build(third).status is BuildStatus.QUEUED
            os.kill(int(hanging.read_text()), signal.SIGKILL)
            assert (await at.ended(third)).status is BuildStatus.COMPLETED

    run(scenario)


def test_a_real_builder_that_waits_for_a_silent_registry_keeps_nobody_from_building(
    data: DataDirectory, tmp_path: Path
) -> None:
    with serve_channel(tiny_channel(tmp_path / "main")) as channel, hang() as host:
        usual = make.rules(channel_aliases={"main": channel}, allowed_channels=[channel])
        rules = replace(usual, image_base=f"http://{host}/base:1")

        async def scenario() -> None:
            async with bench(data, rules=rules, command=BUILDER, concurrency=1) as at:
                first = (await at.ended(make.submit(at.db, yaml=make.text("one", "app"), under=rules))).id
                ask(at.db, first)
                await at.until(lambda: not at.log_of(first).whole)  # it was begun
                second = make.submit(at.db, yaml=make.text("two", "app"), under=rules)
                await at.until(lambda: at.build(second).status is not BuildStatus.QUEUED)
                assert image_of(at, first) is ArtifactState.PENDING
                assert (await at.ended(second)).status is BuildStatus.COMPLETED

        run(scenario)
