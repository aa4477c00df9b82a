"""Faults that were seen in conda-store's server, and that this service does not have.

Each test tells in its docstring what was seen there. Tested elsewhere, and not again here:

- lists that name what one may not see, a first decision kept for a second question: `test_permission_matrix.py`;
- `john.doe` who administers `john-doe`: `test_names.py`; names as patterns: `tests/services/test_permissions.py`;
- the size of pages: `test_api.py`; forms without XSRF tokens: `test_pages.py`;
- settings of one namespace that are everybody's: `tests/services/test_policies.py`;
- a token of the Hub that is not taken, groups and administrators of the Hub that do not count, logging out that counts
  a day later: `test_identity.py`.

Not tested here, for what they concern is not there yet: rebuilding and deleting builds,
lockfiles as specifications, the registry. An index of packages: `test_package_search.py`; metrics: `test_metrics.py`.
"""

from __future__ import annotations

import hashlib
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from traitlets.config import Config, LoggingConfigurable

from conda_store_hub.core.names import DataDirectory
from tests.support import make
from tests.support.fake_hub import user
from tests.support.service import PREFIX, RunningService, run_service, service

__all__ = ["service"]

SPECIFICATION = {"specification": make.text("ml")}
ELSEWHERE = "https://elsewhere.example"


def share(client: httpx.Client, place: str, **body: str) -> httpx.Response:
    return client.put(f"api/v1/{place}/member/", json={"subject": "user", "role": "viewer"} | body)


# Browsers


@pytest.mark.parametrize("method", ["GET", "OPTIONS", "POST"])
@pytest.mark.parametrize("path", ["", "api/v1/permission/", "api/v1/namespace/", "api/v1/token/", "health"])
def test_no_other_site_may_read_what_a_browser_is_shown(service: RunningService, method: str, path: str) -> None:
    """Whatever origin asked was told that it may read the answer, cookies and all."""
    with service.browser("alice") as browser:
        answer = browser.request(method, path, headers={"Origin": ELSEWHERE, "Sec-Fetch-Site": "cross-site"})
    assert not [header for header in answer.headers if header.lower().startswith("access-control-")]


STRANGE_ENDS = [
    ELSEWHERE,
    "//elsewhere.example/",
    "/\\elsewhere.example/",
    "\\\\elsewhere.example/",
    "https:elsewhere.example",
    "javascript:alert(1)",
    '"><script>alert(1)</script>',
]


@pytest.mark.parametrize("end", STRANGE_ENDS)
@pytest.mark.parametrize("path", ["login/", "", "user/", "oauth_callback"])
def test_a_login_leads_nowhere_else_and_runs_nothing(service: RunningService, path: str, end: str) -> None:
    """`next` of the login was followed to wherever it said, and written into a script as it was."""
    with httpx.Client(base_url=service.url, trust_env=False) as browser:
        browser.cookies.set("fake-user", "alice", domain="127.0.0.1")
        answer = browser.get(path, params={"next": end, "next_url": end}, headers={"Sec-Fetch-Mode": "navigate"})
        for _ in range(5):
            assert "<script>alert" not in answer.text
            if not answer.is_redirect:
                break
            target = answer.next_request.url if answer.next_request else httpx.URL("")
            assert (target.host, target.port) in {
                ("127.0.0.1", httpx.URL(service.url).port),
                ("127.0.0.1", service.hub.port),
            }
            answer = browser.send(answer.next_request)  # type: ignore[arg-type]
        assert not answer.is_redirect


