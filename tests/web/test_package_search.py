"""Packages of channels, searched over HTTP by the real process, in tiny channels on loopback."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import socket
import sys
from collections.abc import Generator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from conda_store_hub.core.names import DataDirectory
from conda_store_hub.core.protocol import Package
from conda_store_hub.core.search import SearcherSetup
from conda_store_hub.db.session import Database
from conda_store_hub.demo.channel import index, make_package, serve_channel
from conda_store_hub.queue import searcher as module
from conda_store_hub.queue.searcher import ProcessSearcher
from conda_store_hub.services import work
from tests.support import make
from tests.support.process import is_alive, until
from tests.support.service import PREFIX, RunningService, run_service

SEARCH = "api/v1/package/"


def record(name: str, version: str = "1.0", **more: Any) -> dict[str, Any]:
    usual = {"build": "0", "build_number": 0, "depends": [], "subdir": "noarch", "sha256": "ab" * 32, "size": 1}
    return {"name": name, "version": version, **usual, **more}


def write_index(channel: Path, **kinds: dict[str, Any]) -> None:
    """Write the oldest form of an index, and no other."""
    (channel / "noarch").mkdir(parents=True, exist_ok=True)
    text = json.dumps({"info": {"subdir": "noarch"}, **{kind.replace("_", "."): kinds[kind] for kind in kinds}})
    (channel / "noarch" / "repodata.json").write_text(text)


@pytest.fixture
def channels(tmp_path: Path) -> Path:
    """`main`, made by the engine's own index; `old`, with what channels had ten years ago."""
    folder = tmp_path / "channels"
    for version, build in (("1.9", "0"), ("1.10", "0"), ("1.10", "1")):
        make_package(folder / "main", "numpy", version, build=build, depends=["base-lib"])
    make_package(folder / "main", "numpy", "1.8", suffix=".tar.bz2")
    for suffix in (".tar.bz2", ".conda"):
        make_package(folder / "main", "both", "1.0", suffix=suffix)
    for name in ("numpydoc", "a-numpy", "base-lib"):
        make_package(folder / "main", name, "1.0")
    make_package(folder / "main", "here-only", "1.0", subdir="linux-64")
    make_package(folder / "main", "mac-only", "1.0", subdir="osx-arm64")
    index(folder / "main")
    write_index(folder / "old", packages={"numpy-0.1-0.tar.bz2": record("numpy", "0.1")})
    return folder


@pytest.fixture
def service(data: DataDirectory, channels: Path) -> Generator[RunningService]:
    with serve_channel(channels) as address:
        rules = make.rules(address, channel_aliases={"old": f"{address}/old"})
        with run_service(data, rules=rules) as running:
            searcher = searcher_of(running)
            searcher._setup = SearcherSetup(repodata=str(data.repodata), fresh=0, sulk=0)
            yield running


def searcher_of(service: RunningService) -> ProcessSearcher:
    assert isinstance(service.services.searcher, ProcessSearcher)
    return service.services.searcher


