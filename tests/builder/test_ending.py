"""However a builder ends, nothing of it goes on, and nothing half-made is in anybody's way."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from conda_store_hub.core.protocol import ArtifactType
from tests.builder.conftest import Built
from tests.support.builder import REPOSITORY, RunningBuilder, Workshop, run_builder, start_builder


@pytest.fixture
def cold(tmp_path_factory: pytest.TempPathFactory, sample: str, tiny: str, wheels: str) -> Workshop:
    """A workshop with nothing in its caches, so that compiling takes a while."""
    return Workshop(tmp_path_factory.mktemp("k"), [sample, tiny], pip_index=wheels)


def list_group(builder: RunningBuilder) -> list[psutil.Process]:
    """Return all processes of the builder's group, itself included."""
    group = builder.process.pid
    found: list[psutil.Process] = []
    for process in psutil.process_iter():
        try:
            if os.getpgid(process.pid) == group and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (ProcessLookupError, psutil.NoSuchProcess):
            continue
    return found


def wait_for_group(builder: RunningBuilder, number: int) -> list[psutil.Process]:
    """Wait until the group has this many processes; return them."""
    deadline = time.monotonic() + 30
    while len(group := list_group(builder)) < number:
        assert builder.process.poll() is None, "the builder ended before its children were seen"
        assert time.monotonic() < deadline
        time.sleep(0.005)
    return group


def require_gone(processes: list[psutil.Process]) -> None:
    """Wait, for a moment, until all of them ended."""
    _, alive = psutil.wait_procs(processes, timeout=10)
    assert [process for process in alive if process.status() != psutil.STATUS_ZOMBIE] == []


@pytest.mark.parametrize(
    ("moment", "children"),
    [('"phase":"install"', 0), ('"phase":"bytecode"', 1), ('"name":"lockfile"', 1)],
    ids=["install", "bytecode", "lockfile"],
)
@pytest.mark.parametrize("how", ["term-to-all", "kill-to-one"])
def test_nothing_goes_on_and_the_next_build_succeeds(cold: Workshop, moment: str, children: int, how: str) -> None:
    request = cold.request("python", "click", artifacts=(ArtifactType.LOCKFILE, ArtifactType.CONDA_PACK))
    with start_builder(request) as builder:
        builder.wait_for(moment)
        group = wait_for_group(builder, 1 + children)
        if how == "term-to-all":
            os.killpg(builder.process.pid, signal.SIGTERM)
        else:
            builder.process.kill()
        outcome = builder.wait()
        require_gone(group)
    assert not outcome.succeeded
    assert outcome.code in (-signal.SIGTERM, -signal.SIGKILL)
    again = cold.build("python", "click")
    assert again.succeeded, again.log
    assert not [path for path in cold.data.bytecode.glob("*/.*") if path.is_dir()]


def test_the_pip_part_ends_with_the_builder(workshop: Workshop, built: Built) -> None:
    with start_builder(workshop.request("python", pip=["tiny-pip"], pip_index="http://127.0.0.1:9/nobody")) as builder:
        # Nobody answers there: uv tries again for some seconds.
        builder.wait_for('"name":"pip"')
        group = wait_for_group(builder, 2)
        builder.process.kill()
        builder.wait()
        require_gone(group)


# What the service does, until it is killed.
STARTER = """\
import asyncio, os, signal, sys, time
from pathlib import Path
from conda_store_hub.core.protocol import BuildRequest
from conda_store_hub.queue.process import BuilderProcess

async def main():
    request = BuildRequest.model_validate_json(sys.stdin.read())
    builder = await BuilderProcess.start(Path(sys.argv[1]))
    await builder.hand_over(request)
    print(builder._process.pid, flush=True)
    time.sleep(float(sys.argv[2]))
    os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main())
"""


@pytest.mark.parametrize("milliseconds", [0, 5, 20, 40, 80, 150, 400])
def test_a_builder_ends_with_a_service_that_is_killed_early(
    workshop: Workshop, tmp_path: Path, milliseconds: int
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        request = workshop.request("python", channels=(f"http://127.0.0.1:{silent.getsockname()[1]}/silent",))
        done = subprocess.run(
            [sys.executable, "-c", STARTER, tmp_path, str(milliseconds / 1000)],
            input=request.model_dump_json(),
            capture_output=True,
            text=True,
            check=False,
            cwd=REPOSITORY,
        )
        assert done.returncode == -signal.SIGKILL, done.stderr
        with suppress(psutil.NoSuchProcess):
            require_gone([psutil.Process(int(done.stdout))])


def test_a_builder_whose_parent_is_another_ends_at_once(workshop: Workshop) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "conda_store_hub.builder", "--parent", "1"],
        input=workshop.request("app").model_dump_json(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "")


def test_a_builder_ends_with_the_process_that_started_it(workshop: Workshop, tmp_path: Path) -> None:
    starter = (
        "import subprocess, sys, time\n"
        "builder = subprocess.Popen([sys.executable, '-m', 'conda_store_hub.builder'], stdin=sys.stdin)\n"
        "print(builder.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    with socket.create_server(("127.0.0.1", 0)) as silent:
        channel = f"http://127.0.0.1:{silent.getsockname()[1]}/silent"
        request = tmp_path / "request.json"
        request.write_text(workshop.request("python", channels=(channel,)).model_dump_json())
        with request.open() as text:
            command = [sys.executable, "-c", starter]
            parent = subprocess.Popen(command, stdin=text, stdout=subprocess.PIPE, text=True, cwd=REPOSITORY)
        assert parent.stdout is not None
        builder = psutil.Process(int(parent.stdout.readline()))
        silent.accept()[0].close()
        parent.kill()
        parent.wait()
        require_gone([builder])
        parent.stdout.close()


def test_without_a_descriptor_events_go_nowhere(workshop: Workshop) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "conda_store_hub.builder", "--events-fd", "77"],
        input=workshop.request("app").model_dump_json(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Done after" in done.stdout


def test_events_can_go_to_a_file(workshop: Workshop, tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "conda_store_hub.builder", "--events-file", tmp_path / "events"],
        input=workshop.request("app").model_dump_json(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert (tmp_path / "events").read_text().splitlines()[-1].endswith('"type":"result"}')


def test_a_reader_that_goes_away_does_not_stop_the_build(workshop: Workshop) -> None:
    request = workshop.request("app")
    read_end, write_end = os.pipe()
    os.close(read_end)
    done = subprocess.run(
        [sys.executable, "-m", "conda_store_hub.builder", "--events-fd", str(write_end)],
        input=request.model_dump_json(),
        pass_fds=(write_end,),
        capture_output=True,
        text=True,
        check=False,
    )
    os.close(write_end)
    assert done.returncode == 0, done.stdout
    assert (Path(request.directories.prefix) / "bin" / "app").exists()


def test_a_build_can_be_repeated_by_hand_from_its_request(workshop: Workshop) -> None:
    request = workshop.request("app")
    assert run_builder(request).succeeded
    directories = request.directories.model_copy(update={"prefix": f"{request.directories.prefix}-again"})
    again = run_builder(request.model_copy(update={"directories": directories}))
    assert again.succeeded
