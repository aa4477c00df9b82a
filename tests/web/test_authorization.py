"""Programs log in by a browser: what the page says, who may say yes, and what the code for it is worth to whom."""

from __future__ import annotations

import base64
import hashlib
import sqlite3
import threading
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

import httpx
import pytest
from sqlalchemy import update

from conda_store_hub.db.tables import AuthorizationCode
from conda_store_hub.services import authorization
from tests.support.service import PREFIX, RunningService, run_service, service
from tests.web.test_pages import EVIL, NAVIGATE, Page

__all__ = ["service"]

VERIFIER = "v" * 50
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
CALLBACK = "http://127.0.0.1:43210/callback"
ASKED = {
    "response_type": "code",
    "client_id": "conda-store",
    "redirect_uri": CALLBACK,
    "state": "the state",
    "code_challenge": CHALLENGE,
    "code_challenge_method": "S256",
    "scope": "admin",
    "host": "laptop",
}


def address(**changes: str | None) -> str:
    values = {name: value for name, value in (ASKED | changes).items() if value is not None}
    return f"oauth2/authorize/?{urlencode(values)}"


def ask(browser: httpx.Client, **changes: str | None) -> httpx.Response:
    return browser.get(address(**changes), headers=NAVIGATE, follow_redirects=False)


def answer(browser: httpx.Client, where: str | None = None, **typed: str | None) -> httpx.Response:
    usual = {"answer": "yes", "user": "alice", "role": "developer", "end": "90", "_xsrf": browser.cookies["_xsrf"]}
    form = {name: value for name, value in (usual | typed).items() if value is not None}
    return browser.post(where or address(), data=form, headers=NAVIGATE, follow_redirects=False)


def told(response: httpx.Response, at: str = CALLBACK) -> dict[str, str]:
    """Return what the program is told that a browser is sent to."""
    assert response.status_code == 303, response.text
    location, _, query = response.headers["Location"].partition("?")
    assert location == at
    return dict(parse_qsl(query))


def get_code(service: RunningService, name: str = "alice", **typed: str) -> str:
    with service.browser(name) as browser:
        return told(answer(browser, user=name, **typed))["code"]


def take(service: RunningService, right_code: str, **changes: str | None) -> httpx.Response:
    usual = {
        "grant_type": "authorization_code",
        "code": right_code,
        "client_id": "conda-store",
        "redirect_uri": CALLBACK,
        "code_verifier": VERIFIER,
    }
    form = {name: value for name, value in (usual | changes).items() if value is not None}
    with service.client() as program:
        return program.post("oauth2/token/", data=form)


def lets_in(service: RunningService, token: str) -> bool:
    with service.client(headers={"Authorization": f"Bearer {token}"}) as program:
        return program.get("api/v1/permission/").status_code == 200


def listed(service: RunningService, name: str = "alice") -> list[dict[str, Any]]:
    with service.client(name) as client:
        return client.get("api/v1/token/").json()["data"]


# What is asked and answered


def test_the_page_says_who_asks_for_what_and_for_how_long(service: RunningService) -> None:
    with service.browser("alice") as alice:
        response = ask(alice)
        page = Page(response)
    for words in ("conda-store", "laptop", "alice", "port 43210", "just started this login yourself", "on laptop”"):
        assert words in page.text
    assert find_chosen(page) == ["developer", "90"], "to have somebody give all that they can is not the usual way"
    assert [attrs["value"] for tag, attrs in page.tags if tag == "option"][:3] == ["viewer", "developer", "admin"]
    with service.browser("alice") as alice:
        assert find_chosen(Page(ask(alice, scope="viewer"))) == ["viewer", "90"]
    assert f"{PREFIX}user/#tokens" in page.links
    assert [attrs["value"] for tag, attrs in page.tags if tag == "button" and attrs.get("name") == "answer"] == [
        "yes",
        "no",
    ]


def find_chosen(page: Page) -> list[str | None]:
    return [attrs["value"] for tag, attrs in page.tags if tag == "option" and "selected" in attrs]


