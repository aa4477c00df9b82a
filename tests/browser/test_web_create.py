"""The form for a specification in a browser: two views of one text, search, preview, drafts, two who do the same."""

from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from conda_store_hub.demo.hub import DemoHub
from tests.support.browser import SECONDS, check_with_axe, log_in_page, shoot
from tests.support.hub import as_user

pytestmark = pytest.mark.browser

SPECIFICATION = """\
# for the seminar
name: seminar
channels:
  - {channel}  # ours
dependencies:
  - python
  - numpy  # arrays
"""


@pytest.fixture
def specification(channel: str) -> str:
    return SPECIFICATION.format(channel=channel)


def open_form(page: Page, hub: DemoHub, query: str = "", user: str = "alice") -> None:
    log_in_page(page, hub, user)
    page.goto(f"{hub.service_url}create/{query}")


def text_of(page: Page) -> Any:
    return page.get_by_label("environment.yaml")


def submit(hub: DemoHub, user: str, specification: str, namespace: str) -> int:
    with as_user(hub, user) as client:
        body = {"specification": specification, "namespace": namespace}
        return client.post("api/v1/specification/", json=body).raise_for_status().json()["data"]["build_id"]


def test_the_lists_and_the_text_are_one_document(page: Page, hub: DemoHub, specification: str) -> None:
    open_form(page, hub)
    text_of(page).fill(specification)
    composer = page.get_by_role("region", name="Channels and packages")
    expect(composer.get_by_role("combobox", name="package 2 of 2", exact=True)).to_have_value("numpy")

    page.get_by_role("textbox", name="Add a channel").fill("second")
    page.get_by_role("textbox", name="Add a channel").press("Enter")
    expect(text_of(page)).to_have_value(re.compile(r"# ours\n  - second\n"))
    composer.get_by_role("button", name=re.compile("Move second, channel 2 of 2")).focus()
    page.keyboard.press("Alt+ArrowUp")
    expect(text_of(page)).to_have_value(re.compile(r"channels:\n  - second\n  - http.*# ours\n"))
    expect(composer.get_by_role("button", name=re.compile("Move second, channel 1 of 2"))).to_be_focused()
    composer.get_by_role("button", name=re.compile("Move second, channel 1")).drag_to(
        composer.get_by_role("textbox", name="channel 2 of 2", exact=True)
    )
    expect(text_of(page)).to_have_value(re.compile(r"# ours\n  - second\n"))
    composer.get_by_role("button", name="Remove second").click()
    expect(text_of(page)).to_have_value(specification)

    field = composer.get_by_role("combobox", name="package 2 of 2", exact=True)
    field.fill("numpy=>2")
    expect(composer).to_contain_text("“=>” does not compare")
    field.fill("numpy>=2,<3")
    expect(composer).not_to_contain_text("does not compare")
    field.press("Enter")
    expect(text_of(page)).to_have_value(re.compile(r"  - numpy>=2,<3  # arrays\n"))

    page.get_by_role("textbox", name="Add a package of pip").fill("cowsay==6.1")
    page.get_by_role("textbox", name="Add a package of pip").press("Enter")
    expect(text_of(page)).to_have_value(re.compile(r"  - pip:\n +- cowsay==6\.1\n"))

    page.get_by_label("Name", exact=True).fill("lecture")
    expect(text_of(page)).to_have_value(re.compile(r"^# for the seminar\nname: lecture\n"))
    shoot(page, "create-composed")


def test_packages_and_versions_are_searched_with_the_keyboard(page: Page, hub: DemoHub, specification: str) -> None:
    open_form(page, hub)
    text_of(page).fill(specification)
    field = page.get_by_role("combobox", name="Add a package", exact=True)
    field.press_sequentially("ipyk")
    expect(page.get_by_role("option", name=re.compile("ipykernel")).first).to_be_visible()
    shoot(page, "create-search")
    field.press("ArrowDown")
    field.press("Enter")
    expect(field).to_have_value("ipykernel")
    field.press_sequentially("=")
    expect(page.get_by_role("listbox", name="Add a package", exact=True).get_by_role("option").first).to_be_visible()
    field.press("ArrowDown")
    field.press("Enter")
    expect(text_of(page)).to_have_value(re.compile(r"  - ipykernel=[0-9.]+\n"))
    expect(field).to_be_focused()


def test_a_fault_is_shown_at_its_line_as_it_is_typed(page: Page, hub: DemoHub) -> None:
    open_form(page, hub)
    text_of(page).fill("name: new\ndependencies:\n  - [a\n")
    expect(page.locator("#fault")).to_contain_text("Line 4")
    expect(page.locator("#numbers .fault-line")).to_have_text("4")
    expect(page.get_by_text("The text has to be readable first")).to_be_visible()
    check_with_axe(page, "main")
    text_of(page).fill("name: new\ndependencies:\n  - a\n")
    expect(page.locator("#fault")).to_have_text("")


