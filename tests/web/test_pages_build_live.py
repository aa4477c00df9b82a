"""What is live on the page of a build: its steps, its downloads, its packages as one types, and how it comes back."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, Route, expect

from conda_store_hub.core.protocol import Download, Phase, PhaseEvent, ProgressEvent
from conda_store_hub.core.reasons import Wanted
from conda_store_hub.services import work
from tests.support import make
from tests.support.browser import chromium
from tests.support.service import RunningService, service
from tests.support.window import page

__all__ = ["chromium", "page", "service"]

pytestmark = pytest.mark.browser


def test_steps_and_downloads_move_while_one_looks(service: RunningService, page: Page) -> None:
    build = service.submit()
    page.goto(f"{service.url}build/{build}/")
    expect(page.locator("#steps .step-waiting").first).to_contain_text("Choose packages")
    service.claim(build)
    coming = (Download(name="numpy", done=250, total=1000), Download(name="<b>six</b>", done=1, total=0))
    progress = ProgressEvent(phase=Phase.INSTALL, done=1, total=4, unit="packages", downloads=coming)
    begun = (PhaseEvent(name=Phase.SOLVE, state="started"), PhaseEvent(name=Phase.SOLVE, state="finished", seconds=2))
    service.log(build, "x\n", phases=(*begun, PhaseEvent(name=Phase.INSTALL, state="started")), progress=progress)
    expect(page.locator("#steps .step-done")).to_contain_text("2.0 s")
    expect(page.locator("#steps .step-running")).to_contain_text("Install packages")
    expect(page.get_by_label("numpy")).to_have_js_property("position", 0.25)
    expect(page.get_by_label("<b>six</b>")).to_have_js_property("position", -1)  # nobody knows how far
    service.log(build, "y\n", progress=progress.model_copy(update={"done": 4, "downloads": ()}))
    expect(page.get_by_label("numpy")).to_have_count(0)
    service.use(build)
    service.finish(build)
    expect(page.locator("#progress")).to_be_hidden()


def test_packages_are_searched_as_one_types_and_the_search_stays(service: RunningService, page: Page) -> None:
    build = service.submit()
    service.claim(build)
    service.use(build, "numpy=2.1", "flask=3.0")
    page.goto(f"{service.url}build/{build}/")
    field, shown = page.get_by_role("searchbox", name="Search packages"), page.locator("#package-list")
    field.press_sequentially("num")
    expect(shown).to_contain_text("1 package has “num” in the name.")
    field.blur()
    service.log(build, "z\n", phases=(PhaseEvent(name=Phase.YAML, state="started"),))
    expect(page.locator("#steps .step-running")).to_contain_text("Write the pinned YAML")
    expect(shown).to_contain_text("1 package has “num” in the name.")
    expect(field).to_have_value("num")
    field.fill("")
    expect(shown).to_contain_text("2 packages.")
    field.fill("<b>")
    field.press("Enter")
    expect(shown).to_contain_text("0 packages have “<b>” in the name.")
    assert page.url == f"{service.url}build/{build}/"


@pytest.mark.parametrize("width", [360, 600, 1280])
def test_names_of_packages_are_not_broken(service: RunningService, page: Page, width: int) -> None:
    build = service.submit()
    service.claim(build)
    names = ("ca-certificates", "ipykernel", "typing_extensions")
    made = make.usable(*(f"{name}=2026.10.21" for name in names), channel="https://conda.example.org/conda-forge")
    service.db.write_sync(work.mark_usable, service.tickets[build], made, wanted=Wanted())
    page.set_viewport_size({"width": width, "height": 740})
    page.goto(f"{service.url}build/{build}/packages/")
    expect(page.get_by_role("rowheader")).to_have_text(names)
    lines = """(nodes) => nodes.map((node) => {
      const range = document.createRange();
      range.selectNodeContents(node);
      return range.getClientRects().length;
    })"""
    assert page.get_by_role("rowheader").evaluate_all(lines) == [1, 1, 1]


def test_a_page_goes_on_where_it_was_after_the_service_was_away(service: RunningService, page: Page) -> None:
    build = service.submit()
    service.claim(build)
    service.log(build, "before ☃\n")

    def be_away(route: Route) -> None:
        route.fulfill(status=499)

    page.route("**/logs/**", be_away)
    page.goto(f"{service.url}build/{build}/")
    expect(page.locator("#log-note")).to_have_text("interrupted, trying again")
    page.route(f"**/build/{build}/", be_away)
    expect(page.locator("#log-note")).to_have_text("the service does not answer, trying again")
    service.log(build, "meanwhile\n", phases=(PhaseEvent(name=Phase.INSTALL, state="started"),))
    page.unroute_all()
    expect(page.locator("#log-note")).to_have_text("live", timeout=30_000)
    expect(page.locator("#log")).to_have_text("before ☃\nmeanwhile\n")
    expect(page.locator("#steps .step-running")).to_contain_text("Install packages")
    service.log(build, "after\n")
    expect(page.locator("#log")).to_have_text("before ☃\nmeanwhile\nafter\n")
