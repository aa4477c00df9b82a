"""The REST API: who may what on every route, shapes, filters, pages of lists."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from conda_store_hub import __version__
from conda_store_hub.core.protocol import ArtifactType, BuildStatus
from tests.support import make
from tests.support.service import RunningService, service

__all__ = ["service"]

SPEC = "name: new\ndependencies: [python]"


@dataclass(frozen=True)
class Call:
    """A request about something in one namespace."""

    method: str
    path: str
    json: Any = None

    def by(self, service: RunningService, name: str | None, **names: object) -> httpx.Response:
        with service.client(name) as client:
            body = None if self.json is None else {key: _filled(value, names) for key, value in self.json.items()}
            return client.request(self.method, f"api/v1/{self.path.format(**names)}", json=body)


def _filled(value: Any, names: dict[str, object]) -> Any:
    return value.format(**names) if isinstance(value, str) and value.startswith("{") else value


ABOUT_ONE = [
    Call("GET", "environment/{ns}/ml/"),
    Call("GET", "build/{build}/"),
    Call("GET", "build/{build}/packages/"),
    Call("GET", "build/{build}/logs/"),
    Call("GET", "build/{build}/yaml/"),
    Call("GET", "build/{build}/lockfile/"),
    Call("GET", "build/{build}/conda-lock.yml"),
    Call("GET", "build/{build}/conda-lock.yaml/"),
    Call("GET", "build/{build}/archive/"),
    Call("PUT", "environment/{ns}/ml/", {"description": "changed"}),
    Call("POST", "specification/", {"namespace": "{ns}", "specification": SPEC}),
    Call("PUT", "build/{queued}/cancel/"),
]


@pytest.fixture
def names(service: RunningService, request: pytest.FixtureRequest) -> dict[str, object]:
    """A namespace with a completed build with artifacts, and a queued one."""
    namespace = request.param
    build = service.completed("ml", namespace=namespace)
    for kind in (ArtifactType.YAML, ArtifactType.LOCKFILE, ArtifactType.CONDA_PACK):
        service.store(build, kind, b"bytes")
    service.finish(build)
    return {"ns": namespace, "build": build, "queued": service.submit("other", namespace=namespace)}


@pytest.mark.parametrize("call", ABOUT_ONE, ids=lambda call: f"{call.method} {call.path}")
@pytest.mark.parametrize("names", ["alice"], indirect=True)
@pytest.mark.parametrize(("name", "status"), [("alice", 200), ("root", 200), ("bob", 404), ("carol", 404), (None, 401)])
def test_a_users_namespace_is_the_users_and_private(
    service: RunningService, names: dict[str, object], call: Call, name: str | None, status: int
) -> None:
    answer = call.by(service, name, **names)
    assert answer.status_code == status, answer.text
    if status != 200:
        assert answer.json()["status"] == "error"
        assert set(answer.json()) == {"status", "message", "code", "line", "column"}


@pytest.mark.parametrize("call", ABOUT_ONE, ids=lambda call: f"{call.method} {call.path}")
@pytest.mark.parametrize("names", ["group.physics"], indirect=True)
@pytest.mark.parametrize(("name", "status"), [("alice", 200), ("carol", 200), ("root", 200), ("bob", 404), (None, 401)])
def test_a_groups_namespace_is_its_members(
    service: RunningService, names: dict[str, object], call: Call, name: str | None, status: int
) -> None:
    assert call.by(service, name, **names).status_code == status


@pytest.mark.parametrize("path", ["namespace/", "environment/", "build/", "kernels/"])
def test_lists_hold_what_one_may_see_and_nothing_else(service: RunningService, path: str) -> None:
    mine, ours = service.completed("mine"), service.completed("ours", namespace="group.physics")
    seen: dict[str | None, int] = {}
    for name in ("alice", "carol", "bob", "root", None):
        with service.client(name) as client:
            answer = client.get(f"api/v1/{path}")
            if name is None:
                assert answer.status_code == 401
                continue
            data = answer.json()["data"]
            seen[name] = len(data["kernels"] if path == "kernels/" else data)
    assert (mine, ours) == (1, 2)
    # A namespace of one's own is there from the first contact; an admin sees all, and none is made for asking.
    own = 1 if path == "namespace/" else 0
    assert seen == {"alice": 2, "carol": 1 + own, "bob": own, "root": 4 + own if own else 2}


def test_the_version_is_for_everybody(service: RunningService) -> None:
    with service.client() as client:
        answer = client.get("api/v1/").json()
        assert answer == {"status": "ok", "data": {"version": __version__, "registry": None}, "message": None}
        assert client.get("api/v1").status_code == 200


def test_permissions_have_condastores_keys(service: RunningService) -> None:
    with service.client("alice") as alice:
        data = alice.get("api/v1/permission/").json()["data"]
    assert data["primary_namespace"] == "alice"
    assert set(data["entity_roles"]) == {"alice/*", "group.physics/*"}
    assert all(key.count("/") == 1 for key in data["entity_permissions"])


def test_a_submission_is_queued_and_can_be_followed(service: RunningService) -> None:
    with service.client("alice") as alice:
        answer = alice.post("api/v1/specification/", json={"namespace": "alice", "specification": make.text("new")})
        assert answer.status_code == 200
        build_id = answer.json()["data"]["build_id"]
        build = alice.get(f"api/v1/build/{build_id}/").json()["data"]
        environment = alice.get("api/v1/environment/alice/new/").json()["data"]
    assert (build["status"], build["position"], build["requested_by"]) == ("QUEUED", 1, "alice")
    assert build["specification"]["text"] == make.text("new")
    assert build["specification"]["spec"]["dependencies"] == ["python"]
    assert build["build_key"].endswith(f"-{build_id}-new")
    assert (environment["current_build_id"], environment["latest_status"]) == (None, "QUEUED")


def test_without_a_namespace_ones_own_is_meant(service: RunningService) -> None:
    with service.client("bob") as bob:
        assert bob.post("api/v1/specification/", json={"specification": SPEC}).status_code == 200
        assert bob.get("api/v1/environment/bob/new/").status_code == 200


def test_an_artifact_is_listed_once_it_can_be_had(service: RunningService) -> None:
    build_id = service.completed()
    service.store(build_id, ArtifactType.YAML, b"name: ml\n")
    with service.client("alice") as alice:
        build = alice.get(f"api/v1/build/{build_id}/").json()["data"]
        nested = alice.get("api/v1/environment/alice/ml/").json()["data"]["current_build"]
    for shown in (build, nested):
        assert [item["artifact_type"] for item in shown["build_artifacts"]] == ["YAML"]
        assert {item["artifact_type"] for item in shown["unfinished_artifacts"]} == {"LOCKFILE", "CONDA_PACK"}
        assert "prefix" in shown


def test_activating_an_older_build_counts_and_a_strange_one_does_not(service: RunningService) -> None:
    first, second, strange = service.completed(), service.completed(), service.completed("other")
    with service.client("alice") as alice:
        put = alice.put("api/v1/environment/alice/ml/", json={"build_id": first})
        assert put.status_code == 200
        assert put.json()["status"] == "ok"
        assert alice.get("api/v1/environment/alice/ml/").json()["data"]["current_build_id"] == first
        assert alice.put("api/v1/environment/alice/ml/", json={"build_id": strange}).status_code == 404
        assert alice.get(f"api/v1/build/{second}/").json()["data"]["active"] is False


def test_only_a_completed_build_can_be_activated(service: RunningService) -> None:
    build_id = service.submit()
    with service.client("alice") as alice:
        answer = alice.put("api/v1/environment/alice/ml/", json={"build_id": build_id})
    assert answer.status_code == 409
    assert "QUEUED" in answer.json()["message"]


def test_a_build_is_cancelled_once(service: RunningService) -> None:
    build_id = service.submit()
    with service.client("alice") as alice:
        assert alice.put(f"api/v1/build/{build_id}/cancel/").status_code == 200
        assert alice.get(f"api/v1/build/{build_id}/").json()["data"]["status"] == "CANCELED"
        assert alice.put(f"api/v1/build/{build_id}/cancel/").status_code == 409


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", ["alice/a1", "alice/b1", "group.physics/a2"]),
        ("search=a", ["alice/a1", "alice/b1", "group.physics/a2"]),
        ("search=A1", ["alice/a1"]),
        ("search=%25", []),
        ("search=physics", ["group.physics/a2"]),
        ("namespace=alice", ["alice/a1", "alice/b1"]),
        ("namespace=bob", []),
        ("name=A2", ["group.physics/a2"]),
        ("status=QUEUED", ["alice/b1", "group.physics/a2"]),
        ("status=queued/", ["alice/b1", "group.physics/a2"]),
        ("status=COMPLETED/", ["alice/a1"]),
        ("sort_by=name&order=desc&page=1/", ["alice/a1", "alice/b1", "group.physics/a2"]),
        ("size=1&page=2/", ["alice/b1"]),
        ("size=2&page=2", ["group.physics/a2"]),
        ("page=7", []),
        ("size=100000", ["alice/a1", "alice/b1", "group.physics/a2"]),
    ],
)
def test_environments_are_filtered_and_paged(service: RunningService, query: str, found: list[str]) -> None:
    service.completed("a1")
    service.submit("b1")
    service.submit("a2", namespace="group.physics")
    with service.client("alice") as alice:
        answer = alice.get(f"api/v1/environment/?{query}").json()
        assert [f"{row['namespace']['name']}/{row['name']}" for row in answer["data"]] == found
        assert set(answer) == {"status", "data", "message", "page", "size", "count"}
        assert answer["size"] <= 1000
        if "size=" in query:
            assert answer["size"] <= 100
            assert answer["count"] == 3


def test_condastores_client_gets_all_environments_where_it_would_ask_for_ever(service: RunningService) -> None:
    for number in range(105):
        service.submit(f"e{number}")
    with service.client("alice") as alice:
        answer = alice.get("api/v1/environment/").json()
        assert len(answer["data"]) == answer["count"] == 105
        assert len(alice.get("api/v1/environment/?page=1").json()["data"]) == 100


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", [3, 2, 1]),
        ("order=asc", [1, 2, 3]),
        ("status=COMPLETED", [1]),
        ("environment_id=1", [2, 1]),
        ("environment_id=1/", [2, 1]),
        ("namespace=alice&name=two", [3]),
        ("size=2", [3, 2]),
        ("size=2&page=2/", [1]),
    ],
)
def test_builds_are_filtered_and_paged(service: RunningService, query: str, found: list[int]) -> None:
    service.completed("one")
    service.submit("one")
    service.submit("two")
    with service.client("alice") as alice:
        assert [row["id"] for row in alice.get(f"api/v1/build/?{query}").json()["data"]] == found


def test_packages_are_paged_and_searched(service: RunningService) -> None:
    build_id = service.submit()
    service.claim(build_id)
    service.use(build_id, "python=3.11.7", "numpy=2.1", "pandas=2.2")
    with service.client("alice") as alice:
        url = f"api/v1/build/{build_id}/packages/"
        assert [row["name"] for row in alice.get(url).json()["data"]] == ["numpy", "pandas", "python"]
        assert [row["name"] for row in alice.get(f"{url}?search=PAN").json()["data"]] == ["pandas"]
        answer = alice.get(f"{url}?size=1&page=3/").json()
    assert ([row["name"] for row in answer["data"]], answer["count"]) == (["python"], 3)


def test_the_second_api_pages_by_cursor_to_an_empty_end(service: RunningService) -> None:
    for name in ("c", "a", "B"):
        service.submit(name)
    service.submit("z", namespace="group.physics")
    found: list[str] = []
    with service.client("alice") as alice:
        answer = alice.get("api/v2/environment/?limit=2").json()
        assert answer["count"] == 4
        while answer["data"]:
            found += [row["name"] for row in answer["data"]]
            answer = alice.get("api/v2/environment/", params={"limit": 2, "cursor": answer["cursor"]}).json()
            assert answer["count"] is None
    assert found == ["a", "B", "c", "z"]
    assert answer["cursor"] is None


def test_the_second_api_goes_on_where_an_environment_is_no_longer_seen(service: RunningService) -> None:
    for name in ("a", "b", "c"):
        service.submit(name)
    with service.client("alice") as alice:
        cursor = alice.get("api/v2/environment/?limit=1&status=QUEUED").json()["cursor"]
        service.claim(1)
        rest = alice.get("api/v2/environment/", params={"status": "QUEUED", "cursor": cursor}).json()
    assert [row["name"] for row in rest["data"]] == ["b", "c"]


@pytest.mark.parametrize("path", ["environment", "build", "namespace", "permission", "kernels", "build/1/packages"])
def test_addresses_do_with_and_without_their_last_slash(service: RunningService, path: str) -> None:
    service.completed()
    with service.client("alice") as alice:
        assert alice.get(f"api/v1/{path}").json() == alice.get(f"api/v1/{path}/").json()


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "api/v1/specification/solve/", {"POST"}),
        ("PATCH", "api/v1/environment/alice/ml/", {"GET", "HEAD", "PUT", "DELETE"}),
        ("POST", "api/v1/build/1/", {"GET", "HEAD", "PUT", "DELETE"}),
        ("GET", "api/v1/build/1/cancel/", {"PUT"}),
        ("PATCH", "api/v1/namespace/", {"GET", "HEAD"}),
    ],
)
def test_a_wrong_method_is_told_the_right_ones(
    service: RunningService, method: str, path: str, allowed: set[str]
) -> None:
    with service.client("alice") as alice:
        answer = alice.request(method, path)
    assert answer.status_code == 405
    assert answer.json()["code"] == "method-not-allowed"
    assert set(answer.headers["Allow"].split(", ")) == allowed


@pytest.mark.parametrize("path", ["api", "api/", "api/v3/build/", "api/v1/nothing/", "api/v1/build/1/nothing"])
def test_an_unknown_address_of_the_api_is_json(service: RunningService, path: str) -> None:
    for name in ("alice", None):
        with service.client(name) as client:
            answer = client.get(path)
            assert (answer.status_code, answer.json()["code"]) == (404, "not-found")


def test_head_is_get_without_its_body(service: RunningService) -> None:
    with service.client("alice") as alice:
        head, get = alice.head("api/v1/namespace/"), alice.get("api/v1/namespace/")
    assert head.status_code == 200
    assert head.content == b""
    assert head.headers["Content-Length"] == str(len(get.content))


def test_answers_are_kept_by_nobody_and_framed_by_nobody(service: RunningService) -> None:
    with service.client("alice") as alice:
        headers = alice.get("api/v1/namespace/").headers
    assert headers["Cache-Control"] == "no-store"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    assert "Server" not in headers


def test_a_status_word_of_the_wire_is_one_of_condastores(service: RunningService) -> None:
    assert {status.value for status in BuildStatus} == {"QUEUED", "BUILDING", "COMPLETED", "FAILED", "CANCELED"}
    service.submit()
    with service.client("alice") as alice:
        assert alice.get("api/v1/build/").json()["data"][0]["status"] == "QUEUED"


def test_an_environment_is_sent_again_only_when_it_is_another(service: RunningService) -> None:
    service.completed()
    with service.client("alice") as client:
        first = client.get("api/v1/environment/alice/ml/")
        known = {"If-None-Match": first.headers["ETag"]}
        same = client.get("api/v1/environment/alice/ml/", headers=known)
        assert (same.status_code, same.content, same.headers["ETag"]) == (304, b"", first.headers["ETag"])
        service.completed()
        changed = client.get("api/v1/environment/alice/ml/", headers=known)
        assert changed.json()["data"]["current_build_id"] != first.json()["data"]["current_build_id"]
    with service.client("bob") as other:
        assert other.get("api/v1/environment/alice/ml/", headers=known).status_code == 404
