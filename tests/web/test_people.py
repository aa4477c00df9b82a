"""Who asks, when the Hub's word changes: new users with old names, groups, tokens of ours, streams that stay open."""

from __future__ import annotations

import base64
import hashlib
import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from traitlets.config import Config

from conda_store_hub.core.errors import ConfigurationError
from conda_store_hub.core.names import DataDirectory
from conda_store_hub.db.tables import HubUser
from conda_store_hub.web.predefined import AuthenticationBackend
from tests.support import make
from tests.support.fake_hub import ACCESS, user
from tests.support.process import until
from tests.support.service import RunningService, run_service, service

__all__ = ["service"]

SPECIFICATION = {"specification": make.text("ml")}


def new_token(client: httpx.Client, **request: Any) -> str:
    answer = client.post("api/v1/token/", json={"label": "test", "role": "admin"} | request)
    assert answer.status_code == 200, answer.text
    return answer.json()["data"]["token"]


def bearer(service: RunningService, token: str) -> httpx.Client:
    return service.client(headers={"Authorization": f"Bearer {token}"})


def owned(service: RunningService) -> httpx.Client:
    """Return a client with a token of ours that alice made."""
    with service.client("alice") as alice:
        return bearer(service, new_token(alice))


def names(client: httpx.Client) -> list[str]:
    answer = client.get("api/v1/namespace/")
    assert answer.status_code == 200, answer.text
    return [row["name"] for row in answer.json()["data"]]


def replace_user(service: RunningService, name: str) -> None:
    """Delete a user of the Hub, and make another one of that name."""
    for token in [token for token, who in service.hub.tokens.items() if who["name"] == name]:
        del service.hub.tokens[token]
    service.hub.created[name] = "2026-06-07T08:09:10Z"
    service.hub.tokens[f"new-{name}-token"] = user(name)


# Names that change hands


def test_a_newcomer_with_an_old_name_finds_nothing_of_the_former_users(service: RunningService) -> None:
    build_id = service.submit()
    with service.client("alice") as alice:
        token = new_token(alice)
    replace_user(service, "alice")
    with service.client("new-alice") as newcomer, bearer(service, token) as former:
        assert names(newcomer) != ["alice"]
        assert len(names(newcomer)) == 1
        assert newcomer.get(f"api/v1/build/{build_id}/").status_code == 404
        assert former.get("api/v1/namespace/").status_code == 401
        assert newcomer.post("api/v1/specification/", json=SPECIFICATION).status_code == 200
    with service.client("root") as root:
        assert root.get("api/v1/namespace/alice/").json()["data"]["sealed"] is True
        assert root.get(f"api/v1/build/{build_id}/").status_code == 200


def test_a_user_who_was_renamed_is_somebody_else_here(service: RunningService) -> None:
    service.submit()
    with service.client("alice") as alice:
        token = new_token(alice)
        assert names(alice) == ["alice", "group.physics"]
    service.hub.tokens["alice-token"] = user("alicia")
    with run_again(service) as alice, bearer(service, token) as former:
        until(lambda: names(alice) == ["alicia"])
        assert former.get("api/v1/namespace/").status_code == 401


def run_again(service: RunningService) -> httpx.Client:
    """Return a client whose token the Hub has to be asked about again."""
    oauth = service.call(service.services.auth.hub.get_oauth())
    oauth.cache.clear()
    service.services.auth.hub._people.clear()
    return service.client("alice")


def test_where_the_hub_tells_nothing_of_its_users_the_service_goes_on(
    service: RunningService, caplog: pytest.LogCaptureFixture
) -> None:
    service.hub.readable = frozenset()
    with service.client("alice") as alice:
        assert names(alice) == ["alice", "group.physics"]
        token = new_token(alice)
        answer = alice.put("api/v1/namespace/alice/member/", json={"subject": "user", "name": "bob", "role": "viewer"})
        assert answer.status_code == 503
        assert "read:users" in answer.json()["message"]
    with bearer(service, token) as program:
        assert "read:users" in program.get("api/v1/namespace/").json()["message"]
    assert "read:users" in caplog.text


