"""The way from a page through a real Jupyter server to the real service, and what does not get through."""

from __future__ import annotations

import json
import socket
from collections.abc import Generator
from types import SimpleNamespace
from typing import Any, cast

import httpx
import pytest

from conda_store_hub.core.artifacts import FILES
from conda_store_hub.core.names import DataDirectory
from conda_store_hub.core.protocol import ArtifactType
from conda_store_hub.lab.allowed import Place, clean_query, find_place
from conda_store_hub.lab.proxy import MOST_BODY, ProxyHandler, say_who_asks
from conda_store_hub.storage import prefixes
from tests.support import make
from tests.support.jupyter import TOKEN as PAGE_TOKEN
from tests.support.jupyter import JupyterServer, run_jupyter, wait_until
from tests.support.service import RunningService, run_service
from tests.support.service_twin import TOKEN, ServiceTwin, TwinState, run_twin

API = "conda-store-hub/api/v1/"
ENVIRONMENTS_EVENT = "https://conda-store-hub/events/environments/v1"


# What is let through


@pytest.mark.parametrize(
    ("method", "path", "place"),
    [
        ("GET", "", Place()),
        ("GET", "environment/", Place()),
        ("GET", "environment/group.team/My_env-1.0/", Place(namespace="group.team", environment="My_env-1.0")),
        ("PUT", "build/12/pin/", Place(build_id=12)),
        ("GET", "build/12/diff/7/", Place(build_id=12)),
        ("GET", "build/12/logs/", Place(build_id=12)),
        *(("GET", f"build/12/{file.name}", Place(build_id=12)) for file in FILES.values()),
        ("POST", "build/12/artifact/", Place(build_id=12)),
        ("DELETE", "environment/alice/ml/member/3/", Place(namespace="alice", environment="ml")),
        ("POST", "specification/", Place()),
    ],
)
def test_what_the_panel_needs_is_let_through(method: str, path: str, place: Place) -> None:
    assert find_place(method, path) == place


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "token/"),
        ("GET", "token/"),
        ("GET", "kernels/"),
        ("PUT", "build/1/lease/"),
        ("PUT", "setting/"),
        ("GET", "audit/"),
        ("POST", "environment/alice/ml/"),
        ("PATCH", "environment/alice/ml/"),
        ("GET", "environment/alice/../"),
        ("GET", "environment/alice/ml/../../token/"),
        ("GET", "environment/alice/%2e%2e/"),
        ("GET", "environment/alice/a%2Fb/"),
        ("GET", "build/1/logs/\n"),
        ("GET", "build/x/"),
        ("GET", "build/1/explicitXtxt"),
        ("GET", "build/1/artifact/"),
        ("GET", "../../hub/api/users"),
        ("GET", "environment//"),
    ],
)
def test_everything_else_is_not(method: str, path: str) -> None:
    assert find_place(method, path) is None


def test_a_query_loses_what_jupyter_put_into_it() -> None:
    assert clean_query("search=a+b&token=secret&_xsrf=2%7Cx&page=2&1700000000000") == "search=a+b&page=2"
    assert clean_query("packages=numpy%3E%3D2&packages=1") == "packages=numpy%3E%3D2&packages=1"


# With the real service


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Generator[RunningService]:
    data = DataDirectory(tmp_path_factory.mktemp("d"))
    prefixes.ensure_data_directory(data, publish_links=False)
    with run_service(data) as running:
        yield running


@pytest.fixture(scope="module")
def server(service: RunningService, tmp_path_factory: pytest.TempPathFactory) -> Generator[JupyterServer]:
    variables = {"CONDA_STORE_HUB_URL": service.url, "JUPYTERHUB_API_TOKEN": "alice-token"}
    with run_jupyter(tmp_path_factory.mktemp("server"), **variables) as server:
        wait_until(lambda: server.standing()["state"] == "connected", "the service")
        yield server
    assert "Traceback" not in server.log
    assert "alice-token" not in server.log


def test_a_page_reads_and_changes_with_a_token_it_never_sees(service: RunningService, server: JupyterServer) -> None:
    build_id = service.completed("ml")
    listed = server.ask("GET", f"{API}environment/?search=alice&1700000000000").raise_for_status()
    assert "ml" in [one["name"] for one in listed.json()["data"]]
    assert "alice-token" not in f"{listed.headers} {listed.text}"
    assert "set-cookie" not in listed.headers
    pinned = server.ask("PUT", f"{API}build/{build_id}/pin/", json={"pinned": True}).raise_for_status()
    assert pinned.headers["Content-Type"].startswith("application/json")
    assert server.ask("GET", f"{API}build/{build_id}/").json()["data"]["pinned"] is True


