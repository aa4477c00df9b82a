"""What people and programs get wrong: words and a place, never a 500, and nothing is made."""

from __future__ import annotations

import socket
from collections.abc import Generator
from urllib.parse import quote, urlsplit

import httpx
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, event
from sqlalchemy import text as text_of_sql

from conda_store_hub.core.names import DataDirectory
from conda_store_hub.web.base import MAX_BODY, MAX_LOCK_BODY
from tests.support import make
from tests.support.service import PREFIX, RunningService, run_service, service

__all__ = ["service"]

PARTS = [
    "api",
    "v1",
    "v2",
    "build",
    "1",
    "environment",
    "alice",
    "ml",
    "logs",
    "kernels",
    "create",
    "docs",
    "static",
    "hub",
]
PLACES = [
    "static",
    "static/hub",
    "docs",
    "build",
    "environment/alice",
    "environment",
    "api/v1/build",
    "api/v1/build/1",
    "api/v1/environment/alice",
    "api/v1/environment",
    "api",
]
#: As they stand in an address, and as text that is yet to be escaped.
STRANGE = ["%00", "\0", "%2e%2e", "..", "%2F", "%5C", "%ff", "%", "%0d%0a", "%ED%A0%80", "☃", "n" * 300, "", "x%00y"]
KEYS = ["page", "size", "status", "search", "since", "cursor", "offset", "limit", "environment_id", "build", "_xsrf"]
HEADERS = ["Range", "If-None-Match", "If-Range", "Accept", "Last-Event-ID", "Content-Type", "Cookie", "Sec-Fetch-Mode"]
BOMB = "a: &a [x,x]\nb: &b [*a,*a]\nc: &c [*b,*b]\n"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a: [", "not valid YAML"),
        ("- just\n- a list\n", "mapping"),
        ("42", "mapping"),
        ("", "empty"),
        (BOMB, "Anchors and aliases"),
        ("name: x\ndependencies: " + "[" * 5000, "nested"),
        ("dependencies: [python]", "no `name:`"),
        ("name: a/b\ndependencies: [python]", "letters and digits"),
        ("name: ..\ndependencies: [python]", "letters and digits"),
        ("name: a b\ndependencies: [python]", "letters and digits"),
        (f"name: {'n' * 300}\ndependencies: [python]", "at most 64"),
        ("name: ümläut\ndependencies: [python]", "letters and digits"),
        ("name: x\nsurprise: 1\ndependencies: [python]", "not known here"),
        ("name: x\ndependencies:\n  - python ==== 3\n", "python ==== 3"),
        ("name: x", "at least one dependency"),
        ("name: x\nchannels: [https://elsewhere.example/c]\ndependencies: [python]", "elsewhere.example"),
        ("name: x\nchannels: [/srv/channel]\ndependencies: [python]", "/srv/channel"),
        ("name: x\nchannels: [file:///srv/channel]\ndependencies: [python]", "A channel is a name"),
        ("name: x\nplatforms: [osx-arm64]\ndependencies: [python]", "linux-64"),
        ("name: x\ndependencies: [python, {pip: [./here]}]", "not an address or a path"),
        ("name: x\ndependencies: [python, {pip: ['-e .']}]", "Options of pip"),
        ("name: x\ndependencies: [python, {pip: ['--no-deps']}]", "Options of pip"),
        ("name: x\ndependencies: [python, {pip: ['git+https://x.example/y']}]", "not an address"),
        ("name: x\ndependencies: [{pip: [cowsay]}]", "needs Python"),
        ("name: x\ndescription: " + "d" * 5000 + "\ndependencies: [python]", "description"),
    ],
)
def test_a_bad_specification_is_refused_in_words(service: RunningService, text: str, says: str) -> None:
    with service.client("alice") as alice:
        answer = alice.post("api/v1/specification/", json={"specification": text})
        assert answer.status_code == 400, answer.text
        assert says in answer.json()["message"]
        assert alice.get("api/v1/build/").json()["data"] == []


