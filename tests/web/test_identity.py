"""Who asks: tokens, sessions, XSRF as browsers meet it, a Hub that is slow, away or talks nonsense."""

from __future__ import annotations

import threading

import httpx
import pytest

from conda_store_hub.core.errors import ConfigurationError
from conda_store_hub.core.names import DataDirectory
from conda_store_hub.web.auth import HubEnvironment
from tests.support.fake_hub import user
from tests.support.process import until
from tests.support.service import PREFIX, RunningService, run_service, service

__all__ = ["service"]

CORS = {"Sec-Fetch-Mode": "cors", "Sec-Fetch-Site": "same-origin"}
NAVIGATE = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Site": "same-origin"}


def who(answer: httpx.Response) -> str:
    assert answer.status_code == 200, answer.text
    return answer.json()["data"]["primary_namespace"]


@pytest.mark.parametrize("scheme", ["token", "Token", "Bearer", "bearer"])
def test_a_token_is_recognised(service: RunningService, scheme: str) -> None:
    with service.client(headers={"Authorization": f"{scheme} alice-token"}) as client:
        assert who(client.get("api/v1/permission/")) == "alice"


def test_a_token_posts_without_xsrf(service: RunningService) -> None:
    with service.client("alice", headers=CORS) as client:
        answer = client.post("api/v1/specification/", json={"specification": "name: x\ndependencies: [python]"})
        assert answer.json()["data"] == {"build_id": 1}


def test_a_token_in_the_address_is_worth_nothing(service: RunningService) -> None:
    with service.client() as client:
        assert client.get("api/v1/namespace/?token=alice-token").status_code == 401


@pytest.mark.parametrize("path", ["namespace/", "environment/", "build/1/", "kernels/", "build/1/logs/", "permission/"])
def test_a_wrong_token_gets_json_and_no_redirect(service: RunningService, path: str) -> None:
    with service.client(headers={"Authorization": "token nobody's"}) as client:
        answer = client.get(f"api/v1/{path}")
    assert answer.status_code == 401
    assert answer.json()["code"] == "not-authenticated"
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")


def test_the_anonymous_may_ask_what_they_may_do(service: RunningService) -> None:
    with service.client() as client:
        answer = client.get("api/v1/permission/").json()["data"]
    assert answer["authenticated"] is False
    assert answer["entity_permissions"] == {}


def test_a_token_without_the_scope_is_refused_in_words(service: RunningService) -> None:
    service.hub.tokens["poor"] = user("alice", scopes=("access:servers!server=alice/",))
    with service.client(headers={"Authorization": "token poor"}) as client:
        answer = client.get("api/v1/namespace/")
        page = client.get("")
    assert answer.status_code == page.status_code == 403
    assert "access:services!service=conda-store-hub" in answer.json()["message"]


def test_a_service_is_refused_unless_it_is_an_admin(service: RunningService) -> None:
    service.hub.tokens["cull"] = user("cull", kind="service")
    service.hub.tokens["ops"] = user("alice", kind="service", admin=True)
    with service.client(headers={"Authorization": "token cull"}) as client:
        assert client.get("api/v1/namespace/").json()["code"] == "forbidden"
    with service.client(headers={"Authorization": "token ops"}) as client:
        assert client.get("api/v1/namespace/").json()["data"] == []


def test_the_first_contact_makes_the_namespaces_and_later_ones_follow_the_groups(data: DataDirectory) -> None:
    with run_service(data, cache_max_age=1) as service, service.client("bob") as bob:
        assert [row["name"] for row in bob.get("api/v1/namespace/").json()["data"]] == ["bob"]
        service.hub.tokens["bob-token"] = user("bob", "staff")
        until(lambda: [row["name"] for row in bob.get("api/v1/namespace/").json()["data"]] == ["bob", "group.staff"])