@pytest.mark.parametrize(
    ("query", "status", "said"),
    [
        ("", 403, "this login was begun too long ago"),
        ("code=1", 403, "this login was begun too long ago"),
        ("code=1&state=unknown", 403, "this login was begun too long ago"),
        ("error=access_denied&error_description=<b>Call+us</b>", 403, "the Hub was told no"),
    ],
)
def test_a_login_that_fails_is_told_in_our_page_and_can_be_tried_again(
    service: RunningService, query: str, status: int, said: str
) -> None:
    """It was the library's bare page, without our headers and without a way on."""
    with httpx.Client(base_url=service.url, trust_env=False) as browser:
        answer = browser.get(f"oauth_callback?{query}", headers={"Sec-Fetch-Mode": "navigate"})
    assert answer.status_code == status
    assert said in answer.text
    assert f'href="{PREFIX}login/">Try to log in again</a>' in answer.text
    assert "Call us" not in answer.text
    assert "default-src 'self'" in answer.headers["Content-Security-Policy"]
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_a_login_that_the_hub_does_not_confirm_is_not_tried_by_itself(service: RunningService) -> None:
    """A page that loads itself again would come with a code that is spent."""
    with httpx.Client(base_url=service.url, trust_env=False) as browser:
        browser.cookies.set("fake-user", "alice", domain="127.0.0.1")
        asked = browser.get("user/", headers={"Sec-Fetch-Mode": "navigate"})
        back = browser.get(asked.headers["Location"]).headers["Location"]
        service.hub.status = 500
        try:
            answer = browser.get(back)
        finally:
            service.hub.status = 200
        assert answer.status_code == 503
        assert "The Hub did not confirm that you logged in." in answer.text
        assert "Try to log in again" in answer.text
        assert "http-equiv" not in answer.text
        assert browser.get("login/", follow_redirects=True).status_code == 200


@pytest.mark.parametrize("slashes", ["//", "/\\", "///", "/%5C", "/%2F"])
def test_an_address_that_begins_with_two_slashes_leads_nowhere_else(service: RunningService, slashes: str) -> None:
    """The same by the path: after logging in one goes on to where one was going."""
    with httpx.Client(trust_env=False) as browser:
        root = service.url.removesuffix(PREFIX)
        path = f"{slashes}elsewhere.example{PREFIX}"
        assert browser.get(httpx.URL(root).copy_with(raw_path=path.encode())).status_code == 404


def test_a_session_cookie_that_is_worth_nothing_hides_no_good_token(service: RunningService) -> None:
    """The cookie was looked at first, and a request with a bad one refused whatever token it had."""
    with service.client("alice", cookies={"service-conda-store-hub": "worth nothing"}) as client:
        assert client.get("api/v1/namespace/").status_code == 200


def test_a_session_cookie_is_for_this_service_and_no_script(service: RunningService) -> None:
    """The cookie was sent without `Secure` even where there is TLS."""
    with httpx.Client(base_url=service.url, trust_env=False, headers={"X-Forwarded-Proto": "https"}) as browser:
        browser.cookies.set("fake-user", "alice", domain="127.0.0.1")
        answer = browser.get("", headers={"Sec-Fetch-Mode": "navigate"})
        asked = browser.get(answer.headers["Location"])
        back = httpx.URL(asked.headers["Location"])
        state = {cookie.split("=", 1)[0]: cookie.split("=", 1)[1].split(";")[0] for cookie in cookies(answer)}
        answer = browser.get(back, headers={"Cookie": "; ".join(f"{key}={value}" for key, value in state.items())})
    assert answer.status_code == 302
    session = next(cookie for cookie in cookies(answer) if cookie.startswith("service-conda-store-hub="))
    assert {"HttpOnly", "Secure", f"Path={PREFIX}"} <= {part.strip() for part in session.split(";")}


def cookies(answer: httpx.Response) -> list[str]:
    return answer.headers.get_list("Set-Cookie")


# Who is not logged in


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "token/"),
        ("GET", "specification/"),
        ("POST", "specification/"),
        ("GET", "channel/"),
        ("GET", "package/"),
        ("GET", "setting/"),
        ("PUT", "setting/"),
        ("GET", "usage/"),
        ("GET", "build/"),
    ],
)
def test_who_is_not_logged_in_makes_and_learns_nothing(service: RunningService, method: str, path: str) -> None:
    """Anybody was given tokens, had environments solved, and read channels and packages."""
    service.completed()
    with service.client() as nobody:
        answer = nobody.request(method, f"api/v1/{path}", json=SPECIFICATION if method != "GET" else None)
    assert answer.status_code in (401, 404, 405)
    assert "data" not in answer.json()