def test_the_place_of_a_fault_is_told_in_words_and_numbers(service: RunningService) -> None:
    text = "name: x\ndependencies:\n  - numpy\n  - python ==== 3\n"
    with service.client("alice") as alice:
        answer = alice.post("api/v1/specification/", json={"specification": text}).json()
    assert (answer["line"], answer["column"]) == (4, 5)
    assert "line 4, column 5" in answer["message"]


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"name: x", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"[]", "JSON object"),
        (b"42", "JSON object"),
        (b"null", "JSON object"),
        (b"{}", "`specification` is missing"),
        (b'{"specification": 42}', "`specification`"),
        (b'{"specification": {"name": "x"}}', "`specification`"),
        (b'{"specification": "name: x", "namespace": ["a"]}', "`namespace`"),
        (b'{"specification": "\\ud800"}', "not JSON"),
        (b'{"specification": "name: x\\u0000"}', "not valid YAML"),
        (b'{"specification": "name: x\\ndependencies: [python]", "is_lockfile": true}', "no lock file"),
        (b'{"specification": "name: x\\ndependencies: [python]", "environment_name": "y"}', "named"),
    ],
)
def test_a_body_that_is_none_is_refused_in_words(service: RunningService, body: bytes, says: str) -> None:
    with service.client("alice") as alice:
        answer = alice.post("api/v1/specification/", content=body)
    assert answer.status_code == 400, answer.text
    assert says in answer.json()["message"]


@pytest.mark.parametrize("body", [b"{}", b"[]", b'{"build_id": "x"}', b'{"build_id": 1.5}', b'{"description": 1}'])
def test_a_change_that_is_none_is_refused_in_words(service: RunningService, body: bytes) -> None:
    service.submit()
    with service.client("alice") as alice:
        assert alice.put("api/v1/environment/alice/ml/", content=body).status_code == 400


@pytest.mark.parametrize("build_id", [0, -1, 1 << 63, 10**30])
def test_a_build_number_that_cannot_be_is_not_found(service: RunningService, build_id: int) -> None:
    service.submit()
    with service.client("alice") as alice:
        assert alice.put("api/v1/environment/alice/ml/", json={"build_id": build_id}).status_code == 404


@pytest.mark.parametrize("text", ["9" * 21, "9" * 17, "-1", "1.5", "x", "%00", "0x1", "%C2%B2"])
@pytest.mark.parametrize("rest", ["", "packages/", "logs/", "yaml/", "archive/"])
def test_a_build_that_cannot_be_is_not_found(service: RunningService, text: str, rest: str) -> None:
    with service.client("alice") as alice:
        answer = alice.get(f"api/v1/build/{text}/{rest}")
        page = alice.get(f"build/{text}/")
    assert (answer.status_code, answer.json()["code"]) == (404, "not-found")
    assert page.status_code == 404


@pytest.mark.parametrize("folder", ["static", "static/hub"])
@pytest.mark.parametrize("name", ["%00", "page.css%00", "%00/x", "..%00", "n" * 300])
def test_a_file_that_cannot_be_is_not_found(service: RunningService, folder: str, name: str) -> None:
    with service.client() as anybody:
        assert anybody.get(f"{folder}/{name}").status_code == 404


@pytest.mark.parametrize(
    "path", ["alice/%00", "%2e%2e/x", "alice/a%2Fb", "a%20b/c", "alice/" + "n" * 300, "%E2%98%83/x"]
)
def test_an_environment_that_cannot_be_is_not_found(service: RunningService, path: str) -> None:
    with service.client("alice") as alice:
        assert alice.get(f"api/v1/environment/{path}/").json()["code"] == "not-found"
        assert alice.get(f"environment/{path}/").status_code == 404


def test_a_path_that_is_no_text_is_refused(service: RunningService) -> None:
    with service.client("alice") as alice:
        assert alice.get("api/v1/environment/alice/%ff/").status_code == 400


