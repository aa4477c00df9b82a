"""The kernels one may start: at once, on a change, after a while, and never a change too late."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from conda_store_hub.client.api import Client
from conda_store_hub.db.session import Database
from conda_store_hub.services import kernels
from tests.support.fake_hub import user
from tests.support.service import IDENTITIES, PREFIX, RunningService, service

__all__ = ["service"]


def poll(service: RunningService, name: str = "alice", **query: Any) -> httpx.Response:
    with service.client(name) as client:
        return client.get("api/v1/kernels/", params=query)


class Waiter(threading.Thread):
    """A user server that waits for a change."""

    def __init__(self, service: RunningService, since: str, name: str = "alice", wait: float = 50) -> None:
        super().__init__()
        self._ask: Callable[[], httpx.Response] = lambda: poll(service, name, since=since, wait=wait)
        self.start()

    def run(self) -> None:
        self.answer = self._ask()

    def ended(self) -> httpx.Response:
        self.join(30)
        return self.answer


def waiting(service: RunningService) -> int:
    """Return how many wait for kernels."""

    async def look() -> int:
        topics = service.services.changes._waiting
        return len({event for topic, events in topics.items() if topic.startswith("kernels") for event in events})

    return service.call(look())


def until_waiting(service: RunningService, number: int) -> None:
    end = time.monotonic() + 20
    while waiting(service) != number:
        assert time.monotonic() < end, f"{waiting(service)} wait"
        time.sleep(0.01)


def test_a_first_question_is_answered_at_once(service: RunningService) -> None:
    service.completed()
    data = poll(service).json()["data"]
    (kernel,) = data["kernels"]
    assert kernel["name"] == "csh.alice.ml.python3"
    assert (kernel["namespace"], kernel["environment"], kernel["build_id"]) == ("alice", "ml", 1)
    assert kernel["spec"]["argv"] == ["python", "-m", "ipykernel_launcher"]
    assert kernel["prefix"].startswith(str(service.services.data.prefixes))


def test_what_one_has_already_is_not_sent_again(service: RunningService) -> None:
    service.completed()
    first = poll(service)
    etag = first.json()["data"]["etag"]
    again = poll(service, since=etag, wait=0)
    assert (again.status_code, again.content) == (304, b"")
    assert first.headers["ETag"] == again.headers["ETag"] == f'"{etag}"'


def test_an_older_list_is_answered_at_once(service: RunningService) -> None:
    etag = poll(service).json()["data"]["etag"]
    service.completed()
    assert len(poll(service, since=etag, wait=50).json()["data"]["kernels"]) == 1


def test_a_new_kernel_ends_the_wait(service: RunningService) -> None:
    waiter = Waiter(service, poll(service).json()["data"]["etag"])
    until_waiting(service, 1)
    service.completed()
    assert [row["environment"] for row in waiter.ended().json()["data"]["kernels"]] == ["ml"]


def test_a_build_of_a_group_reaches_its_members(service: RunningService) -> None:
    waiters = [Waiter(service, poll(service, name).json()["data"]["etag"], name) for name in ("alice", "carol", "root")]
    until_waiting(service, 3)
    service.completed(namespace="group.physics")
    assert [len(waiter.ended().json()["data"]["kernels"]) for waiter in waiters] == [1, 1, 1]


def test_what_is_nobody_elses_business_wakes_nobody_else(service: RunningService) -> None:
    etag = poll(service, "bob").json()["data"]["etag"]
    waiter = Waiter(service, etag, "bob", wait=1.5)
    until_waiting(service, 1)
    service.completed()
    assert waiter.ended().status_code == 304


def test_a_rollback_is_a_change(service: RunningService) -> None:
    first, second = service.completed(), service.completed()
    etag = poll(service).json()["data"]["etag"]
    waiter = Waiter(service, etag)
    until_waiting(service, 1)
    with service.client("alice") as alice:
        alice.put("api/v1/environment/alice/ml/", json={"build_id": first})
    assert [row["build_id"] for row in waiter.ended().json()["data"]["kernels"]] == [first]
    assert second != first


def test_nothing_is_read_while_one_waits(service: RunningService, monkeypatch: pytest.MonkeyPatch) -> None:
    etag = poll(service).json()["data"]["etag"]
    reads: list[str] = []
    real = Database.read_sync

    def count(self: Database, f: Any, *args: Any, **kwargs: Any) -> Any:
        reads.append(f.__name__)
        return real(self, f, *args, **kwargs)

    monkeypatch.setattr(Database, "read_sync", count)
    waiters = [Waiter(service, etag, wait=2) for _ in range(10)]
    until_waiting(service, 10)  # who is still reading watches already
    for waiter in waiters:
        assert waiter.ended().status_code == 304
    assert reads == ["list_kernels"] * 10


def test_a_change_between_the_reading_and_the_waiting_is_not_lost(
    service: RunningService, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The change is committed and announced after the list was read, and before anybody could know its topics."""
    etag = poll(service).json()["data"]["etag"]
    real = kernels.list_kernels
    changed = threading.Event()

    def list_then_change(session: Any, identity: Any, **options: Any) -> Any:
        answer = real(session, identity, **options)
        if not changed.is_set():
            changed.set()
            service.completed()
            settle = asyncio.run_coroutine_threadsafe(asyncio.sleep(0), service.loop)
            settle.result(10)  # the announcement has been made by now
        return answer

    monkeypatch.setattr(kernels, "list_kernels", list_then_change)
    answer = poll(service, since=etag, wait=20)
    assert [row["environment"] for row in answer.json()["data"]["kernels"]] == ["ml"]
    assert changed.is_set()


def test_no_change_of_many_is_missed(service: RunningService) -> None:
    """Somebody who always asks on from what they got sees the last state, whatever happened meanwhile."""
    done = threading.Event()

    def change() -> None:
        for number in range(20):
            service.completed(f"e{number}")
        done.set()

    threading.Thread(target=change).start()
    etag, seen = "", 0
    while seen < 20:
        answer = poll(service, since=etag, wait=20)
        assert answer.status_code == 200, "a change was missed"
        data = answer.json()["data"]
        etag, seen = data["etag"], len(data["kernels"])
    assert done.wait(10)


def test_who_leaves_is_waited_for_no_longer(service: RunningService) -> None:
    etag = poll(service).json()["data"]["etag"]
    address = urlsplit(service.url)
    with socket.create_connection((address.hostname, address.port), timeout=20) as connection:
        connection.sendall(
            f"GET {PREFIX}api/v1/kernels/?since={etag} HTTP/1.1\r\nHost: x\r\n"
            "Authorization: token alice-token\r\n\r\n".encode()
        )
        until_waiting(service, 1)
    until_waiting(service, 0)


def test_a_new_group_shows_at_the_next_question(service: RunningService) -> None:
    service.completed(namespace="group.physics")
    assert poll(service, "bob").json()["data"]["kernels"] == []
    service.hub.tokens["bob-now"] = user("bob", "physics")
    with service.client(headers={"Authorization": "token bob-now"}) as client:
        assert len(client.get("api/v1/kernels/").json()["data"]["kernels"]) == 1


def test_our_own_client_waits(service: RunningService) -> None:
    with Client(service.url, token="alice-token") as client:
        first = client.kernels()
        assert first is not None
        assert client.kernels(first.etag, wait=0.1) is None
        service.completed()
        second = client.kernels(first.etag, wait=20)
    assert second is not None
    assert [kernel.environment for kernel in second.kernels] == ["ml"]
    assert second == service.db.read_sync(kernels.list_kernels, IDENTITIES["alice"], data=service.services.data).list
