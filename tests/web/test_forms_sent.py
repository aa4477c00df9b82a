"""Every form of every page, by the routes: what another site sends changes nothing, and what was typed is kept."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Generator
from contextlib import closing
from html.parser import HTMLParser
from urllib.parse import urlencode, urlsplit

import httpx
import pytest
from tornado.web import RequestHandler

from conda_store_hub.core.names import DataDirectory
from conda_store_hub.storage import prefixes
from conda_store_hub.web import routes
from tests.support.service import PREFIX, RunningService, run_service

NAVIGATE = {"Sec-Fetch-Mode": "navigate"}
HERE, ELSEWHERE = {**NAVIGATE, "Sec-Fetch-Site": "same-origin"}, {**NAVIGATE, "Sec-Fetch-Site": "cross-site"}
#: What browsers send over http to another machine, which is not told where they come from but for this.
PLAIN, PLAIN_ELSEWHERE = {}, {"Origin": "http://bob.hub.example"}
#: What a script of another page of the same origin sends: the servers of the Hub's users are of it.
SCRIPT = {"Sec-Fetch-Mode": "cors", "Sec-Fetch-Site": "same-origin"}
PAGES = ("", "environment/alice/ml/", "build/1/", "create/", "user/", "namespace/alice/", "admin/", "docs/")
#: What stands where an address is open, by how it begins.
PARTS = {"environment/": ("alice", "ml", "1"), "build/": ("1",), "namespace/": ("alice", "1"), "user/": ("1",)}
#: Who sends something there shows a code or a token, and no session.
WITHOUT_SESSION = {"oauth2/token/", "oauth2/revoke/"}
#: All that any form asks for, so that each would do something.
FORM = {
    "action": "pin",
    "build_id": "1",
    "name": "new",
    "namespace": "alice",
    "label": "mine",
    "role": "admin",
    "subject": "authenticated",
    "description": "mine",
    "message": "mine",
    "level": "info",
    "force": "1",
    "environment": "ml",
    "specification": "name: new\nchannels: [main]\ndependencies: [python]\n",
    "keep_builds": "1",
    "end": "never",
    "artifact_type": "CONDA_PACK",
}


def find_forms() -> list[str]:
    """Return an address for each page that takes a form."""
    takers = [rule.pattern for rule in routes._page_rules() if rule.target.post is not RequestHandler.post]
    return [address for address in map(fill_in, takers) if address not in WITHOUT_SESSION]


def fill_in(pattern: str) -> str:
    parts = iter(next((parts for begins, parts in PARTS.items() if pattern.startswith(begins)), ()))
    return re.sub(r"\([^)]*\)", lambda _: next(parts), pattern).replace("?", "")


FORMS = find_forms()


def is_asked_again(address: str) -> bool:
    """Tell whether nothing is typed there: the form only confirms what its page says."""
    return address.endswith("/delete/") or address.startswith("user/token/")


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Generator[RunningService]:
    data = DataDirectory(tmp_path_factory.mktemp("d"))
    prefixes.ensure_data_directory(data, publish_links=False)
    with run_service(data) as running:
        running.solve_at_once()
        for _ in range(2):  # the first can be deleted, as it is not the active one
            running.completed("ml")
        with running.client("root") as root:
            root.post("api/v1/token/", json={"label": "a token", "role": "viewer"}).raise_for_status()
        yield running


@pytest.fixture(scope="module")
def browsers(service: RunningService) -> Generator[tuple[httpx.Client, httpx.Client]]:
    """An administrator of the Hub, who may do everything, and somebody whose token is not theirs."""
    with service.browser("root") as root, service.browser("bob") as bob:
        service.settle()
        yield root, bob


def dump(service: RunningService) -> list[str]:
    """Return all that is in the database."""
    with closing(sqlite3.connect(service.services.data.database)) as database:
        return list(database.iterdump())


def test_the_forms_of_all_pages_are_looked_at() -> None:
    assert len(FORMS) >= 20
    assert "environment/alice/ml/delete/" in FORMS
    assert "admin/janitor/" in FORMS


@pytest.mark.parametrize("address", FORMS)
def test_a_form_without_the_sessions_own_token_changes_nothing(
    service: RunningService, browsers: tuple[httpx.Client, httpx.Client], address: str
) -> None:
    root, bob = browsers
    mine, foreign = root.cookies["_xsrf"], bob.cookies["_xsrf"]
    before = dump(service)
    for sent, headers in (
        ({}, HERE),
        ({"_xsrf": "wrong"}, HERE),
        ({"_xsrf": foreign}, HERE),
        ({"_xsrf": foreign}, ELSEWHERE),
        ({}, ELSEWHERE),
        ({}, PLAIN),
        ({"_xsrf": foreign}, PLAIN_ELSEWHERE),
    ):
        answer = root.post(address, data=FORM | sent, headers=headers, follow_redirects=False)
        refused = 303 if is_asked_again(address) and headers in (HERE, PLAIN) else 401
        assert answer.status_code == refused, (address, sent, headers)
        if headers in (ELSEWHERE, PLAIN_ELSEWHERE):
            assert mine not in answer.text  # it is not offered to be sent again
    # In the address, where links have it, it is worth nothing either.
    answer = root.get(address, params={"_xsrf": mine, **FORM}, headers=ELSEWHERE, follow_redirects=False)
    assert answer.status_code < 500
    service.settle()
    assert dump(service) == before


#: Forms that stand on another page than the one whose address they are sent to.
STANDS_AT = {
    "environment/alice/ml/share/1/": "environment/alice/ml/share/",
    "environment/alice/ml/restore/": "environment/alice/ml/",
    "namespace/alice/member/": "namespace/alice/",
    "namespace/alice/member/1/": "namespace/alice/",
    "namespace/alice/restore/": "namespace/",
}
#: What the form of a login is about stands in its address.
ASKED = {
    "response_type": "code",
    "client_id": "conda-store",
    "state": "x",
    "code_challenge": "a" * 43,
    "code_challenge_method": "S256",
}


@pytest.mark.parametrize("address", FORMS)
def test_the_address_that_a_refused_form_leaves_in_the_bar_leads_to_its_page(
    browsers: tuple[httpx.Client, httpx.Client], address: str
) -> None:
    root, _ = browsers
    query = f"?{urlencode(ASKED)}" if address.startswith("oauth2/") else ""
    answer = root.get(f"{address}{query}", headers=NAVIGATE, follow_redirects=True)
    assert (answer.status_code, answer.url.path) == (200, f"{PREFIX}{STANDS_AT.get(address, address)}")
    assert any("_xsrf" in fields for _, fields in Forms(answer.text).found)


@pytest.mark.parametrize(
    "address",
    ["namespace/..%2F..%2Fhub/member/", "namespace/..%2F..%2Fhub/member/1/", "environment/alice/..%2Fx/share/1/"],
)
def test_the_address_of_a_form_leads_nowhere_but_to_a_page_of_ours(
    browsers: tuple[httpx.Client, httpx.Client], address: str
) -> None:
    root, _ = browsers
    assert root.get(address, headers=NAVIGATE, follow_redirects=False).status_code == 404


class Forms(HTMLParser):
    """The forms of a page: where each is sent to, and what stands in its fields."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[tuple[str, dict[str, str]]] = []
        self._area = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {key: value or "" for key, value in attrs}
        if tag == "form":
            self.found.append((given.get("action", ""), {}))
        elif given.get("type") in ("radio", "checkbox") and "checked" not in given:
            return
        elif self.found and tag in ("input", "textarea") and "name" in given:
            self.found[-1][1][given["name"]] = given.get("value", "")
            self._area = given["name"] if tag == "textarea" else ""

    def handle_data(self, data: str) -> None:
        if self._area:
            fields = self.found[-1][1]
            fields[self._area] = (fields[self._area] + data).removeprefix("\n")

    def handle_endtag(self, tag: str) -> None:
        if tag == "textarea":
            self._area = ""