@pytest.mark.parametrize(
    "query",
    [
        "environment/?page=0",
        "environment/?page=-1",
        "environment/?page=x",
        "environment/?page=1.5",
        "environment/?page=" + "9" * 40,
        "environment/?size=0",
        "environment/?size=-5",
        "environment/?status=DONE",
        "environment/?search=" + "s" * 1000,
        "environment/?artifact=NONE",
        "build/?environment_id=x",
        "build/?environment_id=" + "9" * 40,
        "build/1/logs/?offset=-1",
        "build/1/logs/?offset=x",
        "kernels/?since=x&wait=soon",
        "kernels/?since=x&wait=-1",
        "kernels/?since=x&wait=nan",
    ],
)
def test_a_query_that_makes_no_sense_is_refused_in_words(service: RunningService, query: str) -> None:
    service.submit()
    with service.client("alice") as alice:
        answer = alice.get(f"api/v1/{query}")
    assert answer.status_code == 400, answer.text
    assert query.split("?")[1].split("&")[-1].split("=")[0] in answer.json()["message"]


@pytest.mark.parametrize("cursor", ["x", "e30=", "bnVsbA==", "=", "☃", "eyJsYXN0X2lkIjoxfQ=="])
def test_a_cursor_of_somebody_elses_is_refused(service: RunningService, cursor: str) -> None:
    with service.client("alice") as alice:
        answer = alice.get("api/v2/environment/", params={"cursor": cursor})
    assert answer.status_code == 400
    assert "cursor" in answer.json()["message"]


def test_a_name_that_differs_only_in_case_is_a_conflict(service: RunningService) -> None:
    service.submit("ml")
    with service.client("alice") as alice:
        answer = alice.post("api/v1/specification/", json={"specification": make.text("ML")})
    assert (answer.status_code, answer.json()["code"]) == (409, "conflict")


def test_a_specification_over_one_megabyte_is_refused(service: RunningService) -> None:
    text = make.text() + "#" * 1_000_000
    with service.client("alice") as alice:
        answer = alice.post("api/v1/specification/", json={"specification": text})
    assert (answer.status_code, answer.json()["code"]) == (413, "specification-too-large")


@pytest.mark.parametrize("size", [str(MAX_LOCK_BODY + 1), str(1 << 40), "9" * 5000])
def test_a_huge_body_is_refused_before_it_is_sent(service: RunningService, size: str) -> None:
    head = (
        f"POST {PREFIX}api/v1/specification/ HTTP/1.1\r\nHost: x\r\nAuthorization: token alice-token\r\n"
        f"Content-Length: {size}\r\n\r\n"
    )
    answer = send(service, head.encode())
    assert answer.startswith(b"HTTP/1.1 413")
    assert b'"code":"request-too-large"' in answer


def test_a_huge_body_that_is_sent_all_the_same_gets_its_answer(service: RunningService) -> None:
    with service.client("alice") as alice:
        answer = alice.post("api/v1/token/", content=b" " * (MAX_BODY + 1))
        assert (answer.status_code, answer.json()["code"]) == (413, "request-too-large")
        assert "larger than 1.5 MB" in answer.json()["message"]
        page = alice.post("create/", content=b" " * (MAX_LOCK_BODY + 1))
    assert page.status_code == 413
    assert "larger than 6 MB" in page.text


@pytest.mark.parametrize("chunks", [[], [b"{}"], [b" " * 1_000_000] * 3])
def test_a_body_without_a_length_is_refused_in_words(service: RunningService, chunks: list[bytes]) -> None:
    with service.client("alice") as alice:
        answer = alice.post("api/v1/specification/", content=iter(chunks))
        page = alice.post("create/", content=iter(chunks))
    assert (answer.status_code, answer.json()["code"]) == (411, "length-required")
    assert "Content-Length" in answer.json()["message"]
    assert page.status_code == 411
    assert "Content-Length" in page.text


def send(service: RunningService, request: bytes) -> bytes:
    """Send a request by hand and return the first of the answer, up to the end of its JSON."""
    address = urlsplit(service.url)
    with socket.create_connection((address.hostname, address.port), timeout=20) as connection:
        connection.sendall(request)
        answer = b""
        while not answer.endswith(b"}") and (data := connection.recv(65536)):
            answer += data
            if b"\r\n\r\n" in answer and b"Content-Length" not in answer:
                break
    return answer