@pytest.mark.parametrize("path", ["celery", "storage/", "storage/1", "v2/", "../celery"])
def test_nothing_of_the_insides_is_open(service: RunningService, path: str) -> None:
    """Anybody read the metrics, what the workers do, and every log and archive of which the key can be guessed."""
    with service.client() as nobody:
        assert nobody.get(path).status_code == 404
        assert nobody.get("metrics").status_code == 401


# Rights


@pytest.mark.parametrize(
    "mappings", [{"*/*": ["admin"]}, {"bob/*": ["admin"]}, {"alice/*": ["admin"]}, {"": ["admin"]}]
)
def test_nobody_raises_themselves_by_role_mappings(service: RunningService, mappings: dict[str, list[str]]) -> None:
    """Whoever may change a namespace wrote into it what its members may anywhere, and was an administrator of all."""
    with service.client("alice") as alice, service.client("bob") as bob:
        bob.get("api/v1/permission/")
        before = alice.get("api/v1/permission/").json()
        assert alice.put("api/v1/namespace/alice/", json={"role_mappings": mappings}).status_code == 400
        both = {"metadata": {}, "role_mappings": mappings}
        assert alice.put("api/v1/namespace/alice/", json=both).status_code == 400
        assert alice.get("api/v1/permission/").json() == before
        assert alice.get("api/v1/namespace/bob/").status_code == 404


def test_a_role_on_an_environment_changes_shares_and_deletes_no_namespace(service: RunningService) -> None:
    """The name of the environment could be left out, and who administered one administered its whole namespace."""
    service.submit("ml")
    with service.client("alice") as alice, service.client("bob") as bob:
        assert share(alice, "environment/alice/ml", name="bob", role="admin").status_code == 200
        for method, path, body in (
            ("GET", "", None),
            ("PUT", "", {"metadata": {}}),
            ("PUT", "metadata", {}),
            ("PUT", "member/", {"subject": "user", "name": "bob", "role": "admin"}),
            ("POST", "role", {"other_namespace": "bob", "role": "admin"}),
            ("DELETE", "", None),
        ):
            assert bob.request(method, f"api/v1/namespace/alice/{path}", json=body).status_code == 404, path
        assert alice.get("api/v1/namespace/alice/").json()["data"]["metadata_"] == {}


@pytest.mark.parametrize("key", ["", "/", "/*", "*/", "*", "*/ml", "alice", "alice/", "alice*/*", "%/*", "_lice/*"])
def test_a_name_that_is_empty_or_a_pattern_is_nothing(service: RunningService, key: str) -> None:
    """An empty name stood for the settings of all, and every pattern with a star matched it."""
    service.submit("ml")
    with service.client("alice") as alice:
        answer = alice.post("api/v1/token/", json={"role_bindings": {key: ["viewer"]}})
    assert answer.status_code == 404, answer.text


def test_the_stronger_of_two_roles_counts(service: RunningService) -> None:
    """Roles from several sources were laid over each other, and a weaker one took a stronger one's place."""
    with service.client("alice") as alice, service.client("carol") as carol, service.client("root") as root:
        carol.get("api/v1/permission/")
        assert share(root, "namespace/group.physics", name="carol", role="viewer").status_code == 200
        assert share(root, "namespace/group.physics", subject="group", name="physics", role="viewer").status_code == 200
        body = SPECIFICATION | {"namespace": "group.physics"}
        assert carol.post("api/v1/specification/", json=body).status_code == 200
        assert alice.post("api/v1/specification/", json=body).status_code == 200


def test_who_logs_in_administers_nothing_of_others(service: RunningService) -> None:
    """Everybody who came through the Hub was an administrator of everything."""
    service.submit("ml")
    with service.client("bob") as bob:
        assert bob.get("api/v1/permission/").json()["data"]["entity_roles"] == {"bob/*": ["admin"]}
        assert bob.get("api/v1/environment/alice/ml/").status_code == 404


