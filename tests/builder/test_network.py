"""Servers that are slow, silent, or odd."""

from __future__ import annotations

import os
import threading
from collections.abc import Generator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from conda_store_hub.demo.channel import index, make_package
from tests.support.builder import Workshop


class OddServer(ThreadingHTTPServer):
    """A channel's server that can be told to be silent, or to send packages in pieces."""

    daemon_threads = True

    def __init__(self, directory: Path) -> None:
        super().__init__(("127.0.0.1", 0), partial(_Handler, directory=str(directory)))
        self.silent_about = ""
        self.pause = 0.0
        self.over = threading.Event()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(SimpleHTTPRequestHandler):
    server: OddServer

    def log_message(self, *_: object) -> None:
        """Say nothing."""

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
        for start in range(0, len(data), piece):
            self.wfile.write(data[start : start + piece])
            self.wfile.flush()
            self.server.over.wait(self.server.pause)


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