def test_a_service_that_builds_nothing_says_why(data: DataDirectory) -> None:
    rules = make.rules(refusal="This service runs as root.")
    with run_service(data, rules=rules) as service, service.client("alice") as alice:
        answer = alice.post("api/v1/specification/", json={"specification": make.text()})
        assert (answer.status_code, answer.json()["message"]) == (400, "This service runs as root.")
        assert "This service runs as root." in alice.post("create/", data={"specification": make.text()}).text
        solved = alice.get("api/v1/specification/", params={"channel": "main", "conda": "python"})
        assert (solved.status_code, solved.json()["message"]) == (400, "This service runs as root.")


def test_what_is_outside_of_our_prefix_is_not_ours(service: RunningService) -> None:
    with service.client("alice") as alice:
        for path in ("/", "/hub/api/user", "/services/other/"):
            assert alice.get(httpx.URL(service.url).join(path)).status_code == 404
        assert alice.get(service.url.rstrip("/")).headers["Location"] == PREFIX


def test_a_full_disk_is_said_so_and_nothing_typed_is_lost(service: RunningService) -> None:
    fill_the_disk(service)
    text = make.text("precious") + "#" * 100_000
    with service.client("alice") as alice:
        answer = alice.post("api/v1/specification/", json={"specification": text})
        page = alice.post("create/", data={"specification": text})
        assert alice.get("api/v1/build/").json()["data"] == []
    assert (answer.status_code, answer.json()["code"]) == (507, "disk-full")
    assert page.status_code == 507
    assert "The disk is full" in page.text
    assert "name: precious" in page.text


def fill_the_disk(service: RunningService) -> None:
    """Let the database grow no more, as on a disk without room; what is there can be read."""
    with service.client("alice") as alice:
        assert alice.get("api/v1/namespace/").status_code == 200
    pages = service.db.read_sync(lambda session: session.execute(text_of_sql("PRAGMA page_count")).scalar_one())

    def limit(connection: Connection) -> None:
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")

    event.listen(service.db._engine, "begin", limit)


@pytest.fixture
def alice(service: RunningService) -> Generator[httpx.Client]:
    with service.client("alice") as client:
        yield client


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    path=st.lists(st.sampled_from(PARTS) | st.sampled_from(STRANGE) | st.text(max_size=12), max_size=6).map("/".join)
    | st.tuples(st.sampled_from(PLACES), st.sampled_from(STRANGE)).map("/".join),
    query=st.dictionaries(st.sampled_from(KEYS), st.text(max_size=12), max_size=3),
    headers=st.dictionaries(st.sampled_from(HEADERS), st.text(st.characters(min_codepoint=32, max_codepoint=126))),
    method=st.sampled_from(["GET", "HEAD", "PUT", "POST", "DELETE"]),
    body=st.binary(max_size=50) | st.sampled_from([b'{"build_id": 1}', b'{"specification": "x"}']),
)
@example(path="v1/api/api", query={}, headers={}, method="GET", body=b"")
@example(path="%61pi/v1", query={}, headers={}, method="GET", body=b"")
def test_nothing_that_is_asked_is_a_fault_of_ours(
    service: RunningService,
    alice: httpx.Client,
    path: str,
    query: dict[str, str],
    headers: dict[str, str],
    method: str,
    body: bytes,
) -> None:
    address = httpx.URL(service.url + quote(path, safe="/%")).copy_merge_params({**query, "wait": "0"})
    sent = {name: value.strip() for name, value in headers.items()}
    answer = alice.request(method, address, content=body, headers=sent)
    assert answer.status_code < 500, answer.text
    # Held against the address as it was sent: what is escaped needlessly is not the API's.
    if answer.url.raw_path.startswith(f"{PREFIX}api/".encode()) and answer.is_error and method != "HEAD":
        assert answer.json()["status"] == "error"