def test_a_yes_is_worth_an_ordinary_token(service: RunningService) -> None:
    service.completed()
    with service.browser("alice") as alice:
        said = told(answer(alice, role="viewer", end="7"))
        assert said["state"] == "the state"
        response = take(service, said["code"])
        assert response.status_code == 200, response.text
        assert response.headers["Cache-Control"] == "no-store"
        made = response.json()
        assert (made["token_type"], made["scope"]) == ("Bearer", "viewer")
        assert timedelta(days=7).total_seconds() - 60 < made["expires_in"] <= timedelta(days=7).total_seconds()
        assert made["access_token"].startswith("csh_")
        page = Page(alice.get("user/", headers=NAVIGATE))
    assert "conda-store on laptop" in page.text
    (token,) = listed(service)
    assert token["scopes"] == [{"on": "*/*", "role": "viewer"}]
    assert token["hint"] == made["access_token"][-4:]
    with service.client(headers={"Authorization": f"Bearer {made['access_token']}"}) as program:
        assert [row["name"] for row in program.get("api/v1/environment/").json()["data"]] == ["ml"]
        assert program.delete("api/v1/environment/alice/ml/").status_code == 403
        assert program.delete(f"api/v1/token/{token['id']}/").status_code == 200
    assert not lets_in(service, made["access_token"])
    with service.client("root") as root:
        trail = root.get("api/v1/audit/?actor=alice&action=token.create").json()["data"]
    assert [(entry["via"], entry["source"]) for entry in trail] == [("login of a program", "127.0.0.1")]


def test_a_token_without_an_end_says_none(service: RunningService) -> None:
    made = take(service, get_code(service, end="never")).json()
    assert "expires_in" not in made
    assert listed(service)[0]["expires_on"] is None


def test_a_program_is_offered_no_more_than_it_asks_for(service: RunningService) -> None:
    with service.browser("alice") as alice:
        page = Page(ask(alice, scope="developer"))
        refused = answer(alice, address(scope="developer"), role="admin")
        none = Page(ask(alice, scope=None))
    roles = [attrs["value"] for tag, attrs in page.tags if tag == "option"]
    assert roles[:2] == ["viewer", "developer"]
    assert "admin" not in roles
    assert refused.status_code == 400
    assert "Choose one of the roles." in Page(refused).text
    assert "developer" not in [attrs["value"] for tag, attrs in none.tags if tag == "option"]


def test_a_no_is_told_to_the_program(service: RunningService) -> None:
    with service.browser("alice") as alice:
        said = told(answer(alice, answer="no"))
    assert (said["error"], said["state"]) == ("access_denied", "the state")
    assert listed(service) == []


def test_a_code_is_shown_where_nobody_can_be_called_back(service: RunningService) -> None:
    where = address(redirect_uri=None)
    with service.browser("alice") as alice:
        assert "You will be shown a code" in Page(ask(alice, redirect_uri=None)).text
        page = answer(alice, where)
        refused = Page(answer(alice, where, answer="no"))
    assert page.status_code == 200
    code, _, where = page.text.partition('id="code">')[2].partition("<")[0].partition("@")
    assert service.url.rstrip("/").endswith(where)
    assert take(service, code).json()["error"] == "invalid_grant"
    assert take(service, code, redirect_uri="about:blank").json()["error"] == "invalid_grant"
    assert lets_in(service, take(service, code, redirect_uri=None).json()["access_token"])
    assert "Nothing was given" in refused.text


def test_who_is_not_logged_in_logs_in_first_and_comes_back(service: RunningService) -> None:
    with httpx.Client(base_url=service.url, follow_redirects=True, trust_env=False) as browser:
        browser.cookies.set("fake-user", "bob", domain="127.0.0.1")
        response = browser.get(address(), headers={"Sec-Fetch-Mode": "navigate"})
    assert response.status_code == 200
    assert "bob" in Page(response).text
    assert dict(parse_qsl(response.url.query.decode())) == ASKED


def test_the_server_says_what_it_can(service: RunningService) -> None:
    with service.client() as program:
        said = program.get(".well-known/oauth-authorization-server").json()
    assert said["issuer"] == service.url.rstrip("/")
    assert said["authorization_endpoint"] == f"{service.url}oauth2/authorize/"
    assert said["token_endpoint"] == f"{service.url}oauth2/token/"
    assert said["code_challenge_methods_supported"] == ["S256"]


# Who is refused


ELSEWHERE = (
    "https://evil.example/callback",
    "http://evil.example/callback",
    "http://127.0.0.1.evil.example:80/callback",
    "http://127.0.0.1:80@evil.example/callback",
    "http://evil.example#@127.0.0.1:80/callback",
    "http://127.0.0.1:80/callback/../elsewhere",
    "http://127.0.0.1:80/callback?code=mine",
    "http://127.0.0.1:80/callback\\@evil.example",
    "http://127.0.0.1:80/callback\n",
    "http://127.0.0.2:80/callback",
    "http://0.0.0.0:80/callback",
    "http://[::]:80/callback",
    "http://localhost:80/callback",
    "http://127.0.0.1/callback",
    "https://127.0.0.1:80/callback",
    "//evil.example/callback",
    "/callback",
    "javascript:alert(1)",
    "about:blank",
    "urn:ietf:wg:oauth:2.0:oob",
)


