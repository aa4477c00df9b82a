"""The extension of JupyterLab, in a browser, with a real Hub and real builds."""

from __future__ import annotations

import json
import os
import re
import signal

import pytest
from playwright.sync_api import Page, expect

from conda_store_hub.demo.hub import DemoHub
from tests.support.browser import check_with_axe, shoot
from tests.support.hub import as_user
from tests.support.lab import (
    card_of,
    compute,
    confirm,
    find_service,
    open_page,
    open_panel,
    row_of,
    show_lab,
    show_panel,
    submit,
    text,
    toast_of,
    wait_for_build,
)

pytestmark = pytest.mark.browser

API = "/conda-store-hub/api/v1/"


@pytest.fixture(scope="module")
def lecture(hub: DemoHub) -> tuple[int, int]:
    """Two builds of `team`'s environment `lecture`: one without a kernel, and an active one with it."""
    first = submit(hub, "alice", text("lecture"), "group.team")
    wait_for_build(hub, first)
    second = submit(hub, "alice", text("lecture", "ipykernel"), "group.team")
    wait_for_build(hub, second)
    return first, second


def test_the_first_environment_is_built_and_computed_in(page: Page, hub: DemoHub) -> None:
    panel = open_panel(page, hub, "alice")
    expect(panel.get_by_text("Start here")).to_be_visible()
    check_with_axe(page, ".csh-Panel")
    shoot(page, "lab-start-here")

    wait_for_build(hub, submit(hub, "alice", text("ml")))
    page.get_by_role("button", name="Refresh Environments").click()
    row = row_of(panel, "ml")
    expect(panel.get_by_role("treeitem", name="ml, no kernel", exact=True)).to_be_visible()
    shown = open_page(page, panel, "ml")
    expect(shown.get_by_text("No notebook can run in it")).to_be_visible()
    shoot(page, "lab-no-kernel")

    shown.get_by_role("button", name="Add ipykernel and build").click()
    expect(shown.get_by_role("log")).to_contain_text("Channels:")
    expect(shown.get_by_role("list", name="Phases")).to_contain_text("Solve")
    shoot(page, "lab-building")
    toast = toast_of(page, "alice/ml is ready")
    expect(toast).to_be_visible()
    expect(row).to_contain_text("ready")
    shoot(page, "lab-ready")
    toast.get_by_role("button", name="Open notebook").click()

    output = compute(page, page.locator(".jp-NotebookPanel"), 0, "import sys; print(6 * 7, sys.prefix)")
    expect(output).to_contain_text("42")
    assert str(hub.state / "data" / "b") in output.inner_text()
    expect(row).to_contain_text("in use: 1")
    shoot(page, "lab-notebook")


def test_builds_are_compared_pinned_and_rolled_back(page: Page, hub: DemoHub, lecture: tuple[int, int]) -> None:
    panel = open_panel(page, hub, "alice")
    shown = open_page(page, panel, "lecture", "group.team", "team")
    first, second = (shown.locator(f"[data-csh-build='{number}']") for number in lecture)
    expect(second).to_contain_text("active")
    check_with_axe(page, ".csh-Page")

    first.get_by_role("button", name="Compare").click()
    changes = shown.get_by_role("region", name=f"What changed from build {lecture[1]} to build {lecture[0]}")
    expect(changes.get_by_role("row", name=re.compile("^ipykernel"))).to_be_visible()
    shoot(page, "lab-compare")

    first.get_by_role("button", name="Pin").click()
    expect(first).to_contain_text("pinned")
    first.get_by_role("button", name="Activate").click()
    confirm(page, "Activate")
    expect(first).to_contain_text("active")
    expect(shown.get_by_text("No notebook can run in it")).to_be_visible()
    expect(row_of(panel, "lecture", "group.team")).to_contain_text("no kernel")
    second.get_by_role("button", name="Activate").click()
    confirm(page, "Activate")
    expect(shown.get_by_role("button", name="New notebook")).to_be_visible()

    with page.expect_download() as begun:
        shown.get_by_role("link", name="Lock file").click()
    assert "package:" in begun.value.path().read_text()

    line = f"docker pull 127.0.0.1:{hub.settings.ports.public}/group.team/lecture"
    expect(shown.get_by_text(line)).to_be_visible()
    shown.get_by_role("button", name="Copy the line that pulls the image").click()
    expect(shown.get_by_text("Copied.")).to_be_visible()
    shoot(page, "lab-image")