@pytest.mark.parametrize("name", ["al+x@e.org", "john.doe", "a$b", "Ö"])
def test_whoever_the_hub_lets_in_reaches_their_own(service: RunningService, name: str) -> None:
    """A name with what regular expressions read otherwise did not match itself, and its owner was refused."""
    service.hub.tokens["theirs"] = user(name)
    with service.client(headers={"Authorization": "token theirs"}) as client:
        assert client.post("api/v1/specification/", json=SPECIFICATION).status_code == 200
        own = client.get("api/v1/permission/").json()["data"]["primary_namespace"]
        assert client.get(f"api/v1/environment/{own}/ml/").status_code == 200


def test_an_underscore_in_a_namespace_is_no_wildcard_of_lists(service: RunningService) -> None:
    """Lists asked the database with LIKE, in which `_` is any character: `team_a` also showed `team-a`."""
    with service.client("root") as root:
        for name in ("team_a", "team-a"):
            service.hub.tokens[name] = user(name)
            with service.client(headers={"Authorization": f"token {name}"}) as member:
                member.get("api/v1/permission/")
            assert root.post("api/v1/specification/", json=SPECIFICATION | {"namespace": name}).status_code == 200
    with service.client(headers={"Authorization": "token team_a"}) as member:
        for path, names in (("namespace/", ["team_a"]), ("usage/", ["team_a"])):
            assert list_names(member.get(f"api/v1/{path}").json()["data"]) == names
        assert [row["namespace"]["name"] for row in member.get("api/v1/environment/").json()["data"]] == ["team_a"]
        assert member.get("api/v1/environment/?namespace=team-a").json()["data"] == []


def list_names(data: Any) -> list[str]:
    return list(data) if isinstance(data, dict) else [row["name"] for row in data]


# Tokens


def test_a_token_lasts_as_long_as_its_maker_wants(service: RunningService) -> None:
    """Logins lasted a day, and no token could outlast the login that made it."""
    end = (datetime.now(UTC) + timedelta(days=400)).isoformat()
    with service.client("alice") as alice:
        assert alice.post("api/v1/token/", json={"label": "long", "expiration": end}).status_code == 200
        assert alice.post("api/v1/token/", json={"label": "endless"}).status_code == 200
        ends = {row["label"]: row["expires_on"] for row in alice.get("api/v1/token/").json()["data"]}
    assert datetime.fromisoformat(ends["long"]) == datetime.fromisoformat(end)
    assert ends["endless"] is None


def test_tokens_are_listed_seen_in_use_and_revoked(service: RunningService) -> None:
    """A token had no number, stood in no list, was never seen in use, and could not be taken back."""
    with service.client("alice") as alice:
        made = alice.post("api/v1/token/", json={"label": "laptop"}).json()["data"]
        with service.client(headers={"Authorization": f"Bearer {made['token']}"}) as program:
            assert program.get("api/v1/namespace/").status_code == 200
            service.settle()
            (row,) = alice.get("api/v1/token/").json()["data"]
            assert (row["id"], row["label"], row["last_used_from"]) == (made["id"], "laptop", "127.0.0.1")
            assert row["last_used_on"]
            assert alice.delete(f"api/v1/token/{row['id']}/").status_code == 200
            assert program.get("api/v1/namespace/").status_code == 401


def test_no_token_can_be_read_from_the_database(service: RunningService) -> None:
    """Tokens that did not end within a day were kept as they are."""
    with service.client("alice") as alice:
        token = alice.post("api/v1/token/", json={}).json()["data"]["token"]
    with closing(sqlite3.connect(service.services.data.database)) as database:
        dump = "\n".join(database.iterdump())
    assert token not in dump
    assert token.removeprefix("csh_") not in dump


def test_a_token_is_whose_it_is_whatever_namespace_it_names(service: RunningService) -> None:
    """A token was nobody's: who made one could call it any namespace's, and was taken for its owner."""
    with service.client("bob") as bob, service.client("alice") as alice:
        alice.get("api/v1/permission/")
        made = bob.post("api/v1/token/", json={"primary_namespace": "alice"}).json()["data"]["token"]
    with service.client(headers={"Authorization": f"Bearer {made}"}) as program:
        told = program.get("api/v1/permission/").json()["data"]
    assert (told["primary_namespace"], told["entity_roles"]) == ("bob", {"bob/*": ["viewer"]})


