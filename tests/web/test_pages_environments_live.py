"""Home and environment in a real browser: found while one types, used with the keyboard, readable in every shape."""

from __future__ import annotations

import re
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from conda_store_hub.core.errors import SolveError
from tests.support.browser import chromium
from tests.support.service import RunningService, service
from tests.support.window import open_window, page

__all__ = ["chromium", "page", "service"]

pytestmark = pytest.mark.browser

ML = "environment/alice/ml/"


def fill(service: RunningService) -> None:
    """Make an environment with a history, one in which the last build failed, and one that was deleted."""
    for packages in (("numpy=1.26",), ("numpy=2.1",), ("numpy=2.1", "pandas=2.0")):
        build = service.submit(yaml="name: ml\ndescription: For the lecture\ndependencies:\n  - python # why\n")
        service.claim(build)
        service.use(build, *packages)
    failed = service.submit()
    service.claim(failed)
    service.finish(failed, SolveError("Nothing provides nosuch."))
    service.completed("ocean", namespace="group.physics")
    service.completed("gone")
    with service.client("alice") as alice:
        assert alice.delete("api/v1/build/1/").status_code == 200
        assert alice.delete("api/v1/environment/alice/gone/").status_code == 200


def query_of(page: Page) -> dict[str, list[str]]:
    return parse_qs(urlsplit(page.url).query)


def test_what_is_typed_is_found_at_once_and_stands_in_the_address(service: RunningService, page: Page) -> None:
    fill(service)
    page.goto(service.url)
    links = page.locator("#environments li .entry-main > a")
    expect(links).to_have_text(["alice/ml", "group.physics/ocean"])
    page.get_by_role("searchbox", name="Search").press_sequentially("oce")
    expect(links).to_have_text(["group.physics/ocean"])
    expect(page.get_by_role("main").get_by_role("status")).to_have_text("1 environment found")
    expect(page.get_by_role("searchbox")).to_be_focused()
    assert query_of(page) == {"search": ["oce"]}
    page.reload()
    expect(links).to_have_text(["group.physics/ocean"])
    page.get_by_role("searchbox").fill("package:numpy>=")
    expect(page.get_by_role("main").get_by_text("Write a name, with versions or without")).to_have_count(1)
    expect(page.get_by_role("main").get_by_role("status")).to_have_class("text-danger-emphasis")
    page.get_by_role("searchbox").fill("package:numpy>=2")
    expect(links).to_have_text(["alice/ml"])
    expect(page.get_by_role("main").get_by_role("status")).to_have_class("")
    page.get_by_role("searchbox").fill("")
    page.get_by_label("Namespace").select_option("alice")
    expect(links).to_have_text(["alice/ml"])
    page.get_by_label("Latest build").select_option("completed")
    expect(page.locator("#environments")).to_contain_text("No environment has what you search for")
    assert query_of(page) == {"namespace": ["alice"], "status": ["COMPLETED"]}


def test_an_answer_that_comes_late_does_not_hide_a_newer_one(service: RunningService, page: Page) -> None:
    fill(service)
    page.goto(service.url)
    late: list[Route] = []
    page.route(re.compile(r"\?search=oce$"), lambda route: late.append(route))
    links = page.locator("#environments li .entry-main > a")
    with page.expect_request(re.compile(r"\?search=oce$")):
        page.get_by_role("searchbox").fill("oce")
    page.get_by_role("searchbox").fill("ml")
    expect(links).to_have_text(["alice/ml"])
    with page.expect_response(re.compile(r"\?search=oce$")):
        late[0].continue_()
    page.evaluate("new Promise(requestAnimationFrame)")
    expect(links).to_have_text(["alice/ml"])


def test_a_session_that_has_ended_is_said_to_who_searches(service: RunningService, page: Page) -> None:
    fill(service)
    page.goto(service.url)
    page.context.clear_cookies()
    page.get_by_role("searchbox").fill("ml")
    expect(page.get_by_role("main").get_by_role("status")).to_contain_text("load the page again")
    expect(page.locator("#environments")).to_contain_text("alice/ml")


def test_an_environment_is_used_with_the_keyboard_alone(service: RunningService, page: Page) -> None:
    fill(service)
    page.goto(service.url)

    def go(name: str, role: str = "link") -> None:
        """Go on with Tab until what has this name has the focus, and press it."""
        wanted = page.get_by_role(role, name=name, exact=True).first  # type: ignore[arg-type]
        wanted.wait_for()
        for _ in range(80):
            page.keyboard.press("Tab")
            if wanted.evaluate("element => element === document.activeElement"):
                break
        expect(wanted).to_be_focused()
        page.keyboard.press("Enter")

    go("alice/ml")
    go("Activate build 2", "button")
    expect(page.locator("#active")).to_have_text("Active: build 2")
    go("What changed in build 3")
    expect(page.get_by_role("heading", level=1)).to_have_text("What changed in build 3")
    go("alice/ml")
    go("Delete")
    expect(page.get_by_role("heading", level=1)).to_have_text("Delete alice/ml?")
    go("Delete it", "button")
    go("Bring it back", "button")
    expect(page.locator("#active")).to_have_text("Active: build 2")


def test_all_of_it_works_without_javascript(service: RunningService, chromium: Browser) -> None:
    fill(service)
    with chromium.new_context(java_script_enabled=False) as context:
        page = open_window(context)
        page.goto(service.url)
        page.get_by_role("searchbox").fill("ml")
        page.get_by_role("button", name="Search").click()
        expect(page.get_by_role("main").get_by_role("status")).to_have_text("1 environment found")
        page.get_by_role("link", name="alice/ml", exact=True).click()
        page.get_by_role("button", name="Pin build 2").click()
        expect(page.locator("#environment")).to_contain_text("pinned")
        page.get_by_role("link", name="Rename").click()
        page.get_by_label("New name").fill("better")
        page.get_by_role("button", name="Rename").click()
        page.get_by_role("link", name="Edit the description").click()
        page.get_by_label("Description").fill("two\nlines")
        page.get_by_role("button", name="Save").click()
        expect(page.locator("#facts")).to_contain_text("two")
        page.get_by_role("link", name="Delete build 2").wait_for(state="detached")
        page.get_by_role("link", name="Delete", exact=True).click()
        page.get_by_role("button", name="Delete it").click()
        page.get_by_role("button", name="Bring it back").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("alice/better")


def test_a_list_that_changes_moves_nothing_but_itself(service: RunningService, page: Page) -> None:
    fill(service)
    page.goto(f"{service.url}{ML}")
    page.wait_for_load_state("networkidle")
    moved = page.evaluate(
        """() => new Promise(resolve => {
          let sum = 0;
          new PerformanceObserver(list => { for (const one of list.getEntries()) sum += one.value; })
            .observe({ type: 'layout-shift', buffered: true });
          requestAnimationFrame(() => requestAnimationFrame(() => resolve(sum)));
        })"""
    )
    assert moved < 0.05
