"""The client over real HTTP: what it asks, what it makes of answers, and of what is no answer."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Generator
from pathlib import Path

import pytest

from conda_store_hub.client import downloads
from conda_store_hub.client.api import Client, LogPart
from conda_store_hub.client.failures import find_error, find_error_class
from conda_store_hub.client.logstream import LogEnd, LogEvent, LogText, ServerSentEvent, read_events
from conda_store_hub.core import errors
from conda_store_hub.core.errors import (
    CondaStoreHubError,
    ConflictError,
    InvalidNameError,
    InvalidRequestError,
    InvalidSpecificationError,
    MakingCancelledError,
    NotAuthenticatedError,
    NotFoundError,
    StorageError,
    UnavailableError,
)
from conda_store_hub.core.protocol import ArtifactType, BuildStatus
from conda_store_hub.core.schemas import LogState
from tests.support.service_twin import (
    TOKEN,
    ServiceTwin,
    make_build,
    make_environment,
    make_kernel,
    run_twin,
)

HTML = {"Content-Type": "text/html; charset=UTF-8"}
LOG = "Lösung gefunden\n  ümlauts\r\nlast line without an end".encode()


@pytest.fixture
def client(twin: ServiceTwin) -> Generator[Client]:
    with Client(twin.url, token=TOKEN, timeout=5) as client:
        yield client


def text_of(events: list[LogEvent]) -> str:
    return "".join(event.text for event in events if isinstance(event, LogText))


# What is asked and answered


def test_the_service_tells_its_version_and_who_we_are(client: Client) -> None:
    assert client.version().version == "0.1.0"
    assert client.permission().primary_namespace == "alice"
    assert [namespace.name for namespace in client.list_namespaces()] == ["alice", "group.team"]


def test_the_kernels_of_a_build_are_told(twin: ServiceTwin, client: Client) -> None:
    twin.state.kernels = [make_kernel("/p", build_id=1), make_kernel("/q", build_id=2)]
    assert [view.prefix for view in client.build_kernels(2)] == ["/q"]


def test_a_download_tells_how_far_it_is_and_ends_when_asked_to(
    twin: ServiceTwin, client: Client, tmp_path: Path
) -> None:
    twin.state.artifacts = {"archive": b"x" * 3_000_000}
    told: list[tuple[int, int]] = []
    client.download(1, ArtifactType.CONDA_PACK, tmp_path / "a", on_bytes=lambda *each: told.append(each))
    assert told[-1] == (3_000_000, 3_000_000)

    def end(*_: int) -> None:
        raise MakingCancelledError

    with pytest.raises(MakingCancelledError):
        client.download(1, ArtifactType.CONDA_PACK, tmp_path / "b", on_bytes=end)
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


@pytest.mark.parametrize("slashes", ["", "/", "//"])
def test_the_address_may_end_with_a_slash_or_not(twin: ServiceTwin, slashes: str) -> None:
    with Client(twin.url.rstrip("/") + slashes, token=TOKEN) as client:
        assert client.version().version == "0.1.0"


@pytest.mark.parametrize("total", [0, 1, 99, 100, 101, 250])
def test_every_environment_is_listed_once_whatever_the_pages(twin: ServiceTwin, client: Client, total: int) -> None:
    twin.state.environments = [make_environment(f"e{number}", number=number + 1) for number in range(total)]
    assert [item.name for item in client.list_environments()] == [f"e{number}" for number in range(total)]


def test_a_service_that_sends_smaller_pages_than_asked_is_read_to_the_end(twin: ServiceTwin, client: Client) -> None:
    twin.state.page_size_limit = 7
    twin.state.environments = [make_environment(f"e{number}", number=number + 1) for number in range(20)]
    assert len(list(client.list_environments())) == 20


def test_a_page_is_only_asked_for_when_it_is_needed(twin: ServiceTwin, client: Client) -> None:
    twin.state.environments = [make_environment(f"e{number}", number=number + 1) for number in range(1000)]
    environments = client.list_environments()
    assert [next(environments).name for _ in range(100)][-1] == "e99"
    assert len(twin.asked("environment/")) == 1


def test_environments_are_filtered_by_the_service(twin: ServiceTwin, client: Client) -> None:
    twin.state.environments = [make_environment("ml"), make_environment("ml", namespace="group.team")]
    found = list(client.list_environments("group.team", "m"))
    assert [item.namespace.name for item in found] == ["group.team"]
    assert {"namespace": "group.team", "search": "m"}.items() <= twin.asked("environment/")[0].query.items()


def test_a_specification_is_submitted_and_its_build_read(twin: ServiceTwin, client: Client) -> None:
    build_id = client.submit("alice", "name: ml\n", environment_name="ml")
    sent = json.loads(twin.asked("specification/")[0].body)
    assert (sent["specification"], sent["namespace"], sent["environment_name"]) == ("name: ml\n", "alice", "ml")
    build = client.get_build(build_id)
    assert (build.id, build.status, build.specification.text) == (build_id, BuildStatus.COMPLETED, "name: ml\n")


def test_builds_are_listed_by_status(twin: ServiceTwin, client: Client) -> None:
    twin.state.builds = {1: make_build(1), 2: make_build(2, status="FAILED"), 3: make_build(3)}
    assert [build.id for build in client.list_builds(status=BuildStatus.FAILED)] == [2]
    assert [build.id for build in client.list_builds()] == [3, 2, 1]


def test_the_packages_of_a_build_are_listed(twin: ServiceTwin, client: Client) -> None:
    twin.state.packages = [
        {"id": 1, "manager": "conda", "name": "numpy", "version": "2.1", "build": "0", "channel": {}},
        {"id": 2, "manager": "pip", "name": "rich", "version": "15.0", "build": "", "channel": {}},
    ]
    packages = list(client.list_packages(1))
    assert [(package.manager, package.name) for package in packages] == [("conda", "numpy"), ("pip", "rich")]


def test_a_build_is_activated(twin: ServiceTwin, client: Client) -> None:
    twin.state.environments = [make_environment("ml")]
    client.activate("alice", "ml", 7)
    assert client.get_environment("alice", "ml").current_build_id == 7


@pytest.mark.parametrize(("namespace", "name"), [("alice", ".."), ("..", "ml"), ("alice", "a/b"), ("alice", "")])
def test_a_name_that_would_change_the_address_is_refused_before_it_is_sent(
    twin: ServiceTwin, client: Client, namespace: str, name: str
) -> None:
    with pytest.raises(InvalidNameError):
        client.activate(namespace, name, 7)
    assert twin.requests == []


# Logs


def test_a_log_is_read_from_any_offset(twin: ServiceTwin, client: Client) -> None:
    twin.state.log = LOG
    first = client.read_log(1)
    assert first == LogPart(LOG.decode(), len(LOG), False)
    with twin.changing() as state:
        state.log, state.log_complete = LOG + b"\nmore", True
    assert client.read_log(1, first.next_offset) == LogPart("\nmore", len(LOG) + 5, True)


def test_a_live_log_brings_the_text_the_states_and_the_end(twin: ServiceTwin, client: Client) -> None:
    twin.state.log, twin.state.log_complete = LOG.replace(b"\r", b""), True
    events = list(client.stream_log(1))
    assert text_of(events) == LOG.replace(b"\r", b"").decode()
    states = [event.status for event in events if isinstance(event, LogState)]
    assert states == [BuildStatus.BUILDING, BuildStatus.COMPLETED]
    assert events[-1] == LogEnd()


def test_a_live_log_brings_what_is_written_while_it_is_read(twin: ServiceTwin, client: Client) -> None:
    twin.state.log = b"one\n"
    events = client.stream_log(1)
    read = [next(events), next(events)]
    with twin.changing() as state:
        state.log, state.log_complete = b"one\ntwo\n", True
    assert text_of([*read, *events]) == "one\ntwo\n"


def test_a_live_log_that_breaks_off_goes_on_where_it_broke(twin: ServiceTwin, client: Client) -> None:
    text = "".join(f"line {number}\n" for number in range(5))
    twin.state.log, twin.state.log_complete, twin.state.events_before_break = text.encode(), True, 2
    assert text_of(list(client.stream_log(1))) == text
    asked = [request.headers["Last-Event-Id"] for request in twin.asked("build/1/logs/")]
    assert asked == ["0", "14", "28"]


def test_a_live_log_survives_a_restart_of_the_service(twin: ServiceTwin, client: Client) -> None:
    twin.state.log = b"before\n"
    events = client.stream_log(1)
    read = [next(events), next(events)]
    twin.stop()
    restart = threading.Timer(0.3, twin.start)
    restart.start()
    twin.state.log, twin.state.log_complete = b"before\nafter\n", True
    read += list(events)
    restart.join()
    assert text_of(read) == "before\nafter\n"


def test_a_live_log_of_a_service_that_is_not_there_fails_at_once(twin: ServiceTwin, client: Client) -> None:
    twin.stop()
    with pytest.raises(UnavailableError, match="cannot be reached"):
        next(client.stream_log(1))


def test_an_event_stream_is_read_as_the_specification_says() -> None:
    stream = ": comment\r\n\r\nevent: log\rid: 7\rdata: a\x85b\u2028c\rdata:\rdata:  d\r\revent: end\n\nevent: lost\n"
    whole = [
        ServerSentEvent(name="log", data="a\x85b\u2028c\n\n d", id="7"),
        ServerSentEvent(name="end", data="", id="7"),
    ]
    raw = stream.encode()
    for size in (1, 2, 3, len(raw)):
        chunks = [raw[start : start + size] for start in range(0, len(raw), size)]
        assert list(read_events(chunks)) == whole


# Artifacts


def test_an_artifact_is_written_whole(twin: ServiceTwin, client: Client, tmp_path: Path) -> None:
    twin.state.artifacts = {"archive": bytes(3 << 20)}
    client.download(1, ArtifactType.CONDA_PACK, tmp_path / "ml.tar.gz")
    assert (tmp_path / "ml.tar.gz").stat().st_size == 3 << 20
    assert [path.name for path in tmp_path.iterdir()] == ["ml.tar.gz"]


def test_an_artifact_that_breaks_off_for_good_leaves_what_was_there(
    twin: ServiceTwin, client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(downloads, "RETRIES", 1)
    target = tmp_path / "ml.tar.gz"
    target.write_text("the old one")
    twin.state.artifacts, twin.state.bytes_before_break = {"archive": bytes(3 << 20)}, 1 << 20
    with pytest.raises(UnavailableError):
        client.download(1, ArtifactType.CONDA_PACK, target)
    assert target.read_text() == "the old one"
    (part,) = set(tmp_path.iterdir()) - {target}
    assert part.stat().st_size == 1 << 20, "what came is kept for who asks again"


def test_a_missing_artifact_or_folder_is_told(twin: ServiceTwin, client: Client, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="has no lockfile"):
        client.download(1, ArtifactType.LOCKFILE, tmp_path / "conda-lock.yml")
    twin.state.artifacts = {"yaml": b"name: ml\n"}
    with pytest.raises(StorageError, match="No such file or directory"):
        client.download(1, ArtifactType.YAML, tmp_path / "none" / "environment.yaml")
    with pytest.raises(InvalidRequestError, match="cannot be downloaded"):
        client.download(1, ArtifactType.RECORDS, tmp_path / "records")


def test_the_token_does_not_follow_to_the_object_store(tmp_path: Path, twin: ServiceTwin) -> None:
    with run_twin() as store, Client(twin.url, token=TOKEN) as client:
        target = f"{store.url}api/v1/build/1/yaml/".replace("127.0.0.1", "localhost")
        twin.state.instead = (307, {"Location": target}, b"")
        store.state.instead = (200, {"Content-Type": "application/octet-stream"}, b"name: ml\n")
        client.download(1, ArtifactType.YAML, tmp_path / "environment.yaml")
        assert (tmp_path / "environment.yaml").read_text() == "name: ml\n"
        assert "Authorization" not in store.requests[0].headers


# Kernels


def test_kernels_are_polled_until_they_change(twin: ServiceTwin, client: Client) -> None:
    twin.state.kernels = [make_kernel("/prefix")]
    first = client.kernels()
    assert first is not None
    assert [kernel.name for kernel in first.kernels] == ["csh.alice.ml.python3"]
    twin.state.hold_seconds = 0.05
    assert client.kernels(first.etag) is None
    with twin.changing() as state:
        state.kernels = []
    second = client.kernels(first.etag)
    assert second is not None
    assert (second.etag != first.etag, second.kernels) == (True, [])


# What goes wrong


def test_errors_come_back_as_the_class_that_the_service_raised(client: Client) -> None:
    with pytest.raises(NotFoundError, match="There is no build 9"):
        client.get_build(9)
    with pytest.raises(InvalidSpecificationError) as caught:
        client.submit("alice", "dependencies: []")
    assert caught.value.public_message == "The specification has no name. (line 1, column 3)"


def test_a_wrong_token_is_told(twin: ServiceTwin) -> None:
    with Client(twin.url, token="wrong") as client, pytest.raises(NotAuthenticatedError):
        client.version()


def all_error_classes(kind: type[CondaStoreHubError] = CondaStoreHubError) -> list[type[CondaStoreHubError]]:
    """Return those that answers carry; a page's own, such as a fault of one of its fields, never leave it."""
    below = [each for child in kind.__subclasses__() for each in all_error_classes(child)]
    return [kind, *below] if kind.__module__ == errors.__name__ else below


