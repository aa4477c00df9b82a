"""The form for a specification in a real browser: lists and text stay one document, and nothing typed is lost."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.support.service import RunningService, service
from tests.web.test_pages_live import chromium, page

__all__ = ["chromium", "page", "service"]

pytestmark = pytest.mark.browser

TEXT = "name: seminar\nchannels:\n  - main\ndependencies:\n  - python\n  - numpy  # arrays\n"


def open_form(page: Page, service: RunningService, text: str = TEXT) -> Locator:
    """Open the form for something new with a text in it, and return the text."""
    page.goto(f"{service.url}create/")
    field = page.get_by_label("environment.yaml")
    field.fill(text)
    expect(page.get_by_role("textbox", name=re.compile("^channel 1"))).to_have_value("main")
    return field


def test_a_row_that_is_emptied_shows_what_the_text_has(service: RunningService, page: Page) -> None:
    text = open_form(page, service)
    for name, value in (("package 2 of 2", "numpy"), ("channel 1 of 1", "main")):
        row = page.locator(f"input[aria-label='{name}']")
        row.fill("")
        row.press("Tab")
        expect(row).to_have_value(value)
    expect(text).to_have_value(TEXT)


def test_what_a_list_changed_is_undone_with_the_keyboard_and_what_was_typed_before_it_too(
    service: RunningService, page: Page
) -> None:
    """A browser forgets what was typed once a script changes the text, so nothing before a click could be had back."""
    text = open_form(page, service)
    expect(page.get_by_label("Name", exact=True)).to_have_value("seminar")  # read, and so a step of its own
    text.press("Control+End")
    page.keyboard.insert_text("# mine\n")
    page.get_by_role("button", name=re.compile("^Remove .*numpy")).click()
    removed = TEXT.replace("  - numpy  # arrays\n", "")
    expect(text).to_have_value(f"{removed}# mine\n")
    page.get_by_label("Name", exact=True).fill("other")
    expect(text).to_have_value(re.compile("^name: other"))
    text.press("Control+End")
    page.keyboard.insert_text("# later\n")
    renamed = f"{removed}# mine\n".replace("seminar", "other")
    text.press("Control+z")
    expect(text).to_have_value(renamed)
    text.press("Control+z")
    expect(page.get_by_label("Name", exact=True)).to_have_value("seminar")
    text.press("Control+z")
    expect(page.locator("input[aria-label='package 2 of 2']")).to_have_value("numpy")
    text.press("Control+z")
    expect(text).to_have_value(TEXT)
    for value in (f"{TEXT}# mine\n", f"{removed}# mine\n", renamed):
        text.press("Control+Shift+z")
        expect(text).to_have_value(value)


def test_nothing_is_sent_without_what_was_typed_in_a_list_and_refused(service: RunningService, page: Page) -> None:
    flow = "{name: seminar, dependencies: [python]}\n"
    text = open_form(page, service)
    text.fill(flow)
    expect(page.get_by_label("channel 1 of 1", exact=True)).to_have_count(0)
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.url) if request.method == "POST" else None)
    added = page.get_by_role("textbox", name="Add a channel", exact=True)
    added.fill("main")
    page.get_by_role("button", name="Build it").click()
    expect(page.get_by_text("That cannot be done here")).to_be_visible()
    expect(added).to_have_value("main")
    expect(text).to_have_value(flow)
    assert sent == []
    added.fill("")
    page.get_by_role("button", name="Build it").click()
    page.wait_for_url(re.compile("/build/[0-9]+/"))


def load(page: Page, text: str) -> None:
    page.get_by_label("Load a file").set_input_files(
        {"name": "other.yaml", "mimeType": "application/yaml", "buffer": text.encode()}
    )


def list_drafts(page: Page) -> list[str]:
    return page.evaluate("Object.keys(localStorage).filter((key) => key.startsWith('conda-store-hub-draft:'))")


def test_a_loaded_file_puts_aside_what_was_typed(service: RunningService, page: Page) -> None:
    text = open_form(page, service)
    expect(page.get_by_label("Name", exact=True)).to_have_value("seminar")
    other = TEXT.replace("seminar", "other")
    load(page, other)
    expect(text).to_have_value(other)
    page.get_by_role("button", name="Go back to what you had typed").click()
    expect(text).to_have_value(TEXT)
    load(page, other)
    expect(page.get_by_label("Name", exact=True)).to_have_value("other")
    text.fill(other + "  - pip\n")
    load(page, TEXT)
    expect(page.get_by_label("Name", exact=True)).to_have_value("seminar")
    page.goto(f"{service.url}create/?namespace=alice")
    for name in ("seminar", "other", "seminar"):
        expect(page.locator("#draft")).to_contain_text(f"You were writing alice/{name}")
        page.get_by_role("button", name="Discard it").click()
    expect(page.locator("#draft")).to_have_text("Discarded.")

    load(page, "#" * 6_000_001)
    expect(page.get_by_role("alert")).to_contain_text("larger than 6 MB")


def test_beginning_with_theirs_puts_aside_what_was_typed(service: RunningService, page: Page) -> None:
    service.completed("ml")
    page.goto(f"{service.url}create/?environment=alice/ml")
    mine = TEXT.replace("seminar", "ml")
    page.get_by_label("environment.yaml").fill(mine)
    service.submit(yaml=mine.replace("numpy", "pandas"))
    page.get_by_role("button", name="Build it").click()
    page.get_by_role("link", name="Begin with theirs instead").click()
    expect(page.get_by_label("environment.yaml")).to_have_value(re.compile("pandas"))
    page.get_by_role("button", name="Go on with it").click()
    expect(page.get_by_label("environment.yaml")).to_have_value(mine)


def test_drafts_that_are_old_or_somebody_elses_go_and_others_stay(service: RunningService, page: Page) -> None:
    open_form(page, service)
    page.evaluate(
        """() => {
          const put = (name, days) => localStorage.setItem(
            `conda-store-hub-draft:${location.pathname}:${name}`,
            JSON.stringify({ text: "x", savedOn: Date.now() - days * 24 * 3600 * 1000 }),
          );
          put("bob:new#1", 1);
          put("alice:alice/old", 31);
          put("alice:alice/young", 29);
        }"""
    )
    page.reload()
    expect(page.locator("#draft")).to_contain_text("This is what you typed")
    left = [key.partition("/create/:")[2] for key in list_drafts(page)]
    assert sorted(re.sub("#.*", "", key) for key in left) == ["alice:alice/young", "alice:new"]


def test_what_cannot_be_kept_is_said(service: RunningService, page: Page) -> None:
    page.add_init_script("Storage.prototype.setItem = () => { throw new DOMException('', 'QuotaExceededError'); };")
    open_form(page, service)
    expect(page.locator("#draft")).to_contain_text("cannot be kept in this browser")


def test_a_channel_is_picked_up_moved_and_put_down_with_the_keyboard(service: RunningService, page: Page) -> None:
    text = open_form(page, service, TEXT.replace("  - main\n", "  - main\n  - second\n"))
    page.get_by_role("button", name="Move second, channel 2 of 2").focus()
    page.keyboard.press("ArrowUp")
    expect(text).to_have_value(re.compile("- main\n  - second"))
    page.keyboard.press("Enter")
    page.keyboard.press("ArrowUp")
    expect(text).to_have_value(re.compile("- second\n  - main"))
    grip = page.get_by_role("button", name="Move second, channel 1 of 2")
    expect(grip).to_be_focused()
    expect(grip).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("ArrowDown")
    expect(text).to_have_value(re.compile("- main\n  - second"))
    page.keyboard.press("Space")
    page.keyboard.press("ArrowUp")
    expect(text).to_have_value(re.compile("- main\n  - second"))


def test_the_numbers_of_lines_are_written_anew_only_where_they_change(service: RunningService, page: Page) -> None:
    text = open_form(page, service)
    page.evaluate(
        """() => {
          window.drawn = 0;
          const seen = new MutationObserver(() => (window.drawn += 1));
          seen.observe(document.getElementById("numbers"), { childList: true });
        }"""
    )
    text.press("End")
    text.press("x")
    assert page.evaluate("() => drawn") == 0
    text.press("Enter")
    expect(page.locator("#numbers")).to_have_text(re.compile("7\n8$"))
    assert page.evaluate("() => drawn") == 1


def test_what_is_sent_to_be_built_cannot_be_cancelled(service: RunningService, page: Page) -> None:
    open_form(page, service)
    page.route("**/create/", lambda route: None)  # an answer that does not come
    page.get_by_role("button", name="Preview").click()
    expect(page.locator("#cancel")).to_be_visible()
    page.get_by_role("button", name="Build it").click()
    expect(page.locator("#working")).to_contain_text("Sending")
    expect(page.locator("#cancel")).to_be_hidden()


def test_a_role_ends_with_the_day_of_who_gives_it(service: RunningService, page: Page) -> None:
    service.completed("ml")
    page.goto(f"{service.url}environment/alice/ml/share/")  # by a clock of Tokyo
    expect(page.locator("#until-help")).to_have_text("The end of that day. Empty: for good.")
    page.get_by_label("Who").select_option("authenticated")
    page.get_by_label("Until").fill("2099-06-30")
    page.get_by_role("button", name="Share").click()
    expect(page.locator("#member-list time").last).to_have_attribute("datetime", re.compile("2099-06-30T14:59:59"))


def test_enter_in_the_name_passes_over_nobody(service: RunningService, page: Page) -> None:
    service.completed("seminar")
    open_form(page, service)
    page.get_by_role("button", name="Build it").click()
    expect(page.get_by_role("alert")).to_contain_text("There is “seminar” already")
    with page.expect_response("**/create/") as answer:
        page.get_by_label("Name", exact=True).press("Enter")
    assert answer.value.status == 412
    page.get_by_label("Name", exact=True).fill("seminar-2")
    page.get_by_label("Name", exact=True).press("Enter")
    page.wait_for_url(re.compile("/build/[0-9]+/"))
    expect(page.locator("main")).to_contain_text("alice/seminar-2")