def test_a_revoked_token_ends_after_the_cache_and_a_new_one_soon_begins(data: DataDirectory) -> None:
    with run_service(data, cache_max_age=1) as service, service.client("alice") as alice:
        assert alice.get("api/v1/namespace/").status_code == 200
        del service.hub.tokens["alice-token"]
        until(lambda: alice.get("api/v1/namespace/").status_code == 401)
        service.hub.tokens["alice-token"] = user("alice")
        until(lambda: alice.get("api/v1/namespace/").status_code == 200)


def test_the_hub_is_asked_once_for_many_requests(service: RunningService) -> None:
    with service.client("alice") as alice:
        for _ in range(5):
            alice.get("api/v1/namespace/")
    assert service.hub.asked == ["/hub/api/user", "/hub/api/users/alice"]


def test_a_browser_is_sent_to_the_hub_and_comes_back_where_it_was_going(service: RunningService) -> None:
    with httpx.Client(base_url=service.url, follow_redirects=True, trust_env=False) as browser:
        browser.cookies.set("fake-user", "alice", domain="127.0.0.1")
        answer = browser.get("create/?namespace=alice", headers=NAVIGATE)
    assert answer.url.path == f"{PREFIX}create/"
    assert answer.url.query == b"namespace=alice"
    assert "New environment" in answer.text


@pytest.mark.parametrize(
    "wanted", [f"{PREFIX}environment/alice/ml/?page=2", f"{PREFIX}?search=a%2F..%2Fb", f"{PREFIX}docs/pages/"]
)
def test_login_goes_back_to_a_page_of_ours(service: RunningService, wanted: str) -> None:
    with service.browser("alice") as browser:
        answer = browser.get("login/", params={"next": wanted}, follow_redirects=False)
    assert (answer.status_code, answer.headers["Location"]) == (302, wanted)


@pytest.mark.parametrize(
    "wanted",
    [
        "//evil.example",
        "//evil.example/services/conda-store-hub/",
        "/\\evil.example",
        "\\\\evil.example",
        "https://evil.example/",
        "https:evil.example",
        "javascript:alert(1)",
        "/hub/logout",
        "/services/other/",
        "/services/conda-store-hub-evil/",
        "/services/conda-store-hub",
        f"{PREFIX}../other/",
        f"{PREFIX}%2e%2e/other/",
        f"{PREFIX}x/.%2E/../../other/",
        f"{PREFIX}%5c..%5cother/",
        f" {PREFIX}",
        f"{PREFIX}x\r\nSet-Cookie: a=b",
        f"{PREFIX}x\t",
        f"{PREFIX}ü",
    ],
)
def test_login_leads_nowhere_but_to_us(service: RunningService, wanted: str) -> None:
    with service.browser("alice") as browser:
        answer = browser.get("login/", params={"next": wanted}, follow_redirects=False)
    assert answer.headers["Location"] == PREFIX
    assert "a=b" not in answer.headers.get("Set-Cookie", "")


def test_login_goes_home(service: RunningService) -> None:
    with service.browser("alice") as browser:
        assert browser.get("login/").url.path == PREFIX


@pytest.mark.parametrize("path", ["api/v1/namespace/", ""])
def test_a_script_needs_the_xsrf_token_also_to_read(service: RunningService, path: str) -> None:
    with service.browser("alice") as browser:
        token = browser.cookies["_xsrf"]
        browser.follow_redirects = False
        assert browser.get(path, headers=CORS).status_code == 401
        assert browser.get(path, headers={**CORS, "X-XSRFToken": "wrong"}).status_code == 401
        assert browser.get(path, headers={**CORS, "X-XSRFToken": token}).status_code == 200
        assert browser.get(path, headers=CORS, params={"_xsrf": token}).status_code == 200
        assert browser.get(path, headers=NAVIGATE).status_code == 200


def test_a_session_posts_with_the_xsrf_token_only(service: RunningService) -> None:
    body = {"specification": "name: x\ndependencies: [python]"}
    with service.browser("alice") as browser:
        refused = browser.post("api/v1/specification/", json=body, headers=CORS)
        assert refused.status_code == 401
        assert "X-XSRFToken" in refused.json()["message"]
        headers = {**CORS, "X-XSRFToken": browser.cookies["_xsrf"]}
        assert browser.post("api/v1/specification/", json=body, headers=headers).status_code == 200