@pytest.mark.parametrize("kind", all_error_classes(), ids=lambda kind: kind.__name__)
def test_every_error_is_rebuilt_from_its_code_and_status(kind: type[CondaStoreHubError]) -> None:
    body = json.dumps({"status": "error", "code": kind.code, "message": "why", "line": 3}).encode()
    error = find_error(kind.status, body)
    assert error is not None
    assert (type(error), error.message, error.line) == (kind, "why", 3)
    found = find_error_class(kind.code)
    assert found is not None
    assert found.code == kind.code


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (409, "of-a-later-version", ConflictError),
        (507, "of-a-later-version", CondaStoreHubError),
        (404, None, NotFoundError),
    ],
)
def test_an_unknown_error_is_known_by_its_status(status: int, code: str | None, kind: type[CondaStoreHubError]) -> None:
    body = {"status": "error", "message": "why"} | ({} if code is None else {"code": code})
    error = find_error(status, json.dumps(body).encode())
    assert (type(error), str(error)) == (kind, "why")


@pytest.mark.parametrize("status", [502, 503, 504])
def test_what_answers_while_the_service_restarts_is_told_in_words(
    twin: ServiceTwin, client: Client, status: int
) -> None:
    twin.state.instead = (status, HTML, b"<html><h1>Service Unavailable</h1></html>")
    for ask in (client.version, lambda: client.read_log(1), lambda: next(client.stream_log(1))):
        with pytest.raises(UnavailableError, match=rf"is not there at this moment.* answered {status}"):
            ask()


