"""What happens to environments over time, in JupyterLab: they wait, are renamed, copied, rolled back, deleted, kept."""

from __future__ import annotations

import re
from collections.abc import Generator

import pytest
from playwright.sync_api import Locator, Page, expect

from conda_store_hub.demo.hub import DemoHub
from tests.support.browser import SECONDS, check_with_axe, shoot
from tests.support.hub import ADMIN, as_user
from tests.support.jupyter import wait_until
from tests.support.lab import (
    card_of,
    choose,
    compute,
    confirm,
    open_page,
    open_panel,
    row_of,
    run_command,
    submit,
    text,
    toast_of,
    wait_for_build,
)

pytestmark = pytest.mark.browser

BUILD = 3 * SECONDS


def build_from(channel: str, name: str, *packages: str) -> str:
    return text(name, *packages).replace("dependencies:", f"channels:\n  - sample\n  - {channel}\ndependencies:")


@pytest.fixture
def endless(hub: DemoHub) -> Generator[int]:
    """A build that goes on until it is cancelled."""
    build = submit(hub, "alice", build_from("silent", "endless"))
    with as_user(hub, "alice") as client:
        find = f"api/v1/build/{build}/"
        wait_until(lambda: client.get(find).json()["data"]["status"] == "BUILDING", "a build that goes on", 60)
        yield build
        client.put(f"{find}cancel/")


def test_a_build_that_waits_shows_its_place_in_the_queue(page: Page, hub: DemoHub, endless: int) -> None:
    submit(hub, "alice", text("next"))
    last = submit(hub, "alice", text("last"))
    panel = open_panel(page, hub, "alice")
    expect(row_of(panel, "next")).to_contain_text("queued, 1. in line")
    expect(row_of(panel, "last")).to_contain_text("queued, 2. in line")
    shown = open_page(page, panel, "last")
    expect(shown.get_by_text(f"Build {last} waits: it is number 2 in the queue.")).to_be_visible()
    check_with_axe(page, ".csh-Page:not(.lm-mod-hidden)")
    shoot(page, "life-queued")

    shown = open_page(page, panel, "endless")
    shown.locator(f"[data-csh-build='{endless}']").get_by_role("button", name="Cancel").click()
    confirm(page, "Cancel the build")
    expect(row_of(panel, "endless")).to_contain_text("cancelled")
    for name in ("next", "last"):
        expect(row_of(panel, name)).to_contain_text("no kernel", timeout=BUILD)