# Changes in the Hub


def test_what_is_deleted_shared_or_administered_is_decided_by_the_hubs_word_of_now(service: RunningService) -> None:
    with service.client("root") as root, service.client("alice") as alice:
        assert root.post("api/v1/namespace/course/").status_code == 200
        assert alice.get("api/v1/namespace/").status_code == 200
        service.hub.tokens["root-token"] = user("root")
        assert root.post("api/v1/namespace/course2/").status_code == 403
        assert root.delete("api/v1/namespace/course/").status_code == 403
        del service.hub.tokens["alice-token"]
        assert alice.delete("api/v1/namespace/alice/").status_code == 401
        assert alice.post("api/v1/token/", json={}).status_code == 401


def test_a_token_of_ours_is_worth_what_its_owner_is_in_the_hub(data: DataDirectory) -> None:
    with run_service(data, cache_max_age=1) as service, owned(service) as program:
        assert names(program) == ["alice", "group.physics"]
        service.hub.tokens["alice-token"] = user("alice")
        until(lambda: names(program) == ["alice"])
        del service.hub.tokens["alice-token"]
        until(lambda: program.get("api/v1/namespace/").status_code == 401)


def test_a_token_of_ours_goes_on_for_a_while_when_the_hub_is_away(data: DataDirectory) -> None:
    with run_service(data, cache_max_age=1) as service, owned(service) as program:
        assert names(program) == ["alice", "group.physics"]
        service.hub.status = 502
        assert program.delete("api/v1/namespace/alice/").json()["code"] == "hub-unavailable"
        until(lambda: program.get("api/v1/namespace/").status_code == 503)
        assert program.get("api/v1/namespace/").json()["code"] == "hub-unavailable"


# Tokens of ours


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "token", "Token"])
def test_a_token_is_recognised_by_every_scheme(service: RunningService, scheme: str) -> None:
    with service.client("alice") as alice:
        token = new_token(alice)
    with service.client(headers={"Authorization": f"{scheme} {token}"}) as program:
        assert names(program) == ["alice", "group.physics"]


@pytest.mark.parametrize("name", ["token", "alice", "bob", "", "mañana"])
def test_a_token_is_a_password_with_any_name(service: RunningService, name: str) -> None:
    with service.client("alice") as alice:
        tokens = [new_token(alice), "alice-token"]
    for token in tokens:
        basic = base64.b64encode(f"{name}:{token}".encode()).decode()
        with service.client(headers={"Authorization": f"Basic {basic}"}) as program:
            assert names(program) == ["alice", "group.physics"]


@pytest.mark.parametrize(
    "header", ["Basic", "Basic !", "Basic YQ==", "Basic YTpi", "Bearer", "Bearer a b", "Digest x", "Bearer csh_", "x"]
)
def test_a_header_that_says_nothing_good_is_refused(service: RunningService, header: str) -> None:
    with service.client(headers={"Authorization": header}) as program:
        answer = program.get("api/v1/permission/")
    assert (answer.status_code, answer.json()["code"]) == (401, "not-authenticated")


def test_a_token_that_lost_its_end_or_is_another_services_is_refused(service: RunningService) -> None:
    with service.client("alice") as alice:
        token = new_token(alice)
    other = "csh_" + "A" * 43
    for text in (token[:-1], f"{token}x", token.swapcase(), other, token.removeprefix("csh_")):
        with bearer(service, text) as program:
            assert program.get("api/v1/namespace/").status_code == 401, text


def test_a_token_expires(service: RunningService) -> None:
    with service.client("alice") as alice:
        end = datetime.now(UTC) + timedelta(seconds=1.5)
        with bearer(service, new_token(alice, expiration=end.isoformat())) as program:
            assert program.get("api/v1/permission/").json()["data"]["expiration"] is not None
            until(lambda: program.get("api/v1/namespace/").status_code == 401)