def test_nobody_is_sent_anywhere_but_to_their_own_machine(service: RunningService) -> None:
    with service.browser("alice") as alice:
        for uri in ELSEWHERE:
            for response in (ask(alice, redirect_uri=uri), answer(alice, address(redirect_uri=uri))):
                assert response.status_code == 400, uri
                assert "Location" not in response.headers, uri
                assert "cannot be answered" in Page(response).text
    assert listed(service) == []


@pytest.mark.parametrize(
    "uri", ["http://127.0.0.1:1/callback", "http://127.0.0.1:65535/callback", "http://[::1]:8/callback"]
)
def test_any_port_of_a_loopback_address_will_do(service: RunningService, uri: str) -> None:
    with service.browser("alice") as alice:
        policy = ask(alice, redirect_uri=uri).headers["Content-Security-Policy"]
        code = told(answer(alice, address(redirect_uri=uri)), at=uri)["code"]
    target = "http:" if "[" in uri else uri.removesuffix("/callback")
    assert f"form-action 'self' {target};" in policy
    assert take(service, code, redirect_uri=uri).status_code == 200


WRONGLY: tuple[tuple[dict[str, str | None], str], ...] = (
    ({"code_challenge": None}, "invalid_request"),
    ({"code_challenge_method": None}, "invalid_request"),
    ({"code_challenge_method": "plain"}, "invalid_request"),
    ({"code_challenge": "short"}, "invalid_request"),
    ({"response_type": None}, "invalid_request"),
    ({"response_type": "token"}, "unsupported_response_type"),
    ({"response_type": "none"}, "unauthorized_client"),
    ({"response_type": "code token"}, "unauthorized_client"),
    ({"response_mode": "fragment"}, "invalid_request"),
    ({"scope": "everything"}, "invalid_scope"),
    ({"scope": "admin viewer"}, "invalid_scope"),
)


def test_a_program_that_asks_wrongly_is_told_so(service: RunningService) -> None:
    with service.browser("alice") as alice:
        for changes, error in WRONGLY:
            for response in (ask(alice, **changes), answer(alice, address(**changes))):
                assert response.status_code == 303, changes
                location = urlsplit(response.headers["Location"])
                assert f"{location.scheme}://{location.netloc}{location.path}" == CALLBACK
                said = dict(parse_qsl(location.query or location.fragment))
                assert (said["error"], said["state"]) == (error, "the state"), changes
            assert ask(alice, redirect_uri=None, **changes).status_code == 400
    assert listed(service) == []


def test_what_is_no_request_is_refused_in_words(service: RunningService) -> None:
    with service.browser("alice") as alice:
        for query in ("client_id=%zz", "client_id=a&client_id=conda-store", "\u00e9", "", "state=%ff%00"):
            response = alice.get(f"oauth2/authorize/?{query}", headers=NAVIGATE, follow_redirects=False)
            assert response.status_code == 400, query
            assert "cannot be answered" in Page(response).text
        other = ask(alice, client_id="another")
        assert (other.status_code, "Location" in other.headers) == (400, False)


def test_nothing_of_what_a_program_sent_is_run(service: RunningService) -> None:
    with service.browser("alice") as alice:
        for name in ("state", "host", "client_id", "redirect_uri", "scope", "login_hint"):
            for where in (address(**{name: EVIL}), address(**{"redirect_uri": None, name: EVIL})):
                response = alice.get(where, headers=NAVIGATE, follow_redirects=False)
                assert "<img src=x" not in response.text, name
                assert "<script>alert" not in response.text, name
                if response.status_code == 303:
                    assert response.headers["Location"].startswith(f"{CALLBACK}?error=")
        page = Page(ask(alice, host=EVIL, state=EVIL))
        action = page.find("form", method="post")["action"] or ""
        said = told(answer(alice, f"{service.root_url}{action}"))
    assert said["state"] == EVIL
    assert take(service, said["code"]).status_code == 200
    assert [token["label"] for token in listed(service)] == ["conda-store, logged in"]


def test_the_page_cannot_be_framed(service: RunningService) -> None:
    with service.browser("alice") as alice:
        headers = ask(alice).headers
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Cache-Control"] == "no-store"


