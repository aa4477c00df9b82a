"""The service as a process: starts, refuses what cannot work, and ends with all that it started."""

from __future__ import annotations

import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from tests.support.ports import find_port
from tests.support.process import COMMAND, ServiceProcess, is_alive, until


@pytest.fixture
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("s") / "data"


def test_it_answers_and_becomes_ready_on_an_empty_directory(place: Path) -> None:
    with ServiceProcess(place) as service:
        until(lambda: service.health() is not None)
        service.wait_until_ready()
        answer = service.health()
        assert answer is not None
        assert answer.json()["ready"]
        until(lambda: "the pages are loaded" in service.log.read_text())
    assert (place / "secrets").stat().st_mode & 0o777 == 0o700
    assert (place / "secrets" / "cookie").stat().st_mode & 0o777 == 0o600
    assert (place / "b").stat().st_mode & 0o777 == 0o711


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_in_order(place: Path, number: signal.Signals) -> None:
    with ServiceProcess(place) as service:
        service.wait_until_ready()
        service.process.send_signal(number)
        code, said = service.wait()
    assert code == 0
    assert "Traceback" not in said


def test_a_signal_during_start_ends_it_too(place: Path) -> None:
    with ServiceProcess(place) as service:
        until(lambda: service.health() is not None)
        service.process.send_signal(signal.SIGTERM)
        code, said = service.wait()
    assert code == 0
    assert "Traceback" not in said


def test_a_signal_ends_it_at_once_whatever_the_database_waits_for(place: Path) -> None:
    with ServiceProcess(place) as service:
        service.wait_until_ready()
        service.process.send_signal(signal.SIGTERM)
        service.wait()
        with closing(sqlite3.connect(place / "db.sqlite")) as other, service:
            other.execute("BEGIN IMMEDIATE")  # held: the upgrade at start waits for it, ten seconds
            until(lambda: service.health() is not None)
            service.process.send_signal(signal.SIGTERM)
            code, said = service.wait(5)
    assert code == 0
    assert "Traceback" not in said


def test_a_data_directory_has_one_service(place: Path) -> None:
    with ServiceProcess(place) as first:
        first.wait_until_ready()
        with ServiceProcess(place) as second:
            code, said = second.wait()
        assert code == 78
        assert "Another service is running on" in said
        assert "Traceback" not in said
        assert first.health() is not None


def test_a_killed_service_leaves_a_directory_that_the_next_one_takes(place: Path) -> None:
    with ServiceProcess(place) as first:
        first.wait_until_ready()
        first.process.kill()
        first.process.wait()
        with ServiceProcess(place) as second:
            second.wait_until_ready()


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ("\nc.CondaStor.publish_links = True\n", "no class CondaStor. Did you mean CondaStore? (line 2)"),
        ("c.CondaStore.publish_linkz = 1\n", "no trait CondaStore.publish_linkz. Did you mean publish_links? (line 1)"),
        ("c.CondaStore.publish_links = \n", "invalid syntax. (line 1)"),
        ("\n\nraise ValueError('mine')\n", "ValueError: mine. (line 3)"),
        ("c.CondaStore.build_artifacts = ['TAR']\n", "“TAR” is none of"),
        ("c.CondaStore.conda_channel_alias = '/srv'\n", "conda_channel_alias is an http(s) address"),
        (f"c.CondaStore.store_directory = '/tmp/{'x' * 60}'\n", "is too deep"),
    ],
)  # fmt: skip
def test_a_mistake_in_the_configuration_is_an_error_in_words(place: Path, config: str, says: str) -> None:
    with ServiceProcess(place, config) as service:
        code, said = service.wait()
    assert code != 0
    assert says in said
    assert "Traceback" not in said


def test_an_occupied_port_is_an_error_in_words(place: Path) -> None:
    with ServiceProcess(place) as service, socket.socket() as other:
        service.process.kill()
        service.process.wait()
        other.bind(("127.0.0.1", service.port))
        other.listen()
        with service:
            code, said = service.wait()
    assert code == 78
    assert "cannot be used: Address already in use" in said
    assert "Traceback" not in said


def test_a_managed_service_does_not_survive_its_hub(place: Path) -> None:
    hub = (
        "import subprocess, sys, time\n"
        f"child = subprocess.Popen({[*COMMAND, 'serve']!r}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)\n"
        "print(child.pid, flush=True)\n"
        "time.sleep(600)\n"
    )
    service = ServiceProcess(place, CONDA_STORE_HUB_MANAGED="1")
    with subprocess.Popen(
        [sys.executable, "-c", hub], env=service.environment, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        until(lambda: service.health() is not None)
        parent.kill()
        parent.wait()
        until(lambda: not is_alive(pid))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can show that root is refused")
def test_as_root_it_serves_and_says_why_it_does_not_build(place: Path) -> None:
    with ServiceProcess(place) as service:
        service.wait_until_ready()
        assert "as root, a package could change every environment" in service.log.read_text()


def test_a_database_that_cannot_be_opened_is_an_error_in_words(place: Path) -> None:
    config = "c.CondaStore.database_url = 'sqlite:////nonexistent/db.sqlite'\n"
    with ServiceProcess(place, config) as service:
        code, said = service.wait()
    assert code != 0
    assert "database" in said
    assert "Traceback" not in said


def test_an_unknown_command_is_refused_and_help_names_those_there_are() -> None:
    unknown = subprocess.run([*COMMAND, "fly"], capture_output=True, text=True, check=False)
    assert unknown.returncode != 0
    shown = subprocess.run([*COMMAND, "--help"], capture_output=True, text=True, check=True)
    for command in ("serve", "check", "upgrade-db", "demo", "demo-channel"):
        assert command in shown.stdout


def test_nothing_in_the_data_directory_is_for_others_but_the_way_to_prefixes(place: Path) -> None:
    with ServiceProcess(place) as service:
        service.wait_until_ready()
        for path in place.rglob("*"):
            open_to_others = path.stat().st_mode & 0o077
            assert not open_to_others or (path == place / "b" and open_to_others == 0o11), path


def test_a_port_for_images_is_opened_as_the_hub_said_and_the_file_wins(place: Path) -> None:
    said, own = find_port(), find_port()
    told = json.dumps({"port": said, "address": "hub.example.org:5000"})
    with ServiceProcess(place, f"c.Registry.port = {own}\n", CONDA_STORE_HUB_REGISTRY=told) as service:
        service.wait_until_ready()
        assert httpx.get(f"http://127.0.0.1:{own}/v2/", trust_env=False).status_code == 401
        place_of_images = httpx.get(f"{service.url}api/v1/", trust_env=False).json()["data"]["registry"]
        assert place_of_images == {"address": "hub.example.org:5000", "port": own}
        service.process.send_signal(signal.SIGTERM)
        code, _ = service.wait()
    assert code == 0
    with socket.create_server(("127.0.0.1", own)):
        pass


def test_a_port_for_images_that_would_show_tokens_to_everybody_ends_the_start(place: Path) -> None:
    with ServiceProcess(place, f"c.Registry.port = {find_port()}\nc.Registry.ip = '0.0.0.0'\n") as service:
        code, said = service.wait()
    assert code == 78
    assert "c.Registry.certificate" in said
    assert "Traceback" not in said
