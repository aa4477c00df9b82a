"""The service behind the real Hub and its real proxy: logging in, tokens, what browsers send, a live log unbuffered."""

from __future__ import annotations

import socket
import threading
import time
from pathlib import Path

import httpx
import pytest

from conda_store_hub.client.logstream import read_events
from conda_store_hub.demo.hub import DemoHub
from tests.support import make
from tests.support.hub import MakeHub, allow_root, as_user, hub, log_in, make_hub
from tests.support.process import until

__all__ = ["hub", "make_hub"]

CORS = {"Sec-Fetch-Mode": "cors", "Sec-Fetch-Site": "same-origin"}
NAVIGATE = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Site": "same-origin"}


def test_a_browser_logs_in_through_the_hub_and_comes_back(hub: DemoHub) -> None:
    with log_in(hub, "alice") as browser:
        answer = browser.get(f"{hub.service_url}create/", headers=NAVIGATE)
        assert answer.status_code == 200
        assert answer.url == f"{hub.service_url}create/"
        assert "alice" in answer.text
        assert any(step.url.path.endswith("/hub/api/oauth2/authorize") for step in answer.history)


def test_who_is_not_logged_in_gets_the_hubs_form(hub: DemoHub) -> None:
    with httpx.Client(follow_redirects=True, trust_env=False) as browser:
        answer = browser.get(hub.service_url, headers=NAVIGATE)
    assert answer.url.path.endswith("/hub/login")


def test_a_script_of_the_page_needs_its_token(hub: DemoHub) -> None:
    with log_in(hub, "alice") as browser:
        page = browser.get(hub.service_url, headers=NAVIGATE)
        token = page.text.split('data-xsrf="')[1].split('"')[0]
        url = f"{hub.service_url}api/v1/permission/"
        assert browser.get(url, headers=CORS).status_code == 401
        answer = browser.get(url, headers={**CORS, "X-XSRFToken": token})
        assert answer.json()["data"]["primary_namespace"] == "alice"
        body = {"specification": "- nothing"}
        post = f"{hub.service_url}api/v1/specification/"
        assert browser.post(post, json=body, headers=CORS).status_code == 401
        assert browser.post(post, json=body, headers={**CORS, "X-XSRFToken": token}).status_code == 400


def test_a_users_token_is_the_user_with_groups(hub: DemoHub) -> None:
    with as_user(hub, "bob") as bob:
        data = bob.get("api/v1/permission/").json()["data"]
    assert data["entity_roles"] == {"bob/*": ["admin"], "group.team/*": ["developer"]}


def test_a_token_that_may_do_little_is_refused_in_words(hub: DemoHub) -> None:
    with as_user(hub, "bob", "read:users:name!user") as bob:
        answer = bob.get("api/v1/namespace/")
    assert answer.status_code == 403
    assert "access:services!service=conda-store-hub" in answer.json()["message"]


def test_a_token_of_nobody_is_refused(hub: DemoHub) -> None:
    answer = httpx.get(f"{hub.service_url}api/v1/namespace/", headers={"Authorization": "token x"}, trust_env=False)
    assert (answer.status_code, answer.json()["code"]) == (401, "not-authenticated")


def test_a_body_in_chunks_is_refused_in_words_through_the_proxy_too(hub: DemoHub) -> None:
    with as_user(hub, "bob") as bob:
        answer = bob.post("api/v1/specification/", content=iter([b" " * 1_000_000] * 3))
        assert (answer.status_code, answer.json()["code"]) == (411, "length-required")
        request = bob.build_request("PUT", "api/v1/build/999999/cancel/")
        del request.headers["Content-Length"]  # as some clients send it; the proxy must not make chunks of nothing
        assert bob.send(request).json()["code"] == "not-found"


def test_logging_out_of_the_hub_ends_the_session_here(hub: DemoHub) -> None:
    with log_in(hub, "carol") as browser:
        assert browser.get(hub.service_url, headers=NAVIGATE).url == hub.service_url
        browser.get(f"{hub.url}hub/logout")
        assert browser.get(hub.service_url, headers=NAVIGATE).url.path.endswith("/hub/login")


def test_the_page_of_a_build_loads_the_hubs_look_from_us(hub: DemoHub) -> None:
    with log_in(hub, "alice") as browser:
        page = browser.get(hub.service_url, headers=NAVIGATE).text
        for part in page.split('"'):
            if "/static/" in part:
                assert browser.get(httpx.URL(hub.url).join(part)).status_code == 200
        assert browser.get(f"{hub.url}hub/logo").status_code == 200
        until(lambda: "jpy-logo hubs-logo" in browser.get(hub.service_url, headers=NAVIGATE).text)


def test_a_live_log_comes_through_the_proxy_as_it_is_written(make_hub: MakeHub, tmp_path: Path) -> None:
    """The first lines are here while the build goes on: nothing between us and the browser holds them back."""
    with socket.create_server(("127.0.0.1", 0)) as silent:  # a channel that never answers
        alias = f"http://127.0.0.1:{silent.getsockname()[1]}"
        config = f"{allow_root()}c.CondaStore.conda_channel_alias = {alias!r}\n"
        hub = make_hub(tmp_path, service_config=config)
        with log_in(hub, "alice") as browser:
            form = browser.get(f"{hub.service_url}create/", headers=NAVIGATE)
            token = form.text.split('data-xsrf="')[1].split('"')[0]
            typed = {"_xsrf": token, "namespace": "alice", "specification": make.text("endless")}
            page = browser.post(f"{hub.service_url}create/", data=typed, headers=NAVIGATE)
            build = f"{hub.service_url}api/v1/build/{page.url.path.rstrip('/').rpartition('/')[2]}/"
            headers = {"Accept": "text/event-stream", **CORS}
            with browser.stream("GET", f"{build}logs/", params={"_xsrf": token}, headers=headers) as live:
                assert live.headers["Content-Type"].startswith("text/event-stream")
                found = read_events(live.iter_raw())
                assert next(event for event in found if event.name == "log").data
                assert browser.get(build, headers=NAVIGATE).json()["data"]["status"] == "BUILDING"
                cancel = browser.put(f"{build}cancel/", headers={**CORS, "X-XSRFToken": token})
                assert cancel.status_code == 200
                assert [event.name for event in found][-1] == "end"
            assert browser.get(build, headers=NAVIGATE).json()["data"]["status"] == "CANCELED"


@pytest.mark.parametrize("number", [40])
def test_health_answers_through_the_proxy_while_many_wait_for_kernels(hub: DemoHub, number: int) -> None:
    with as_user(hub, "alice") as alice:
        etag = alice.get("api/v1/kernels/").json()["data"]["etag"]

    statuses: list[int] = []

    def wait() -> None:
        with as_user(hub, "alice") as alice:
            statuses.append(alice.get("api/v1/kernels/", params={"since": etag, "wait": 3}).status_code)

    waiters = [threading.Thread(target=wait) for _ in range(number)]
    for waiter in waiters:
        waiter.start()
    while any(waiter.is_alive() for waiter in waiters):
        assert httpx.get(f"{hub.service_url}health", trust_env=False).json()["ready"] is True
        time.sleep(0.05)
    assert set(statuses) <= {200, 304}
    assert len(statuses) == number