def test_a_revoked_token_is_worth_nothing_at_once(service: RunningService) -> None:
    with service.client("alice") as alice, bearer(service, new_token(alice)) as program:
        assert program.get("api/v1/namespace/").status_code == 200
        (shown,) = alice.get("api/v1/token/").json()["data"]
        assert alice.delete(f"api/v1/token/{shown['id']}/").status_code == 200
        assert program.get("api/v1/namespace/").status_code == 401
        assert alice.get("api/v1/token/").json()["data"] == []


def test_the_last_use_of_a_token_is_listed(service: RunningService) -> None:
    with service.client("alice") as alice, bearer(service, new_token(alice, role="viewer")) as program:
        assert alice.get("api/v1/token/").json()["data"][0]["last_used_on"] is None
        program.get("api/v1/namespace/")
        until(lambda: alice.get("api/v1/token/").json()["data"][0]["last_used_on"])
        assert alice.get("api/v1/token/").json()["data"][0]["last_used_from"] == "127.0.0.1"


def test_a_good_cookie_does_not_mend_a_bad_token(service: RunningService) -> None:
    with service.browser("alice") as browser:
        answer = browser.get("api/v1/namespace/", headers={"Authorization": "Bearer csh_none"})
    assert answer.status_code == 401


# Who stays connected


def test_a_live_log_ends_with_the_right_to_read_it(service: RunningService) -> None:
    build_id = service.submit()
    service.claim(build_id)
    with service.client("alice") as alice, service.client("bob") as bob:
        asked = {"subject": "user", "name": "bob", "role": "viewer"}
        member = alice.put("api/v1/environment/alice/ml/member/", json=asked).json()["data"]["id"]
        with bob.stream("GET", f"api/v1/build/{build_id}/logs/", headers={"Accept": "text/event-stream"}) as live:
            lines = live.iter_lines()
            assert next(lines).startswith("retry")
            assert alice.delete(f"api/v1/environment/alice/ml/member/{member}/").status_code == 200
            assert not any("secret" in line for line in lines)
        service.log(build_id, "secret")
        assert bob.get(f"api/v1/build/{build_id}/logs/").status_code == 404


def test_a_live_log_ends_with_the_token_it_was_asked_for_with(service: RunningService) -> None:
    build_id = service.submit()
    service.claim(build_id)
    with service.client("alice") as alice, bearer(service, new_token(alice)) as program:
        token_id = alice.get("api/v1/token/").json()["data"][0]["id"]
        with program.stream("GET", f"api/v1/build/{build_id}/logs/", headers={"Accept": "text/event-stream"}) as live:
            lines = live.iter_lines()
            assert next(lines).startswith("retry")
            assert alice.delete(f"api/v1/token/{token_id}/").status_code == 200
            list(lines)


def test_kernels_that_are_shared_are_listed_at_once_and_no_longer_when_they_are_not(service: RunningService) -> None:
    service.completed()
    with service.client("alice") as alice, service.client("bob") as bob:
        etag = bob.get("api/v1/kernels/").json()["data"]["etag"]
        heard: list[Any] = []
        waiting = threading.Thread(
            target=lambda: heard.append(bob.get("api/v1/kernels/", params={"since": etag, "wait": 20}).json())
        )
        waiting.start()
        until(lambda: any("rights:" in topic for topic in service.services.changes._waiting))
        asked = {"subject": "user", "name": "bob", "role": "viewer"}
        member = alice.put("api/v1/environment/alice/ml/member/", json=asked).json()["data"]["id"]
        waiting.join(5)
        assert not waiting.is_alive(), "bob heard nothing"
        assert [kernel["environment"] for kernel in heard[0]["data"]["kernels"]] == ["ml"]
        alice.delete(f"api/v1/environment/alice/ml/member/{member}/")
        assert bob.get("api/v1/kernels/").json()["data"]["kernels"] == []