def test_a_preview_tells_what_would_be_built_and_is_not_waited_for(
    page: Page, hub: DemoHub, specification: str
) -> None:
    open_form(page, hub)
    text_of(page).fill(f"{specification}  - pandas\n")
    page.get_by_role("button", name="Preview").click()
    expect(page.get_by_role("heading", name="What would be installed")).to_be_focused()
    table = page.get_by_role("region", name="Packages that would be installed")
    expect(table.get_by_role("row", name=re.compile("^numpy"))).to_contain_text("asked for")
    expect(table).to_contain_text("needed by")
    check_with_axe(page, "main")
    shoot(page, "create-preview")
    text_of(page).press("End")
    text_of(page).press_sequentially("# and more")
    expect(page.get_by_text("The form was changed since")).to_be_visible()

    page.route("**/create/", lambda route: None)  # an answer that does not come
    page.get_by_role("button", name="Preview").click()
    expect(page.locator("#working")).to_contain_text("choosing packages")
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator("#working")).to_be_hidden()
    page.unroute("**/create/")

    text_of(page).fill(specification.replace("numpy", "numpy >=99"))
    page.get_by_role("button", name="Preview").click()
    expect(page.get_by_role("alert")).to_contain_text("The solver says")
    shoot(page, "create-unsatisfiable")


def test_a_preview_is_left_and_come_back_to(page: Page, hub: DemoHub, specification: str) -> None:
    open_form(page, hub)
    text_of(page).fill("name: seminar\nchannels: [silent]\ndependencies: [python]\n")
    page.get_by_role("button", name="Preview").click()
    happening = page.locator("#working-text")
    expect(happening).to_have_text("Reading the channel and choosing packages.")
    with page.context.new_page() as other:  # one after the other is solved for
        other.goto(f"{hub.service_url}create/?namespace=group.team")
        text_of(other).fill(specification)
        other.get_by_role("button", name="Preview").click()
        expect(other.locator("#working-text")).to_have_text("Waiting for its turn: it is next.")
        check_with_axe(other, "main")
        shoot(other, "create-preview-awaited")
        page.reload()
        expect(happening).to_have_text("Reading the channel and choosing packages.")
        page.get_by_role("button", name="Cancel").click()
        expect(other.get_by_role("heading", name="What would be installed")).to_be_focused()
        other.goto(hub.service_url)
        other.go_back()
        expect(other.get_by_role("heading", name="What would be installed")).to_be_visible()
        expect(text_of(other)).to_have_value(specification)


def test_a_file_is_loaded_or_dropped(page: Page, hub: DemoHub, specification: str) -> None:
    open_form(page, hub)
    file = {"name": "environment.yaml", "mimeType": "application/yaml", "buffer": specification.encode()}
    page.get_by_label("Load a file").set_input_files(file)  # type: ignore[arg-type]
    expect(text_of(page)).to_have_value(specification)
    dropped = page.evaluate_handle(
        "() => { const data = new DataTransfer();"
        " data.items.add(new File(['@EXPLICIT\\r\\nhttps://x/a-1-0.conda#0\\r\\n'], 'list.txt')); return data; }"
    )
    text_of(page).dispatch_event("drop", {"dataTransfer": dropped})
    expect(text_of(page)).to_have_value("@EXPLICIT\nhttps://x/a-1-0.conda#0\n")
    expect(page.get_by_text("This is a lock file: exactly what it lists is built")).to_be_visible()


def test_what_was_typed_is_there_again_until_it_is_built(page: Page, hub: DemoHub, specification: str) -> None:
    open_form(page, hub)
    text_of(page).fill(specification)
    page.reload()
    expect(text_of(page)).to_have_value(specification)
    expect(page.get_by_text("This is what you typed")).to_be_visible()

    # The session ends; what was typed is still there, and goes as soon as one is logged in again.
    cookies = page.context.cookies()
    page.context.clear_cookies()
    page.get_by_role("button", name="Build it").click()
    expect(page.get_by_role("alert")).to_contain_text("Nothing is lost")
    expect(text_of(page)).to_have_value(specification)
    page.context.add_cookies(cookies)  # type: ignore[arg-type]
    page.get_by_role("button", name="Build it").click()
    expect(page.get_by_role("heading", name=re.compile("Build [0-9]+"))).to_be_visible()
    page.goto(f"{hub.service_url}create/")
    expect(text_of(page)).not_to_have_value(specification)
    expect(page.locator("#draft")).to_have_text("")