def test_tokens_of_the_configuration_need_not_stand_there(data: DataDirectory) -> None:
    """What was configured was the token itself, for everybody to read who can read the file."""
    token = "a-token-of-the-configuration"
    digest = f"sha256:{hashlib.sha256(token.encode()).hexdigest()}"
    tokens = {digest: {"role_bindings": {"alice/*": ["viewer"]}}}
    config = Config({"AuthenticationBackend": {"predefined_tokens": tokens}})
    with run_service(data, parent=LoggingConfigurable(config=config)) as service:
        service.submit("ml")
        for secret, status in ((token, 200), (digest, 401)):
            with service.client(headers={"Authorization": f"Bearer {secret}"}) as program:
                assert program.get("api/v1/environment/alice/ml/").status_code == status


# Namespaces and what is in them


def test_a_deleted_namespace_gives_its_name_back_and_answers_nothing(service: RunningService) -> None:
    """What was deleted kept its name and was still answered: the environment in full, the new namespace with 409."""
    with service.client("root") as root, service.client("bob") as bob:
        root.post("api/v1/namespace/course/")
        build = root.post("api/v1/specification/", json=SPECIFICATION | {"namespace": "course"}).json()["data"][
            "build_id"
        ]
        addresses = [
            "namespace/course/",
            "namespace/course/roles",
            "namespace/course/member/",
            "environment/course/ml/",
            "environment/course/ml/member/",
            *(f"build/{build}/{rest}" for rest in ("", "packages/", "logs/", "yaml/", "lockfile/", "archive/")),
        ]
        assert bob.get("api/v1/environment/course/ml/").status_code == 200
        assert root.delete("api/v1/namespace/course/?force=true").status_code == 200
        for who in (root, bob):
            for address in addresses:
                assert who.get(f"api/v1/{address}").status_code == 404, address
            for path in ("environment/", "build/"):
                assert who.get(f"api/v1/{path}").json()["data"] == []
            assert "course" not in list_names(who.get("api/v1/namespace/").json()["data"])
        assert root.put(f"api/v1/build/{build}/cancel/").status_code == 404
        assert root.post("api/v1/namespace/course/").status_code == 200
        assert root.get("api/v1/environment/course/ml/").status_code == 404


@pytest.mark.parametrize("name", ["A", "a b", "a..b", "-", "*", "%25", "course%0a", "default", "x" * 64, "a%2Fb"])
def test_a_bad_name_of_a_namespace_is_refused_in_words(service: RunningService, name: str) -> None:
    """What a name may be was to be told from a constant that did not exist: 500."""
    with service.client("root") as root:
        answer = root.post(f"api/v1/namespace/{name}/")
    assert answer.status_code == 400
    assert answer.json()["code"] == "invalid-name"


def test_a_role_mapping_is_given_changed_and_taken_twice(service: RunningService) -> None:
    """Given twice, changed or taken where it was not, a mapping was a fault of the server: 500."""
    address, body = "api/v1/namespace/alice/role", {"other_namespace": "bob", "role": "viewer"}
    with service.client("alice") as alice, service.client("bob") as bob:
        bob.get("api/v1/permission/")
        assert alice.request("DELETE", address, json=body).status_code == 404
        assert alice.get(address, params=body).status_code == 404
        assert alice.put(address, json=body).status_code == 200
        for role in ("viewer", "developer", "editor"):
            assert alice.post(address, json=body | {"role": role}).status_code == 200
            assert alice.put(address, json=body | {"role": role}).status_code == 200
        assert alice.get(address, params=body).json()["data"]["role"] == "developer"
        assert len(alice.get(f"{address}s").json()["data"]) == 1
        assert alice.request("DELETE", address, json=body).status_code == 200
        assert alice.request("DELETE", address, json=body).status_code == 404
        for other in ("nobody", "", "*", "alice/ml"):
            for method in ("POST", "PUT", "DELETE"):
                wrong = alice.request(method, address, json=body | {"other_namespace": other})
                assert wrong.status_code == 404, (method, other)


