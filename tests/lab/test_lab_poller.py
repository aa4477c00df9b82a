"""The poller against a service that is there, gone, slow, wrong or rude."""

from __future__ import annotations

import asyncio
import json
import logging
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from conda_store_hub.core.schemas import KernelList
from conda_store_hub.lab import poller as module
from conda_store_hub.lab.kernels import KernelCatalog, KernelChange
from conda_store_hub.lab.poller import KernelFile, KernelPoller, PollState
from tests.support.service_twin import TOKEN, ServiceTwin, make_kernel

ML = "csh.alice.ml.python3"
GEO = "csh.alice.geo.python3"


class Bench:
    """A poller with its surroundings, for as long as the block lasts."""

    def __init__(self, url: str, folder: Path, *, token: str = TOKEN) -> None:
        self.catalog = KernelCatalog()
        self.changes: list[KernelChange] = []
        self.file = KernelFile.in_directory(str(folder), url=url, user="alice")
        self.poller = KernelPoller(
            url=url,
            token=token,
            catalog=self.catalog,
            file=self.file,
            log=logging.getLogger("poller-under-test"),
            on_change=self.changes.append,
        )

    async def __aenter__(self) -> Bench:
        self.poller.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.poller.stop()

    @property
    def names(self) -> set[str]:
        return set(self.catalog.listed)

    async def until(self, condition: Callable[[], Any], seconds: float = 20) -> None:
        async with asyncio.timeout(seconds):
            while not condition():
                await asyncio.sleep(0.01)

    async def until_state(self, state: PollState) -> None:
        await self.until(lambda: self.poller.status.state is state)


@pytest.fixture(autouse=True)
def _quick_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FIRST_PAUSE", 0.05)
    monkeypatch.setattr(module, "LONGEST_PAUSE", 0.2)


def test_a_change_arrives_while_the_poll_is_held(twin: ServiceTwin, tmp_path: Path) -> None:
    async def follow() -> None:
        async with Bench(twin.url, tmp_path) as bench:
            await bench.until_state(PollState.CONNECTED)
            assert bench.names == set()
            for kernels, names in (
                ([make_kernel("/p")], {ML}),
                ([make_kernel("/p"), make_kernel("/q", environment="geo")], {ML, GEO}),
                ([make_kernel("/q", environment="geo")], {GEO}),
            ):
                with twin.changing() as state:
                    state.kernels = kernels
                await bench.until(lambda names=names: bench.names == names)
            assert [(change.added, change.removed) for change in bench.changes] == [
                *(((ML,), ()), ((GEO,), ()), ((), (ML,))),
            ]

    asyncio.run(follow())
    assert twin.requests[0].headers["Authorization"] == f"token {TOKEN}"


def test_a_held_poll_that_brings_no_news_changes_nothing(twin: ServiceTwin, tmp_path: Path) -> None:
    twin.state.kernels, twin.state.hold_seconds = [make_kernel("/p")], 0.02

    async def follow() -> None:
        async with Bench(twin.url, tmp_path) as bench:
            await bench.until(lambda: len(twin.requests) >= 4)
            assert len(bench.changes) == 1
            assert bench.poller.status.state is PollState.CONNECTED

    asyncio.run(follow())
    assert [request.query.get("since") for request in twin.requests][:2] == [None, twin.state.etag]


