"""What breaks in the middle of a phase: the disk fills up, a download ends early, somebody cancels."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Generator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from conda_store_hub.core.protocol import ArtifactType, BuildRequest, PhaseEvent
from conda_store_hub.demo.channel import index, make_package, serve_channel
from tests.builder.conftest import Built
from tests.builder.test_ending import list_group, require_gone
from tests.support.builder import Outcome, Workshop, make_wheel, run_builder, serve_index, start_builder

ARTIFACTS = (ArtifactType.YAML, ArtifactType.LOCKFILE, ArtifactType.CONDA_PACK)
MB = 1 << 20


@dataclass(frozen=True)
class SmallDisk:
    """A workshop on a disk of its own, with Python in its caches, and a finished build."""

    workshop: Workshop
    finished: BuildRequest

    @property
    def ballast(self) -> Path:
        return self.workshop.data.root / "ballast"

    def leave(self, room: int) -> None:
        """Leave so many bytes on the disk."""
        self.ballast.unlink(missing_ok=True)
        with self.ballast.open("wb", buffering=0) as file, suppress(OSError):
            os.posix_fallocate(file.fileno(), 0, shutil.disk_usage(self.ballast).free - room)
            file.seek(0, os.SEEK_END)
            while room == 0 and file.write(bytes(4096)):
                continue

    def clear(self, request: BuildRequest) -> None:
        """Remove what a build left, as its runner does."""
        self.ballast.unlink(missing_ok=True)
        for folder in (request.directories.prefix, request.directories.work):
            shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def small_disk(
    sample: str, wheels: str, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Generator[SmallDisk]:
    channel, indexed = tmp_path_factory.mktemp("large"), tmp_path_factory.mktemp("index")
    module = f"TEXT = '{'x' * 8 * MB}'\n"
    make_package(channel, "large-data", "1.0", files={"share/large": os.urandom(8 * MB)})
    make_package(channel, "large-module", "1.0", python=True, files={"site-packages/large_module.py": module})
    index(channel)
    make_wheel(indexed, "large_wheel", "1.0", {"large_wheel/data.txt": "x" * 8 * MB})
    disk = Path(tempfile.mkdtemp(prefix="csh"))
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1g", "tmpfs", disk], check=True)
    try:
        with serve_channel(channel) as address, serve_index(indexed) as pip_index:
            workshop = Workshop(disk / "d", [sample, address], pip_index=pip_index)
            finished = workshop.request("python")
            assert run_builder(finished).succeeded
            yield SmallDisk(workshop, finished)
    finally:
        subprocess.run(["umount", "--lazy", disk], check=True)
        disk.rmdir()


def last_phase(outcome: Outcome) -> str:
    """Return the phase that began last."""
    return [event.name for event in outcome.events if isinstance(event, PhaseEvent) and event.state == "started"][-1]


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a small disk")
@pytest.mark.parametrize(
    ("phase", "room", "dependencies", "more"),
    [
        ("solve", 0, ("large-data",), {}),
        ("install", 4 * MB, ("large-data",), {}),
        ("bytecode", 12 * MB, ("python", "large-module"), {}),
        ("pip", 4 * MB, ("python",), {"pip": ["large-wheel"]}),
        ("activate", 4 * MB, ("python",), {"variables": (("LONG", "x" * 8 * MB),)}),
    ],
    ids=["solve", "install", "bytecode", "pip", "activate"],
)
def test_a_full_disk_is_said_so_in_each_phase(
    small_disk: SmallDisk, phase: str, room: int, dependencies: tuple[str, ...], more: dict[str, Any]
) -> None:
    request = small_disk.workshop.request(*dependencies, **more)
    small_disk.leave(room)
    outcome = run_builder(request)
    small_disk.clear(request)
    assert outcome.error.code == "disk-full", outcome.log
    assert outcome.events[-1] is outcome.error
    assert last_phase(outcome) == phase


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a small disk")
def test_artifacts_for_which_the_disk_has_no_room_say_so_and_can_be_made_later(small_disk: SmallDisk) -> None:
    request = small_disk.finished.model_copy(update={"prefix_ready": True, "artifacts": ARTIFACTS})
    small_disk.leave(0)
    outcome = run_builder(request)
    small_disk.ballast.unlink()
    assert outcome.succeeded, outcome.log
    assert {kind: event.error for kind, event in outcome.artifacts.items()} == dict.fromkeys(
        ARTIFACTS, "The disk filled up during the build."
    )
    again = run_builder(request)
    assert {event.error for event in again.artifacts.values()} == {""}


# Cancelled: what the runner does is TERM to the group.


def cancel_in(request: BuildRequest, moment: str) -> Outcome:
    with start_builder(request) as builder:
        builder.wait_for(moment)
        group = list_group(builder)
        os.killpg(builder.process.pid, signal.SIGTERM)
        outcome = builder.wait()
        require_gone(group)
    assert outcome.code == -signal.SIGTERM
    assert not outcome.succeeded
    return outcome


def test_a_cancel_ends_a_solve_that_waits_for_a_channel(workshop: Workshop) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        channel = f"http://127.0.0.1:{silent.getsockname()[1]}/silent"
        cancel_in(workshop.request("python", channels=(channel,)), '"name":"solve"')


def test_a_cancel_ends_a_pip_part_that_waits_for_an_index(workshop: Workshop) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        index_url = f"http://127.0.0.1:{silent.getsockname()[1]}/silent"
        cancel_in(workshop.request("python", pip=["tiny-pip"], pip_index=index_url), '"name":"pip"')


def test_a_cancel_ends_the_archive_and_leaves_the_environment(workshop: Workshop, built: Built, tmp_path: Path) -> None:
    directories = built.request.directories.model_copy(update={"work": str(tmp_path)})
    request = built.request.model_copy(
        update={"prefix_ready": True, "artifacts": (ArtifactType.CONDA_PACK,), "directories": directories}
    )
    assert cancel_in(request, '"name":"archive"').artifacts == {}
    assert (built.prefix / "bin" / "python").exists()