def test_an_environment_is_renamed_copied_thinned_out_deleted_and_brought_back(page: Page, hub: DemoHub) -> None:
    old = wait_for_build(hub, submit(hub, "alice", text("first-name")))
    wait_for_build(hub, submit(hub, "alice", text("first-name", "pip")))
    panel = open_panel(page, hub, "alice")
    row_of(panel, "first-name").get_by_role("button", name="Add alice/first-name to favourites").click()
    expect(row_of(panel, "first-name")).to_have_count(2)
    shown = open_page(page, panel, "first-name")
    shown.get_by_role("button", name="Rename…").click()
    page.get_by_role("dialog").get_by_role("textbox", name="Name").fill("new-name")
    confirm(page, "Rename")
    expect(row_of(panel, "new-name")).to_have_count(2)
    expect(row_of(panel, "first-name")).to_have_count(0)
    shown = page.locator(".csh-Page:visible")
    expect(shown.get_by_role("heading", level=1)).to_contain_text("new-name")
    expect(page.locator(".lm-TabBar-tab", has_text="first-name")).to_have_count(0)
    shoot(page, "life-renamed")
    row_of(panel, "new-name").first.get_by_role("button", name="Take alice/new-name from favourites").click()
    expect(row_of(panel, "new-name")).to_have_count(1)

    row = shown.locator(f"[data-csh-build='{old}']")
    expect(row.get_by_role("cell").nth(3)).to_contain_text("B")
    row.get_by_role("button", name="Delete").click()
    confirm(page, "Delete")
    expect(row).to_contain_text("deleted")
    expect(row.get_by_role("cell").nth(3)).to_be_empty()  # it takes nothing any more
    expect(row.get_by_role("button", name="Activate")).to_have_count(0)
    shoot(page, "life-build-deleted")

    shown.get_by_role("button", name="Copy…").click()
    shoot(page, "life-copy")
    page.get_by_role("dialog").get_by_role("combobox").select_option("group.team")
    confirm(page, "OK")
    expect(page.get_by_role("dialog").get_by_role("textbox", name="Name")).to_have_value("new-name")
    page.get_by_role("dialog").get_by_role("textbox", name="Name").fill("the-copy")
    confirm(page, "Copy")
    expect(toast_of(page, "group.team/the-copy is ready")).to_be_visible(timeout=BUILD)
    shoot(page, "life-copied")

    shown = open_page(page, panel, "new-name")
    shown.get_by_role("button", name="Delete", exact=True).first.click()
    confirm(page, "Delete")
    expect(row_of(panel, "new-name")).to_have_count(0)
    expect(shown).to_contain_text("There is no environment alice/new-name any more")
    shoot(page, "life-deleted")
    shown.get_by_role("button", name="Bring it back").click()
    expect(shown.get_by_role("heading", level=1)).to_contain_text("new-name")
    expect(row_of(panel, "new-name")).to_be_visible()


def test_environments_whose_names_run_together_have_pages_of_their_own(page: Page, hub: DemoHub) -> None:
    with as_user(hub, ADMIN) as client:
        for namespace in ("seminar", "seminar-one"):
            client.post(f"api/v1/namespace/{namespace}/").raise_for_status()
    submit(hub, ADMIN, text("one-two"), "seminar")
    submit(hub, ADMIN, text("two"), "seminar-one")
    panel = open_panel(page, hub, ADMIN)
    open_page(page, panel, "one-two", "seminar", "seminar")
    shown = open_page(page, panel, "two", "seminar-one", "seminar-one")
    expect(shown.get_by_role("heading", level=1)).to_have_text("seminar-one / two")
    expect(page.locator(".csh-Page")).to_have_count(2)


def test_a_running_notebook_is_offered_what_was_rolled_back_to(page: Page, hub: DemoHub) -> None:
    older = wait_for_build(hub, submit(hub, "alice", text("course", "ipykernel")))
    newer = wait_for_build(hub, submit(hub, "alice", text("course", "ipykernel", "flask")))
    panel = open_panel(page, hub, "alice")
    card_of(page, "alice/course").click()
    notebook = page.locator(".jp-NotebookPanel")
    expect(compute(page, notebook, 0, "import flask; print('flask is', flask.__name__)")).to_contain_text("is flask")
    shown = open_page(page, panel, "course")
    shown.locator(f"[data-csh-build='{older}']").get_by_role("button", name="Activate").click()
    confirm(page, "Activate")
    offer = toast_of(page, "is active now")
    offer.get_by_role("button", name=f"Restart into build {older}").click()
    confirm(page, "Restart")
    expect(notebook.get_by_role("button", name=f"alice/course · build {older}")).to_be_visible()
    expect(toast_of(page, f"build {newer}")).to_have_count(0)
    code = "import importlib.util; print('flask is', importlib.util.find_spec('flask'))"
    expect(compute(page, notebook, 1, code)).to_contain_text("flask is None")
    shoot(page, "life-rolled-back")

    # Its kernel has the old name, and is in the same environment.
    choose(page, row_of(panel, "course"), "Rename Environment…")
    page.get_by_role("dialog").get_by_role("textbox", name="Name").fill("lectures")
    confirm(page, "Rename")
    expect(row_of(panel, "lectures")).to_contain_text("in use: 1")
    page.locator(".lm-DockPanel-tabBar .lm-TabBar-tab", has_text=".ipynb").click()
    expect(notebook.get_by_role("button", name=f"alice/lectures · build {older}")).to_be_visible()
    shoot(page, "life-notebook-renamed")

    # What is offered to a notebook goes when that is closed.
    shown = open_page(page, panel, "lectures")
    shown.locator(f"[data-csh-build='{newer}']").get_by_role("button", name="Activate").click()
    confirm(page, "Activate")
    expect(toast_of(page, "is active now")).to_be_visible()
    tab = page.locator(".lm-DockPanel-tabBar .lm-TabBar-tab", has_text=".ipynb")
    tab.locator(".lm-TabBar-tabCloseIcon").click()
    confirm(page, "Discard")
    expect(tab).to_have_count(0)
    expect(toast_of(page, "is active now")).to_have_count(0)


