"""Who is not logged in: what was shared with everybody, where the site allows that; for the rest the Hub's login."""

from __future__ import annotations

from collections.abc import Generator

import httpx
import pytest

from conda_store_hub.core.names import DataDirectory
from conda_store_hub.core.protocol import ArtifactType
from conda_store_hub.services import builds, work
from tests.support import make
from tests.support.service import IDENTITIES, PREFIX, WORKER, RunningService, run_service, service
from tests.web.test_pages import NAVIGATE, Page

__all__ = ["service"]

LOCKFILE = b"version: 1\n"


@pytest.fixture
def opened(data: DataDirectory) -> Generator[RunningService]:
    """A service that shows what was shared with everybody."""
    with run_service(data, allow_anonymous=True) as running:
        yield running


def share(service: RunningService, environment: str = "open") -> int:
    """Share an environment of alice's with everybody, and return its build; `secret` stays hers."""
    build = service.submit(environment)
    service.claim(build)
    service.log(build, "said openly\n")
    service.use(build)
    service.store(build, ArtifactType.LOCKFILE, LOCKFILE)
    service.completed("secret")
    with service.client("alice") as alice:
        body = {"subject": "anyone", "role": "viewer"}
        answer = alice.put(f"api/v1/environment/alice/{environment}/member/", json=body)
        assert answer.status_code == 200, answer.text
    return build


def goes_to_the_hub(service: RunningService, answer: httpx.Response) -> bool:
    return answer.status_code == 302 and answer.headers["Location"].startswith(f"{service.hub.url}/hub/api/oauth2/")


def test_pages_show_what_was_shared_with_everybody_and_nothing_else(opened: RunningService) -> None:
    build = share(opened)
    with opened.client() as nobody:
        home = nobody.get("")
        environment = nobody.get("environment/alice/open/")
        shown = nobody.get(f"build/{build}/")
    assert home.status_code == environment.status_code == shown.status_code == 200
    assert "open" in Page(home).text
    assert "secret" not in home.text
    assert "Log in" in Page(home).text
    assert "said openly" in shown.text
    for answer in (home, environment, shown):
        assert not Page(answer).has("form", method="post")
        assert Page(answer).find("body")["data-xsrf"] == ""
        assert answer.headers["Cache-Control"] == "no-store"


def test_who_looks_without_login_logs_in_and_comes_back(opened: RunningService) -> None:
    share(opened)
    with opened.client(follow_redirects=True) as alice:
        page = Page(alice.get("environment/alice/open/?page=1", headers=NAVIGATE))
        (login,) = [link for link in page.links if link.startswith(f"{PREFIX}login/")]
        alice.cookies.set("fake-user", "alice", domain="127.0.0.1")
        back = alice.get(httpx.URL(opened.url).join(login), headers=NAVIGATE)
    assert (back.url.path, back.url.query) == (f"{PREFIX}environment/alice/open/", b"page=1")
    assert "alice" in Page(back).find("body").get("data-xsrf", "") or "Log out" in Page(back).text


def test_names_of_people_and_paths_are_for_who_is_logged_in(opened: RunningService) -> None:
    build = share(opened)
    queued = opened.submit("open", user="root", namespace="alice")
    opened.db.write_sync(builds.cancel, IDENTITIES["root"], queued)
    places = ("environment/alice/open/", f"build/{build}/", f"build/{queued}/")
    everything = [*places, "api/v1/build/", *(f"api/v1/{place}" for place in places)]
    prefix = str(opened.services.data.root)
    with opened.client() as nobody, opened.client("alice") as alice:
        for path in everything:
            answer = nobody.get(path)
            assert answer.status_code == 200
            assert "root" not in answer.text.replace(prefix, "PREFIX"), path
            assert prefix not in answer.text, path
        assert "by alice" in alice.get(f"build/{build}/").text
        assert prefix in alice.get(f"build/{build}/").text
        assert "Cancelled by root" in alice.get(f"build/{queued}/").text
        assert nobody.get(f"api/v1/build/{queued}/").json()["data"]["status_info"] == "Cancelled."
        rows = nobody.get("api/v1/build/").json()["data"]
        assert [row["requested_by"] for row in rows] == [None, None]


def test_the_api_shows_the_same(opened: RunningService) -> None:
    build = share(opened)
    with opened.client() as nobody:
        rows = nobody.get("api/v1/environment/").json()
        builds = nobody.get("api/v1/build/").json()["data"]
        assert nobody.get("api/v1/environment/alice/open/").json()["data"]["current_build_id"] == build
        assert nobody.get("api/v1/environment/alice/secret/").status_code == 401
        assert nobody.get("api/v1/environment/alice/nothing/").status_code == 401
        assert nobody.get(f"api/v1/build/{build + 1}/").status_code == 401
    assert [row["name"] for row in rows["data"]] == ["open"]
    assert rows["count"] == 1
    assert [row["id"] for row in builds] == [build]


def test_artifacts_and_logs_are_downloaded(opened: RunningService) -> None:
    build = share(opened)
    with opened.client() as nobody:
        link = f"{PREFIX}api/v1/build/{build}/conda-lock.yml"
        assert link in Page(nobody.get("environment/alice/open/")).links
        assert nobody.get(httpx.URL(opened.url).join(link)).content == LOCKFILE
        assert nobody.get(f"api/v1/build/{build}/logs/").text == "said openly\n"
        assert nobody.get(f"api/v1/build/{build + 1}/lockfile/").status_code == 401


def test_who_is_not_logged_in_keeps_nothing_from_being_deleted(opened: RunningService) -> None:
    lease = f"api/v1/build/{share(opened)}/lease/"
    body = {"holder": "x"}
    with opened.client() as nobody, opened.client("bob") as bob:
        for method in ("PUT", "DELETE"):
            assert nobody.request(method, lease, json=body).status_code == 401
            assert bob.request(method, lease, json=body).status_code == 200
        assert bob.put(lease, json={**body, "seconds": 10**30}).status_code == 400