def test_a_refusal_of_the_service_arrives_as_it_was_said(server: JupyterServer) -> None:
    missing = server.ask("GET", f"{API}environment/alice/none/")
    assert (missing.status_code, missing.json()["code"]) == (404, "not-found")
    wrong = server.ask("POST", f"{API}specification/", json={"specification": "name: x\ndependencies: [a b c d]\n"})
    assert (wrong.status_code, wrong.json()["code"], wrong.json()["line"]) == (400, "invalid-specification", 2)
    hidden = server.ask("GET", f"{API}environment/bob/none/")
    assert hidden.status_code in (403, 404)
    assert "message" in hidden.json()


def test_what_is_not_listed_is_refused_before_the_service_hears_of_it(server: JupyterServer) -> None:
    for method, path in [("GET", "token/"), ("GET", "environment/alice/%2e%2e/"), ("PUT", "build/1/lease/")]:
        refused = server.ask(method, API + path)
        assert (refused.status_code, refused.json()["code"]) == (404, "not-found")
        assert "JupyterLab" in refused.json()["message"]


def test_somebody_who_is_not_logged_in_gets_nothing(server: JupyterServer) -> None:
    for method in ("GET", "POST", "PUT", "DELETE"):
        answer = httpx.request(method, f"{server.url}{API}environment/", trust_env=False)
        # Without a code of the service's: a page takes it for a login that has ended.
        assert (answer.status_code, "code" in answer.json()) == (403, False)


def test_reading_does_not_keep_an_idle_server_alive(service: RunningService, server: JupyterServer) -> None:
    build_id = service.completed("ml")
    before = server.ask("GET", "api/status?no_track_activity=1").json()["last_activity"]
    server.ask("GET", f"{API}environment/").raise_for_status()
    assert server.ask("GET", "api/status?no_track_activity=1").json()["last_activity"] == before
    server.ask("PUT", f"{API}build/{build_id}/pin/").raise_for_status()
    assert server.ask("GET", "api/status?no_track_activity=1").json()["last_activity"] > before


def test_a_live_log_comes_as_it_is_written_and_ends_with_its_reader(
    service: RunningService, server: JupyterServer
) -> None:
    build_id = service.submit("ml")
    service.claim(build_id)
    service.log(build_id, "one\n")
    with httpx.Client(base_url=server.url, trust_env=False, timeout=30) as client:
        headers = {"Authorization": f"token {PAGE_TOKEN}", "Accept": "text/event-stream"}
        with client.stream("GET", f"{API}build/{build_id}/logs/", headers=headers) as answer:
            assert answer.headers["Content-Type"].startswith("text/event-stream")
            lines = answer.iter_lines()
            assert _next(lines, "data: one")
            service.log(build_id, "two\n")
            assert _next(lines, "data: two")
    topic = f"build:{build_id}"
    wait_until(lambda: not _is_watched(service, topic), "the end of the service's side")


def test_an_artifact_is_sent_in_ranges_under_its_name(service: RunningService, server: JupyterServer) -> None:
    build_id = service.completed("ml")
    service.store(build_id, ArtifactType.LOCKFILE, b"0123456789")
    whole = server.ask("GET", f"{API}build/{build_id}/conda-lock.yml").raise_for_status()
    assert whole.content == b"0123456789"
    assert "attachment" in whole.headers["Content-Disposition"]
    part = server.ask("GET", f"{API}build/{build_id}/conda-lock.yml", headers={"Range": "bytes=2-4"})
    assert (part.status_code, part.content) == (206, b"234")


def test_a_build_that_a_page_began_is_told_to_all_pages_until_its_end(
    service: RunningService, server: JupyterServer
) -> None:
    events = server.connect("api/events/subscribe")
    try:
        text = make.text("fresh")
        answer = server.ask("POST", f"{API}specification/", json={"specification": text, "namespace": "alice"})
        build_id = answer.raise_for_status().json()["data"]["build_id"]
        assert _receive(events)["build_id"] == build_id
        assert _receive(events)["status"] == "QUEUED"
        service.claim(build_id)
        service.log(build_id, "x\n")
        assert _receive(events)["status"] == "BUILDING"
        service.use(build_id)
        assert _receive(events) == {"namespace": None, "environment": None, "build_id": build_id, "status": "COMPLETED"}
    finally:
        events.close()


