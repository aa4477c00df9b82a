"""Dry runs over HTTP, with real solves on a channel of tiny packages."""

from __future__ import annotations

import json
import logging
import socket
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from conda_store_hub.core.names import DataDirectory
from conda_store_hub.core.protocol import Package
from conda_store_hub.demo.channel import index, make_package, serve_channel
from conda_store_hub.queue.solver import ProcessSolver
from conda_store_hub.services import work
from tests.support import make
from tests.support.channel import tiny_channel
from tests.support.process import until
from tests.support.service import PREFIX, RunningService, run_service

SOLVE = "api/v1/specification/solve/"


@pytest.fixture(scope="module")
def channel(tmp_path_factory: pytest.TempPathFactory) -> Generator[tuple[str, Path]]:
    directory = tiny_channel(tmp_path_factory.mktemp("channels") / "main")
    with serve_channel(directory) as address:
        yield address, directory


@pytest.fixture
def service(data: DataDirectory, channel: tuple[str, Path]) -> Generator[RunningService]:
    address, _ = channel
    rules = make.rules(
        address.rstrip("/").rpartition("/")[0],
        channel_aliases={"main": address},
        allowed_channels=["main"],
        forbidden_packages=["clobbers-a"],
    )
    with run_service(data, rules=rules) as running:
        yield running


def ask(client: httpx.Client, *dependencies: str, **more: object) -> httpx.Response:
    return client.post(SOLVE, json={"specification": make.text("ml", *dependencies), **more})


def versions(packages: list[dict[str, Any]]) -> dict[str, str]:
    return {package["name"]: package["version"] for package in packages}


def test_a_dry_run_tells_what_would_be_built_and_what_that_changes(service: RunningService) -> None:
    with service.client("alice") as alice:
        first = ask(alice, "app").json()["data"]
        assert versions(first["packages"]) == {"app": "2.0", "base-lib": "2.0"}
        assert (first["active_build_id"], first["diff"], first["reused"]) == (None, None, False)
        assert all(package["url"].startswith("http://127.0.0.1") for package in first["packages"])
        build_id = service.submit("ml", yaml=make.text("ml", "app"))
        service.claim(build_id)
        service.use(build_id, "app=1.0", "old-app=0.9", "base-lib=2.0")
        then = ask(alice, "app").json()["data"]
        assert then["active_build_id"] == build_id
        assert [item["name"] for item in then["diff"]["removed"]] == ["old-app"]
        assert {item["new"]["name"]: item["old"]["version"] for item in then["diff"]["changed"]}["app"] == "1.0"
        assert alice.get("api/v1/build/").json()["count"] == 1


def test_a_dry_run_can_be_for_another_platform(service: RunningService, channel: tuple[str, Path]) -> None:
    make_package(channel[1], "of-macs", "1.0", subdir="osx-arm64", depends=["__osx >=11", "base-lib"])
    index(channel[1])
    with service.client("alice") as alice:
        service.completed("ml")
        found = ask(alice, "of-macs", platform="osx-arm64").json()["data"]
        assert {item["name"]: item["subdir"] for item in found["packages"]} == {
            "base-lib": "noarch",
            "of-macs": "osx-arm64",
        }
        assert (found["active_build_id"], found["diff"]) == (None, None)
        assert ask(alice, "of-macs").json()["code"] == "package-not-found"
        assert ask(alice, "of-macs", platform="amiga").status_code == 400


def test_a_dry_run_tells_why_each_package_is_there(service: RunningService) -> None:
    with service.client("alice") as alice:
        packages = {item["name"]: item for item in ask(alice, "app").json()["data"]["packages"]}
    assert (packages["app"]["reason"], packages["app"]["needed_by"]) == ("asked", [])
    assert (packages["base-lib"]["reason"], packages["base-lib"]["needed_by"]) == ("needed", ["app"])
    assert packages["base-lib"]["needed_by_count"] == 1


def test_what_a_build_has_already_is_no_change(service: RunningService) -> None:
    with service.client("alice") as alice:
        found = {item["name"]: item for item in ask(alice, "app").json()["data"]["packages"]}
        build_id = service.submit("ml", yaml=make.text("ml", "app"))
        service.claim(build_id)
        keys = ("manager", "name", "version", "build", "channel")
        kept = Package.model_validate({key: found["base-lib"][key] for key in keys})
        event = make.usable("app=1.0").model_copy(update={"packages": (*make.usable("app=1.0").packages, kept)})
        service.db.write_sync(work.mark_usable, service.tickets[build_id], event)
        diff = ask(alice, "app").json()["data"]["diff"]
    assert [item["new"]["name"] for item in diff["changed"]] == ["app"]
    assert (diff["added"], diff["removed"], diff["unchanged"]) == ([], [], 1)


def test_what_was_just_solved_for_is_remembered_unless_a_new_solve_is_asked_for(
    service: RunningService, channel: tuple[str, Path]
) -> None:
    with service.client("alice") as alice:
        assert ask(alice, "app").json()["data"]["reused"] is False
        assert ask(alice, "app").json()["data"]["reused"] is True
        make_package(channel[1], "app", "3.0")
        index(channel[1])
        try:
            assert versions(ask(alice, "app", fresh=True).json()["data"]["packages"]) == {"app": "3.0"}
            assert versions(ask(alice, "app").json()["data"]["packages"]) == {"app": "3.0"}
        finally:
            for path in channel[1].rglob("app-3.0*"):
                path.unlink()
            index(channel[1])


