"""`conda-store-hub demo`: all is started, built, computed and ended; and again, in seconds, without a build."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import httpx
import pytest

from conda_store_hub.demo import processes
from tests.support.channel import sample_channel_dir
from tests.support.hub import require_proxy

COMMAND = [sys.executable, "-m", "conda_store_hub", "demo"]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the demonstration keeps its state; its channel is there already, as after a first run."""
    require_proxy()
    state = tmp_path_factory.mktemp("demo")
    shutil.copytree(sample_channel_dir(), state / "channels" / "sample", copy_function=os.link)
    return state


@pytest.fixture(scope="module")
def first(home: Path) -> str:
    """What the first run printed."""
    return run_once(home)


def run_once(home: Path) -> str:
    command = [*COMMAND, "--once", "--state", str(home)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=280)
    log = home / "hub" / "hub.log"
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}\n{log.read_text()[-5000:] if log.exists() else ''}"
    return done.stdout


@contextmanager
def started(home: Path) -> Generator[tuple[subprocess.Popen[str], str]]:
    """Start it to stay; its process, and what it printed until it stayed."""
    with subprocess.Popen([*COMMAND, "--state", str(home)], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process, "".join(read_until(process.stdout, "Ctrl-C ends it."))
        finally:
            own = processes.list_descendants(process.pid)
            process.kill()
            processes.end_processes(own)


def read_until(stream: IO[str], end: str) -> Generator[str]:
    for line in stream:
        yield line
        if end in line:
            return


def test_the_example_is_built_listed_and_computes(first: str) -> None:
    assert "is COMPLETED" in first
    assert "it lists the kernel csh.demo.example.python3" in first
    assert "computed 45" in first


def test_progress_and_log_are_shown(first: str) -> None:
    assert re.search(r"^\[ *\d+\.\d s\] install: ", first, re.MULTILINE)
    assert re.search(r"^ +\| ", first, re.MULTILINE)


def test_it_says_where_to_go_and_that_root_builds(first: str) -> None:
    for name in ("JupyterHub", "environments", "user", "password"):
        assert re.search(rf"^  {name} +\S", first, re.MULTILINE)
    assert ("may build as root" in first) == (os.geteuid() == 0)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_second_run_builds_nothing_and_asked_to_end_it_leaves_nothing_behind(
    home: Path, first: str, number: signal.Signals
) -> None:
    with started(home) as (process, said):
        assert "is built already" in said
        assert "computed 45" in said
        assert password_in(first) == password_in(said)
        address = find(r"^  JupyterHub +(\S+)", said)
        assert httpx.get(f"{address}hub/api/", trust_env=False).is_success
        own = processes.list_descendants(process.pid)
        assert len(own) >= 4  # the Hub, its proxy, the service, the user's server
        process.send_signal(number)
        status = process.wait(60)
    assert status == (0 if number == signal.SIGINT else 128 + number)
    assert [p for p in own if p.is_alive()] == []


def test_killed_it_leaves_nothing_behind(home: Path, first: str) -> None:
    with started(home) as (process, _):
        own = processes.list_descendants(process.pid)
        process.kill()
        process.wait()
        assert processes.wait_until(lambda: not any(p.is_alive() for p in own), 30)


def find(pattern: str, text: str) -> str:
    found = re.search(pattern, text, re.MULTILINE)
    assert found is not None, text
    return found[1]


def password_in(text: str) -> str:
    return find(r"^  password +(\S+)", text)