# Builds and lists


def test_a_queued_build_is_cancelled(service: RunningService) -> None:
    """A build that waited could neither be cancelled nor deleted, and waited for ever."""
    build = service.submit()
    with service.client("alice") as alice:
        assert alice.put(f"api/v1/build/{build}/cancel/").status_code == 200
        assert alice.get(f"api/v1/build/{build}/").json()["data"]["status"] == "CANCELED"


@pytest.mark.parametrize("rest", ["", "archive/", "yaml/", "lockfile/", "logs/", "packages/", "conda-lock.yml"])
def test_a_build_that_is_not_there_is_not_found(service: RunningService, rest: str) -> None:
    """The archive of a build that never was, was a fault of the server: 500."""
    with service.client("alice") as alice:
        assert alice.get(f"api/v1/build/12345/{rest}").status_code == 404


@pytest.mark.parametrize("path", ["environment/", "build/", "namespace/", "usage/", "token/"])
@pytest.mark.parametrize("query", ["page=0", "page=-1", "size=0", "size=-1", "page=x"])
def test_a_page_that_cannot_be_is_refused(service: RunningService, path: str, query: str) -> None:
    """Page 0 was asked of the database as it was, which one database answers and another does not: 500."""
    with service.client("alice") as alice:
        answer = alice.get(f"api/v1/{path}?{query}")
    assert answer.status_code == 400
    assert query.partition("=")[0] in answer.json()["message"]


@pytest.mark.parametrize("path", ["environment/", "build/"])
@pytest.mark.parametrize(
    ("query", "status"),
    [("packages=numpy", 200), ("packages=a&packages=b", 200), ("artifact=YAML", 200), ("artifact=NONE", 400)],
)
def test_a_filter_is_answered_or_refused_in_words(service: RunningService, path: str, query: str, status: int) -> None:
    """Builds by packages, and packages by build, were a fault of the server: 500."""
    with service.client("alice") as alice:
        answer = alice.get(f"api/v1/{path}?{query}")
    assert answer.status_code == status
    if status == 400:
        assert query.partition("=")[0] in answer.json()["message"]


def test_a_page_of_the_second_api_has_an_end_and_a_most(service: RunningService) -> None:
    """`limit` was taken as it was, and a list of any length asked for."""
    for number in range(101):
        service.submit(f"e{number}")
    with service.client("alice") as alice:
        assert len(alice.get("api/v2/environment/?limit=100000").json()["data"]) == 100


def test_only_a_build_of_its_own_becomes_an_environments_active_one(service: RunningService) -> None:
    """Any build of a specification of that name could be activated, also one of another's namespace."""
    theirs, mine = service.completed("ml", user="root", namespace=own_of_bob(service)), service.completed("ml")
    with service.client("root") as root:
        assert root.put("api/v1/environment/alice/ml/", json={"build_id": theirs}).status_code == 404
        assert root.get("api/v1/environment/alice/ml/").json()["data"]["current_build_id"] == mine


def own_of_bob(service: RunningService) -> str:
    with service.client("bob") as bob:
        return bob.get("api/v1/permission/").json()["data"]["primary_namespace"]


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "specification/", {}),
        ("POST", "specification/", {"specification": 1}),
        ("PUT", "namespace/alice/member/", {"subject": "user", "name": "bob", "role": "owner"}),
        ("POST", "token/", {"role": "nothing"}),
        ("GET", "build/?page=x", None),
        ("GET", "nothing/", None),
    ],
)
def test_every_error_has_one_shape(service: RunningService, method: str, path: str, body: Any) -> None:
    """An error of the framework had another shape than one of the service."""
    with service.client("alice") as alice:
        answer = alice.request(method, f"api/v1/{path}", json=body)
    assert 400 <= answer.status_code < 500
    assert answer.json().keys() == {"status", "message", "code", "line", "column"}