@pytest.mark.parametrize("address", [*filter(is_asked_again, FORMS)])
def test_who_only_confirmed_is_asked_again_after_a_login(service: RunningService, address: str) -> None:
    sent, came_from = {"_xsrf": "of a session that ended", "force": "yes"}, f"{service.url}{address}?from=environment"
    with service.client() as nobody, service.browser("root") as root:
        for headers in (HERE, {**HERE, "Referer": came_from}):
            answer = nobody.post(address, data=sent, headers=headers, follow_redirects=False)
            expected = urlsplit(headers.get("Referer", f"{service.url}{address}"))
            after = f"{expected.path}?{expected.query}" if expected.query else expected.path
            assert (answer.status_code, answer.headers["Location"]) == (
                303,
                f"{PREFIX}login/?{urlencode({'next': after})}",
            )
        assert nobody.post(address, data=sent, headers=SCRIPT, follow_redirects=False).status_code == 401
        service.services.readiness.ready = False
        try:
            starting = root.post(address, data=sent | {"_xsrf": root.cookies["_xsrf"]}, headers=HERE)
        finally:
            service.services.readiness.ready = True
        assert starting.status_code == 503
        assert "Send it again" not in starting.text


@pytest.mark.parametrize(
    ("address", "form", "deed"),
    [
        ("build/1/", {"action": "cancel"}, "Cancel build 1"),
        ("environment/alice/ml/", {"action": "activate", "build_id": "1"}, "Activate build 1 of alice/ml"),
        ("environment/alice/ml/share/1/", {"action": "remove"}, "Take back a role on alice/ml"),
        ("namespace/alice/member/1/", {"action": "change", "role": "admin"}, "Change a role in alice"),
        ("namespace/alice/policy/", {"keep_days": "1"}, "Change the policy of alice"),
        ("admin/janitor/", {"x": "1"}, "Have the janitor go round"),
    ],
)
def test_a_form_that_comes_back_says_what_it_would_do_and_where(
    service: RunningService, address: str, form: dict[str, str], deed: str
) -> None:
    with service.client() as nobody:
        answer = nobody.post(address, data=form, headers=HERE)
    assert answer.status_code == 401
    assert f'<h1 class="h3 text-break">{deed}: not done</h1>' in answer.text


