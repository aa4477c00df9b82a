"""The proxy on a server that a real Hub has started: who asks, and as whom the service hears it."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import httpx
import pytest

from conda_store_hub.demo.hub import DemoHub
from tests.support import make
from tests.support.hub import ADMIN, as_user, hub

__all__ = ["hub"]

API = "conda-store-hub/api/v1/"


@pytest.fixture
def server(hub: DemoHub) -> str:
    """The address of alice's server."""
    hub.start_server("alice")
    return hub.user_url("alice")


@pytest.fixture
def visitor(hub: DemoHub, server: str) -> Generator[httpx.Client]:
    """An administrator of the Hub on the server of alice."""
    with on_server(server, hub.make_token(ADMIN)) as client:
        yield client


def on_server(server: str, token: str) -> httpx.Client:
    headers = {"Authorization": f"token {token}"}
    return httpx.Client(base_url=server, headers=headers, trust_env=False, timeout=60)


def find_build(hub: DemoHub, build_id: int) -> dict[str, Any]:
    with as_user(hub, "alice") as client:
        return client.get(f"api/v1/build/{build_id}/").raise_for_status().json()["data"]


def submit(client: httpx.Client, name: str) -> int:
    body = {"specification": make.text(name), "namespace": "alice"}
    answer = client.post(f"{API}specification/", json=body)
    assert answer.is_success, answer.text
    return answer.json()["data"]["build_id"]


def test_a_change_is_made_as_who_asks_for_it_and_not_as_the_owner(
    hub: DemoHub, server: str, visitor: httpx.Client
) -> None:
    assert find_build(hub, submit(visitor, "by-visitor"))["requested_by"] == ADMIN
    with on_server(server, hub.make_token("alice")) as alice:
        assert find_build(hub, submit(alice, "by-owner"))["requested_by"] == "alice"


def test_who_reads_sees_what_the_server_may(hub: DemoHub, visitor: httpx.Client) -> None:
    listed = visitor.get(f"{API}permission/").raise_for_status().json()["data"]
    assert listed["primary_namespace"] == "alice"


def test_who_may_not_use_the_server_gets_nothing_through_it(hub: DemoHub, server: str) -> None:
    with on_server(server, hub.make_token("bob")) as bob:
        assert bob.get(f"{API}environment/").status_code == 403
        assert bob.post(f"{API}specification/", json={}).status_code == 403
        assert bob.delete("conda-store-hub/api/making/a-kernel").status_code == 403
    with on_server(server, hub.make_token("alice")) as alice:
        assert alice.delete("conda-store-hub/api/making/a-kernel").json()["code"] == "not-found"


def test_a_token_that_may_use_the_server_but_not_the_service_changes_nothing(hub: DemoHub, server: str) -> None:
    token = hub.make_token("alice", "access:servers!user=alice")
    with on_server(server, token) as alice:
        answer = alice.post(f"{API}specification/", json={"specification": make.text("no"), "namespace": "alice"})
        assert answer.status_code == 403
        assert answer.json()["message"]