@pytest.mark.parametrize("status", [200, 403, 404])
def test_a_page_in_place_of_an_answer_is_told_in_words(twin: ServiceTwin, client: Client, status: int) -> None:
    twin.state.instead = (status, HTML, b"<html><h1>Service Unavailable</h1></html>")
    for ask in (client.version, lambda: client.read_log(1), lambda: next(client.stream_log(1))):
        with pytest.raises(UnavailableError, match=rf"answered {status} with text/html.*Is the address right"):
            ask()


def test_a_redirect_to_a_login_is_told_in_words(twin: ServiceTwin, client: Client) -> None:
    twin.state.instead = (302, {"Location": "/hub/api/oauth2/authorize"}, b"")
    with pytest.raises(UnavailableError, match="sent us to /hub/api/oauth2/authorize"):
        client.version()


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b'{"status": "ok"}', b'{"status":"ok","data":{"version":3}}', b"\xff"]
)
def test_an_answer_of_another_shape_is_told_in_words(twin: ServiceTwin, client: Client, body: bytes) -> None:
    twin.state.instead = (200, {"Content-Type": "application/json"}, body)
    with pytest.raises(UnavailableError, match="no answer of this service"):
        client.version()


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("text/html", b"<html>Log in to the portal</html>"),
        ("application/json", b"{}"),
        ("application/json", b'{"status": "error", "code": "conflict", "message": "No."}'),
        ("application/json", b'{"data": null}'),
        ("text/plain", b""),
    ],
)
def test_what_was_not_said_to_be_done_counts_as_not_done(
    twin: ServiceTwin, client: Client, kind: str, body: bytes
) -> None:
    twin.state.instead = (200, {"Content-Type": kind}, body)
    for change in (
        lambda: client.activate("alice", "ml", 7),
        lambda: client.describe("alice", "ml", "text"),
        lambda: client.delete_environment("alice", "ml"),
        lambda: client.cancel(1),
        lambda: client.delete_build(1),
        lambda: client.make_artifact(1, ArtifactType.EXPLICIT),
        lambda: client.take_lease(1, "h", 60),
        lambda: client.end_lease(1, "h"),
        lambda: client.revoke_token(1),
        lambda: client.remove_member("alice", None, 1),
        lambda: client.exchange({}) if kind != "application/json" else client.cancel(1),
        lambda: client.give_back("t") if kind != "application/json" else client.cancel(1),
    ):
        with pytest.raises(UnavailableError, match="no answer of this service"):
            change()