def test_the_packages_of_a_build_are_asked_for_when_they_are_opened_and_searched(
    page: Page, hub: DemoHub, lecture: tuple[int, int]
) -> None:
    build = lecture[1]
    panel = open_panel(page, hub, "alice")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if f"build/{build}/" in request.url else None)
    shown = open_page(page, panel, "lecture", "group.team", "team")
    button = shown.get_by_role("button", name=f"Show the packages of build {build}")
    expect(button).to_have_attribute("aria-expanded", "false")
    assert [url for url in asked if "/packages/" in url or "/departed/" in url] == []
    button.click()
    found = shown.get_by_role("region", name="Packages found")
    expect(found.get_by_role("row", name=re.compile("^ipykernel"))).to_contain_text("asked for")
    expect(found.get_by_role("row", name=re.compile("^comm"))).to_contain_text("needed by ipykernel")
    shown.get_by_label("Search its packages").fill("ipyk")
    expect(found.get_by_role("row", name=re.compile("^comm"))).to_have_count(0)
    expect(found.get_by_role("row", name=re.compile("^ipykernel"))).to_be_visible()
    shoot(page, "lab-packages")
    check_with_axe(page, ".csh-Page")
    assert any("/departed/" in url for url in asked)  # nothing has departed, so nothing is said
    expect(shown.get_by_text("no longer in their channels")).to_have_count(0)
    shown.get_by_role("button", name="Hide the packages").click()
    expect(found).to_have_count(0)


def test_a_viewer_sees_what_they_may_do_and_who_can_give_more(
    page: Page, hub: DemoHub, lecture: tuple[int, int]
) -> None:
    wait_for_build(hub, submit(hub, "alice", text("for-carol")))
    with as_user(hub, "alice") as client:
        grant = {"subject": "user", "name": "carol", "role": "viewer"}
        client.put("api/v1/environment/alice/for-carol/member/", json=grant).raise_for_status()
    panel = open_panel(page, hub, "carol")
    shown = open_page(page, panel, "for-carol", heading="alice")
    expect(shown.get_by_text("The right to can be given by alice")).to_be_visible()
    for action in ("Rebuild", "Delete", "Rename…", "Activate", "Pin"):
        expect(shown.get_by_role("button", name=action)).to_have_count(0)
    expect(panel.get_by_text("team")).to_have_count(0)
    check_with_axe(page, ".csh-Panel")
    shoot(page, "lab-viewer")


def test_what_is_shared_from_the_page_is_there_for_the_other(page: Page, hub: DemoHub) -> None:
    wait_for_build(hub, submit(hub, "alice", text("shared")))
    shown = open_page(page, open_panel(page, hub, "alice"), "shared")
    shown.get_by_role("textbox", name="Name on the Hub").fill("nobody-of-that-name")
    shown.get_by_role("button", name="Share").last.click()
    expect(shown.get_by_role("alert")).to_contain_text("There is no user")
    shown.get_by_role("textbox", name="Name on the Hub").fill("carol")
    shown.get_by_role("button", name="Share").last.click()
    expect(shown.get_by_role("cell", name="carol", exact=True)).to_be_visible()
    with as_user(hub, "carol") as client:
        assert client.get("api/v1/environment/alice/shared/").is_success
    shown.get_by_role("button", name="Take the role of carol back").click()
    expect(shown.get_by_role("cell", name="carol", exact=True)).to_have_count(0)
    with as_user(hub, "carol") as client:
        assert client.get("api/v1/environment/alice/shared/").status_code == 404


def test_an_environment_is_built_once_more_from_its_page(page: Page, hub: DemoHub) -> None:
    before = wait_for_build(hub, submit(hub, "alice", text("again", "ipykernel")))
    shown = open_page(page, open_panel(page, hub, "alice"), "again")
    shown.get_by_role("button", name="Rebuild").click()
    expect(shown.get_by_role("log")).to_contain_text("Channels:")
    expect(toast_of(page, "alice/again is ready")).to_be_visible()
    expect(shown.locator("[data-csh-build]")).to_have_count(2)
    expect(shown.locator(f"[data-csh-build='{before}']")).not_to_contain_text("active")