# Tokens of the configuration


def predefined(tokens: Any) -> AuthenticationBackend:
    return AuthenticationBackend(predefined_tokens=tokens)


def test_a_token_of_the_configuration_does_what_it_says(service: RunningService) -> None:
    service.submit()
    service.submit("other")
    long, hashed = "a token of sixteen", "another one, as long"
    service.services.auth.backend = predefined(
        {
            long: {"primary_namespace": "alice", "role_bindings": {"alice/ML": ["viewer"]}},
            f"sha256:{hashlib.sha256(hashed.encode()).hexdigest()}": {"role_bindings": {"*/*": ["admin"]}},
            "this one is over now": {"role_bindings": {"alice/*": ["editor"]}, "expiration": "2020-01-01"},
        }
    )
    with bearer(service, long.replace(" ", "%20")) as wrong:
        assert wrong.get("api/v1/namespace/").status_code == 401
    basic = base64.b64encode(f"token:{long}".encode()).decode()
    with service.client(headers={"Authorization": f"Basic {basic}"}) as program:
        assert [row["name"] for row in program.get("api/v1/environment/").json()["data"]] == ["ml"]
        assert program.get("api/v1/environment/alice/other/").status_code == 404
        assert program.get("api/v1/namespace/").json()["data"] == []
        assert program.get("api/v1/permission/").json()["data"]["primary_namespace"] == "alice"
        assert program.post("api/v1/specification/", json=SPECIFICATION).status_code in (403, 404)
        assert program.post("api/v1/token/", json={}).status_code == 403
    basic = base64.b64encode(f"x:{hashed}".encode()).decode()
    with service.client(headers={"Authorization": f"Basic {basic}"}) as program:
        assert program.post("api/v1/namespace/course/").status_code == 200
        entry = program.get("api/v1/audit/").json()["data"][0]
        assert entry["actor"] == f"token {hashlib.sha256(hashed.encode()).hexdigest()[:8]}"
    basic = base64.b64encode(b"x:this one is over now").decode()
    with service.client(headers={"Authorization": f"Basic {basic}"}) as program:
        assert program.get("api/v1/namespace/").status_code == 401


@pytest.mark.parametrize(
    ("tokens", "says"),
    [
        ({"short": {"role_bindings": {"a/*": ["viewer"]}}}, "16 characters"),
        ({"0123456789abcdef": {"role_bindings": {}}}, "role_bindings"),
        ({"0123456789abcdef": {}}, "role_bindings"),
        ({"0123456789abcdef": {"role_bindings": {"a/*": ["owner"]}}}, "viewer"),
        ({"0123456789abcdef": {"role_bindings": {"a*/*": ["viewer"]}}}, "namespace name"),
        ({"0123456789abcdef": {"role_bindings": {"*/a": ["viewer"]}}}, "namespace name"),
        ({"0123456789abcdef": {"role_bindings": {"a/b*": ["viewer"]}}}, "environment name"),
        ({"0123456789abcdef": {"role_bindings": {"a": ["viewer"]}}}, "NAMESPACE"),
        ({"0123456789abcdef": {"role_bindings": {"a/b": []}}}, "at least one role"),
        ({"0123456789abcdef": {"role_bindings": {"a/b": ["viewer"]}, "expires": "x"}}, "expires"),
        ({"0123456789abcdef": {"role_bindings": {"a/b": ["viewer"]}, "expiration": "soon"}}, "expiration"),
        ({"0123456789abcdef": "viewer"}, "the value"),
    ],
)
def test_a_token_of_the_configuration_that_makes_no_sense_is_an_error_at_start(tokens: Any, says: str) -> None:
    with pytest.raises(ConfigurationError, match=says) as caught:
        predefined(tokens)
    assert "0123456789abcdef" not in caught.value.message