def test_a_page_for_something_new_keeps_to_what_was_asked_for_and_offers_what_another_left(
    page: Page, hub: DemoHub, specification: str
) -> None:
    open_form(page, hub, user="bob")
    text_of(page).fill(specification.replace("seminar", "first"))
    page.reload()  # what is typed in the last moment is kept, too
    expect(text_of(page)).to_have_value(specification.replace("seminar", "first"))
    other = page.context.new_page()
    other.goto(f"{hub.service_url}create/?namespace=group.team")
    expect(other.locator("#draft")).to_contain_text("You were writing bob/first on")
    expect(other.get_by_label("Namespace")).to_have_value("group.team")
    expect(text_of(other)).not_to_have_value(re.compile("first"))
    check_with_axe(other, "main")
    shoot(other, "create-draft-offered")
    page.reload()
    expect(text_of(page)).to_have_value(specification.replace("seminar", "first"))
    text_of(other).fill(specification.replace("seminar", "second"))
    other.reload()
    expect(text_of(other)).to_have_value(specification.replace("seminar", "second"))

    # A third goes on with what was left last, and what was typed there before is offered to the next.
    page.close()
    third = page.context.new_page()
    third.goto(f"{hub.service_url}create/")
    expect(third.locator("#draft")).to_contain_text("You were writing group.team/second on")
    text_of(third).fill(specification.replace("seminar", "third"))
    third.get_by_role("button", name="Go on with it").click()
    expect(text_of(third)).to_have_value(specification.replace("seminar", "second"))
    expect(third.get_by_label("Namespace")).to_have_value("group.team")
    third.goto(f"{hub.service_url}create/?namespace=group.team")
    offered = third.locator("#draft")
    for name in ("group.team/second", "bob/third", "bob/first"):
        expect(offered).to_contain_text(f"You were writing {name} on")
        offered.get_by_role("button", name="Discard it").click()
    expect(offered).to_have_text("Discarded.")
    expect(text_of(third)).to_have_value(re.compile("my-environment"))


def test_what_was_typed_outlives_a_service_that_is_away(page: Page, hub: DemoHub, specification: str) -> None:
    open_form(page, hub)
    text_of(page).fill(specification.replace("seminar", "away"))
    # Who types a package and builds means it.
    page.get_by_role("combobox", name="Add a package", exact=True).fill("pip")
    page.route("**/create/", lambda route: route.abort())
    page.get_by_role("button", name="Build it").click()
    expect(page.get_by_role("alert")).to_contain_text("cannot be reached")
    expect(text_of(page)).to_have_value(re.compile(r"  - pip\n"))
    page.unroute("**/create/")
    page.get_by_role("button", name="Build it").click()
    expect(page.get_by_role("heading", name=re.compile("Build [0-9]+"))).to_be_visible()


def test_two_who_change_the_same_lose_nothing(page: Page, chromium: Browser, hub: DemoHub, specification: str) -> None:
    submit(hub, "alice", specification.replace("seminar", "shared"), "group.team")
    open_form(page, hub, "?environment=group.team/shared")
    mine = specification.replace("seminar", "shared") + "  - ipykernel\n"
    text_of(page).fill(mine)
    with chromium.new_context() as context:
        context.set_default_timeout(SECONDS)
        other = context.new_page()
        open_form(other, hub, "?environment=group.team/shared", "bob")
        text_of(other).fill(specification.replace("seminar", "shared").replace("numpy  # arrays", "pip"))
        other.get_by_role("button", name="Build it").click()
        expect(other.get_by_role("heading", name=re.compile("Build [0-9]+"))).to_be_visible()
    page.get_by_role("button", name="Build it").click()
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text("you began with")
    expect(alert).to_contain_text("+   - pip")
    expect(text_of(page)).to_have_value(mine)
    check_with_axe(page, "main")
    shoot(page, "create-conflict")
    page.get_by_role("button", name="Build mine all the same").click()
    expect(page.get_by_role("heading", name=re.compile("Build [0-9]+"))).to_be_visible()


def test_the_form_works_without_javascript(chromium: Browser, hub: DemoHub, specification: str) -> None:
    with chromium.new_context(java_script_enabled=False, viewport={"width": 1280, "height": 900}) as context:
        context.set_default_timeout(SECONDS)
        page = context.new_page()
        open_form(page, hub)
        shoot(page, "create-plain")
        file = {"name": "e.yaml", "mimeType": "application/yaml", "buffer": specification.encode()}
        page.get_by_label("Load a file").set_input_files(file)  # type: ignore[arg-type]
        page.get_by_role("button", name="Load", exact=True).click()
        expect(text_of(page)).to_have_value(specification)
        text_of(page).fill(specification.replace("seminar", "plain"))
        page.get_by_role("button", name="Preview", exact=True).click()
        expect(page.locator("#awaited, #preview-title")).to_be_visible()
        while page.get_by_role("button", name="Look again").count():
            expect(text_of(page)).to_have_value(specification.replace("seminar", "plain"))
            page.get_by_role("button", name="Look again").click()
        expect(page.get_by_role("heading", name="What would be installed")).to_be_visible()
        page.get_by_role("button", name="Build it").click()
        expect(page.get_by_role("heading", name=re.compile("Build [0-9]+"))).to_be_visible()