@pytest.mark.parametrize(
    "path",
    ["environment/alice/secret/", "environment/alice/nothing/", "environment/nobody/x/", "build/2/", "build/99/"],
)
def test_what_is_hidden_and_what_is_not_there_lead_to_the_login_alike(opened: RunningService, path: str) -> None:
    share(opened)
    with opened.client() as nobody:
        answer = nobody.get(path, headers=NAVIGATE)
        assert goes_to_the_hub(opened, answer)
        assert nobody.get(path, headers={**NAVIGATE, "Sec-Fetch-Mode": "cors"}).status_code == 401


def test_who_logs_in_comes_back_to_the_page(opened: RunningService) -> None:
    share(opened)
    with opened.client(follow_redirects=True) as alice:
        alice.cookies.set("fake-user", "alice", domain="127.0.0.1")
        answer = alice.get("environment/alice/secret/?page=1", headers=NAVIGATE)
        missing = alice.get("environment/alice/nothing/", headers=NAVIGATE)
    assert answer.url.path == f"{PREFIX}environment/alice/secret/"
    assert answer.url.query == b"page=1"
    assert answer.status_code == 200
    assert missing.status_code == 404


def test_everything_else_logs_in_first(opened: RunningService) -> None:
    build = share(opened)
    with opened.client() as nobody:
        for path in ("create/", "user/", "login/"):
            assert goes_to_the_hub(opened, nobody.get(path, headers=NAVIGATE)), path
        form = {"build_id": str(build), "specification": make.text("new"), "label": "x"}
        for path in ("environment/alice/open/", f"build/{build}/", "create/", "user/"):
            assert nobody.post(path, data=form, headers=NAVIGATE).status_code == 401, path
        confirmed = nobody.post("user/token/1/", data=form, headers=NAVIGATE)
        assert goes_to_the_hub(opened, nobody.get(confirmed.headers["Location"].removeprefix(PREFIX), headers=NAVIGATE))


def test_who_comes_with_something_that_is_worth_nothing_is_to_log_in(opened: RunningService) -> None:
    share(opened)
    with opened.client() as client:
        client.cookies.set("service-conda-store-hub", "old", domain="127.0.0.1")
        assert goes_to_the_hub(opened, client.get("", headers=NAVIGATE))
    with opened.client(headers={"Authorization": "token nobody's"}) as client:
        assert goes_to_the_hub(opened, client.get(""))


def test_who_is_logged_in_sees_their_own_too(opened: RunningService) -> None:
    share(opened)
    with opened.client("alice") as alice, opened.client("bob") as bob:
        assert "secret" in alice.get("").text
        assert "open" in Page(bob.get("")).text
        assert "secret" not in bob.get("").text


def test_an_empty_home_says_that_nothing_is_shown_without_login(opened: RunningService) -> None:
    opened.completed("secret")
    with opened.client() as nobody:
        page = Page(nobody.get(""))
    assert "Nothing is shown without login." in page.text
    assert page.links.count(f"{PREFIX}login/?next=%2Fservices%2Fconda-store-hub%2F") == 2
    assert "secret" not in page.text


def test_what_is_no_longer_shared_is_gone_at_once(opened: RunningService) -> None:
    share(opened)
    with opened.client("alice") as alice, opened.client() as nobody:
        assert nobody.get("environment/alice/open/").status_code == 200
        where = "api/v1/environment/alice/open/member/"
        number = alice.get(where).json()["data"][0]["id"]
        assert alice.delete(f"{where}{number}/").status_code == 200
        assert goes_to_the_hub(opened, nobody.get("environment/alice/open/"))


def test_without_the_sites_leave_everybody_logs_in(service: RunningService) -> None:
    service.completed("open")
    with service.client("alice") as alice, service.client() as nobody:
        body = {"subject": "anyone", "role": "viewer"}
        assert alice.put("api/v1/environment/alice/open/member/", json=body).status_code == 400
        for path in ("", "environment/alice/open/", "build/1/"):
            assert goes_to_the_hub(service, nobody.get(path)), path
        assert nobody.get("api/v1/environment/").status_code == 401


def test_nothing_is_made_for_who_is_not_logged_in(opened: RunningService) -> None:
    build = share(opened)
    opened.finish(build)
    with opened.client() as nobody:
        answer = nobody.get(f"api/v1/build/{build}/explicit/")
        shown = Page(nobody.get(f"build/{build}/"))
        assert nobody.get(f"api/v1/build/{build}/lockfile/").content == LOCKFILE
    assert (answer.status_code, "log in, or send a token" in answer.json()["message"]) == (401, True)
    assert opened.db.write_sync(work.claim, WORKER) is None
    assert "It is made for who is logged in." in shown.text
    assert not shown.has("a", href=f"{PREFIX}api/v1/build/{build}/explicit.txt")


def test_leave_that_was_taken_back_hides_what_was_shared(data: DataDirectory) -> None:
    with run_service(data, allow_anonymous=True) as opened:
        share(opened)
    with run_service(data) as closed, closed.client() as nobody:
        for path in ("", "environment/alice/open/", "build/1/"):
            assert goes_to_the_hub(closed, nobody.get(path)), path
        assert nobody.get("api/v1/build/1/lockfile/").status_code == 401


def test_while_the_service_starts_the_anonymous_are_sent_to_the_hub(data: DataDirectory) -> None:
    with run_service(data, ready=False, allow_anonymous=True) as starting, starting.client() as nobody:
        assert goes_to_the_hub(starting, nobody.get(""))