# With a twin, for what the real service cannot be made to do


@pytest.fixture(scope="module")
def shared_twin() -> Generator[ServiceTwin]:
    with run_twin() as twin:
        yield twin


@pytest.fixture
def twin(shared_twin: ServiceTwin) -> ServiceTwin:
    shared_twin.state = TwinState()
    return shared_twin


@pytest.fixture(scope="module")
def twins_server(shared_twin: ServiceTwin, tmp_path_factory: pytest.TempPathFactory) -> Generator[JupyterServer]:
    variables = {"CONDA_STORE_HUB_URL": shared_twin.url, "JUPYTERHUB_API_TOKEN": TOKEN}
    with run_jupyter(tmp_path_factory.mktemp("twins-server"), **variables) as server:
        wait_until(lambda: server.standing()["state"] == "connected", "the service")
        yield server


def test_the_service_hears_one_token_and_no_cookie(twin: ServiceTwin, twins_server: JupyterServer) -> None:
    headers = {"Cookie": "a-session=1", "X-Forwarded-For": "1.2.3.4"}
    twins_server.ask("GET", f"{API}environment/?token={PAGE_TOKEN}", headers=headers).raise_for_status()
    heard = twin.asked("environment/")[-1]
    assert heard.headers["Authorization"] == f"token {TOKEN}"
    assert "Cookie" not in heard.headers
    assert "X-Forwarded-For" not in heard.headers
    assert heard.query == {}


def test_cookies_of_the_service_do_not_come_back(twin: ServiceTwin, twins_server: JupyterServer) -> None:
    twin.state.instead = (200, {"Set-Cookie": "a=1", "X-Other": "1", "Content-Type": "application/json"}, b"{}")
    answer = twins_server.ask("GET", f"{API}environment/")
    assert answer.status_code == 200
    assert "a=1" not in str(answer.headers.get_list("set-cookie"))
    assert "x-other" not in answer.headers


def test_a_service_that_is_down_is_said_in_words_with_what_still_works(
    twin: ServiceTwin, twins_server: JupyterServer
) -> None:
    twin.stop()
    for method in ("GET", "DELETE"):
        answer = twins_server.ask(method, f"{API}environment/alice/ml/")
        assert (answer.status_code, answer.json()["code"]) == (503, "service-unreachable")
        assert "still start" in answer.json()["message"]
    twin.start()
    assert twins_server.ask("GET", f"{API}environment/").status_code == 200


@pytest.mark.parametrize(
    ("instead", "status", "code"),
    [
        ((302, {"Location": "/hub/login"}, b""), 502, "not-the-service"),
        ((401, {"Content-Type": "application/json"}, b"{}"), 403, "token-refused"),
    ],
)
def test_an_answer_that_would_send_a_page_elsewhere_is_put_into_words(
    twin: ServiceTwin, twins_server: JupyterServer, instead: tuple[int, dict[str, str], bytes], status: int, code: str
) -> None:
    twin.state.instead = instead
    answer = twins_server.ask("GET", f"{API}environment/")
    assert (answer.status_code, answer.json()["code"]) == (status, code)


def test_what_a_page_still_has_is_not_sent_again(twin: ServiceTwin, twins_server: JupyterServer) -> None:
    twin.state.instead = (304, {"ETag": '"a"'}, b"")
    answer = twins_server.ask("GET", f"{API}environment/", headers={"If-None-Match": '"a"'})
    assert (answer.status_code, answer.headers["ETag"], answer.content) == (304, '"a"', b"")
    assert twin.asked("environment/")[-1].headers["If-None-Match"] == '"a"'


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_an_answer_without_content_stays_one(twin: ServiceTwin, twins_server: JupyterServer, method: str) -> None:
    twin.state.instead = (204, {}, b"")
    answer = twins_server.ask(method, f"{API}environment/alice/ml/")
    assert (answer.status_code, answer.content) == (204, b"")


def test_an_artifact_that_breaks_off_is_not_taken_for_whole(twin: ServiceTwin, twins_server: JupyterServer) -> None:
    twin.state.artifacts["environment.tar.gz"] = b"x" * 300_000
    twin.state.bytes_before_break = 100_000
    with pytest.raises(httpx.RemoteProtocolError):
        twins_server.ask("GET", f"{API}build/1/environment.tar.gz")