def test_a_service_that_does_not_hold_the_poll_is_asked_ever_more_rarely(
    twin: ServiceTwin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []
    pause = KernelPoller._pause

    def record(self: KernelPoller, took: float) -> float:
        pauses.append(pause(self, took))
        return 0

    monkeypatch.setattr(module, "LONGEST_PAUSE", 30.0)
    monkeypatch.setattr(KernelPoller, "_pause", record)
    twin.state.hold_seconds = 0

    async def follow() -> None:
        async with Bench(twin.url, tmp_path) as bench:
            await bench.until(lambda: len(pauses) >= 12)

    asyncio.run(follow())
    assert pauses == sorted(pauses)
    assert (pauses[0], pauses[11]) == (0.25, 30.0)


def test_an_outage_keeps_the_kernels_and_is_told_once(
    twin: ServiceTwin, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "poller-under-test")
    twin.state.kernels = [make_kernel("/p")]

    async def follow() -> None:
        async with Bench(twin.url, tmp_path) as bench:
            await bench.until(lambda: bench.names == {ML})
            await asyncio.to_thread(twin.stop)
            await bench.until_state(PollState.UNREACHABLE)
            await bench.until(lambda: bench.poller._failures >= 4)
            assert bench.names == {ML}
            twin.state.kernels = [make_kernel("/q", environment="geo")]
            await asyncio.to_thread(twin.start)
            await bench.until(lambda: bench.names == {GEO})

    asyncio.run(follow())
    told = [(record.levelname, record.getMessage().split(": ")[1]) for record in caplog.records]
    assert told == [
        ("INFO", f"kernels come from {twin.url}"),
        ("WARNING", "no news of kernels"),
        ("INFO", f"kernels come from {twin.url}"),
    ]


@pytest.mark.parametrize(
    ("instead", "state", "said"),
    [
        ((401, {}, b""), PollState.REFUSED, "refuses this server's token (401)"),
        ((403, {}, b"<html>"), PollState.REFUSED, "refuses this server's token (403)"),
        ((302, {"Location": "/hub/login"}, b""), PollState.REFUSED, "redirect (302)"),
        ((404, {}, b"<html>"), PollState.UNREACHABLE, "answers 404"),
        ((502, {}, b"<html>"), PollState.UNREACHABLE, "answers 502"),
        ((200, {}, b"<html>"), PollState.UNREACHABLE, "not a list of kernels"),
        ((200, {}, b'{"status":"ok","data":{"etag":1}}'), PollState.UNREACHABLE, "not a list of kernels"),
        ((200, {"Content-Encoding": "gzip"}, b"no gzip"), PollState.UNREACHABLE, "cannot be reached"),
    ],
)
def test_what_is_no_list_of_kernels_is_told_and_survived(
    twin: ServiceTwin, tmp_path: Path, instead: Any, state: PollState, said: str
) -> None:
    twin.state.kernels = [make_kernel("/p")]
    twin.state.instead = instead

    async def follow() -> None:
        async with Bench(twin.url, tmp_path) as bench:
            await bench.until_state(state)
            assert said in bench.poller.status.message
            twin.state.instead = None
            await bench.until(lambda: bench.names == {ML})

    asyncio.run(follow())


def test_the_token_is_not_sent_where_a_redirect_points(twin: ServiceTwin, tmp_path: Path) -> None:
    twin.state.instead = (302, {"Location": f"{twin.url}elsewhere"}, b"")

    async def follow() -> None:
        async with Bench(twin.url, tmp_path) as bench:
            await bench.until_state(PollState.REFUSED)

    asyncio.run(follow())
    assert not any("elsewhere" in request.path for request in twin.requests)


def test_a_kernel_with_an_unusable_kernel_json_hides_no_other(
    twin: ServiceTwin, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    twin.state.kernels = [make_kernel("/p", spec={"argv": []}), make_kernel("/q", environment="geo")]

    async def follow() -> None:
        async with Bench(twin.url, tmp_path) as bench:
            await bench.until(lambda: bench.names == {GEO})

    asyncio.run(follow())
    assert f"unusable kernel.json: {ML}" in caplog.text


def test_the_last_list_is_shown_when_the_service_is_not_there_at_start(twin: ServiceTwin, tmp_path: Path) -> None:
    twin.state.kernels = [make_kernel("/p")]

    async def first() -> None:
        async with Bench(twin.url, tmp_path) as bench:
            await bench.until(lambda: bench.file.find() is not None)

    async def second() -> None:
        async with Bench(twin.url, tmp_path) as bench:
            await bench.until_state(PollState.UNREACHABLE)
            assert bench.names == {ML}
            twin.state.kernels = []
            await asyncio.to_thread(twin.start)
            await bench.until(lambda: bench.names == set())

    asyncio.run(first())
    twin.stop()
    asyncio.run(second())


def test_the_file_is_the_owners_alone_and_replaced_as_a_whole(tmp_path: Path) -> None:
    file = KernelFile.in_directory(str(tmp_path), url="http://a/", user="alice")
    for etag in ("one", "two"):
        file.write(KernelList.model_validate({"etag": etag, "kernels": [make_kernel("/p")]}))
    (written,) = tmp_path.iterdir()
    assert stat.S_IMODE(written.stat().st_mode) == 0o600
    found = file.find()
    assert found is not None
    assert (found.etag, found.kernels[0].prefix) == ("two", "/p")


def test_each_service_and_user_has_a_file_of_its_own(tmp_path: Path) -> None:
    kernels = KernelList.model_validate({"etag": "e", "kernels": []})
    KernelFile.in_directory(str(tmp_path), url="http://a/", user="alice").write(kernels)
    assert KernelFile.in_directory(str(tmp_path), url="http://a/", user="bob").find() is None
    assert KernelFile.in_directory(str(tmp_path), url="http://b/", user="alice").find() is None


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"[]", json.dumps({"etag": "x"}).encode()])
def test_a_file_that_cannot_be_read_is_as_none(twin: ServiceTwin, tmp_path: Path, content: bytes) -> None:
    twin.state.kernels = [make_kernel("/p")]
    bench = Bench(twin.url, tmp_path)
    bench.file._path.write_bytes(content)
    assert bench.file.find() is None

    async def follow() -> None:
        async with bench:
            await bench.until(lambda: bench.names == {ML})

    asyncio.run(follow())


def test_a_folder_that_cannot_be_written_costs_only_the_file(
    twin: ServiceTwin, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    twin.state.kernels = [make_kernel("/p")]

    async def follow() -> None:
        async with Bench(twin.url, tmp_path / "none") as bench:
            await bench.until(lambda: bench.names == {ML})
            await bench.until(lambda: "cannot be kept" in caplog.text)
            assert bench.poller.status.state is PollState.CONNECTED

    asyncio.run(follow())


def test_a_listener_that_fails_does_not_end_the_poll(
    twin: ServiceTwin, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    twin.state.kernels = [make_kernel("/p")]

    async def follow() -> None:
        bench = Bench(twin.url, tmp_path)

        def fail(_: KernelChange) -> None:
            raise RuntimeError("a listener's own mistake")

        bench.poller._on_change = fail
        async with bench:
            await bench.until(lambda: "a listener's own mistake" in caplog.text)
            await bench.until(lambda: bench.names == {ML})
            with twin.changing() as state:
                state.kernels = []
            await bench.until(lambda: bench.names == set())

    asyncio.run(follow())


def test_stopping_is_quick_while_a_poll_is_held(twin: ServiceTwin, tmp_path: Path) -> None:
    async def follow() -> None:
        async with Bench(twin.url, tmp_path) as bench:
            await bench.until(lambda: len(twin.requests) == 2)
            async with asyncio.timeout(5):
                await bench.poller.stop()
            assert bench.poller.status.state is PollState.CONNECTED

    asyncio.run(follow())