def ask(client: httpx.Client, path: str = SEARCH, **query: Any) -> dict[str, Any]:
    answer = client.get(path, params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


def found(answer: dict[str, Any]) -> list[tuple[str, str, str | None, int | None]]:
    return [
        (each["name"], each["channel"]["name"].rpartition("/")[2], each["version"], each["versions"])
        for each in answer["data"]
    ]


def test_packages_are_found_by_a_part_of_their_name_the_most_alike_first(service: RunningService) -> None:
    with service.client("alice") as alice:
        answer = ask(alice, search="NumPy")
        assert found(answer) == [
            ("numpy", "main", "1.10", 3),
            ("numpy", "old", "0.1", 1),
            ("numpydoc", "main", "1.0", 1),
            ("a-numpy", "main", "1.0", 1),
        ]
        assert (answer["count"], answer["problems"]) == (4, [])
        assert found(ask(alice, search="numpy", page=2, size=2)) == found(answer)[2:]
        assert found(ask(alice, search="numpy", exact=True, channel="old")) == [("numpy", "old", "0.1", 1)]
        assert [name for name, *_ in found(ask(alice, search="only"))] == ["here-only"]
        both = ask(alice, search="only", platform=["osx-arm64", "linux-64"])
        assert [name for name, *_ in found(both)] == ["here-only", "mac-only"]
        for pattern in ("n*", "numpy*", "[n]umpy", "num.y", "%", "*", "a b", "'"):
            assert ask(alice, search=pattern)["data"] == [], pattern
        versions = ask(alice, search="numpy", exact=1, distinct_on="version", channel="main")
        assert [version for _, _, version, _ in found(versions)] == ["1.10", "1.9", "1.8"]
        assert alice.get(f"{SEARCH}?platform=amiga").status_code == 400
        assert alice.get(f"{SEARCH}?build=py").status_code == 400
        for path in (SEARCH, f"{SEARCH}numpy/"):
            nowhere = alice.get(path, params={"name": "ml"})
            assert (nowhere.status_code, nowhere.json()["message"][-31:]) == (400, "say which one with `namespace`.")
        refused = alice.get(SEARCH, params={"channel": "https://elsewhere.example/x"})
        assert (refused.status_code, refused.json()["code"]) == (400, "policy-refused")


def test_the_builds_of_a_package_are_listed_in_the_order_of_versions(service: RunningService) -> None:
    with service.client("alice") as alice:
        answer = ask(alice, f"{SEARCH}Numpy/")
        listed = [(each["version"], each["build"], each["type"]) for each in answer["data"]]
        assert listed == [
            ("1.10", "1", ".conda"),
            ("1.10", "0", ".conda"),
            ("1.9", "0", ".conda"),
            ("1.8", "0", ".tar.bz2"),
            ("0.1", "0", ".tar.bz2"),
        ]
        first = answer["data"][0]
        assert (first["depends"], first["subdir"], first["file"]) == (["base-lib"], "noarch", "numpy-1.10-1.conda")
        assert first["size"] > 0
        assert first["timestamp"]
        assert ask(alice, f"{SEARCH}numpy/", version="1.10.0", build="1")["count"] == 1
        assert ask(alice, f"{SEARCH}numpy/", page=2, size=3)["data"] == answer["data"][3:]
        for name in ("no-such", "num*", "mac-only", "..%2Fx"):
            assert alice.get(f"{SEARCH}{name}/").status_code == 404, name


def test_only_who_is_known_searches_and_rules_of_a_place_hold_for_who_may_read_it(service: RunningService) -> None:
    service.completed()
    with service.client("alice") as alice, service.client("bob") as bob, service.client() as nobody:
        address = service.services.rules.policy.channel_alias
        alice.put("api/v1/setting/alice/", json={"allowed_channels": [f"{address}/old"]})
        assert found(ask(alice, search="numpy", namespace="alice")) == [("numpy", "old", "0.1", 1)]
        assert found(ask(alice, search="numpy", namespace="alice", name="ml")) == [("numpy", "old", "0.1", 1)]
        assert alice.get(f"{SEARCH}numpy/?namespace=alice&channel=main").status_code == 400
        assert bob.get(f"{SEARCH}?search=numpy&namespace=alice").status_code == 404
        assert bob.get(f"{SEARCH}?search=numpy&namespace=alice&name=ml").status_code == 404
        assert [nobody.get(path).status_code for path in (SEARCH, f"{SEARCH}numpy/", "api/v1/build/1/departed/")] == [
            401,
            401,
            401,
        ]


def test_a_channel_that_fails_is_named_and_the_others_are_searched(
    service: RunningService, channels: Path, data: DataDirectory
) -> None:
    write_index(channels / "torn")
    torn = channels / "torn" / "noarch" / "repodata.json"
    torn.write_text(torn.read_text()[:-20])
    broken = {"half-1-0.tar.bz2": record("half"), "bad-1-0.tar.bz2": {"name": "bad"}}
    write_index(channels / "half", packages=broken)
    make_package(channels / "lost", "lost", "1.0")
    index(channels / "lost")
    shutil.rmtree(channels / "lost" / "noarch" / "shards")
    names = ["main", "torn", "half", "nowhere", "lost"]
    with service.client("alice") as alice:
        answer = ask(alice, channel=names, size=50)
        said = {each["channel"].rpartition("/")[2]: each["message"] for each in answer["problems"]}
        known = {(name, channel): version for name, channel, version, _ in found(answer)}
        nothing = alice.get(f"{SEARCH}numpy/", params={"channel": "nowhere"})
    assert set(said) == {"torn", "half", "nowhere", "lost"}
    assert said["nowhere"] == "It could not be read: there is no noarch/repodata.json under this address."
    assert not any(word in " ".join(said.values()) for word in (str(data.root), "http:", "Caused"))
    assert known["numpy", "main"] == "1.10"
    assert known["half", "half"] == "1.0"
    assert known["bad", "half"] is None
    assert known["lost", "lost"] is None
    assert (nothing.status_code, len(nothing.json()["problems"])) == (200, 1)


def test_a_channel_that_does_not_answer_holds_up_a_search_for_as_long_as_it_may(service: RunningService) -> None:
    searcher = searcher_of(service)
    searcher._setup = searcher._setup.model_copy(update={"patience": 0.5})
    with socket.create_server(("127.0.0.1", 0)) as silent, service.client("alice") as alice:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}/x"
        alice.headers["Authorization"] = "token root-token"
        base = service.services.rules.policy.channel_alias
        alice.put("api/v1/setting/", json={"allowed_channels": [base, address]})
        answer = ask(alice, search="numpydoc", channel=["main", address])
    assert found(answer) == [("numpydoc", "main", "1.0", 1)]
    assert answer["problems"] == [{"channel": address, "message": "It did not answer in time."}]