# The Hub's scopes


def scoped(*scopes: str) -> tuple[str, ...]:
    return (ACCESS, *(f"custom:conda-store-hub:environments:{scope}" for scope in scopes))


def test_the_hubs_scopes_say_what_one_may_where_the_site_has_them(data: DataDirectory) -> None:
    with run_service(data, use_scopes=True) as service:
        service.submit(user="alice")
        service.hub.tokens |= {
            "alice-token": user("alice", "physics", scopes=scoped("write!user=alice", "read!user=alice")),
            "bob-token": user("bob", scopes=scoped()),
            "carol-token": user("carol", scopes=scoped("read")),
            "zoe-token": user("zoe", scopes=scoped("admin", "write", "read")),
            "robot-token": user("robot", kind="service", scopes=scoped("read!user=alice")),
        }
        with service.client("alice") as alice, service.client("bob") as bob, service.client("carol") as carol:
            assert names(alice) == ["alice"], "being in a group gives nothing where no scope says so"
            assert alice.delete("api/v1/namespace/alice/").status_code == 403
            assert names(bob) == []
            assert bob.post("api/v1/specification/", json=SPECIFICATION).status_code == 404
            assert {"alice", "bob"} <= set(names(carol))
            assert carol.post("api/v1/specification/", json=SPECIFICATION | {"namespace": "alice"}).status_code == 403
            program = bearer(service, new_token(alice, role="developer", namespaces=["alice"]))
        with service.client("zoe") as zoe, service.client("robot") as robot, program:
            assert zoe.post("api/v1/namespace/course/").status_code == 200
            assert names(robot) == ["alice"]
            assert robot.post("api/v1/specification/", json=SPECIFICATION | {"namespace": "alice"}).status_code == 403
            assert program.post("api/v1/specification/", json=SPECIFICATION).status_code == 200


def test_a_setting_is_read_from_the_service_file_by_the_seeds_names() -> None:
    config = Config({"AuthenticationBackend": {"predefined_tokens": {"x" * 16: {"role_bindings": {"a/*": ["admin"]}}}}})
    found = AuthenticationBackend(config=config).find("x" * 16)
    assert found is not None
    assert found.via == "a token of the configuration"


# What a second reading found


@pytest.mark.parametrize("when", ["9999-12-31T23:59:59-12:00", "0001-01-01T00:00:00+12:00", "soon", "99999-01-01"])
def test_a_time_that_no_calendar_has_is_refused_in_words(service: RunningService, when: str) -> None:
    with service.client("alice") as alice:
        for field in ("expiration", "exp"):
            assert alice.post("api/v1/token/", json={"label": "x", field: when}).status_code == 400
        asked = {"subject": "user", "name": "bob", "role": "viewer", "expires_on": when}
        assert alice.put("api/v1/namespace/alice/member/", json=asked).status_code == 400


def test_what_is_no_json_is_not_noted(service: RunningService) -> None:
    with service.client("alice") as alice:
        for text in ('{"x": NaN}', '{"x": Infinity}', '{"x": 1e999}'):
            answer = alice.put("api/v1/namespace/alice/metadata", content=text)
            assert answer.status_code == 400, text


def test_the_trail_holds_the_address_that_the_proxy_saw(service: RunningService) -> None:
    forged = {"X-Real-Ip": "6.6.6.6", "X-Forwarded-For": "7.7.7.7, 192.0.2.5"}
    with service.client("alice", headers=forged) as alice:
        alice.post("api/v1/specification/", json=SPECIFICATION)
        assert alice.get("api/v1/audit/").json()["data"][0]["source"] == "192.0.2.5"
    with service.client("alice", headers={"X-Real-Ip": "6.6.6.6", "X-Forwarded-For": "<script>"}) as alice:
        alice.put("api/v1/namespace/alice/metadata", json={})
        assert alice.get("api/v1/audit/").json()["data"][0]["source"] == "127.0.0.1"