@pytest.mark.parametrize("address", ["build/1/", "environment/alice/ml/"])
def test_a_form_that_does_not_say_what_to_do_does_nothing(
    service: RunningService, browsers: tuple[httpx.Client, httpx.Client], address: str
) -> None:
    root, _ = browsers
    before = dump(service)
    answer = root.post(address, data={"_xsrf": root.cookies["_xsrf"], "build_id": "1"}, headers=HERE)
    assert answer.status_code == 400
    assert "does not say what is to be done" in answer.text
    service.settle()
    assert dump(service) == before


@pytest.mark.parametrize("address", [one for one in FORMS if not one.startswith("oauth2/") and not is_asked_again(one)])
def test_a_form_whose_session_has_ended_comes_back_with_what_was_typed(service: RunningService, address: str) -> None:
    with service.client() as nobody:
        answer = nobody.post(address, data=FORM | {"_xsrf": "of a session that ended"}, headers=HERE)
    assert answer.status_code == 401
    assert "Nothing is lost" in answer.text
    forms = [fields for action, fields in Forms(answer.text).found if action in ("", f"{PREFIX}{address}")]
    given_back = [fields for fields in forms if "_xsrf" in fields]
    assert given_back, answer.text
    kept = {name: value for name, value in given_back[-1].items() if name in FORM}
    assert kept
    assert kept == {name: FORM[name] for name in kept}


def test_no_script_is_given_the_sessions_token(
    service: RunningService, browsers: tuple[httpx.Client, httpx.Client]
) -> None:
    root, _ = browsers
    mine = root.cookies["_xsrf"]

    def send(address: str, headers: dict[str, str]) -> str:
        return root.post(address, data=FORM | {"_xsrf": "ended"}, headers=headers, follow_redirects=False).text

    for address in FORMS:
        given_back = not is_asked_again(address)
        assert (mine in send(address, HERE), mine in send(address, SCRIPT)) == (given_back, False), address
    for address in PAGES:
        ours = root.get(address, headers={**SCRIPT, "X-XSRFToken": mine})
        assert ours.status_code == 200
        assert (mine in root.get(address, headers=HERE).text, mine in ours.text) == (True, False), address


def test_over_http_a_page_is_of_no_use_to_another_origin(browsers: tuple[httpx.Client, httpx.Client]) -> None:
    root, _ = browsers
    for address in PAGES:
        headers = root.get(address, headers=PLAIN_ELSEWHERE).headers
        assert "Access-Control-Allow-Origin" not in headers, address
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"], address


@pytest.mark.parametrize("token", ["", "ended"])
def test_a_script_of_ours_begins_no_login_where_browsers_do_not_tell_it_from_a_visit(
    service: RunningService, token: str
) -> None:
    with service.client() as nobody:
        answer = nobody.get("environment/alice/ml/", headers={"X-XSRFToken": token}, follow_redirects=False)
        assert (answer.status_code, answer.headers.get_list("Set-Cookie")) == (401, [])
        assert nobody.get("environment/alice/ml/", follow_redirects=False).status_code == 302
