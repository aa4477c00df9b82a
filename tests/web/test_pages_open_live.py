"""Pages left open, in a real browser: what they ask for and when, and that who is in a part is not disturbed."""

from __future__ import annotations

import re
from collections.abc import Generator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, Page, Response, expect

from conda_store_hub.core.errors import SolveError
from conda_store_hub.core.protocol import ArtifactType, Phase, PhaseEvent
from tests.support import make
from tests.support.service import RunningService, service
from tests.support.window import open_window
from tests.web.test_pages import NAVIGATE
from tests.web.test_pages_live import chromium, page, say_departed

__all__ = ["chromium", "page", "service"]

pytestmark = pytest.mark.browser

ML = "environment/alice/ml/"
MINUTE = 60_000
MOVED = """() => {
  window.moved = 0;
  new PerformanceObserver((list) => {
    for (const one of list.getEntries()) {
      window.moved += one.value;
    }
  }).observe({ type: "layout-shift", buffered: true });
}"""


@contextmanager
def heard(page: Page) -> Generator[list[Response]]:
    """Collect what a page is answered."""
    answers: list[Response] = []

    def note(answer: Response) -> None:
        answers.append(answer)

    page.on("response", note)
    yield answers
    page.remove_listener("response", note)


def open_page(page: Page, address: str) -> None:
    """Open a page on a clock that only the test moves."""
    page.clock.install()
    page.goto(address)
    page.wait_for_load_state("networkidle")


def hide(page: Page, *, hidden: bool) -> None:
    """Have the page be as in a tab in the background, or in front again; a browser without windows has none."""
    page.evaluate(
        """(hidden) => {
          Object.defineProperty(document, "hidden", { configurable: true, get: () => hidden });
          document.dispatchEvent(new Event("visibilitychange"));
        }""",
        hidden,
    )


def over(service: RunningService) -> int:
    """Return a build that is over, with all of its files."""
    build = service.completed()
    for kind in (ArtifactType.YAML, ArtifactType.LOCKFILE, ArtifactType.CONDA_PACK):
        service.store(build, kind, b"x")
    service.finish(build)
    return build


@pytest.mark.parametrize("path", ["", ML, "build/1/"])
def test_an_idle_page_looks_seldom_and_is_told_that_nothing_changed(
    service: RunningService, page: Page, path: str
) -> None:
    over(service)
    say_departed(page, {})
    open_page(page, service.url + path)
    with heard(page) as answers:
        page.clock.run_for(MINUTE - 1000)
        assert [answer.url for answer in answers] == []
        for status in (200, 304, 304):
            with page.expect_response(service.url + path) as answer:
                page.clock.run_for(MINUTE)
            assert answer.value.status == status
            page.wait_for_load_state("networkidle")
    assert len(answers) == 3, [answer.url for answer in answers]