def test_who_has_left_waits_for_nothing(service: RunningService) -> None:
    searcher = searcher_of(service)
    searcher._setup = searcher._setup.model_copy(update={"patience": 100})
    address = urlsplit(service.url)
    with socket.create_server(("127.0.0.1", 0)) as silent, service.client("alice") as alice:
        channel = f"http://127.0.0.1:{silent.getsockname()[1]}/x"
        alice.headers["Authorization"] = "token root-token"
        base = service.services.rules.policy.channel_alias
        alice.put("api/v1/setting/", json={"allowed_channels": [base, channel]})
        head = "HTTP/1.1\r\nHost: x\r\nAuthorization: token root-token\r\n\r\n"
        with ExitStack() as opened:
            for number in range(searcher._waiting.of_one):
                connection = opened.enter_context(socket.create_connection((address.hostname, address.port)))
                path = f"{PREFIX}{SEARCH}?channel={channel}&search={number}"
                connection.sendall(f"GET {path} {head}".encode())
            until(lambda: searcher._waiting.total == searcher._waiting.of_one)
            assert alice.get(SEARCH).status_code == 503
        until(lambda: searcher._waiting.total == 0)
        assert found(ask(alice, search="numpydoc", channel="main")) == [("numpydoc", "main", "1.0", 1)]
        assert searcher._running is not None
        assert searcher._running.asked == {}


def test_200_000_names_and_what_a_channel_gets_later_are_found(service: RunningService, channels: Path) -> None:
    files = {f"package-{number}-1-0.tar.bz2": record(f"package-{number}") for number in range(200_000)}
    write_index(channels / "wide", packages=files)
    with service.client("alice") as alice:
        answer = ask(alice, search="package-19999", channel="wide", size=3)
        assert (answer["count"], found(answer)[0][0]) == (11, "package-19999")
        assert ask(alice, search="later", channel="old")["data"] == []
        write_index(channels / "old", packages_conda={"later-1-0.conda": record("later")})
        assert [name for name, *_ in found(ask(alice, search="later", channel="old"))] == ["later"]


def complete(db: Database, build_id: int, *packages: Package) -> None:
    event = make.usable().model_copy(update={"packages": packages})
    db.write_sync(work.mark_usable, make.claim(db, build_id), event)


def test_what_has_left_its_channel_or_is_another_file_is_told(service: RunningService, channels: Path) -> None:
    base = service.services.rules.policy.channel_alias
    with service.client("alice") as alice:
        builds = {each["file"]: each for each in ask(alice, f"{SEARCH}numpy/", channel="main")["data"]}

    def package(name: str, file: str, channel: str = "main", sha256: str = "", size: int = 0) -> Package:
        url, version = f"{base}/{channel}/noarch/{file}", file.split("-")[-2]
        return Package(
            manager="conda",
            name=name,
            version=version,
            channel=f"{base}/{channel}",
            subdir="noarch",
            url=url,
            sha256=sha256,
            size=size,
        )

    newest = "numpy-1.10-1.conda"
    build_id = service.submit()
    complete(
        service.db,
        build_id,
        package("numpy", newest, sha256=builds[newest]["sha256"]),
        package("numpydoc", "numpydoc-1.0-0.conda", sha256="cd" * 32),
        package("a-numpy", "a-numpy-1.0-0.tar.bz2"),  # its newer form is there
        package("both", "both-1.0-0.tar.bz2", size=(channels / "main/noarch/both-1.0-0.tar.bz2").stat().st_size),
        package("numpy", "numpy-1.7-0.conda"),
        package("never", "never-1-0.conda"),
        package("elsewhere", "elsewhere-1-0.conda", channel="nowhere"),
        Package(manager="pip", name="six", version="1"),
    )
    with service.client("alice") as alice, service.client("bob") as bob:
        told = ask(alice, f"api/v1/build/{build_id}/departed/")["data"]
        assert bob.get(f"api/v1/build/{build_id}/departed/").status_code == 404
    gone = [("a-numpy", "1.0"), ("never", "1"), ("numpy", "1.7")]
    assert sorted((each["name"], each["version"]) for each in told["gone"]) == gone
    assert [each["name"] for each in told["changed"]] == ["numpydoc"]
    assert [each["name"] for each in told["unknown"]] == ["elsewhere"]
    assert [each["channel"] for each in told["problems"]] == [f"{base}/nowhere"]