def test_a_change_is_told_to_all_pages_although_the_one_that_made_it_has_left(
    twin: ServiceTwin, twins_server: JupyterServer
) -> None:
    twin.state.specifications_held = True
    events = twins_server.connect("api/events/subscribe")
    body = json.dumps({"specification": "name: ml", "namespace": "alice"})
    address = httpx.URL(twins_server.url)
    page = socket.create_connection((address.host, address.port or 80))
    heads = (
        *(f"POST {address.path}{API}specification/ HTTP/1.1", f"Host: {address.host}"),
        *(f"Authorization: token {PAGE_TOKEN}", "Content-Type: application/json", f"Content-Length: {len(body)}"),
    )
    page.sendall("\r\n".join([*heads, "", body]).encode())
    wait_until(lambda: twin.asked("specification/"), "the service to hear of it")
    page.close()
    twins_server.ask("GET", f"{API}environment/").raise_for_status()  # by now the server has seen it go
    with twin.changing() as state:
        state.specifications_held = False
    assert _receive(events)["build_id"] == 1
    events.close()


def test_a_body_larger_than_any_lock_file_is_refused(twin: ServiceTwin, twins_server: JupyterServer) -> None:
    before = twin.asked("specification/")
    answer = twins_server.ask("POST", f"{API}specification/", content=b"x" * (MOST_BODY + 1))
    assert (answer.status_code, answer.json()["code"]) == (413, "request-too-large")
    assert twin.asked("specification/") == before


def test_a_server_without_a_service_says_so(tmp_path: Any) -> None:
    with run_jupyter(tmp_path) as server:
        answer = server.ask("GET", f"{API}environment/")
        assert (answer.status_code, answer.json()["code"]) == (503, "disabled")
        assert "CONDA_STORE_HUB_URL" in answer.json()["message"]


# Who makes a change


def _choose(method: str = "POST", *, user: str = "", provider: Any = None, settings: Any = None) -> str | None:
    handler = SimpleNamespace(
        request=SimpleNamespace(method=method),
        identity_provider=SimpleNamespace(hub_auth=provider),
        settings={"hub_auth": settings} if settings else {},
        current_user=SimpleNamespace(username=user),
    )
    return ProxyHandler._choose_token(cast("Any", handler), cast("Any", SimpleNamespace(token="servers")))


def _hub_auth(token: str | None) -> Any:
    return SimpleNamespace(get_token=lambda _: token)


def test_a_change_is_made_by_who_asks_for_it_however_the_hub_starts_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUPYTERHUB_USER", "alice")
    for place in ("provider", "settings"):
        assert _choose(user="bob", **{place: _hub_auth("bobs")}) == "bobs"
        assert _choose(user="bob", **{place: _hub_auth(None)}) is None
        assert _choose(user="alice", **{place: _hub_auth(None)}) == "servers"


def test_on_a_hub_nobody_but_the_owner_changes_with_the_servers_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUPYTERHUB_USER", "alice")
    assert _choose(user="anonymous-1") is None
    assert _choose(user="alice") == "servers"
    assert _choose("GET", user="anonymous-1") == "servers"
    monkeypatch.delenv("JUPYTERHUB_USER")
    assert _choose(user="anonymous-1") == "servers"
    assert _choose(user="", provider=_hub_auth(None)) is None


def test_a_visitor_is_told_as_whom_they_did_not_find_what_is_shown_to_them() -> None:
    said = b'{"status":"error","message":"There is none.","code":"not-found"}'
    told = json.loads(say_who_asks(said, owner="alice", asks="bob"))
    assert told["message"].startswith("There is none. You are on the server of alice")
    assert told["message"].endswith("change it as bob.")
    assert told["code"] == "not-found"
    for body, owner in [(said, "bob"), (said, None), (b"<html>", "alice")]:
        assert say_who_asks(body, owner=owner, asks="bob") == body


def _next(lines: Any, wanted: str) -> bool:
    return any(line == wanted for line in lines)


def _is_watched(service: RunningService, topic: str) -> bool:
    return bool(service.services.changes._waiting.get(topic))


def _receive(socket: Any) -> dict[str, Any]:
    while True:
        event = json.loads(socket.recv())
        if event["schema_id"] == ENVIRONMENTS_EVENT:
            return {name: event[name] for name in ("namespace", "environment", "build_id", "status")}