@pytest.mark.parametrize(("path", "part"), [("", "#environments"), (ML, "#environment")])
def test_a_page_that_was_idle_shows_what_happened_while_the_service_was_away(
    service: RunningService, page: Page, path: str, part: str
) -> None:
    over(service)
    open_page(page, service.url + path)
    page.route(service.url + path, lambda route: route.fulfill(status=499))
    for _ in range(2):
        with page.expect_response(service.url + path):
            page.clock.run_for(MINUTE)
    service.submit()
    page.unroute_all()
    with page.expect_response(service.url + path):
        page.clock.run_for(MINUTE)
    expect(page.locator(part)).to_contain_text("queued")
    service.claim(2)
    with page.expect_response(service.url + path):
        page.clock.run_for(MINUTE // 10)
    expect(page.locator(part)).to_contain_text("building")


def refuse(page: Page, address: str, status: int) -> None:
    page.route(address, lambda route: route.fulfill(status=status))


def test_what_had_no_place_on_a_page_at_first_comes_when_there_is_some(service: RunningService, page: Page) -> None:
    """The search, the charts, and the second half of the administrators' page were as the page was loaded."""
    open_page(page, service.url)
    search, charts = page.get_by_role("search"), page.locator("#history figure")
    expect(search).to_be_hidden()
    build = service.submit()
    page.clock.run_for(MINUTE)
    expect(search).to_be_visible()
    page.get_by_role("searchbox").press_sequentially("nothing like it")
    page.clock.run_for(1000)
    expect(page.locator("#environments")).to_contain_text("No environment has")
    expect(search).to_be_visible()
    page.goto(f"{service.url}{ML}")
    page.wait_for_load_state("networkidle")
    expect(charts).to_have_count(0)
    service.claim(build)
    service.use(build, "numpy=2.1")
    service.completed()
    page.clock.run_for(MINUTE)
    expect(charts.first).to_be_visible()


def test_all_of_the_administrators_page_is_brought_up_to_date(service: RunningService, chromium: Browser) -> None:
    with chromium.new_context() as context:
        page = open_window(context, "root")
        open_page(page, f"{service.url}admin/")
        expect(page.locator("#lately")).to_contain_text("None in the last 24 hours.")
        expect(page.locator("#failed")).to_contain_text("None failed")
        service.completed()
        build = service.submit("broken")
        service.claim(build)
        service.finish(build, SolveError("no"))
        expect(page.locator("#site-banner")).to_be_hidden()
        with service.browser("root") as root:
            form = {"_xsrf": root.cookies["_xsrf"], "message": "Closed on Monday", "level": "info"}
            root.post("admin/banner/", data=form, headers=NAVIGATE).raise_for_status()
        page.clock.run_for(MINUTE)
        expect(page.locator("#lately svg")).to_be_visible()
        expect(page.locator("#failed")).to_contain_text("Builds in seven days")
        expect(page.locator("#sizes")).to_contain_text("alice/ml")
        expect(page.locator("#site-banner")).to_have_text("Closed on Monday")


@pytest.mark.parametrize("path", ["", ML, "build/1/"])
def test_a_page_that_is_no_longer_brought_up_to_date_says_so(service: RunningService, page: Page, path: str) -> None:
    over(service)
    say_departed(page, {})
    open_page(page, service.url + path)
    page.evaluate(MOVED)
    line = page.locator("#stale")
    for status, words in ((401, "You are logged out"), (404, "not there any more"), (499, "does not answer")):
        refuse(page, service.url + path, status)
        with page.expect_response(service.url + path):
            page.clock.run_for(MINUTE)
        expect(line).to_contain_text(words)
        expect(line.get_by_role("link", name="Log in")).to_have_count(int(status == 401))
        page.unroute(service.url + path)
    with page.expect_response(service.url + path):
        page.clock.run_for(MINUTE)
    expect(line).to_have_text("")
    assert page.evaluate("() => moved") < 0.05


def test_a_search_that_fails_is_said_until_another_succeeds(service: RunningService, page: Page) -> None:
    build = over(service)
    say_departed(page, {})
    open_page(page, service.url)
    page.clock.run_for(MINUTE)
    refuse(page, "**/?search=*", 499)
    page.get_by_role("searchbox").fill("x")
    page.clock.run_for(1000)
    expect(page.locator("#found")).to_contain_text("could not be searched")
    page.get_by_role("searchbox").fill("")
    page.clock.run_for(1000)  # the same as before, which comes without a body
    expect(page.locator("#found")).to_have_text("1 environment")
    page.goto(f"{service.url}build/{build}/")
    refuse(page, "**/packages/?search=nu", 499)
    page.get_by_role("searchbox").fill("nu")
    page.clock.run_for(1000)
    expect(page.locator("#package-list")).to_contain_text("could not be searched: press Enter")
    page.unroute("**/packages/?search=nu")
    page.route("**/packages/?search=nu", lambda route: route.fulfill(status=499, body="why"))
    page.get_by_role("searchbox").press("Enter")
    page.wait_for_url("**/packages/?search=nu")


def test_a_log_that_grows_long_leaves_out_its_beginning(service: RunningService, page: Page) -> None:
    build = service.submit()
    service.claim(build)
    page.goto(f"{service.url}build/{build}/")
    expect(page.locator("#log-note")).to_have_text("live")
    expect(page.locator("#left-out")).to_be_hidden()
    for number in range(11):
        service.log(build, "".join(f"{number} {'x' * 95}\n" for _ in range(1000)))
    service.log(build, "the end\n")
    expect(page.locator("#log")).to_contain_text("the end")
    expect(page.locator("#left-out")).to_contain_text("is left out here")
    shown = page.locator("#log").text_content() or ""
    assert 700_000 < len(shown) < 1_000_000
    assert shown.startswith(f"3 {'x' * 95}\n")
    below = "(log) => log.scrollHeight - log.scrollTop - log.clientHeight"
    assert page.locator("#log").evaluate(below) < 40


def test_a_page_whose_environment_is_another_by_now_goes_on_to_that(service: RunningService, page: Page) -> None:
    over(service)
    open_page(page, service.url + ML)
    now = ML.replace("ml", "renamed")
    with service.client("alice") as alice:
        alice.put(f"api/v1/{ML}rename/", json={"name": "renamed"}).raise_for_status()
        page.clock.run_for(MINUTE)
        page.wait_for_url(service.url + now)
        expect(page.get_by_role("heading", level=1)).to_contain_text("renamed")
        alice.delete(f"api/v1/{now}").raise_for_status()
    page.wait_for_load_state("networkidle")
    page.clock.run_for(MINUTE)
    expect(page.locator("#environment")).to_have_count(0)
    expect(page.get_by_role("heading", level=1)).to_contain_text("renamed")


def test_what_somebody_unfolded_stays_so(service: RunningService, page: Page) -> None:
    for _ in range(3):
        over(service)
    open_page(page, service.url + ML)
    table = page.locator("#history details")
    table.locator("summary").click(timeout=5000)
    table.locator("summary").blur()
    over(service)
    with page.expect_response(service.url + ML):
        page.clock.run_for(MINUTE)
    expect(page.locator("#history")).to_contain_text("last 4 completed builds")
    expect(table).to_have_attribute("open", "")


def test_a_file_that_is_asked_for_is_there_without_a_click_more(service: RunningService, page: Page) -> None:
    build = over(service)
    page.goto(f"{service.url}build/{build}/")
    page.get_by_role("button", name="Make it (Explicit list)").click()
    expect(page.locator("#artifacts")).to_contain_text("It is being made.")
    service.claim(build)
    expect(page.locator("#log-note")).to_have_text("live", timeout=20_000)
    service.log(build, "Writing the list\n")
    service.store(build, ArtifactType.EXPLICIT, b"x" * 2000)
    service.finish(build)
    expect(page.get_by_role("link", name="Explicit list", exact=True)).to_be_visible()
    expect(page.locator("#log")).to_contain_text("Writing the list")


def test_a_hidden_page_asks_for_nothing_and_catches_up_when_it_is_seen(service: RunningService, page: Page) -> None:
    build = service.submit()
    service.claim(build)
    service.log(build, "one ☃\n")
    page.goto(f"{service.url}build/{build}/")
    expect(page.locator("#log-note")).to_have_text("live")
    left = "() => performance.getEntriesByType('resource').filter(({ name }) => name.includes('logs')).length"
    hide(page, hidden=True)
    page.wait_for_function(f"({left})() === 1")  # the browser notes a request when it has ended: the line is free
    with heard(page) as answers:
        service.log(build, "two\n")
        service.use(build, "numpy=2.1")
        page.evaluate("new Promise((done) => setTimeout(done, 500))")
        assert [answer.url for answer in answers] == []
        with page.expect_request(lambda request: "/logs/" in request.url) as asked:
            hide(page, hidden=False)
        assert f"offset={len('one ☃'.encode()) + 1}" in asked.value.url
    expect(page.locator("#log")).to_have_text("one ☃\ntwo\n")
    expect(page.locator("#state")).to_contain_text("completed")
    expect(page.locator("#packages")).to_contain_text("numpy")


def test_who_is_in_a_part_keeps_the_focus_and_what_is_selected_until_they_leave(
    service: RunningService, page: Page
) -> None:
    build = over(service)
    open_page(page, service.url + ML)
    service.submit()
    link = page.get_by_role("link", name=f"Build {build}", exact=True)
    link.focus()
    with page.expect_response(service.url + ML):
        page.clock.run_for(MINUTE)
    expect(page.locator("#actions")).to_be_visible()
    expect(link).to_be_focused()
    expect(page.locator("#environment")).not_to_contain_text("queued")
    link.blur()
    page.clock.run_for(10)
    expect(page.locator("#environment")).to_contain_text("queued")
    page.evaluate("() => getSelection().selectAllChildren(document.querySelector('#environment pre'))")
    service.claim(2)
    with page.expect_response(service.url + ML):
        page.clock.run_for(MINUTE)
    expect(page.locator("#environment")).not_to_contain_text("building")
    page.evaluate("() => getSelection().removeAllRanges()")
    expect(page.locator("#environment")).to_contain_text("building")


@pytest.mark.parametrize("width", [360, 1280])
def test_nothing_moves_while_one_writes_and_when_the_preview_comes(
    service: RunningService, page: Page, width: int
) -> None:
    service.solve_at_once()
    page.set_viewport_size({"width": width, "height": 900})
    page.goto(f"{service.url}create/")
    page.evaluate(MOVED)
    page.get_by_label("environment.yaml").fill(make.text("moving"))
    page.get_by_role("button", name="Preview").click()
    expect(page.locator("#preview")).to_contain_text("1 package")
    assert page.evaluate("() => moved") < 0.05
    page.reload()  # with a draft now
    page.evaluate(MOVED)
    expect(page.locator("#draft")).to_contain_text("did not build")
    page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    assert page.evaluate("() => moved") < 0.05


@pytest.mark.parametrize("width", [360, 1280])
def test_nothing_moves_while_a_build_goes_on_and_when_it_is_told_what_left_its_channels(
    service: RunningService, page: Page, width: int
) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    service.submit("other")
    build = service.submit()
    page.goto(f"{service.url}build/{build}/")
    expect(page.locator("#log-note")).to_have_text("live")
    page.evaluate(MOVED)
    service.claim(1)
    service.claim(build)
    expect(page.locator("#state")).to_contain_text("building")
    service.log(build, "Installing\n")
    expect(page.locator("#log")).to_contain_text("Installing")
    asked_for_later = (Phase.PIP, Phase.EXPLICIT, Phase.PIXI_LOCK, Phase.SBOM, Phase.IMAGE)
    taken = [phase for phase in Phase if phase not in asked_for_later]
    service.log(build, "", phases=tuple(PhaseEvent(name=phase, state="started") for phase in taken))
    service.use(build, "numpy=2.1")
    expect(page.locator("#state")).to_contain_text("completed")
    service.store(build, ArtifactType.LOCKFILE, b"x" * 1000)
    service.log(build, "", phases=tuple(PhaseEvent(name=one, state="finished", seconds=1) for one in taken))
    service.finish(build)
    expect(page.locator("#log-note")).to_have_text("")
    expect(page.locator("#artifacts")).to_contain_text("1.0 kB")
    assert page.evaluate("() => moved") < 0.05
    say_departed(page, {"gone": [f"package-{number}" for number in range(30)]})
    page.goto(f"{service.url}build/{build}/")
    page.evaluate(MOVED)
    expect(page.locator("#departed-text")).to_contain_text("30 packages")
    page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    assert page.evaluate("() => moved") < 0.01


def test_times_in_the_filter_of_the_audit_trail_are_the_readers(service: RunningService, page: Page) -> None:
    page.context.add_cookies([{"name": "fake-user", "value": "root", "domain": "127.0.0.1", "path": "/"}])
    page.goto(f"{service.url}admin/audit/?since=2026-05-01T12:00")
    since, until = page.get_by_label("From"), page.get_by_label("Before")
    expect(since).to_have_value("2026-05-01T21:00")  # in Tokyo
    until.fill("2026-05-02T00:00")
    page.get_by_role("button", name="Filter").click()
    page.wait_for_url(re.compile("until=2026-05-01T15"))
    expect(since).to_have_value("2026-05-01T21:00")
    expect(until).to_have_value("2026-05-02T00:00")