def test_another_sessions_xsrf_token_is_refused(service: RunningService) -> None:
    with service.browser("alice") as alice, service.browser("bob") as bob:
        headers = {**CORS, "X-XSRFToken": bob.cookies["_xsrf"]}
        assert alice.get("api/v1/namespace/", headers=headers).status_code == 401


def test_a_hub_that_is_away_is_said_so(service: RunningService) -> None:
    service.hub.status = 502
    with service.client("alice") as alice:
        answer = alice.get("api/v1/namespace/")
        page = alice.get("")
    assert answer.status_code == page.status_code == 503
    assert answer.json()["code"] == "hub-unavailable"
    assert answer.headers["Retry-After"]
    assert "The Hub does not answer" in page.text


def test_a_hub_that_is_gone_is_said_so(data: DataDirectory) -> None:
    with run_service(data) as service, service.client("alice") as alice:
        service.call(service.hub.stop())
        assert alice.get("api/v1/namespace/").json()["code"] == "hub-unavailable"
        assert alice.get("health").json()["ready"] is True


def test_a_hub_that_talks_nonsense_is_as_good_as_away(service: RunningService) -> None:
    service.hub.tokens["alice-token"] = {"kind": "user"}
    with service.client("alice") as alice:
        assert alice.get("api/v1/namespace/").json()["code"] == "hub-unavailable"


def test_who_the_hub_knew_a_moment_ago_goes_on_while_it_is_away(service: RunningService) -> None:
    with service.client("alice") as alice:
        assert alice.get("api/v1/namespace/").status_code == 200
        service.hub.status = 502
        assert alice.get("api/v1/namespace/").status_code == 200


def test_a_hub_that_never_answers_is_given_up(data: DataDirectory) -> None:
    with run_service(data, hub_seconds=1) as service, service.client("alice") as alice:
        service.hub.seconds = 20
        assert alice.get("api/v1/namespace/").json()["code"] == "hub-unavailable"


def test_a_slow_hub_holds_up_nobody_else(service: RunningService) -> None:
    with service.client("bob") as bob:
        assert bob.get("api/v1/namespace/").status_code == 200
    service.hub.seconds = 2
    answered = threading.Event()

    def ask() -> None:
        with service.client("alice") as alice:
            alice.get("")
            answered.set()

    asking = threading.Thread(target=ask)
    asking.start()
    until(lambda: len(service.hub.asked) == 2)
    with service.client("bob") as bob:
        for _ in range(20):
            assert bob.get("health").status_code == 200
        assert bob.get("api/v1/namespace/").status_code == 200
    assert not answered.is_set(), "others were answered only after the Hub had been"
    asking.join()


def test_the_log_names_who_asked_what_and_holds_no_secret(
    service: RunningService, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", service.services.auth.log.name)
    with service.client("alice") as alice:
        alice.get("api/v1/namespace/?token=s3cret&_xsrf=s3cret", headers={"X-XSRFToken": "s3cret"})
    with service.client(headers={"Authorization": "token s3cret"}) as client:
        client.get("api/v1/namespace/")
        client.get("health")
    assert f"200 GET {PREFIX}api/v1/namespace/ alice" in caplog.text
    assert f"401 GET {PREFIX}api/v1/namespace/ -" in caplog.text
    assert "s3cret" not in caplog.text
    assert "health" not in caplog.text


@pytest.mark.parametrize("missing", ["JUPYTERHUB_API_URL", "JUPYTERHUB_API_TOKEN"])
def test_without_a_hub_the_reason_is_told_at_start(missing: str) -> None:
    variables = {"JUPYTERHUB_API_URL": "http://127.0.0.1:1/hub/api", "JUPYTERHUB_API_TOKEN": "x"}
    del variables[missing]
    with pytest.raises(ConfigurationError, match=missing):
        HubEnvironment.read(variables)
