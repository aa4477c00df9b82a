"""The log of a build: as text from any byte on, and live, to its end, through broken lines."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import httpx
import pytest

from conda_store_hub.client.api import Client
from conda_store_hub.client.logstream import LogEnd, LogText, ServerSentEvent, read_events
from conda_store_hub.core.errors import SolveError
from conda_store_hub.core.protocol import Download, Phase, PhaseEvent, ProgressEvent
from conda_store_hub.core.schemas import LogPhases, LogProgress, LogState
from conda_store_hub.services import logs
from conda_store_hub.web import events
from tests.support.service import PREFIX, RunningService, service

__all__ = ["service"]

TEXT = "Bär ☃ 🐍\nzweite Zeile\n\nviertel"
LIVE = {"Accept": "text/event-stream"}


@pytest.fixture
def build(service: RunningService) -> int:
    """A build that is being made."""
    build_id = service.submit()
    service.claim(build_id)
    return build_id


@contextmanager
def follow(
    service: RunningService, build_id: int, name: str = "alice", **headers: str
) -> Generator[Iterator[ServerSentEvent]]:
    """Give the events of a live log as they come."""
    with (
        service.client(name, headers={**LIVE, **headers}) as client,
        client.stream("GET", f"api/v1/build/{build_id}/logs/") as answer,
    ):
        assert answer.status_code == 200
        assert answer.headers["Content-Type"].startswith("text/event-stream")
        assert answer.headers["X-Accel-Buffering"] == "no"
        yield read_events(answer.iter_raw())


def read_all(service: RunningService, build_id: int, **headers: str) -> list[ServerSentEvent]:
    with follow(service, build_id, **headers) as found:
        return list(found)


def text_of(found: list[ServerSentEvent]) -> str:
    return "".join(event.data for event in found if event.name == "log")


def test_the_whole_log_is_text(service: RunningService, build: int) -> None:
    service.log(build, TEXT)
    with service.client("alice") as alice:
        answer = alice.get(f"api/v1/build/{build}/logs/")
        assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
        assert answer.text == TEXT
        assert answer.headers["X-Log-Offset"] == str(len(TEXT.encode()))
        assert answer.headers["X-Log-Complete"] == "false"
        service.finish(build)
        assert alice.get(f"api/v1/build/{build}/logs/").headers["X-Log-Complete"] == "true"


def test_an_offset_gives_the_rest_and_where_to_ask_on(service: RunningService, build: int) -> None:
    with service.client("alice") as alice:
        offset = 0
        for piece in ("one\n", "zwölf\n", "🐍🐍\n"):
            service.log(build, piece)
            answer = alice.get(f"api/v1/build/{build}/logs/", params={"offset": offset})
            assert answer.text == piece
            offset = int(answer.headers["X-Log-Offset"])
        beyond = alice.get(f"api/v1/build/{build}/logs/", params={"offset": 10**9})
    assert (beyond.text, beyond.headers["X-Log-Offset"]) == ("", str(offset))


def test_an_empty_log_is_empty_text(service: RunningService) -> None:
    build_id = service.submit()
    with service.client("alice") as alice:
        answer = alice.get(f"api/v1/build/{build_id}/logs/")
    assert (answer.text, answer.headers["X-Log-Offset"], answer.headers["X-Log-Complete"]) == ("", "0", "false")


@pytest.mark.parametrize("offset", range(len(TEXT.encode()) + 1))
def test_no_offset_splits_a_character(service: RunningService, build: int, offset: int) -> None:
    service.log(build, TEXT[:7])
    service.log(build, TEXT[7:])
    service.finish(build)
    raw = TEXT.encode()
    start = offset
    while start < len(raw) and raw[start] & 0xC0 == 0x80:
        start -= 1
    with service.client("alice") as alice:
        assert alice.get(f"api/v1/build/{build}/logs/", params={"offset": offset}).content == raw[start:]
    found = read_all(service, build, **{"Last-Event-ID": str(offset)})
    assert text_of(found) == raw[start:].decode()
    assert found[-1].name == "end"


def test_a_log_of_many_pieces_is_sent_whole(service: RunningService, build: int) -> None:
    lines = [f"line {number} ☃\n" for number in range(300)]
    for line in lines:
        service.log(build, line)
    service.finish(build)
    with service.client("alice") as alice:
        answer = alice.get(f"api/v1/build/{build}/logs/")
        rest = alice.get(f"api/v1/build/{build}/logs/", params={"offset": len(lines[0].encode())})
        head = alice.head(f"api/v1/build/{build}/logs/")
    assert answer.text == "".join(lines)
    assert answer.headers["X-Log-Complete"] == "true"
    assert rest.text == "".join(lines[1:])
    assert head.headers["Content-Length"] == str(len(answer.content))
    assert text_of(read_all(service, build)) == answer.text


def test_what_was_read_to_tell_how_long_a_log_is_is_not_read_again(
    service: RunningService, build: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "peek_bytes", lambda *_: pytest.fail("it was read before"))
    text = "ä log\n" * 100
    service.log(build, text)
    with service.client("alice") as alice:
        assert alice.get(f"api/v1/build/{build}/logs/").text == text
        assert alice.get(f"api/v1/build/{build}/logs/?offset=7").text == text[6:]
        service.finish(build)
        part = alice.get(f"api/v1/build/{build}/logs/", headers={"Range": "bytes=7-20"})
    assert part.content == text.encode()[7:21]


def test_a_log_that_has_all_is_sent_in_ranges_of_bytes(service: RunningService, build: int) -> None:
    with service.client("alice") as alice:
        path, text = f"api/v1/build/{build}/logs/", TEXT.encode()
        service.log(build, TEXT)
        growing = alice.get(path, headers={"Range": "bytes=0-1"})
        assert (growing.status_code, growing.content, "ETag" in growing.headers) == (200, text, False)
        service.finish(build, SolveError("no"))
        whole = alice.get(path)
        assert (whole.content, whole.headers["Accept-Ranges"]) == (text, "bytes")
        part = alice.get(path, headers={"Range": "bytes=2-6", "If-Range": whole.headers["ETag"]})
        assert (part.status_code, part.content) == (206, text[2:7])
        assert part.headers["Content-Range"] == f"bytes 2-6/{len(text)}"
        assert alice.get(path, headers={"Range": "bytes=-3"}).content == text[-3:]
        assert alice.get(path, headers={"If-None-Match": whole.headers["ETag"]}).status_code == 304
        assert alice.head(path).headers["Content-Length"] == str(len(text))
        behind = alice.get(path, headers={"Range": f"bytes={len(text)}-"})
        assert (behind.status_code, behind.headers["Content-Range"]) == (416, f"bytes */{len(text)}")


def test_a_live_log_tells_all_that_happens_and_ends(service: RunningService) -> None:
    build_id = service.submit()
    with follow(service, build_id) as found:
        assert next(found) == ServerSentEvent(name="state", data='{"status":"QUEUED","status_info":null}', id="")
        service.claim(build_id)
        assert LogState.model_validate_json(next(found).data).status == "BUILDING"
        coming = (Download(name="numpy", done=5, total=7),)
        progress = ProgressEvent(phase=Phase.INSTALL, done=1, total=3, unit="packages", downloads=coming)
        phases = (PhaseEvent(name=Phase.SOLVE, state="started"), PhaseEvent(name=Phase.INSTALL, state="started"))
        service.log(build_id, "zwölf\n", progress=progress, phases=phases)
        log = next(found)
        assert (log.name, log.data, log.id) == ("log", "zwölf\n", str(len("zwölf\n".encode())))
        steps = next(found)
        assert steps.name == "phases"
        assert [step.phase for step in LogPhases.model_validate_json(steps.data).phases] == [Phase.SOLVE, Phase.INSTALL]
        shown = next(found)
        assert shown.name == "progress"
        assert LogProgress.model_validate_json(shown.data) == LogProgress(
            phase=Phase.INSTALL, done=1, total=3, unit="packages", downloads=coming
        )
        service.use(build_id)
        assert LogState.model_validate_json(next(found).data).status == "COMPLETED"
        service.log(build_id, "artifacts\n")
        assert next(found).data == "artifacts\n"
        service.finish(build_id)
        assert [event.name for event in found] == ["end"]


def test_a_failure_is_told_with_its_reason(service: RunningService, build: int) -> None:
    service.finish(build, SolveError("Nothing fits."))
    states = [LogState.model_validate_json(event.data) for event in read_all(service, build) if event.name == "state"]
    assert [(state.status, state.status_info) for state in states] == [("FAILED", "Nothing fits.")]


def test_a_broken_line_is_taken_up_where_it_broke(service: RunningService, build: int) -> None:
    service.log(build, "one\n")
    with follow(service, build) as found:
        first = next(found)
    service.log(build, "two\n")
    service.finish(build)
    assert text_of(read_all(service, build, **{"Last-Event-ID": first.id})) == "two\n"


def test_where_it_broke_counts_more_than_the_address(service: RunningService, build: int) -> None:
    service.log(build, "one\ntwo\n")
    service.finish(build)
    with (
        service.client("alice", headers={**LIVE, "Last-Event-ID": "4"}) as alice,
        alice.stream("GET", f"api/v1/build/{build}/logs/?offset=0") as answer,
    ):
        assert text_of(list(read_events(answer.iter_raw()))) == "two\n"


def test_a_strange_last_event_id_is_refused(service: RunningService, build: int) -> None:
    with service.client("alice", headers={**LIVE, "Last-Event-ID": "x"}) as alice:
        assert alice.get(f"api/v1/build/{build}/logs/").status_code == 400


@pytest.mark.parametrize(
    "text", ["a\rb\r\nc\n", "data: x\n\nevent: end\n", "\n\n\n", ": comment\nid: 5\n", "\0\ufeff\n"]
)
def test_nothing_in_a_log_can_pass_for_an_event(service: RunningService, build: int, text: str) -> None:
    service.log(build, text)
    service.finish(build)
    found = read_all(service, build)
    assert [event.name for event in found] == ["log", "state", "end"]
    assert text_of(found) == text.replace("\r\n", "\n").replace("\r", "\n")
    assert found[0].id == str(len(text.encode()))


def test_a_silent_line_shows_that_it_lives(
    service: RunningService, build: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "_QUIET_SECONDS", 0.05)
    with (
        service.client("alice", headers=LIVE) as alice,
        alice.stream("GET", f"api/v1/build/{build}/logs/") as answer,
    ):
        lines = answer.iter_lines()
        assert [line for line, _ in zip((line for line in lines if line == "event: alive"), range(3), strict=False)]


def test_a_line_that_was_open_for_long_is_ended_so_that_the_reader_is_asked_again(
    service: RunningService, build: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "_LONGEST_SECONDS", 0.0)
    assert [event.name for event in read_all(service, build)] == ["state"]


def test_a_quiet_line_that_was_open_for_long_is_ended_too(
    service: RunningService, build: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "_QUIET_SECONDS", 1000.0)
    monkeypatch.setattr(events, "_LONGEST_SECONDS", 0.2)
    with follow(service, build) as found:
        assert [event.name for event in found] == ["state"]


def test_nothing_is_read_for_a_line_whose_time_is_over(
    service: RunningService, build: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "_LONGEST_SECONDS", 1.0)

    async def write_while_the_time_runs_out() -> None:
        service.log(build, "not for you any more\n")
        end = time.monotonic() + 1
        while time.monotonic() < end:  # the loop stands still: the news and the end reach the reader together
            pass

    with follow(service, build) as found:
        assert next(found).name == "state"
        service.call(write_while_the_time_runs_out())
        assert list(found) == []


@pytest.mark.parametrize(
    ("accept", "live"),
    [
        ("text/event-stream", True),
        ("text/html, Text/Event-Stream ; q=0.5", True),
        ("text/event-stream;charset=utf-8;q=1.000, */*;q=0", True),
        ("text/event-stream;q=0", False),
        ("text/event-stream; q=0.000, text/plain", False),
        ("text/event-stream;q=nan", False),
        ("text/event-stream;q=x", False),
        ("text/event-streams, */*", False),
        ("text/plain;x=text/event-stream", False),
        (", ;q=1,", False),
    ],
)
def test_a_log_is_live_for_who_wants_it_so(service: RunningService, build: int, accept: str, live: bool) -> None:
    service.finish(build)
    with service.client("alice", headers={"Accept": accept}) as alice:
        answer = alice.get(f"api/v1/build/{build}/logs/")
    assert answer.headers["Content-Type"].startswith("text/event-stream") is live


@pytest.mark.parametrize("name", ["bob", None])
def test_a_live_log_is_for_who_may_read_it(service: RunningService, build: int, name: str | None) -> None:
    with service.client(name, headers=LIVE) as client:
        answer = client.get(f"api/v1/build/{build}/logs/")
    assert answer.status_code == (404 if name else 401)
    assert answer.headers["Content-Type"] == "application/json"


def test_who_leaves_is_waited_for_no_longer(service: RunningService, build: int) -> None:
    address = urlsplit(service.url)
    connection = socket.create_connection((address.hostname, address.port), timeout=20)
    connection.sendall(
        f"GET {PREFIX}api/v1/build/{build}/logs/ HTTP/1.1\r\nHost: x\r\nAuthorization: token alice-token\r\n"
        "Accept: text/event-stream\r\n\r\n".encode()
    )
    assert b"200 OK" in connection.recv(4096)
    assert watched(service)
    connection.close()
    end = time.monotonic() + 20
    while watched(service):
        assert time.monotonic() < end
        time.sleep(0.02)


def watched(service: RunningService) -> bool:
    """Tell whether anybody waits for a build."""

    async def look() -> bool:
        return any(topic.startswith("build:") for topic in service.services.changes._waiting)

    return service.call(look())


def test_many_readers_of_one_log_all_get_all_of_it(service: RunningService, build: int) -> None:
    got: list[str] = []

    def read() -> None:
        got.append(text_of(read_all(service, build)))

    readers = [threading.Thread(target=read) for _ in range(10)]
    for reader in readers:
        reader.start()
    for number in range(50):
        service.log(build, f"{number} ☃\n")
    service.finish(build)
    for reader in readers:
        reader.join()
    assert got == ["".join(f"{number} ☃\n" for number in range(50))] * 10


def test_our_own_client_follows_to_the_end(service: RunningService, build: int) -> None:
    def go_on() -> None:
        service.log(build, "one ☃\n")
        service.log(build, "two\n")
        service.use(build)
        service.finish(build)

    with Client(service.url, token="alice-token") as client:
        threading.Thread(target=go_on).start()
        found = list(client.stream_log(build))
        assert client.read_log(build).text == "one ☃\ntwo\n"
    assert "".join(event.text for event in found if isinstance(event, LogText)) == "one ☃\ntwo\n"
    assert isinstance(found[-1], LogEnd)


def test_a_browser_follows_with_its_session(service: RunningService, build: int) -> None:
    service.log(build, "one\n")
    service.finish(build)
    headers = {**LIVE, "Sec-Fetch-Mode": "cors", "Sec-Fetch-Site": "same-origin"}
    with service.browser("alice") as browser:
        url = f"api/v1/build/{build}/logs/?offset=0"
        assert browser.get(url, headers=headers).status_code == 401
        answer = browser.get(url, params={"_xsrf": browser.cookies["_xsrf"]}, headers=headers)
    assert isinstance(answer, httpx.Response)
    assert answer.status_code == 200
    assert "event: end" in answer.text
