"""What people do to pages in a browser, unplanned: press twice, type on, write markup, have 2,000 environments."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime

import pytest
from playwright.sync_api import Page, Route, expect
from sqlalchemy import insert
from sqlalchemy.orm import Session

from conda_store_hub.core.protocol import Phase, ProgressEvent
from conda_store_hub.db.tables import Environment, Namespace
from tests.support import make
from tests.support.browser import chromium
from tests.support.service import RunningService, service
from tests.support.window import page
from tests.web.test_pages import EVIL, everything

__all__ = ["chromium", "page", "service"]

pytestmark = pytest.mark.browser

ML = "environment/alice/ml/"


def count(service: RunningService, what: str) -> int:
    with service.client("alice") as alice:
        return len(alice.get(f"api/v1/{what}/").raise_for_status().json()["data"])


def test_a_button_that_is_pressed_twice_does_it_once(service: RunningService, page: Page) -> None:
    service.completed("ml")
    page.goto(f"{service.url}{ML}")
    page.get_by_role("button", name="Rebuild", exact=True).dblclick()
    expect(page.get_by_role("heading", name="Build 2")).to_be_visible()
    assert count(service, "build") == 2

    page.goto(f"{service.url}user/")
    page.get_by_label("Label").fill("once")
    page.get_by_role("button", name="Make the token").dblclick()
    expect(page.locator("#token")).to_be_visible()
    assert count(service, "token") == 1

    page.goto(f"{service.url}create/")
    page.get_by_label("environment.yaml").fill(make.text("once"))
    page.get_by_role("button", name="Build it").dblclick()
    expect(page.get_by_role("heading", name="Build 3")).to_be_visible()
    assert count(service, "build") == 3

    page.goto(f"{service.url}environment/alice/once/delete/")
    page.get_by_role("button", name=re.compile("^Delete it")).dblclick()
    expect(page.get_by_role("button", name="Bring it back")).to_be_visible()


def test_a_form_that_was_not_answered_is_sent_again_by_who_comes_back(service: RunningService, page: Page) -> None:
    service.completed("ml")
    page.goto(f"{service.url}{ML}description/")
    page.get_by_label("Description").fill("first")
    page.get_by_role("button", name="Save").click()
    expect(page.locator("#facts")).to_contain_text("first")
    page.go_back()
    page.get_by_label("Description").fill("second")
    page.get_by_role("button", name="Save").click()
    expect(page.locator("main")).to_contain_text("second")


def test_what_is_typed_while_a_preview_is_on_its_way_stays(service: RunningService, page: Page) -> None:
    service.solve_at_once()
    held: list[Route] = []
    page.goto(f"{service.url}create/")
    text = page.get_by_label("environment.yaml")
    text.fill(make.text("typed"))
    page.route("**/create/", lambda route: held.append(route))
    with page.expect_request("**/create/"):
        page.get_by_role("button", name="Preview").click()
    text.press("Control+End")
    text.press_sequentially("  - scipy\n")
    with page.expect_response("**/create/"):
        held[0].continue_()
    expect(page.get_by_text("The form was changed since")).to_be_visible()
    expect(text).to_have_value(f"{make.text('typed')}  - scipy\n")
    expect(text).to_be_focused()


def test_markup_of_others_is_text_wherever_a_script_shows_it(service: RunningService, page: Page) -> None:
    everything(service)
    live = 3
    with service.client("root") as root:
        root.put("api/v1/setting/alice/", json={"forbidden_packages": ["scipy"]}).raise_for_status()
    # What comes while one looks.
    page.goto(f"{service.url}build/{live}/")
    service.log(live, EVIL, progress=ProgressEvent(phase=Phase.INSTALL, done=1, total=2, unit=EVIL))
    expect(page.locator("#log")).to_contain_text(EVIL)
    check_nothing_was_made_of_it(page)

    # What channels say of packages, and what was typed.
    row = {"id": 0, "name": "numpy", "channel": {"name": EVIL}, "version": EVIL, "versions": 1, "summary": EVIL}
    answer = {"status": "ok", "data": [row], "count": 1, "page": 1, "size": 20, "problems": []}
    page.route("**/api/v1/package/**", lambda route: route.fulfill(json=answer))
    page.goto(f"{service.url}create/")
    page.get_by_label("environment.yaml").fill(f"name: new\ndependencies:\n  - {json.dumps(EVIL)}\n")
    page.get_by_role("combobox", name="Add a package", exact=True).press_sequentially("num")
    expect(page.get_by_role("option", name=re.compile("^numpy"))).to_contain_text(EVIL)
    check_nothing_was_made_of_it(page)
    page.get_by_role("button", name="Build it").click()
    expect(page.get_by_role("alert")).to_be_visible()
    check_nothing_was_made_of_it(page)


def check_nothing_was_made_of_it(page: Page) -> None:
    expect(page.locator("main")).to_be_visible()
    expect(page.locator("img[src=x], main script, [onerror]")).to_have_count(0)


def test_home_with_2000_environments_is_searched_as_one_types(service: RunningService, page: Page) -> None:
    service.completed("ml")
    service.db.write_sync(make_many)
    page.goto(service.url)
    expect(page.get_by_role("main").get_by_role("status")).to_contain_text("2,001 environments")
    page.get_by_role("searchbox", name="Search").press_sequentially("number-1234")
    expect(page.get_by_role("main").get_by_role("status")).to_have_text("1 environment found")
    expect(page.locator("#environments li .entry-main > a")).to_have_text(["alice/number-1234"])
    page.get_by_role("searchbox").fill("package:python")
    expect(page.locator("#environments li .entry-main > a")).to_have_text(["alice/ml"])


def make_many(session: Session) -> None:
    namespace, now = session.query(Namespace).filter_by(name="alice").one(), datetime.now(UTC)
    names = [f"number-{number}" for number in range(2000)]
    same = {"namespace_id": namespace.id, "created_at": now, "updated_at": now}
    session.execute(insert(Environment), [{"name": name, "name_key": name, **same} for name in names])