def test_deleting_is_undone_with_the_keyboard_alone(page: Page, hub: DemoHub) -> None:
    wait_for_build(hub, submit(hub, "alice", text("gone")))
    panel = open_panel(page, hub, "alice")
    row = row_of(panel, "gone")
    expect(row).to_be_visible()
    panel.get_by_role("treeitem").first.focus()
    for _ in range(panel.get_by_role("treeitem").count()):
        if row.evaluate("node => node === document.activeElement"):
            break
        page.keyboard.press("ArrowDown")
    expect(row).to_be_focused()
    page.keyboard.press("Shift+F10")
    menu = page.get_by_role("menu")
    expect(menu.get_by_role("menuitem", name="Delete Environment")).to_be_visible()
    shoot(page, "lab-menu")
    page.keyboard.press("d")
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_contain_text("alice/gone")
    confirm(page, "Delete")
    expect(row).to_have_count(0)
    toast_of(page, "alice/gone was deleted").get_by_role("button", name="Undo").click()
    expect(row).to_be_visible()
    shoot(page, "lab-undone")


def test_a_build_that_fails_says_why_and_one_that_goes_on_is_cancelled(page: Page, hub: DemoHub) -> None:
    failed = submit(hub, "alice", text("broken", "no-such-package"))
    panel = open_panel(page, hub, "alice", theme="JupyterLab Dark")
    expect(row_of(panel, "broken")).to_contain_text("failed")
    shown = open_page(page, panel, "broken")
    shown.get_by_role("button", name=f"Build {failed}").click()
    expect(shown.get_by_role("alert").first).to_contain_text("no-such-package")
    check_with_axe(page, ".csh-Page:not(.lm-mod-hidden)")
    shoot(page, "lab-failed-dark")

    running = submit(hub, "alice", text("slow", "ipykernel", "pandas"))
    page.get_by_role("button", name="Refresh Environments").click()
    shown = open_page(page, panel, "slow")
    shown.get_by_role("button", name=f"Build {running}").click()
    shown.get_by_role("region", name=f"Build {running}").get_by_role("button", name="Cancel").click()
    confirm(page, "Cancel the build")
    expect(row_of(panel, "slow")).to_contain_text("cancelled")
    check_with_axe(page, ".csh-Panel")
    shoot(page, "lab-cancelled-dark")


EVIL = "<img src=x onerror=\"document.body.dataset.evil='1'\">"


def test_what_others_write_is_shown_as_it_is_and_a_long_log_opens_beside(page: Page, hub: DemoHub) -> None:
    build = submit(hub, "alice", text("evil", "no-such-package"))
    with as_user(hub, "alice") as client:
        change = {"description": f"For {EVIL} all"}
        client.put("api/v1/environment/alice/evil/", json=change).raise_for_status()
    lines = "".join(f"data: {line}\n" for line in ("the first one", *["x" * 99] * 4200, f"{EVIL} and \x1b[31mred", ""))
    log = f"event: log\n{lines}id: 430000\n\nevent: end\ndata: \n\n"
    live = re.compile(rf"/build/{build}/logs/\?offset=")
    page.route(live, lambda route: route.fulfill(content_type="text/event-stream", body=log))
    panel = open_panel(page, hub, "alice")
    expect(row_of(panel, "evil")).to_contain_text("failed")
    shown = open_page(page, panel, "evil")
    expect(shown.locator(".csh-Description")).to_have_text(f"For {EVIL} all")
    shown.get_by_role("button", name=f"Build {build}").click()
    expect(shown.get_by_role("log")).to_contain_text(EVIL)
    expect(shown.get_by_role("log")).not_to_contain_text("the first one")
    expect(shown.locator("img")).to_have_count(0)
    shoot(page, "lab-evil")
    assert page.locator("body").get_attribute("data-evil") is None
    whole = shown.get_by_role("link", name="The whole log")
    expect(whole).to_have_css("text-decoration-line", "underline")  # within words, it is told by that
    with page.expect_popup() as opened:
        whole.click()
    expect(opened.value.locator("body")).to_contain_text("no-such-package")
    expect(shown.get_by_role("log")).to_be_visible()


