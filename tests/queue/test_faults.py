"""Builders, disks and databases that fail while a build runs: what is left, what is said, and that it goes on."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import tempfile
from collections.abc import Generator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from conda_store_hub.core.names import DataDirectory
from conda_store_hub.core.protocol import ArtifactState, ArtifactType, BuildStatus
from conda_store_hub.queue import process, runner
from conda_store_hub.services import removals
from conda_store_hub.services.rules import BuildRules
from conda_store_hub.storage import prefixes
from tests.queue.test_runner import bench, is_alive, prefixes_on_disk, run
from tests.support import make
from tests.support.make import ALICE


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "_TERM_SECONDS", 0.3)
    monkeypatch.setattr(runner, "_PATIENCE_SECONDS", 0.05)


@pytest.fixture
def small_disk() -> Generator[DataDirectory]:
    """A data directory on a disk of its own, of 16 MB."""
    place = Path(tempfile.mkdtemp(prefix="csh"))
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", place], check=True)
    try:
        data = DataDirectory(place / "d")
        prefixes.ensure_data_directory(data, publish_links=False)
        yield data
    finally:
        subprocess.run(["umount", "--lazy", place], check=True)
        place.rmdir()


def fill(directory: Path) -> Path:
    """Leave no byte on a disk; return what takes them all."""
    ballast = directory / "ballast"
    with ballast.open("wb", buffering=0) as file, suppress(OSError):
        while file.write(bytes(1 << 16)):
            continue
    return ballast


# Builders


def test_a_builder_that_reports_no_more_is_ended(data: DataDirectory) -> None:
    async def scenario() -> None:
        async with bench(data) as at:
            build = await at.ended(at.submit("closes-events"))
            assert (build.status, build.error_code) == (BuildStatus.FAILED, "builder-died")
            assert not is_alive(int((data.work / "hanging").read_text()))

    run(scenario)


def test_what_a_builder_leaves_behind_holds_nothing_up(data: DataDirectory) -> None:
    async def scenario() -> None:
        async with bench(data) as at:
            build_id = at.submit("leaves-others")
            build = await at.ended(build_id)
            assert build.status is BuildStatus.COMPLETED
            assert all(item.state is ArtifactState.READY for item in build.build_artifacts)
            assert "hello" in at.log_of(build_id).data.decode()
            child, alone = (int(pid) for pid in (data.work / "left").read_text().split())
            await at.until(lambda: not is_alive(child))
            os.kill(alone, signal.SIGKILL)

    run(scenario)


def test_a_log_that_floods_is_cut_and_says_so(data: DataDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "_LONGEST_LOG", 1 << 18)

    async def scenario() -> None:
        async with bench(data) as at:
            build_id = at.submit("floods")
            build = await at.ended(build_id)
            assert build.status is BuildStatus.COMPLETED
            text = at.log_of(build_id).data
            assert 1 << 18 <= len(text) < 1 << 19
            assert text.endswith(b"\n[the log is cut here: it has more than 64 MB]\n")

    run(scenario)


def test_artifacts_that_take_too_long_fail_alone(data: DataDirectory) -> None:
    async def scenario() -> None:
        async with bench(data, build_seconds=1) as at:
            build = await at.ended(at.submit("slow-artifacts"))
            assert (build.status, build.active, build.error_code) == (BuildStatus.COMPLETED, True, None)
            archive = at.artifact(build, ArtifactType.CONDA_PACK)
            assert (archive.state, archive.error) == (ArtifactState.FAILED, "The build took longer than 1 s.")
            assert prefixes_on_disk(data) == [Path(build.prefix or "").name]

    run(scenario)


def test_the_builder_of_a_deleted_build_is_ended(data: DataDirectory) -> None:
    async def scenario() -> None:
        async with bench(data, concurrency=2) as at:
            first = at.submit("slow-artifacts")
            await at.until((data.work / "hanging").exists)
            await at.until(lambda: at.build(first).active)
            pid = int((data.work / "hanging").read_text())
            second = at.submit("slow-artifacts")
            await at.until(lambda: at.build(second).active)
            at.db.write_sync(removals.delete_build, ALICE, first, (), force=False)
            build = await at.ended(first)
            assert build.status is BuildStatus.COMPLETED
            assert not is_alive(pid)

    run(scenario)


# Limits and quotas


@pytest.mark.parametrize(
    ("name", "rules", "code"),
    [
        ("limited", make.rules(), "limit-exceeded"),
        ("good", make.rules(quota_bytes=10), "quota-exceeded"),
    ],
    ids=["limit", "quota"],
)
def test_a_limit_that_is_reached_leaves_the_active_build_and_nothing_else(
    data: DataDirectory, name: str, rules: BuildRules, code: str
) -> None:
    async def scenario() -> None:
        async with bench(data, rules=rules) as at:
            first = await at.ended(at.submit(name))
            failed = await at.ended(at.submit(name))
            assert (failed.status, failed.error_code) == (BuildStatus.FAILED, code)
            assert "its limit" in (failed.status_info or "") or "may have 10" in (failed.status_info or "")
            assert at.build(first.id).active
            prefix = Path(first.prefix or "")
            assert data.link("alice", name).readlink() == prefix
            await at.until(lambda: prefixes_on_disk(data) == [prefix.name] and not list(data.work.glob("*-*")))

    run(scenario)


# The database


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a disk that is small")
def test_a_build_ends_when_a_disk_that_was_full_has_room_again(
    small_disk: DataDirectory, caplog: pytest.LogCaptureFixture
) -> None:
    data = small_disk

    async def scenario() -> None:
        async with bench(data) as at:
            build_id = at.submit("usable-when-asked")
            await at.until((data.work / "hanging").exists)
            ballast = fill(data.root)
            (data.work / "hanging").replace(data.work / "go")
            await at.until(lambda: "waiting for the database: The disk is full" in caplog.text)
            assert at.build(build_id).status is BuildStatus.BUILDING
            ballast.unlink()
            build = await at.ended(build_id)
            assert (build.status, build.error_code) == (BuildStatus.FAILED, "disk-full")
            await at.until(lambda: prefixes_on_disk(data) == [])
            assert (await at.ended(at.submit("good"))).status is BuildStatus.COMPLETED

    run(scenario)


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a disk that is small")
@pytest.mark.parametrize(
    ("name", "status"),
    [("fills-with-prefix", BuildStatus.FAILED), ("fills-with-archive", BuildStatus.COMPLETED)],
)
def test_a_build_that_fills_the_disk_gives_it_back(small_disk: DataDirectory, name: str, status: BuildStatus) -> None:
    async def scenario() -> None:
        async with bench(small_disk) as at:
            build_id = at.submit(name)
            await at.until(lambda: at.build(build_id).active or at.log_of(build_id).whole)
            (small_disk.work / "go").touch()
            build = await at.ended(build_id)
            assert build.status is status
            (small_disk.work / "go").unlink()
            said = {build.status_info, *(item.error for item in build.build_artifacts)} - {None}
            assert said
            assert all("disk" in (words or "") for words in said)
            await at.until(lambda: list(small_disk.work.iterdir()) == [])
            assert (await at.ended(at.submit("good"))).status is BuildStatus.COMPLETED

    run(scenario)


def test_a_database_that_does_not_answer_for_a_while_costs_no_build(
    data: DataDirectory, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("conda_store_hub.db.session._BUSY_SECONDS", 0.1)

    async def scenario() -> None:
        async with bench(data) as at:
            build_id = at.submit("usable-when-asked")
            await at.until((data.work / "hanging").exists)
            with closing(sqlite3.connect(data.database, isolation_level=None)) as other:
                other.execute("BEGIN IMMEDIATE")
                (data.work / "go").touch()
                await at.until(lambda: "waiting for the database" in caplog.text)
                other.execute("ROLLBACK")
            build = await at.ended(build_id)
            assert build.status is BuildStatus.COMPLETED
            assert {item.state for item in build.build_artifacts} == {ArtifactState.READY}

    run(scenario)