def test_only_the_page_itself_can_say_yes(service: RunningService) -> None:
    with service.browser("alice") as alice:
        elsewhere = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}
        form = {"answer": "yes", "user": "alice", "role": "admin", "end": "never"}
        response = alice.post(address(), data=form, headers=elsewhere, follow_redirects=False)
        assert response.status_code == 401
        assert answer(alice, _xsrf="guessed").status_code == 401
        assert answer(alice, answer=None).status_code == 400
        assert "Location" not in answer(alice, end="tomorrow").headers
    assert listed(service) == []


def test_who_became_somebody_else_meanwhile_is_asked_again(service: RunningService) -> None:
    with service.browser("bob") as bob:
        response = answer(bob, user="alice")
    assert response.status_code == 409
    assert "You are bob now" in Page(response).text
    assert Page(response).find("input", name="user")["value"] == "bob"
    assert listed(service, "bob") == []


def test_a_program_cannot_let_programs_in(service: RunningService) -> None:
    own = take(service, get_code(service)).json()["access_token"]
    for headers in ({"Authorization": f"Bearer {own}"}, {"Authorization": "token alice-token"}):
        with service.client(headers=headers) as program:
            assert program.get(address()).status_code == 403
            assert program.post(address(), data={"answer": "yes", "user": "alice"}).status_code == 403
    assert len(listed(service)) == 1


# What a code is worth


def test_a_code_shown_twice_takes_its_token_back(service: RunningService) -> None:
    code = get_code(service)
    token = take(service, code).json()["access_token"]
    assert lets_in(service, token)
    again = take(service, code)
    assert (again.status_code, again.json()["error"]) == (400, "invalid_grant")
    assert not lets_in(service, token)
    assert take(service, code).json()["error"] == "invalid_grant"
    assert listed(service) == []


OF_OTHERS: tuple[tuple[dict[str, str | None], str, int], ...] = (
    ({"code_verifier": "w" * 50}, "invalid_grant", 400),
    ({"code_verifier": None}, "invalid_request", 400),
    ({"code_verifier": CHALLENGE}, "invalid_grant", 400),
    ({"redirect_uri": "http://127.0.0.1:43211/callback"}, "invalid_grant", 400),
    ({"redirect_uri": "https://evil.example/callback"}, "invalid_grant", 400),
    ({"redirect_uri": None}, "invalid_grant", 400),
    ({"client_id": "another"}, "invalid_client", 401),
    ({"client_id": None}, "invalid_client", 401),
    ({"grant_type": "password"}, "unsupported_grant_type", 400),
    ({"grant_type": "openid"}, "unauthorized_client", 400),
    ({"grant_type": None}, "unsupported_grant_type", 400),
    ({"code": None}, "invalid_request", 400),
    ({"code": "guessed"}, "invalid_grant", 400),
)


def test_a_code_is_worth_nothing_to_others(service: RunningService) -> None:
    code = get_code(service)
    for changes, error, status in OF_OTHERS:
        response = take(service, code, **changes)
        assert (response.status_code, response.json()["error"]) == (status, error), changes
    assert listed(service) == []
    assert take(service, code).status_code == 200


def test_who_shows_nothing_that_is_known_takes_no_turn_of_those_who_write(service: RunningService) -> None:
    token = take(service, get_code(service)).json()["access_token"]
    with closing(sqlite3.connect(service.services.data.database)) as another, service.client() as program:
        another.execute("BEGIN IMMEDIATE")  # nobody else can write meanwhile
        assert take(service, "guessed").json()["error"] == "invalid_grant"
        for form in ({"token": "csh_guessed"}, {"token": "csh_guessed", "code": "x"}, {}, {"a": "b" * 9000}):
            response = program.post("oauth2/revoke/", data=form | {"client_id": "conda-store"})
            assert response.status_code == (200 if "token" in form else 400)
        another.rollback()
        assert program.post("oauth2/revoke/", data={"token": token, "client_id": "conda-store"}).status_code == 200
    assert not lets_in(service, token)


def test_a_code_is_good_for_a_moment_only(service: RunningService) -> None:
    code, other = get_code(service), get_code(service)

    def end(session: Any, seconds: float) -> None:
        session.execute(update(AuthorizationCode).values(expires_at=datetime.now(UTC) - timedelta(seconds=seconds)))

    service.db.write_sync(end, 1)
    assert take(service, code).json()["error"] == "invalid_grant"
    service.db.write_sync(end, 2 * 86400)
    get_code(service)
    assert take(service, other).json()["error"] == "invalid_grant"
    assert service.db.read_sync(lambda session: session.query(AuthorizationCode).count()) == 1


