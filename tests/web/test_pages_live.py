"""The pages in a real browser: what is live in them, that nothing is refused by our own policy, and that they are
readable on a telephone."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from conda_store_hub.core.protocol import ArtifactType, Phase, PhaseEvent, ProgressEvent
from tests.support import make
from tests.support.browser import chromium
from tests.support.service import RunningService, service
from tests.support.window import open_window, page

__all__ = ["chromium", "page", "service"]

pytestmark = pytest.mark.browser

DEPARTED = ("gone", "changed", "unknown")


def test_a_build_is_followed_to_its_end(service: RunningService, page: Page) -> None:
    build = service.submit()
    say_departed(page, {"gone": ["numpy"]})
    page.goto(f"{service.url}build/{build}/")
    expect(page.locator("#log-note")).to_have_text("live")
    expect(page.locator("#state")).to_contain_text("queued")
    expect(page.locator("#departed-text")).to_have_text("")
    service.claim(build)
    expect(page.locator("#state")).to_contain_text("building")
    progress = ProgressEvent(phase=Phase.INSTALL, done=3, total=4, unit="packages")
    service.log(build, "Installing ☃\n<b>bold</b>\n", progress=progress)
    expect(page.locator("#log")).to_have_text("Installing ☃\n<b>bold</b>\n")
    expect(page.locator("#progress-text")).to_have_text("Install packages: 3 of 4 packages")
    expect(page.locator("#progress-bar")).to_have_js_property("value", 3)
    service.use(build, "numpy=2.1")
    expect(page.locator("#state")).to_contain_text("completed")
    expect(page.locator("#packages")).to_contain_text("numpy")
    expect(page.locator("#departed-text")).to_contain_text("1 package is no longer in their channels")
    expect(page.locator("#artifacts")).to_contain_text("It is being made.")
    service.store(build, ArtifactType.LOCKFILE, b"x" * 1000)
    service.log(build, "Packing\n", phases=(PhaseEvent(name=Phase.ARCHIVE, state="finished", seconds=1),))
    service.finish(build)
    expect(page.locator("#artifacts")).to_contain_text(re.compile(r"Lockfile\s+1\.0 kB"))
    expect(page.locator("#log")).to_have_text("Installing ☃\n<b>bold</b>\nPacking\n")
    expect(page.locator("#log-note")).to_have_text("")
    expect(page.locator("#progress")).to_be_hidden()


def say_departed(page: Page, answer: dict[str, Any] | None) -> None:
    """Have the service answer this, or fail, when a page asks what has left its channel."""
    package = {"version": "1.0", "build": "0", "channel": "https://channels.example/main", "subdir": "noarch"}
    lists = {how: [{"name": name, **package} for name in (answer or {}).get(how, ())] for how in DEPARTED}
    data = {**lists, "problems": (answer or {}).get("problems", [])}
    status = 200 if answer is not None else 404
    page.unroute_all()
    page.route("**/departed/", lambda route: route.fulfill(status=status, json={"status": "ok", "data": data}))


def test_what_has_left_its_channel_is_warned_of_and_what_is_not_known_is_said(
    service: RunningService, page: Page
) -> None:
    build = service.completed()
    service.finish(build)
    said, more = page.get_by_role("status").and_(page.locator("#departed-text")), page.locator("#departed-more")

    def look(answer: dict[str, Any] | None) -> None:
        say_departed(page, answer)
        with page.expect_response("**/departed/"):
            page.goto(f"{service.url}build/{build}/")

    look({"gone": ["numpy"], "changed": ["<b>six</b>"]})
    expect(said).to_have_text(re.compile("^2 packages are no longer in their channels as they were"))
    more.locator("summary").click()
    expect(more.get_by_role("listitem")).to_have_text(["numpy 1.0 0", "<b>six</b> 1.0 0"])
    silent = {"channel": "https://channels.example/main", "message": "It did not answer in time."}
    look({"unknown": ["numpy", "six"], "problems": [silent]})
    expect(said).to_have_text("Whether 2 packages are still in their channels could not be found out.")
    more.locator("summary").click()
    expect(more.get_by_role("listitem")).to_have_text("https://channels.example/main: It did not answer in time.")
    look(None)
    expect(said).to_contain_text("could not be found out")
    expect(more).to_be_hidden()
    look({})
    expect(said).to_have_text("All of its packages are still in their channels.")
    expect(more).to_be_hidden()


def test_what_was_typed_while_the_session_ended_is_sent_after_the_next_login(
    service: RunningService, page: Page
) -> None:
    page.goto(f"{service.url}create/")
    page.context.clear_cookies(path=re.compile("^/services/"))
    page.get_by_label("environment.yaml").fill(make.text("kept"))
    page.get_by_role("button", name="Build it").click()
    expect(page.get_by_role("alert")).to_contain_text("Nothing is lost")
    with page.context.expect_page() as other:
        page.evaluate("address => window.open(address)", service.url)
    expect(other.value.get_by_role("heading", name="Environments")).to_be_visible()
    page.get_by_role("button", name="Build it").click()
    expect(page.get_by_role("heading", name="Build 1")).to_be_visible()


def test_home_and_environment_bring_themselves_up_to_date(service: RunningService, page: Page) -> None:
    build = service.submit()
    page.goto(service.url)
    expect(page.locator("#environments")).to_contain_text("queued")
    service.claim(build)
    service.use(build)
    expect(page.locator("#environments")).to_contain_text("completed", timeout=20_000)
    again = service.submit()
    page.goto(f"{service.url}environment/alice/ml/")
    service.claim(again)
    service.use(again)
    expect(page.locator("#active")).to_have_text(f"Active: build {again}", timeout=20_000)


def test_times_are_the_readers(service: RunningService, page: Page) -> None:
    service.submit()
    page.goto(service.url)
    utc, shown = page.locator("time").first.evaluate("element => [element.dateTime, element.textContent]")
    hour = (int(utc[11:13]) + 9) % 24
    expect(page.locator("time").first).to_have_text(re.compile(rf"\b{hour:02}:\d\d$"))
    assert "UTC" not in shown


def test_the_form_builds_and_puts_the_cursor_where_the_fault_is(
    service: RunningService, page: Page, tmp_path: Path
) -> None:
    page.goto(f"{service.url}create/")
    page.fill("#specification", "name: new\ndependencies:\n  - python ==== 3\n")
    page.click("text=Build it")
    expect(page.locator("#error")).to_contain_text("line 3, column 5")
    caret = "const text = document.activeElement; return [text.id, text.selectionStart]"
    assert page.evaluate(f"(() => {{{caret}}})()") == ["specification", len("name: new\ndependencies:\n  - ")]
    file = tmp_path / "environment.yaml"
    file.write_text("name: new\ndependencies:\n  - python\n")
    page.set_input_files("#file", file)
    expect(page.locator("#specification")).to_have_value(file.read_text())
    page.click("text=Build it")
    page.wait_for_url("**/build/1/")


def test_an_older_build_is_activated_and_a_queued_one_cancelled(service: RunningService, page: Page) -> None:
    first, _ = service.completed(), service.completed()
    page.goto(f"{service.url}environment/alice/ml/")
    page.click("text=Activate")
    expect(page.locator("#active")).to_have_text(f"Active: build {first}")
    queued = service.submit()
    page.goto(f"{service.url}build/{queued}/")
    page.click("text=Cancel")
    expect(page.locator("#state")).to_contain_text("cancelled")


def test_a_token_is_made_copied_and_revoked_with_the_keyboard(service: RunningService, page: Page) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.goto(f"{service.url}user/")
    page.get_by_label("Label").fill("backup")
    page.keyboard.press("Tab")
    expect(page.get_by_role("checkbox", name="alice admin")).to_be_focused()
    page.keyboard.press("Space")
    for name in ("checkbox", "combobox", "combobox", "button"):
        page.keyboard.press("Tab")
        expect(page.locator(":focus")).to_have_role(name)
    page.keyboard.press("Enter")
    token = page.locator("#token").inner_text()
    expect(page.locator("#made")).to_contain_text("viewer on alice")
    expect(page.get_by_role("button", name="Copy the token")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("main").get_by_role("status")).to_have_text("Copied.")
    assert page.evaluate("navigator.clipboard.readText()") == token
    # Where the page is not https, there is no clipboard: the selection is copied.
    page.evaluate("navigator.clipboard.writeText('something else')")
    page.evaluate("() => { navigator.clipboard.writeText = () => Promise.reject(new Error('refused')); }")
    page.locator("#copied").evaluate("element => { element.textContent = ''; }")
    page.get_by_role("button", name="Copy the token").click()
    expect(page.get_by_role("main").get_by_role("status")).to_have_text("Copied.")
    assert page.evaluate("navigator.clipboard.readText()") == token
    page.get_by_role("button", name="Copy these lines").click()
    expect(page.get_by_role("main").get_by_role("status")).to_have_text("Copied.")
    page.wait_for_function("document.getSelection().toString().includes('export')")
    page.goto(f"{service.url}user/")
    assert token not in page.content()
    page.get_by_role("link", name=f"Revoke backup, …{token[-4:]}").click()
    expect(page.locator("main")).to_contain_text("It was never used.")
    page.get_by_role("button", name="Revoke it").click()
    expect(page.locator("main")).to_contain_text("You have none.")
    assert page.url == f"{service.url}user/#tokens"


def test_without_javascript_all_can_be_read_and_done(service: RunningService, chromium: Browser) -> None:
    with chromium.new_context(java_script_enabled=False) as context:
        window = open_window(context)
        window.goto(f"{service.url}create/")
        window.fill("#specification", "name: plain\nchannels: [main]\ndependencies:\n  - python\n")
        window.click("text=Build it")
        window.wait_for_url("**/build/1/")
        service.claim(1)
        service.log(1, "without a script\n")
        window.reload()
        assert "without a script" in window.inner_text("#log")
        window.click("text=Cancel")
        assert "Cancelled by alice." in window.inner_text("#reason")
        window.goto(f"{service.url}user/")
        window.fill("#label", "plain")
        window.click("text=Make the token")
        assert window.inner_text("#token").startswith("csh_")
        expect(window.locator("#copy")).to_be_hidden()
        window.click("text=Revoke")
        window.click("text=Revoke it")
        expect(window.locator("main")).to_contain_text("You have none.")