@pytest.mark.parametrize(
    ("dependency", "status", "code"),
    [
        ("no-such", 422, "package-not-found"),
        ("app =9", 422, "unsatisfiable"),
        ("app ==", 400, "invalid-specification"),
        ("clobbers-a", 400, "policy-refused"),
    ],
)
def test_what_cannot_be_solved_for_is_said_with_its_line(
    service: RunningService, dependency: str, status: int, code: str
) -> None:
    with service.client("alice") as alice:
        answer = ask(alice, "app", dependency)
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    assert answer.json()["line"] == 6


def test_the_solver_is_quoted(service: RunningService) -> None:
    with service.client("alice") as alice:
        answer = ask(alice, "app >=2", "old-app").json()
        other = ask(alice, "app ==").json()
    assert answer["code"] == "unsatisfiable"
    assert "old-app" in answer["detail"]
    assert "└─" in answer["detail"]
    assert "detail" not in other


def test_a_lock_file_can_be_tried_as_well(service: RunningService) -> None:
    with service.client("alice") as alice:
        package = ask(alice, "base-lib").json()["data"]["packages"][0]
        text = f"@EXPLICIT\n{package['url']}#sha256:{package['sha256']}\n"
        request = {"specification": text, "environment_name": "locked"}
        assert versions(alice.post(SOLVE, json=request).json()["data"]["packages"]) == {"base-lib": "2.0"}
        other = text.replace(package["sha256"], "0" * 64)
        answer = alice.post(SOLVE, json=request | {"specification": other})
    assert (answer.status_code, answer.json()["code"]) == (422, "package-corrupt")


def test_conda_stores_way_to_ask_is_answered(service: RunningService, channel: tuple[str, Path]) -> None:
    query = f"channels={channel[0]}&conda=app%20%3C2&conda=has-prefix&pip=/"
    with service.client("alice") as alice:
        answer = alice.get(f"api/v1/specification/?{query}").json()
        assert versions(answer["solve"]) == {"app": "1.0", "base-lib": "1.0", "has-prefix": "1.0"}
        refused = alice.get("api/v1/specification/?channel=elsewhere&conda=app")
        assert (refused.status_code, refused.json()["code"]) == (400, "policy-refused")
        nothing = alice.get("api/v1/specification/")
        assert (nothing.status_code, nothing.json()["code"]) == (400, "invalid-specification")


def test_only_who_may_build_there_may_solve_there(service: RunningService) -> None:
    service.completed(namespace="group.physics")
    with service.client("bob") as bob, service.client() as nobody:
        assert ask(bob, "app", namespace="group.physics").status_code == 404
        assert ask(nobody, "app").status_code == 401
        assert nobody.get("api/v1/specification/?conda=app").status_code == 401


# The processes: with a builder that reads its request and then waits until it is killed.

WAITS = "import os, sys, time, pathlib; pathlib.Path(os.environ['HOME'], 'began').touch(); time.sleep(60)"


@pytest.fixture
def waiting(service: RunningService) -> ProcessSolver:
    """The service's solver, whose builders never answer."""
    service.solve_by(WAITS)
    return service.solver


def began(data: DataDirectory) -> list[Path]:
    return list(data.work.glob("solve-*/began"))


@contextmanager
def asking(service: RunningService, count: int, namespace: str = "alice") -> Generator[list[socket.socket]]:
    """Ask for the same `count` times, and close the connections at the end."""
    body = json.dumps({"specification": make.text("ml", "app"), "namespace": namespace})
    head = f"POST {PREFIX}{SOLVE} HTTP/1.1\r\nHost: x\r\nAuthorization: token alice-token\r\n"
    request = f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode()
    address = urlsplit(service.url)
    with ExitStack() as stack:
        opened = [stack.enter_context(socket.create_connection((address.hostname, address.port))) for _ in range(count)]
        for connection in opened:
            connection.sendall(request)
        yield opened


def waiting_for(solver: ProcessSolver) -> int:
    return sum(running.waiting for running in list(solver._running.values()))


def test_a_solve_ends_with_the_last_who_waits_for_it(
    service: RunningService, data: DataDirectory, waiting: ProcessSolver, caplog: pytest.LogCaptureFixture
) -> None:
    with asking(service, 3) as connections:
        until(lambda: waiting_for(waiting) == 3)
        until(lambda: began(data))
        assert len(began(data)) == 1
        connections[0].close()
        until(lambda: waiting_for(waiting) == 2)
        assert len(began(data)) == 1
    until(lambda: not list(data.work.glob("solve-*")))
    assert waiting._running == {}
    assert [record.message for record in caplog.records if record.levelno >= logging.ERROR] == []


@pytest.mark.parametrize(("of_one", "at_once", "words"), [(8, 1, "Too many"), (1, 50, "You wait for 1 solves")])
def test_there_is_an_end_to_how_many_wait(
    service: RunningService,
    waiting: ProcessSolver,
    monkeypatch: pytest.MonkeyPatch,
    of_one: int,
    at_once: int,
    words: str,
) -> None:
    monkeypatch.setattr("conda_store_hub.queue.solver._MOST_AT_ONCE", at_once)
    monkeypatch.setattr(waiting._waiting, "of_one", of_one)
    with asking(service, 1), service.client("alice") as alice:
        until(lambda: waiting_for(waiting) == 1)
        answer = ask(alice, "base-lib")
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    assert answer.json()["message"].startswith(words)
    until(lambda: not waiting._waiting.total)


def test_who_may_take_less_time_does_not_end_the_solve_of_who_may_take_more(
    service: RunningService, waiting: ProcessSolver
) -> None:
    with service.client("alice") as alice:
        alice.put("api/v1/setting/alice/", json={"build_seconds": 1})
        with asking(service, 1, "group.physics"):
            until(lambda: waiting_for(waiting) == 1)
            answer = ask(alice, "app")
            assert (answer.status_code, answer.json()["code"]) == (422, "timed-out")
            assert waiting_for(waiting) == 1
