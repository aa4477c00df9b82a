"""What got past the door: markup in every row of the database is text on every page that shows it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import astuple
from html.parser import HTMLParser

import httpx
import pytest
from sqlalchemy import update
from sqlalchemy.orm import Session
from tornado.web import RequestHandler

from conda_store_hub.core.errors import SolveError
from conda_store_hub.core.protocol import ErrorEvent, LockEvent, Package, ResultEvent
from conda_store_hub.db import tables
from conda_store_hub.web import routes
from tests.support import make
from tests.support.hostile import VIEWER, Spoilt, list_words, mark, name_of, spoil, spoil_names
from tests.support.service import PREFIX, RunningService, service
from tests.web.test_forms_sent import FORM, FORMS, HERE, fill_in, is_asked_again

__all__ = ["service"]

#: Files, what leads on to the Hub, and what scripts follow; the guide, and what is nowhere, are the same for everybody.
NO_PAGES = ("static/", "login/", "oauth_callback", "docs(", ".*", r"\.well", "create/preview/")
#: What no page shows.
UNSEEN = {
    *("authorization_code.label", "authorization_code.redirect_uri", "artifact.requested_by", "on_demand.asked_by"),
    *("lease.holder", "lease.user", "note.set_by", "policy.set_by"),
    *("package.md5", "package.sha256", "package.subdir", "package.url", "build_package.name"),
}
#: What is said elsewhere than in columns of words.
ELSEWHERE = {"banner", "download", "explanation", "group", "janitor.job", "janitor.said", "log", "unit", "viewer"}


class Text(HTMLParser):
    """All that an answer shows as text, or has as the value of an attribute; fails for what would be run."""

    def __init__(self, answer: httpx.Response) -> None:
        super().__init__(convert_charrefs=True)
        self.shown = ""
        self.where = str(answer.url)
        assert answer.status_code < 500, self.where
        if answer.headers.get("Content-Type", "").lower().startswith("text/html"):
            self.feed(answer.text)
        else:
            assert answer.headers["X-Content-Type-Options"] == "nosniff", self.where
            self.shown = answer.text

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {key: value or "" for key, value in attrs}
        assert not any(key.startswith("on") or key == "style" for key in given), (self.where, tag, given)
        assert tag not in ("img", "script") or given["src"].startswith((PREFIX, "http://")), (self.where, given)
        for key in ("href", "action", "formaction"):
            assert given.get(key, "/").startswith(("/", "http://", "#", "?")), (self.where, given)
        self.shown += "".join(f"\n{value}" for value in given.values())

    def handle_data(self, data: str) -> None:
        self.shown += data


def list_pages(spoilt: Spoilt) -> Iterator[str]:
    """Return the addresses of all pages, with one for each way in which a build may be."""
    for rule in routes._page_rules():
        if rule.target.get is not RequestHandler.get and not rule.pattern.startswith(NO_PAGES):
            yield fill_in(rule.pattern)
    for number in astuple(spoilt):
        yield from (f"build/{number}/{part}" for part in ("", "packages/", "specification/", "delete/"))
        yield from (f"create/?build={number}", f"api/v1/build/{number}/", f"api/v1/build/{number}/logs/")
    yield from (f"environment/alice/{name}/" for name in ("failed", "tried-out", "slow", "tomorrow", "old"))
    yield from (f"environment/alice/ml/changes/?build={spoilt.completed}", "create/?environment=alice/ml")
    yield from ("api/v1/audit/", "api/v1/token/", "api/v1/watched-file/", "?search=package:package")


def visit(service: RunningService, spoilt: Spoilt) -> str:
    """Return all that an administrator is shown."""
    with service.browser(VIEWER) as root:
        return "".join(Text(root.get(path, headers=HERE)).shown for path in list_pages(spoilt))


def test_markup_in_every_row_is_text_on_every_page(service: RunningService) -> None:
    shown = visit(service, spoil(service))
    filled = {name_of(column) for column in list_words()} | ELSEWHERE
    assert {name for name in filled if mark(name) not in shown} == UNSEEN


def test_markup_in_names_that_no_door_lets_through_is_text(service: RunningService) -> None:
    spoilt = spoil(service)
    service.db.write_sync(spoil_names)
    shown = visit(service, spoilt)
    assert {name for name in ("namespace.name", "environment.name") if mark(name) not in shown} == set()


def spoil_packages(session: Session) -> None:
    """Have python in a version that is none, and another package that is none."""
    session.execute(update(tables.Package).where(tables.Package.name == "python").values(version=mark("before")))
    session.execute(update(tables.Package).where(tables.Package.name != "python").values(name=mark("removed")))


def preview(root: httpx.Client, specification: str) -> str:
    form = {"_xsrf": root.cookies["_xsrf"], "action": "preview", "namespace": "alice", "specification": specification}
    return Text(root.post("create/", data=form, headers=HERE)).shown


def test_markup_in_what_a_solver_says_is_text(service: RunningService) -> None:
    service.completed()
    service.db.write_sync(spoil_packages)
    package = Package(manager="conda", name="python", version=mark("version"), build=mark("build"))
    added = Package(manager="conda", name=mark("name"), version="1", channel=mark("channel"))
    needing = Package(manager="conda", name="numpy", version="1", depends=(f"{mark('name')} 1",))
    with service.browser("root") as root:
        service.solve_at_once(LockEvent(path="/nowhere", packages=(package, added, needing)), ResultEvent())
        shown = preview(root, make.text())
        assert {word for word in ("before", "removed", "version", "name") if mark(word) not in shown} == set()
        service.solve_at_once(ErrorEvent(code=SolveError.code, message=mark("message"), detail=mark("detail")))
        shown = preview(root, make.text("ml", "scipy"))
        assert {word for word in ("message", "detail") if mark(word) not in shown} == set()


@pytest.mark.parametrize("address", FORMS)
def test_markup_that_is_typed_into_a_form_that_is_refused_is_text(service: RunningService, address: str) -> None:
    service.completed()
    form = {name: mark(name) for name in (*FORM, "tag", "until", "keep_days", "answer", "user", "remove", "from")}
    with service.browser("root") as root, service.client() as nobody:
        for action in (mark("action"), "activate", "make", "tag", "change", "preview"):
            sent = form | {"action": action, "_xsrf": root.cookies["_xsrf"]}
            Text(root.post(address, data=sent, headers=HERE))
            Text(root.post(address, data=sent | {"build_id": "1"}, headers=HERE))
        given_back = nobody.post(address, data=form, headers=HERE)
    assert is_asked_again(address) or address.startswith("oauth2/") or "onerror" in Text(given_back).shown