def test_that_nothing_has_changed_is_no_answer_to_who_knows_nothing(twin: ServiceTwin, client: Client) -> None:
    twin.state.instead = (304, {}, b"")
    assert client.find_environment_news("alice", "ml", '"known"') == (None, '"known"')
    assert client.kernels("known") is None
    for ask in (
        client.kernels,
        client.version,
        lambda: client.cancel(1),
        lambda: client.find_environment_news("alice", "ml", ""),
    ):
        with pytest.raises(UnavailableError, match="answered 304"):
            ask()


@pytest.mark.parametrize(
    ("status", "kind", "body", "takes"),
    [
        (404, "text/html", b"<html>", False),
        (200, "application/json", b'{"authorization_endpoint":"a","token_endpoint":"t",%s}', True),
        (200, "application/json", b'{"authorization_endpoint":"a","token_endpoint":"t",%s}', False),
        (200, "text/html", b"<html>Log in to the portal</html>", None),
        (200, "application/json", b"{}", None),
    ],
)
def test_only_a_service_that_says_so_takes_logins(
    client: Client, twin: ServiceTwin, status: int, kind: str, body: bytes, takes: bool | None
) -> None:
    methods = b'"code_challenge_methods_supported":["%s"]' % (b"S256" if takes else b"plain")
    twin.state.instead = (status, {"Content-Type": kind}, body.replace(b"%s", methods))
    if takes is None:
        with pytest.raises(UnavailableError, match="no answer of this service"):
            client.takes_logins()
    else:
        assert client.takes_logins() is takes