@pytest.mark.parametrize("sharded", [True, False])
def test_of_two_forms_of_a_package_the_one_that_a_build_has_is_looked_for(
    service: RunningService, channels: Path, sharded: bool
) -> None:
    base = f"{service.services.rules.policy.channel_alias}/main"
    old = channels / "main" / "noarch" / "both-1.0-0.tar.bz2"
    content, build_id = old.read_bytes(), service.submit()
    has = Package(
        manager="conda",
        name="both",
        version="1.0",
        channel=base,
        subdir="noarch",
        url=f"{base}/noarch/{old.name}",
        sha256=hashlib.sha256(content).hexdigest(),
        size=len(content),
    )
    complete(service.db, build_id, has)

    def told() -> dict[str, list[str]]:
        index(channels / "main")
        if not sharded:  # the engine tells one form of what stands in one file
            (channels / "main" / "noarch" / "repodata_shards.msgpack.zst").unlink()
        with service.client("alice") as alice:
            data = ask(alice, f"api/v1/build/{build_id}/departed/")["data"]
        return {how: [each["name"] for each in data[how]] for how in ("gone", "changed", "unknown") if data[how]}

    assert told() == {}
    old.unlink()
    assert told() == {"gone": ["both"]}
    make_package(channels / "main", "both", "1.0", suffix=".tar.bz2", files={"more": b"more"})
    assert told() == {"changed": ["both"]}
    old.unlink()
    assert told() == {"gone": ["both"]}  # an index is made anew of what has another name only
    old.write_bytes(content)
    old.with_name("both-1.0-0.conda").unlink()
    assert told() == {}


# The process


def pid_of(searcher: ProcessSearcher) -> int:
    assert searcher._running is not None
    return searcher._running.process._process.pid


def test_the_process_is_replaced_when_it_dies_and_ended_when_nobody_asks(service: RunningService) -> None:
    searcher = searcher_of(service)
    assert searcher._running is None
    with service.client("alice") as alice:
        ask(alice, search="numpy")
        first = pid_of(searcher)
        ask(alice, search="numpy")
        assert pid_of(searcher) == first
        os.kill(first, signal.SIGKILL)
        assert found(ask(alice, search="numpydoc")) == [("numpydoc", "main", "1.0", 1)]
        searcher._idle_seconds = 0.0
        ask(alice, search="numpy")
        until(lambda: searcher._running is None)
        until(lambda: not is_alive(first))
        assert found(ask(alice, search="numpydoc")) == [("numpydoc", "main", "1.0", 1)]


def test_one_that_dies_of_each_question_or_is_silent_is_said_in_words(
    service: RunningService, monkeypatch: pytest.MonkeyPatch
) -> None:
    searcher = searcher_of(service)
    with service.client("alice") as alice:
        searcher._command = (sys.executable, "-S", "-c", "input(); input()")
        died = alice.get(SEARCH)
        searcher._command = (sys.executable, "-S", "-c", "import sys; sys.stdin.read()")
        monkeypatch.setattr(module, "_PATIENCE", 0.1)
        silent = alice.get(SEARCH)
        monkeypatch.setattr(searcher._waiting, "of_one", 0)
        full = alice.get(SEARCH)
    assert [answer.status_code for answer in (died, silent, full)] == [503, 503, 503]
    words = [answer.json()["message"].partition(" ")[2][:12] for answer in (died, silent, full)]
    assert words == ["search ended", "search took ", "wait for 0 s"]