def test_nothing_here_is_a_websocket(service: RunningService) -> None:
    with service.browser("alice") as browser:
        headers = {"Sec-Fetch-Mode": "websocket"}
        assert browser.post("api/v1/token/", json={"label": "x"}, headers=headers).status_code == 401
        assert browser.get("api/v1/namespace/?token=bob-token", headers=headers).status_code == 401


def test_the_trail_says_that_a_session_did_it_whatever_else_was_sent(service: RunningService) -> None:
    with service.browser("alice") as browser:
        headers = {"Authorization": "Basic !!!", "X-XSRFToken": browser.cookies["_xsrf"]}
        assert browser.post("api/v1/specification/", json=SPECIFICATION, headers=headers).status_code == 200
        assert browser.get("api/v1/audit/", headers=headers).json()["data"][0]["via"] == "session"


def test_ones_own_token_can_be_revoked_while_the_hub_is_away(service: RunningService) -> None:
    with service.client("alice") as alice:
        new_token(alice)
        number = alice.get("api/v1/token/").json()["data"][0]["id"]
        service.hub.status = 502
        assert alice.delete(f"api/v1/token/{number}/").status_code == 200


def test_a_token_ends_when_its_owner_may_no_longer_come_here(data: DataDirectory) -> None:
    with run_service(data, cache_max_age=1) as service, owned(service) as program:
        assert program.get("api/v1/namespace/").status_code == 200
        with service.browser("alice") as browser:
            service.hub.tokens["alice-token"] = user("alice", scopes=()) | {"session_id": "s"}
            until(lambda: browser.get("api/v1/namespace/").status_code == 403)
        assert program.get("api/v1/namespace/").status_code == 401


def test_a_token_rests_when_its_owner_has_not_been_here_for_long(service: RunningService) -> None:
    with owned(service) as program:
        assert program.get("api/v1/namespace/").status_code == 200

        def long_ago(session: Any) -> None:
            session.query(HubUser).update({"seen_at": datetime.now(UTC) - timedelta(days=91)})

        service.db.write_sync(long_ago)
        answer = program.get("api/v1/namespace/")
        assert answer.status_code == 401
        assert "rests" in answer.json()["message"]


def test_many_requests_of_somebody_new_wait_for_one_answer_of_the_hub(data: DataDirectory) -> None:
    with run_service(data, hub_seconds=3) as service:
        service.hub.slow_people = 1.0
        statuses: list[int] = []

        def ask() -> None:
            with service.client("bob") as bob:
                statuses.append(bob.get("api/v1/namespace/").status_code)

        asking = [threading.Thread(target=ask) for _ in range(8)]
        for thread in asking:
            thread.start()
        for thread in asking:
            thread.join()
        assert statuses == [200] * 8
        assert service.hub.asked.count("/hub/api/users/bob") == 1


def test_who_waits_for_kernels_hears_of_a_namespace_that_goes_and_comes(service: RunningService) -> None:
    service.completed()
    with service.client("alice") as alice, service.client("bob") as bob:
        asked = {"subject": "user", "name": "bob", "role": "viewer"}
        alice.put("api/v1/namespace/alice/member/", json=asked)
        for change in (
            lambda: alice.delete("api/v1/namespace/alice/"),
            lambda: alice.put("api/v1/namespace/alice/restore/", json={}),
        ):
            etag = bob.get("api/v1/kernels/").json()["data"]["etag"]
            heard: list[int] = []
            waiting = threading.Thread(
                target=lambda etag=etag, heard=heard: heard.append(
                    bob.get("api/v1/kernels/", params={"since": etag, "wait": 20}).status_code
                )
            )
            waiting.start()
            until(lambda: any("rights:" in topic for topic in service.services.changes._waiting))
            assert change().status_code == 200
            waiting.join(8)
            assert heard == [200]