def test_what_is_searched_is_found_wherever_it_is(page: Page, hub: DemoHub, lecture: tuple[int, int]) -> None:
    panel = open_panel(page, hub, "alice", theme="JupyterLab Dark High Contrast")
    panel.get_by_role("searchbox").fill("lect")
    expect(panel.get_by_role("status")).to_have_text("1 found")
    row = row_of(panel, "lecture", "group.team")
    row.get_by_role("button", name="Add group.team/lecture to favourites").click()
    panel.get_by_role("searchbox").press("Escape")
    expect(panel.get_by_role("treeitem", name=re.compile("^Favourites"))).to_be_visible()
    expect(row.first).to_contain_text("group.team/lecture")
    check_with_axe(page, ".csh-Panel")
    shoot(page, "lab-favourite-high-contrast")


def test_a_closed_panel_asks_nothing_and_the_picker_follows_nevertheless(page: Page, hub: DemoHub) -> None:
    open_panel(page, hub, "bob")
    page.get_by_role("tab", name=re.compile("^File Browser")).click()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if API in request.url else None)
    wait_for_build(hub, submit(hub, "alice", text("quiet", "ipykernel"), "group.team"))
    expect(card_of(page, "team/quiet")).to_be_visible()
    assert asked == []


def test_a_service_that_is_down_is_said_and_it_is_noticed_when_it_is_back(
    page: Page, hub: DemoHub, lecture: tuple[int, int]
) -> None:
    panel = open_panel(page, hub, "alice")
    os.kill(find_service(hub).pid, signal.SIGKILL)
    page.get_by_role("button", name="Refresh Environments").click()
    notice = panel.get_by_role("alert")
    expect(notice).to_contain_text("Kernels that are listed still start")
    expect(panel.get_by_role("treeitem", name=re.compile("^team"))).to_be_visible()
    check_with_axe(page, ".csh-Panel")
    shoot(page, "lab-down")
    # The Hub looks after services now and then, and starts those that have ended.
    expect(notice).to_have_count(0, timeout=120_000)


def test_who_is_logged_out_is_told_so_and_how_to_go_on(page: Page, hub: DemoHub, lecture: tuple[int, int]) -> None:
    panel = open_panel(page, hub, "alice")
    # What the server says of a login that has ended; the Hub remembers a good one for minutes.
    forbidden = {"message": "Forbidden", "reason": None}
    page.route(f"**{API}**", lambda route: route.fulfill(status=403, json=forbidden))
    page.get_by_role("button", name="Refresh Environments").click()
    expect(panel.get_by_role("alert")).to_contain_text("You are logged out")
    shoot(page, "lab-logged-out")
    page.unroute(f"**{API}**")
    with page.expect_navigation():
        panel.get_by_role("button", name="Load the page again").click()
    show_lab(page, hub, "alice")
    show_panel(page)
    expect(panel.get_by_role("treeitem", name=re.compile("^alice"))).to_be_visible()
    expect(panel.get_by_role("alert")).to_have_count(0)


def test_notebook_7_has_the_panel_too(page: Page, hub: DemoHub, lecture: tuple[int, int]) -> None:
    open_panel(page, hub, "alice")
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    notebook = {"cells": [], "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}
    (hub.state / "users" / "alice" / "empty.ipynb").write_text(json.dumps(notebook))
    page.goto(f"{hub.user_url('alice')}notebooks/empty.ipynb")
    expect(page.get_by_role("button", name=re.compile("Python 3"))).to_be_visible()  # the menus are there by then
    page.get_by_role("menuitem", name="View").click()
    page.locator(".lm-Menu-item", has_text="Left Sidebar").hover()
    page.locator(".lm-Menu-item", has_text="Environments").first.click()
    panel = page.get_by_role("region", name="Environments", exact=True)
    shown = open_page(page, panel, "lecture", "group.team", "team")
    expect(shown.get_by_role("row", name=re.compile(f"^Build {lecture[1]}"))).to_be_visible()
    shoot(page, "lab-notebook-7")
