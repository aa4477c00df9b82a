"""What people typed into a page's form goes nowhere else, and comes back whatever happens meanwhile."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import httpx
import pytest

from conda_store_hub.core.names import DataDirectory
from conda_store_hub.services import namespaces
from conda_store_hub.storage import prefixes
from tests.support import make
from tests.support.service import PREFIX, RunningService, run_service
from tests.web.test_pages import NAVIGATE, Page, get


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Generator[RunningService]:
    data = DataDirectory(tmp_path_factory.mktemp("d"))
    prefixes.ensure_data_directory(data, publish_links=False)
    with run_service(data) as running:
        running.solve_at_once()
        running.completed("ml")
        for name in ("alice", "bob", "root"):
            get(running, "", name)
        yield running


def send(browser: httpx.Client, address: str, **fields: str) -> httpx.Response:
    """Send a form as one of our pages does."""
    form = {"_xsrf": browser.cookies["_xsrf"], **fields}
    return browser.post(address, data=form, headers=NAVIGATE, follow_redirects=False)


def chosen(page: Page) -> str | None:
    """Return the namespace that the form of a page would send."""
    return next(attrs["value"] for tag, attrs in page.tags if tag == "option" and "selected" in attrs)


# Where an environment goes


def test_a_namespace_that_is_not_listed_is_still_the_one_that_is_chosen(
    service: RunningService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(namespaces, "MOST_SHOWN", 1)
    page = get(service, "create/?namespace=bob", "root")
    assert chosen(page) == "bob"
    assert "You may not make" not in page.text
    assert "At most 500 are listed" in page.text
    assert "At most 500 are listed" in get(service, "", "root").text
    assert "At most 500 are listed" in get(service, "environment/alice/ml/clone/", "root").text


def test_a_namespace_that_may_not_be_written_to_is_said_and_not_replaced(service: RunningService) -> None:
    for name in ("bob", "nowhere"):
        page = get(service, f"create/?namespace={name}", "alice")
        assert chosen(page) == name
        assert f"You may not make environments in the namespace “{name}”" in page.text
    with service.browser("alice") as alice:
        answer = send(alice, "create/", namespace="bob", specification=make.text("new"))
    assert answer.status_code in (403, 404)
    assert chosen(Page(answer)) == "bob"


def test_the_namespaces_that_may_be_written_to_are_listed_without_a_note(service: RunningService) -> None:
    page = get(service, "create/?namespace=alice", "alice")
    assert chosen(page) == "alice"
    assert "At most 500" not in page.text
    assert "You may not make" not in page.text


# Login


@pytest.mark.parametrize("address", ["environment/alice/ml/rename/", "create/", "admin/banner/", "build/1/"])
def test_a_form_that_comes_back_has_a_link_to_log_in_in_another_tab(service: RunningService, address: str) -> None:
    form: dict[str, Any] = {"_xsrf": "old", "name": "new", "message": "mine", "level": "info", "action": "pin"}
    with service.client() as nobody:
        answer = nobody.post(address, data=form, headers=NAVIGATE)
    assert answer.status_code == 401
    assert "Log in in another tab" in answer.text
    assert Page(answer).has("a", target="_blank", rel="noopener")


# While nobody can be let in

FORMS = {
    "create/": {"namespace": "alice", "specification": "name: mine\n"},
    "environment/alice/ml/description/": {"description": "mine"},
    "environment/alice/ml/share/": {"subject": "user", "name": "mine", "role": "viewer"},
    "user/": {"label": "mine"},
}


@pytest.mark.parametrize("address", FORMS)
def test_a_form_that_is_sent_while_the_hub_is_away_comes_back(service: RunningService, address: str) -> None:
    with service.browser("alice") as alice:
        service.services.auth.hub.load_oauth().cache.clear()
        service.hub.status = 500
        try:
            answer = send(alice, address, **FORMS[address])
        finally:
            service.hub.status = 200
        assert answer.status_code == 503
        assert int(answer.headers["Retry-After"]) > 0
        assert "Nothing is lost" in answer.text
        assert "mine" in answer.text
        assert "There is no namespace that you may" not in answer.text
        token = Page(answer).find("input", name="_xsrf")["value"] or ""
        again = send(alice, address, **FORMS[address] | {"_xsrf": token})
    assert again.status_code != 401
    assert again.status_code < 500


@pytest.mark.parametrize("address", [*FORMS, "admin/banner/"])
def test_a_form_that_is_sent_while_the_service_starts_comes_back(service: RunningService, address: str) -> None:
    form = FORMS.get(address, {"message": "mine", "level": "info"})
    with service.browser("root") as root:
        service.services.readiness.ready = False
        try:
            answer = send(root, address, **form)
            foreign = root.post(address, data=form, headers={**NAVIGATE, "Sec-Fetch-Site": "cross-site"})
        finally:
            service.services.readiness.ready = True
    assert answer.status_code == 503
    assert "Nothing is lost" in answer.text
    assert "mine" in answer.text
    assert foreign.status_code in (401, 503)
    assert "mine" not in foreign.text, "what another site has filled in is not offered to be sent"


def test_a_program_is_answered_in_words_while_the_service_starts(service: RunningService) -> None:
    service.services.readiness.ready = False
    try:
        with service.client() as program:
            answer = program.post("oauth2/token/", data={"grant_type": "authorization_code", "code": "mine"})
    finally:
        service.services.readiness.ready = True
    assert answer.status_code == 503
    assert "Nothing is lost" not in answer.text


# What is gone when it is sent


@pytest.mark.parametrize("page", ["description", "rename", "clone", "policy", "share"])
def test_a_form_about_what_was_deleted_meanwhile_gives_back_what_was_typed(service: RunningService, page: str) -> None:
    form = {"name": "typed", "description": "typed", "keep_days": "typed", "namespace": "alice"}
    with service.browser("alice") as alice:
        answer = send(alice, f"environment/alice/gone/{page}/", **form)
    assert answer.status_code == 404
    assert "There is no environment “alice/gone”" in answer.text
    assert "Send it again" in answer.text
    shown = Page(answer)
    assert shown.has("textarea", name="name")
    assert "typed" in answer.text
    assert all(words in shown.text for words in ("Description", "Namespace", "keep_days")), "as their page calls them"
    assert "description" not in shown.text
    assert PREFIX in shown.links
    assert "Do not send it" in shown.text
    assert "Log in in another tab" not in answer.text


# What cannot be done is said where it was asked for


def test_a_tag_that_cannot_be_given_is_shown_at_its_form_with_why(service: RunningService) -> None:
    with service.browser("alice") as alice:
        answer = send(alice, "build/1/", action="tag", tag="no tag!")
    page = Page(answer)
    assert answer.status_code == 400
    field = page.find("input", id="tag")
    assert field["value"] == "no tag!"
    assert field["aria-describedby"] == "refused tag-help"
    assert page.has("div", id="refused", role="alert")
    assert answer.text.index('id="refused"') > answer.text.index('id="facts"')


@pytest.mark.parametrize(
    ("address", "form", "status"),
    [
        ("build/1/", {"action": "juggle"}, 400),
        ("build/1/", {"action": "make", "artifact_type": "JUGGLED"}, 400),
        ("environment/alice/ml/", {"action": "activate", "build_id": "99"}, 404),
        ("environment/alice/ml/", {"action": "make", "build_id": "1", "artifact_type": "JUGGLED"}, 400),
        ("environment/alice/ml/share/99/", {"action": "remove"}, 404),
        ("namespace/alice/member/99/", {"action": "remove"}, 404),
    ],
)
def test_what_cannot_be_done_is_said_on_the_page_that_asked(
    service: RunningService, address: str, form: dict[str, str], status: int
) -> None:
    with service.browser("alice") as alice:
        answer = send(alice, address, **form)
    page = Page(answer)
    assert answer.status_code == status
    assert page.has("div", id="refused", role="alert")
    assert page.has("nav", **{"aria-label": "Where this is"}) or "alice" in page.text


def test_an_error_of_a_form_leads_back_to_its_page_and_to_no_other_site(service: RunningService) -> None:
    with service.browser("bob") as bob:
        here = bob.post("admin/janitor/", headers={**NAVIGATE, "Referer": f"{service.url}admin/?x=1"}, data=token(bob))
        there = bob.post("admin/janitor/", headers={**NAVIGATE, "Referer": "http://evil.invalid/"}, data=token(bob))
    assert here.status_code == there.status_code == 403
    assert f"{PREFIX}admin/?x=1" in Page(here).links
    assert "evil.invalid" not in there.text


def token(browser: httpx.Client) -> dict[str, str]:
    return {"_xsrf": browser.cookies["_xsrf"]}