def test_a_token_that_the_service_does_not_end_is_told(client: Client, twin: ServiceTwin) -> None:
    refusal = b'{"error": "invalid_client", "error_description": "Unknown program"}'
    twin.state.instead = (401, {"Content-Type": "application/json"}, refusal)
    with pytest.raises(UnavailableError, match=r"did not end the token: Unknown program\.$"):
        client.give_back("csh_x")
    for status, body in ((404, b"{}"), (302, b"{}")):
        twin.state.instead = (status, {"Content-Type": "application/json"}, body)
        with pytest.raises(UnavailableError, match=f"answered {status}"):
            client.give_back("csh_x")


def test_a_service_that_is_not_there_is_told_with_its_address(twin: ServiceTwin, client: Client) -> None:
    twin.stop()
    with pytest.raises(UnavailableError) as caught:
        client.version()
    assert twin.url in caught.value.public_message
    assert "refused" in caught.value.public_message


def test_a_service_that_hangs_is_not_waited_for_without_end() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with Client(url, timeout=0.1) as client, pytest.raises(UnavailableError, match="did not answer in time"):
            client.version()


def test_something_that_speaks_no_http_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def greet() -> None:
            connection, _ = server.accept()
            with connection:
                connection.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")

        thread = threading.Thread(target=greet)
        thread.start()
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        with Client(url, timeout=5) as client, pytest.raises(UnavailableError, match="cannot be reached"):
            client.version()
        thread.join()


@pytest.mark.parametrize("url", ["", "hub.example.org", "ftp://hub.example.org", "http://", "http://a:b"])
def test_what_is_no_address_is_refused_at_once(url: str) -> None:
    with pytest.raises(InvalidRequestError, match="is not an address"):
        Client(url)


def test_a_password_in_the_address_is_not_shown() -> None:
    client = Client("http://user:secret@127.0.0.1:1/", token=TOKEN, timeout=1)
    with client, pytest.raises(UnavailableError) as caught:
        client.version()
    assert "secret" not in str(caught.value)
    assert TOKEN not in str(caught.value)


def test_every_error_class_has_a_code_of_its_own_but_the_full_disk() -> None:
    codes = [kind.code for kind in all_error_classes()]
    assert {code for code in codes if codes.count(code) > 1} == {errors.StorageFullError.code}