def test_a_notebook_runs_in_a_language_other_than_python(page: Page, hub: DemoHub) -> None:
    panel = open_panel(page, hub, "alice")
    wait_for_build(hub, submit(hub, "alice", build_from("shell", "shell", "sh-kernel")))
    card = card_of(page, "alice/shell · Shell")
    expect(card).to_be_visible()
    shoot(page, "life-launcher")
    card.click()
    notebook = page.locator(".jp-NotebookPanel")
    output = compute(page, notebook, 0, "echo $((6 * 7)) in $CONDA_DEFAULT_ENV")
    expect(output).to_contain_text("42 in alice/shell")
    expect(notebook.get_by_role("button", name=re.compile("alice.shell · build"))).to_be_visible()
    expect(row_of(panel, "shell")).to_contain_text("in use: 1")
    shoot(page, "life-shell")


def open_settings(page: Page) -> Locator:
    """Open the form of the panel's settings."""
    run_command(page, "Settings Editor")
    page.locator(".jp-PluginList").get_by_text("Environments", exact=True).click()
    form = page.locator(".jp-SettingsPanel")
    expect(form.get_by_role("checkbox", name="Show sizes")).to_be_visible()
    return form


def test_settings_take_effect_at_once_and_favourites_stay(page: Page, hub: DemoHub) -> None:
    builds = [wait_for_build(hub, submit(hub, "bob", text("set", *more)), "bob") for more in ((), ("pip",))]
    panel = open_panel(page, hub, "bob")
    row = row_of(panel, "set", "bob")
    facts = row.locator(".csh-Dim")
    expect(facts).to_have_count(2)
    expect(panel.get_by_role("treeitem", name=re.compile("^team"))).to_be_visible()
    form = open_settings(page)
    for label in ("Show sizes", "Show when something was updated", "Confirm a rollback", "Confirm deleting"):
        form.get_by_role("checkbox", name=label).uncheck()
    form.locator("input[id$=namePattern]").fill("{name} of {namespace}")
    expect(row).to_contain_text("set of bob")  # what is in the form is saved as one
    expect(facts).to_have_count(0)
    shoot(page, "life-settings")

    shown = open_page(page, panel, "set", "bob")
    first = shown.locator(f"[data-csh-build='{builds[0]}']")
    first.get_by_role("button", name="Activate").click()
    expect(first).to_contain_text("active")  # and nothing was asked
    row.get_by_role("button", name="Add bob/set to favourites").click()
    expect(panel.get_by_role("treeitem", name=re.compile("^Favourites"))).to_be_visible()

    page.reload()  # the panel is open still
    expect(panel.get_by_role("treeitem", name=re.compile("^Favourites"))).to_be_visible()
    expect(row_of(panel, "set", "bob")).to_have_count(2)
    expect(row_of(panel, "set", "bob").last).to_contain_text("set of bob")
    choose(page, row_of(panel, "set", "bob").last, "Delete Environment")
    expect(row_of(panel, "set", "bob")).to_have_count(0)
    expect(toast_of(page, "bob/set was deleted")).to_be_visible()