def test_a_code_taken_by_two_at_once_makes_one_token_at_most(service: RunningService) -> None:
    code = get_code(service)
    answers: list[int] = []
    threads = [threading.Thread(target=lambda: answers.append(take(service, code).status_code)) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == [200, 400, 400, 400, 400, 400]
    assert listed(service) == []


def test_another_process_of_the_service_takes_the_code(service: RunningService) -> None:
    code = get_code(service)
    service.call(service.services.auth.close())
    with run_service(service.services.data) as other:
        other.services.auth.pepper = service.services.auth.pepper
        assert take(other, code).status_code == 200
    assert take(service, code).json()["error"] == "invalid_grant"


@pytest.mark.parametrize("change", ["replaced_at", "denied_at"])
def test_a_code_of_somebody_who_is_gone_is_worth_nothing(service: RunningService, change: str) -> None:
    code = get_code(service)

    def leave(session: Any) -> None:
        row = authorization.find(session, code, source="", pepper=service.services.auth.pepper)
        assert row is not None
        setattr(row.user, change, datetime.now(UTC))

    service.db.write_sync(leave)
    assert take(service, code).json()["error"] == "invalid_grant"


def test_only_a_digest_of_a_code_is_kept(service: RunningService) -> None:
    code = get_code(service)
    kept = service.services.data.database
    files = [kept, *kept.parent.glob(f"{kept.name}-*")]
    assert files
    assert all(code.encode() not in file.read_bytes() for file in files)


@pytest.mark.parametrize(
    ("body", "kind", "query"),
    [
        (b"{}", "application/json", ""),
        (b"\xff\xfe=%zz", "application/x-www-form-urlencoded", ""),
        (b"", "application/x-www-form-urlencoded", ""),
        (b"code=a&code=b&grant_type=authorization_code&grant_type=password", "application/x-www-form-urlencoded", ""),
        (b"code=a", "application/x-www-form-urlencoded", "?code=b"),
    ],
)
def test_what_is_no_exchange_is_refused_in_the_shape_of_oauth(
    service: RunningService, body: bytes, kind: str, query: str
) -> None:
    with service.client() as program:
        response = program.post(f"oauth2/token/{query}", content=body, headers={"Content-Type": kind})
        assert response.status_code == 400
        assert response.json()["error"] in {"invalid_request", "unsupported_grant_type"}
        assert program.get("oauth2/token/").status_code == 405


def test_a_program_gives_its_own_token_back(service: RunningService) -> None:
    token, other = (take(service, get_code(service)).json()["access_token"] for _ in range(2))
    with service.client() as program:

        def give_back(**form: str) -> httpx.Response:
            return program.post("oauth2/revoke/", data=form)

        assert give_back(token=token, client_id="another").status_code == 401
        assert give_back(client_id="conda-store").json()["error"] == "invalid_request"
        assert lets_in(service, token)
        for text in (token, token, "csh_unknown"):
            assert give_back(token=text, client_id="conda-store").status_code == 200
    assert not lets_in(service, token)
    assert lets_in(service, other)
    assert len(listed(service)) == 1


def test_whoever_comes_with_a_code_needs_no_cookie_and_gets_none(service: RunningService) -> None:
    response = take(service, get_code(service))
    assert "Set-Cookie" not in response.headers
    assert "Access-Control-Allow-Origin" not in response.headers


def test_the_way_back_holds_nothing_but_the_answer(service: RunningService) -> None:
    with service.browser("alice") as alice:
        said = told(answer(alice))
        assert set(said) == {"code", "state", "iss"}
        assert set(told(answer(alice, answer="no"))) == {"error", "state", "iss"}
        refused = told(ask(alice, scope="everything"))
    with service.client() as program:
        metadata = program.get(".well-known/oauth-authorization-server").json()
        proxied = {"X-Forwarded-Proto": "https,http"}
        behind = program.get(".well-known/oauth-authorization-server", headers=proxied).json()
    assert metadata["authorization_response_iss_parameter_supported"] is True
    assert said["iss"] == refused["iss"] == metadata["issuer"] == service.url.rstrip("/")
    assert behind["issuer"] == metadata["issuer"].replace("http://", "https://")
    with service.browser("alice") as alice:
        stateless = told(answer(alice, address(state=None)))
    assert set(stateless) == {"code", "iss"}
    assert quote(stateless["code"]) == stateless["code"]
