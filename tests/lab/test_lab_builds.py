"""Builds are followed through whatever breaks, and no longer than they go on."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import pytest

from conda_store_hub.core.protocol import BuildStatus
from conda_store_hub.lab import builds as module
from conda_store_hub.lab.builds import MOST_FOLLOWED, BuildFollower
from conda_store_hub.lab.proxy import Upstream
from tests.support.service_twin import TOKEN, ServiceTwin, make_build


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(module, "LONGEST_PAUSE", 0.05)


@asynccontextmanager
async def following(twin: ServiceTwin, heard: list[tuple[int, BuildStatus]]) -> AsyncGenerator[BuildFollower]:
    upstream = Upstream(url=twin.url, token=TOKEN, on_change=lambda _: None)
    follower = BuildFollower(upstream, on_state=lambda build_id, status: heard.append((build_id, status)))
    try:
        yield follower
    finally:
        await follower.stop()
        await upstream.close()


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not holds():
            await asyncio.sleep(0.01)


def test_a_state_is_told_once_though_the_line_breaks_and_the_service_goes(twin: ServiceTwin) -> None:
    async def run() -> list[tuple[int, BuildStatus]]:
        heard: list[tuple[int, BuildStatus]] = []
        twin.state.builds[7] = make_build(7, status="BUILDING")
        twin.state.events_before_break = 0
        async with following(twin, heard) as follower:
            follower.follow(7)
            await until(lambda: len(twin.asked("build/7/logs/")) > 2)
            twin.stop()
            await until(lambda: heard != [])
            twin.start()
            with twin.changing() as state:
                state.events_before_break, state.log_complete = None, True
            await until(lambda: heard[-1][1] is BuildStatus.COMPLETED)
            asked = len(twin.asked("build/7/logs/"))
            await asyncio.gather(*follower._tasks.values())
            assert len(twin.asked("build/7/logs/")) == asked
        return heard

    assert asyncio.run(run()) == [(7, BuildStatus.BUILDING), (7, BuildStatus.COMPLETED)]


class _Cut(BaseHTTPRequestHandler):
    """Ends its first answer in the middle of a state, without a sign that something is missing."""

    cuts: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        event = 'event: state\ndata: {"status": "COMPLETED", "info": null}\n\n'
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        self.wfile.write(event.encode() if self.cuts else event[:-12].encode())
        self.cuts.append(self.path)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def test_a_state_that_is_cut_off_is_asked_for_again() -> None:
    async def run(url: str) -> list[tuple[int, BuildStatus]]:
        heard: list[tuple[int, BuildStatus]] = []
        upstream = Upstream(url=url, token=TOKEN, on_change=lambda _: None)
        follower = BuildFollower(upstream, on_state=lambda build_id, status: heard.append((build_id, status)))
        follower.follow(7)
        await until(lambda: not follower._tasks)
        await upstream.close()
        return heard

    with ThreadingHTTPServer(("127.0.0.1", 0), _Cut) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        heard = asyncio.run(run(f"http://127.0.0.1:{server.server_port}/"))
        server.shutdown()
    assert (heard, len(_Cut.cuts)) == ([(7, BuildStatus.COMPLETED)], 2)


def test_a_build_that_is_not_to_be_seen_is_not_asked_for_again(twin: ServiceTwin) -> None:
    async def run() -> None:
        async with following(twin, []) as follower:
            follower.follow(9)
            await until(lambda: not follower._tasks)

    asyncio.run(run())
    assert len(twin.asked("build/9/logs/")) == 1


def test_so_many_builds_are_followed_at_most_and_each_once(twin: ServiceTwin) -> None:
    async def run() -> int:
        async with following(twin, []) as follower:
            for number in [*range(MOST_FOLLOWED + 5), 1, 2]:
                follower.follow(number)
            return len(follower._tasks)

    assert asyncio.run(run()) == MOST_FOLLOWED
