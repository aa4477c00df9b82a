"""A preview in a real browser: one sees what is happening, and may leave, load the page again, and come back."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, Route, expect

from conda_store_hub.core.names import DataDirectory
from tests.support.process import until
from tests.support.service import RunningService, service
from tests.support.window import open_window
from tests.web.test_pages_create_live import TEXT, open_form
from tests.web.test_pages_live import chromium, page

__all__ = ["chromium", "page", "service"]

pytestmark = pytest.mark.browser

#: A builder that has solved what it is asked for as soon as a file is there; some things fit nowhere.
_WAITS = r"""
import os, pathlib, sys, time
asked = sys.stdin.read()
while not pathlib.Path(sys.argv[1]).exists():
    time.sleep(0.02)
package = '{"manager": "conda", "name": "python", "version": "3.11.7"}'
events = '{"type": "lock", "path": "/nowhere", "packages": [' + package + ']}\n{"type": "result"}\n'
if "fits-nowhere" in asked:
    events = '{"type": "error", "code": "unsatisfiable", "message": "Nothing fits.", "line": 6, "detail": "└─ why"}\n'
os.write(int(sys.argv[sys.argv.index("--events-fd") + 1]), events.encode())
"""


@pytest.fixture
def solved(service: RunningService, data: DataDirectory) -> Path:
    """A file: solves end as soon as it is there."""
    path = data.work / "solved"
    service.solve_by(_WAITS, str(path))
    return path


def preview(page: Page) -> None:
    page.get_by_role("button", name="Preview").click()


def title(page: Page) -> Locator:
    return page.get_by_role("heading", name="What would be installed")


def count_solves(service: RunningService) -> int:
    return len(service.solver._running)


@pytest.mark.parametrize("width", [1280, 360])
def test_what_is_happening_is_said_where_nothing_moves_by_it(
    service: RunningService, page: Page, solved: Path, width: int
) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    open_form(page, service)
    tops = "() => ['preview', 'create'].map((id) => document.getElementById(id).getBoundingClientRect().bottom)"
    page.get_by_role("button", name="Preview").scroll_into_view_if_needed()
    before = page.evaluate(tops)
    preview(page)
    expect(page.locator("#working-text")).to_have_text("Reading the channel and choosing packages.")
    expect(page.locator("#working-text")).to_have_role("status")
    expect(page.locator("#working-time")).to_have_text(re.compile(r"^\d+ s$"))
    expect(page.locator("#cancel")).to_be_visible()
    assert page.evaluate(tops) == before
    solved.touch()
    expect(title(page)).to_be_focused()
    expect(page.locator("#working")).to_be_hidden()


def test_a_preview_that_is_cancelled_ends_and_does_not_come_back(
    service: RunningService, page: Page, solved: Path
) -> None:
    open_form(page, service)
    preview(page)
    expect(page.locator("#working-text")).to_contain_text("Reading")
    page.get_by_role("button", name="Cancel").click()
    until(lambda: count_solves(service) == 0)
    expect(page.locator("#working")).to_be_hidden()
    expect(page.locator("#preview-help")).to_be_visible()
    page.reload()
    expect(page.locator("#draft")).to_contain_text("This is what you typed")
    expect(page.locator("#create")).not_to_have_attribute("aria-busy", "true")
    assert count_solves(service) == 0


def test_a_page_that_is_loaded_again_goes_on_with_its_preview(
    service: RunningService, page: Page, solved: Path
) -> None:
    text = open_form(page, service)
    preview(page)
    expect(page.locator("#working-text")).to_contain_text("Reading")
    (running,) = service.solver._running.values()
    page.reload()
    expect(page.locator("#working-text")).to_contain_text("Reading")
    assert list(service.solver._running.values()) == [running]
    solved.touch()
    expect(title(page)).to_be_visible()
    expect(title(page)).not_to_be_focused()

    # What has ended is there at once, and of another text there is none.
    solved.unlink()
    page.reload()
    expect(title(page)).to_be_visible()
    text.press("Control+End")
    text.press_sequentially("# more\n")
    expect(page.get_by_text("The form was changed since")).to_be_visible()
    page.reload()
    expect(text).to_have_value(f"{TEXT}# more\n")
    expect(page.locator("#create")).not_to_have_attribute("aria-busy", "true")
    expect(title(page)).to_have_count(0)
    text.fill(TEXT)
    page.reload()
    expect(title(page)).to_be_visible()
    assert count_solves(service) == 0


def test_why_nothing_fits_is_there_when_the_page_is_loaded_again(
    service: RunningService, page: Page, solved: Path
) -> None:
    open_form(page, service, TEXT.replace("python", "fits-nowhere"))
    solved.touch()
    preview(page)
    expect(page.get_by_role("alert")).to_contain_text("└─ why")
    solved.unlink()
    page.reload()
    expect(page.locator("#preview").get_by_role("alert")).to_contain_text("└─ why")
    expect(page.locator("#numbers .fault-line")).to_have_text("6")
    expect(page.get_by_label("environment.yaml")).not_to_be_focused()
    solved.touch()
    preview(page)
    expect(page.get_by_label("environment.yaml")).to_be_focused()


def test_a_preview_that_the_service_has_lost_is_begun_anew(
    service: RunningService, chromium: Browser, solved: Path
) -> None:
    page = open_window(chromium.new_context())  # the browser complains of a service that is away
    open_form(page, service)
    page.route("**/create/preview/**", lambda route: route.fulfill(status=503))
    preview(page)
    expect(page.locator("#working-text")).to_contain_text("The service does not answer")
    (lost,) = service.solver._running.values()
    for who, key in list(service.services.held._held):
        service.loop.call_soon_threadsafe(service.services.held.give_up, who, key)
    until(lambda: count_solves(service) == 0)
    page.unroute("**/create/preview/**")
    expect(page.locator("#working-text")).to_contain_text("Reading")
    assert lost not in service.solver._running.values()
    solved.touch()
    expect(title(page)).to_be_focused()
    page.context.close()


def test_who_comes_back_to_a_draft_finds_its_preview(service: RunningService, page: Page, solved: Path) -> None:
    service.completed("ml")
    solved.touch()
    page.goto(f"{service.url}create/?environment=alice/ml")
    page.get_by_label("environment.yaml").fill(TEXT.replace("seminar", "ml"))
    preview(page)
    changes = page.get_by_role("heading", name=re.compile("What changes from build"))
    expect(changes).to_be_visible()
    solved.unlink()
    page.goto(f"{service.url}environment/alice/ml/")
    page.get_by_role("link", name="Edit", exact=True).click()
    expect(page.locator("#draft")).to_contain_text("This is what you typed")
    expect(changes).to_be_visible()

    # So it is where another page goes on with what was left, and not once it is built.
    solved.touch()
    open_form(page, service, TEXT.replace("numpy", "pandas"))
    preview(page)
    expect(title(page)).to_be_visible()
    solved.unlink()
    page.goto(f"{service.url}create/?namespace=alice")
    expect(title(page)).to_have_count(0)
    page.get_by_role("button", name="Go on with it").click()
    expect(title(page)).to_be_visible()
    page.get_by_role("button", name="Build it").click()
    page.wait_for_url(re.compile("/build/[0-9]+/"))
    page.goto(f"{service.url}create/?environment=alice/seminar")
    expect(page.get_by_label("environment.yaml")).to_have_value(re.compile("pandas"))
    expect(page.locator("#numbers")).to_contain_text("1")
    expect(page.locator("#create")).not_to_have_attribute("aria-busy", "true")


def test_what_somebody_else_has_previewed_is_not_remembered(service: RunningService, page: Page, solved: Path) -> None:
    open_form(page, service)
    mark = "conda-store-hub-previewed:"
    page.evaluate(f"localStorage.setItem(`{mark}${{location.pathname}}:bob`, '{{}}')")
    solved.touch()
    preview(page)
    expect(title(page)).to_be_visible()
    page.reload()
    expect(title(page)).to_be_visible()
    kept: list[str] = page.evaluate(f"Object.keys(localStorage).filter((key) => key.startsWith('{mark}'))")
    assert [key.rpartition(":")[2] for key in kept] == ["alice"]


def test_a_preview_that_is_cancelled_before_its_first_answer_ends_too(
    service: RunningService, page: Page, solved: Path
) -> None:
    open_form(page, service)
    held: list[Route] = []
    page.route("**/create/", lambda route: held.append(route))
    preview(page)
    expect(page.locator("#cancel")).to_be_visible()
    page.get_by_role("button", name="Cancel").click()
    with page.expect_response(lambda answer: answer.request.method == "DELETE"):
        held[0].continue_()
    until(lambda: count_solves(service) == 0)
    expect(page.locator("#working-text")).to_be_empty()
    expect(page.locator("#working-time")).to_be_empty()


def test_another_preview_is_asked_for_once_the_one_before_has_ended(
    service: RunningService, page: Page, solved: Path
) -> None:
    text = open_form(page, service)
    preview(page)
    expect(page.locator("#working-text")).to_contain_text("Reading")
    seen: list[str] = []
    page.on("response", lambda answer: seen.append("ended") if answer.request.method == "DELETE" else None)
    page.on("request", lambda request: seen.append("asked") if request.method == "POST" else None)
    text.press("Control+End")
    text.press_sequentially("# of the same packages\n")
    with page.expect_request(lambda request: request.method == "POST"):
        preview(page)
    assert seen == ["ended", "asked"]
    expect(page.locator("#working-text")).to_contain_text("Reading")
    solved.touch()
    expect(title(page)).to_be_focused()


def test_a_preview_says_that_it_is_of_another_namespace(service: RunningService, page: Page, solved: Path) -> None:
    changed = page.get_by_text("was changed since")
    open_form(page, service)
    page.get_by_label("Namespace").select_option("alice")
    preview(page)
    expect(page.locator("#working-text")).to_contain_text("Reading")
    page.get_by_label("Namespace").select_option("group.physics")
    solved.touch()
    expect(title(page)).to_be_visible()
    expect(changed).to_be_visible()
    preview(page)
    expect(title(page)).to_be_focused()
    expect(changed).to_be_hidden()
    page.get_by_label("Namespace").select_option("alice")
    expect(changed).to_be_visible()


def test_a_preview_that_is_never_answered_does_not_hold_up_the_next(
    service: RunningService, page: Page, solved: Path
) -> None:
    text = open_form(page, service)
    held: list[Route] = []
    page.route("**/create/", lambda route: route.continue_() if held else held.append(route))
    preview(page)
    expect(page.locator("#cancel")).to_be_visible()
    text.press("Control+End")
    text.press_sequentially("  - pandas\n")
    solved.touch()
    preview(page)
    expect(title(page)).to_be_focused()
    held[0].abort()
