"""Markup in every row of the database, and in all that scripts ask for while one looks, as a browser shows it."""

from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.sync_api import Browser, Dialog, Page, Route, expect

from tests.support.browser import SECONDS, chromium
from tests.support.hostile import VIEWER, mark, spoil
from tests.support.service import RunningService, service
from tests.support.window import open_window
from tests.web.test_pages_hostile import list_pages

__all__ = ["chromium", "service"]

pytestmark = pytest.mark.browser


def check_nothing_was_made_of_it(page: Page) -> None:
    page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    expect(page.locator("[src=x], main script, [onerror]")).to_have_count(0)


def answer(data: Any) -> dict[str, Any]:
    return {"status": "ok", "data": data, "count": 1, "page": 1, "size": 20, "problems": [PROBLEM]}


PROBLEM = {"channel": mark("channel"), "message": mark("problem")}
GONE = {"name": mark("gone"), "version": mark("version"), "build": mark("build"), "channel": "", "subdir": ""}
DEPARTED = {"gone": [GONE], "changed": [], "unknown": [], "problems": [PROBLEM]}
FOUND = {
    "id": 0,
    "name": f"numpy{mark('name')}",
    "channel": {"name": mark("channel")},
    "version": mark("version"),
    "versions": 1,
    "summary": mark("summary"),
}


def test_markup_is_text_on_every_page_and_in_what_its_scripts_ask_for(
    service: RunningService, chromium: Browser
) -> None:
    spoilt = spoil(service)
    dialogs: list[str] = []
    with chromium.new_context() as context:
        context.set_default_timeout(SECONDS)
        page = open_window(context, VIEWER)

        def note(dialog: Dialog) -> None:
            dialogs.append(dialog.message)
            dialog.dismiss()

        page.on("dialog", note)
        page.route("**/departed/", lambda route: route.fulfill(json=answer(DEPARTED)))
        for path in list_pages(spoilt):
            if not path.startswith(("api/", "docs/")) and not path.endswith("/specification/"):
                page.goto(f"{service.url}{path}")
                check_nothing_was_made_of_it(page)

        page.goto(f"{service.url}build/{spoilt.completed}/")
        expect(page.locator("#thenavbar")).to_contain_text(VIEWER)
        expect(page.locator("#departed-names")).to_contain_text(mark("gone"))
        expect(page.locator("#departed-names")).to_contain_text(mark("problem"))
        check_nothing_was_made_of_it(page)
        _look_for_a_package(service, page)
    assert dialogs == []


def _look_for_a_package(service: RunningService, page: Page) -> None:
    """Have what is searched while one composes answered with markup: packages, and then versions of one."""

    def fulfill(route: Route) -> None:
        route.fulfill(json=answer([FOUND]))

    page.route("**/api/v1/package/**", fulfill)
    page.goto(f"{service.url}create/")
    page.get_by_role("combobox", name="Add a package", exact=True).press_sequentially("num")
    option = page.get_by_role("option", name=re.compile("^numpy"))
    for part in ("name", "version", "summary"):
        expect(option).to_contain_text(mark(part))
    check_nothing_was_made_of_it(page)
    option.click()
    check_nothing_was_made_of_it(page)
