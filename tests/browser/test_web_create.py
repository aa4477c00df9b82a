"""The form for a specification in a browser: two views of one text, search, preview, drafts, two who do the same."""

from __future__ import annotations

import re
from collections.abc import Generator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from conda_store_hub.demo.channel import serve_channel
from conda_store_hub.demo.hub import DemoHub
from tests.support.browser import SECONDS, check_with_axe, log_in_page, shoot
from tests.support.channel import sample_channel_dir
from tests.support.hub import allow_root, make_settings

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


@pytest.fixture(scope="module")
def channel() -> Generator[str]:
    with serve_channel(sample_channel_dir()) as url:
        yield url


@pytest.fixture(scope="module")
def hub(channel: str, tmp_path_factory: pytest.TempPathFactory) -> Generator[DemoHub]:
    alias, _, _ = channel.rstrip("/").rpartition("/")
    config = f"{allow_root()}c.CondaStore.conda_channel_alias = {alias!r}\n"
    with DemoHub(tmp_path_factory.mktemp("h"), make_settings(service_config=config)) as running:
        yield running


@pytest.fixture
def specification(channel: str) -> str:
    return SPECIFICATION.format(channel=channel)


def open_form(page: Page, hub: DemoHub, query: str = "", user: str = "alice") -> None:
    log_in_page(page, hub, user)
    page.goto(f"{hub.service_url}create/{query}")


def text_of(page: Page) -> Any:
    return page.get_by_label("environment.yaml")


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


def test_a_fault_is_shown_at_its_line_as_it_is_typed(page: Page, hub: DemoHub) -> None:
    open_form(page, hub)
    text_of(page).fill("name: new\ndependencies:\n  - [a\n")
    expect(page.locator("#fault")).to_contain_text("Line 4")
    expect(page.locator("#numbers .fault-line")).to_have_text("4")
    expect(page.get_by_text("The text has to be readable first")).to_be_visible()
    check_with_axe(page, "main")
    text_of(page).fill("name: new\ndependencies:\n  - a\n")
    expect(page.locator("#fault")).to_have_text("")


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
        page.get_by_role("button", name="Preview").click()
        expect(page.get_by_role("heading", name="What would be installed")).to_be_visible()
        page.get_by_role("button", name="Build it").click()
        expect(page.get_by_role("heading", name=re.compile("Build [0-9]+"))).to_be_visible()
