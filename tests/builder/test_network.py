"""Servers that are slow, silent, or odd."""

from __future__ import annotations

import os
import threading
from collections.abc import Generator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from conda_store_hub.builder.channel_state import read_channel_state
from conda_store_hub.core.protocol import BuildLimits
from conda_store_hub.demo.channel import index, make_package
from tests.support.builder import Outcome, Workshop


class OddServer(ThreadingHTTPServer):
    """A channel's server that can be told to be silent, or to send packages in pieces."""

    daemon_threads = True

    def __init__(self, directory: Path) -> None:
        super().__init__(("127.0.0.1", 0), partial(_Handler, directory=str(directory)))
        self.silent_about = ""
        self.pause = 0.0
        self.cuts = 0
        self.heads: list[str] = []
        self.refuses_heads = False
        self.over = threading.Event()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(SimpleHTTPRequestHandler):
    server: OddServer

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_HEAD(self) -> None:
        self.server.heads.append(self.path)
        if self.server.silent_about and self.server.silent_about in self.path:
            self.server.over.wait()
        if self.server.refuses_heads:
            self.send_error(405)
        else:
            super().do_HEAD()

    def do_GET(self) -> None:
        if self.server.silent_about and self.server.silent_about in self.path:
            self.server.over.wait()
        elif self.path.endswith("big-1.0-0.conda"):
            self._send_in_pieces(Path(self.translate_path(self.path)).read_bytes())
        else:
            super().do_GET()

    def _send_in_pieces(self, data: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        piece = len(data) // 8 + 1
        if self.server.cuts:
            self.server.cuts -= 1
            data = data[: len(data) // 2]
            self.close_connection = True
        for start in range(0, len(data), piece):
            self.wfile.write(data[start : start + piece])
            self.wfile.flush()
            self.server.over.wait(self.server.pause)


def age(directory: Path, seconds: float) -> None:
    """Make files older, so that their dates tell them apart."""
    for path in directory.rglob("repodata*"):
        then = path.stat().st_mtime - seconds
        os.utime(path, (then, then))


@pytest.fixture
def odd(tmp_path: Path) -> Generator[OddServer]:
    make_package(tmp_path, "big", "1.0", files={"share/big": os.urandom(200_000).hex()})
    make_package(tmp_path, "small", "1.0", files={"share/small": "small"})
    index(tmp_path)
    server = OddServer(tmp_path)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield server
    server.over.set()
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def shop(tmp_path_factory: pytest.TempPathFactory, odd: OddServer) -> Workshop:
    return Workshop(tmp_path_factory.mktemp("n"), [odd.address])


def test_a_slow_download_may_take_longer_than_any_patience(shop: Workshop, odd: OddServer) -> None:
    odd.pause = 0.4
    outcome = shop.build("big", network_seconds=1)
    assert outcome.succeeded, outcome.log
    assert outcome.events[-1].t > 2, "eight pieces, and a pause after each"


def test_a_download_that_stalls_is_given_up(shop: Workshop, odd: OddServer) -> None:
    odd.pause = 100
    outcome = shop.build("big", "small", network_seconds=1)
    assert outcome.error.code == "install-failed"
    assert outcome.error.message == "The download of big stalled: nothing came for 1 s."


def test_a_download_that_ends_early_is_tried_again_and_then_given_up(shop: Workshop, odd: OddServer) -> None:
    odd.cuts = 1_000
    outcome = shop.build("big", "small")
    assert outcome.error.code == "install-failed"
    assert outcome.error.message == "The package big-1.0-0 could not be downloaded: it ended early."
    odd.cuts = 1
    assert shop.build("big", "small").succeeded


def test_an_index_that_never_comes_is_given_up(shop: Workshop, odd: OddServer) -> None:
    odd.silent_about = "repodata"
    outcome = shop.build("big", network_seconds=1)
    assert outcome.error.code == "channel-unavailable"
    assert outcome.error.message == f"The channel {odd.address} could not be read: it did not answer in time."


def test_a_server_whose_304_lacks_what_belongs_to_it_can_be_used(shop: Workshop) -> None:
    """As Python's own server, which answers 304 without a date: the engine takes that for a failure."""
    assert shop.build("small").succeeded
    again = shop.build("small")
    assert again.succeeded, again.log


# What servers say of their indexes.


def state_of(server: OddServer, platform: str = "linux-64") -> str | None:
    return read_channel_state([server.address], platform, patience=1)


def test_dates_and_lengths_tell_states_apart_where_there_are_no_tags(odd: OddServer, tmp_path: Path) -> None:
    age(tmp_path, 100)
    first = state_of(odd)
    assert first is not None
    assert len(first) == 64
    assert state_of(odd) == first
    assert set(odd.heads) == {
        "/noarch/repodata_shards.msgpack.zst",
        "/linux-64/repodata_shards.msgpack.zst",
        "/linux-64/repodata.json.zst",
        "/linux-64/repodata.json",
    }
    age(tmp_path, 10)
    assert state_of(odd) != first


def test_the_index_that_the_engine_would_read_is_asked_for(odd: OddServer, tmp_path: Path) -> None:
    age(tmp_path, 100)
    states = [state_of(odd)]
    for name in ("repodata_shards.msgpack.zst", "repodata.json.zst"):
        (tmp_path / "noarch" / name).unlink()
        states.append(state_of(odd))
    assert None not in states
    assert len(set(states)) == 3


def test_an_index_that_is_too_young_has_no_state(odd: OddServer) -> None:
    """It may change once more within the second that its date tells."""
    assert state_of(odd) is None


def test_a_server_that_does_not_answer_in_time_or_at_all_tells_no_state(odd: OddServer, tmp_path: Path) -> None:
    age(tmp_path, 100)
    odd.refuses_heads = True
    assert state_of(odd) is None
    odd.silent_about = "repodata"
    assert state_of(odd) is None
    for address in ("http://127.0.0.1:9/c", "file:///etc", "http://[::1", "nothing"):
        assert read_channel_state([address], "linux-64", patience=1) is None
    assert read_channel_state([], "linux-64", patience=1) is not None


def test_a_build_without_a_state_succeeds(shop: Workshop, odd: OddServer) -> None:
    odd.refuses_heads = True
    outcome = shop.build("small")
    assert outcome.succeeded, outcome.log
    assert (outcome.lock.channel_state, outcome.lock.reused) == (None, False)


def test_an_index_that_the_cache_may_keep_is_read_anew_when_it_changed(shop: Workshop, tmp_path: Path) -> None:
    """The date of the first makes it fresh for days, by HTTP's rules."""
    age(tmp_path, 10**7)
    assert _versions(shop.build("small", solve_only=True)) == ["1.0"]
    make_package(tmp_path, "small", "2.0")
    index(tmp_path)
    age(tmp_path, 10**6)
    assert _versions(shop.build("small", solve_only=True)) == ["2.0"]


def _versions(outcome: Outcome) -> list[str]:
    assert outcome.succeeded, outcome.log
    return [package.version for package in outcome.lock.packages]


# Time limits of phases.


def test_an_install_that_takes_too_long_is_ended(shop: Workshop, odd: OddServer) -> None:
    odd.pause = 100
    outcome = shop.build("big", limits=BuildLimits(install_seconds=1))
    assert outcome.error.code == "timed-out"
    assert outcome.error.message == "The phase “install” took longer than 1.0 s, which is all it has."
    assert outcome.events[-1].t < 10


def test_a_pip_part_that_takes_too_long_is_ended(workshop: Workshop, odd: OddServer) -> None:
    odd.silent_about = "slow-pip"
    limits = BuildLimits(pip_seconds=1, install_seconds=100)
    outcome = workshop.build("python", pip=["slow-pip"], pip_index=odd.address, limits=limits)
    assert outcome.error.code == "timed-out"
    assert "The phase “pip” took longer than 1.0 s" in outcome.error.message
