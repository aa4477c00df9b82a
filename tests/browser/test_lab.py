"""The extension of JupyterLab, in a browser, with a real Hub and real builds."""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Generator
from pathlib import Path
from typing import Any

import psutil
import pytest
from playwright.sync_api import Locator, Page, expect

from conda_store_hub.demo.channel import serve_channel
from conda_store_hub.demo.hub import DemoHub
from tests.support.browser import log_in_page, shoot
from tests.support.channel import sample_channel_dir
from tests.support.hub import allow_root, as_user, make_settings
from tests.support.jupyter import wait_until

pytestmark = pytest.mark.browser

AXE = Path(__file__).parents[2] / "labextension" / "node_modules" / "axe-core" / "axe.min.js"
API = "/conda-store-hub/api/v1/"
TEXT = """\
name: {name}
channels:
  - {channel}
dependencies:
  - python
{more}"""


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


@pytest.fixture(scope="module")
def lecture(hub: DemoHub, channel: str) -> tuple[int, int]:
    """Two builds of `team`'s environment `lecture`: one without a kernel, and an active one with it."""
    first = submit(hub, "alice", text("lecture", channel), "group.team")
    wait_for_build(hub, first)
    second = submit(hub, "alice", text("lecture", channel, "  - ipykernel\n"), "group.team")
    wait_for_build(hub, second)
    return first, second


def text(name: str, channel: str, more: str = "") -> str:
    return TEXT.format(name=name, channel=channel, more=more)


def submit(hub: DemoHub, user: str, specification: str, namespace: str | None = None) -> int:
    with as_user(hub, user) as client:
        body = {"specification": specification, "namespace": namespace or user}
        return client.post("api/v1/specification/", json=body).raise_for_status().json()["data"]["build_id"]


def wait_for_build(hub: DemoHub, build_id: int) -> None:
    with as_user(hub, "alice") as client:
        wait_until(
            lambda: client.get(f"api/v1/build/{build_id}/").json()["data"]["status"] == "COMPLETED", "a build", 120
        )


def open_lab(page: Page, hub: DemoHub, user: str, theme: str = "JupyterLab Light") -> Locator:
    """Log in, open JupyterLab and show the panel."""
    settings = hub.state / "users" / user / ".jupyter" / "lab" / "user-settings" / "@jupyterlab" / "apputils-extension"
    settings.mkdir(parents=True, exist_ok=True)
    # JupyterLab would ask whether it may ask others for news.
    (settings / "notification.jupyterlab-settings").write_text(json.dumps({"fetchNews": "false"}))
    (settings / "themes.jupyterlab-settings").write_text(json.dumps({"theme": theme}))
    hub.start_server(user)
    log_in_page(page, hub, user)
    return show_panel(page, hub, user)


def show_panel(page: Page, hub: DemoHub, user: str) -> Locator:
    """Open JupyterLab as it is at first, and the panel in it."""
    page.goto(f"{hub.user_url(user)}lab?reset")
    expect(page.locator(".jp-Launcher")).to_be_visible()
    page.get_by_role("tab", name="Environments").click()
    panel = page.get_by_role("region", name="Environments", exact=True)
    expect(panel.get_by_role("tree")).to_be_visible()
    return panel


def row_of(panel: Locator, name: str, namespace: str = "alice") -> Locator:
    return panel.locator(f"[data-csh-namespace='{namespace}'][data-csh-name='{name}']")


def open_page(page: Page, panel: Locator, name: str, namespace: str = "alice", heading: str = "") -> Locator:
    """Open an environment's page from the panel; `heading`: of its namespace, where that is closed."""
    if heading:
        place = panel.get_by_role("treeitem", name=re.compile(f"^{re.escape(heading)}")).first
        expect(place).to_be_visible()
        if place.get_attribute("aria-expanded") == "false":
            place.click()
    # A favourite is shown above the namespaces too.
    row_of(panel, name, namespace).last.locator(".csh-TreeItem-name").click()
    shown = page.locator(".csh-Page:visible")
    expect(shown.get_by_role("heading", level=1)).to_contain_text(name)
    return shown


def confirm(page: Page, label: str) -> None:
    page.get_by_role("dialog").get_by_role("button", name=label).click()


def check_with_axe(page: Page, selector: str) -> None:
    """Fail on whatever axe-core finds in a part of the page."""
    page.add_script_tag(path=AXE)
    found: dict[str, Any] = page.evaluate("selector => axe.run(selector)", selector)
    said = [f"{one['id']}: {one['nodes'][0]['html']}" for one in found["violations"]]
    assert said == []
    assert found["passes"]


def test_the_first_environment_is_built_and_computed_in(page: Page, hub: DemoHub, channel: str) -> None:
    panel = open_lab(page, hub, "alice")
    expect(panel.get_by_text("Start here")).to_be_visible()
    check_with_axe(page, ".csh-Panel")
    shoot(page, "lab-start-here")

    wait_for_build(hub, submit(hub, "alice", text("ml", channel)))
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
    toast = page.locator(".Toastify__toast", has_text="alice/ml is ready")
    expect(toast).to_be_visible()
    expect(row).to_contain_text("ready")
    shoot(page, "lab-ready")
    toast.get_by_role("button", name="Open notebook").click()

    # What is typed before the kernel has answered can be lost: the page then rebuilds the notebook's editors.
    expect(page.locator("#jp-bottom-panel")).to_contain_text("| Idle")
    cell = page.locator(".jp-Notebook .jp-CodeCell .cm-content").first
    cell.click()
    page.keyboard.type("import sys; print(6 * 7, sys.prefix)")
    expect(cell).to_contain_text("sys.prefix)")
    page.keyboard.press("Shift+Enter")
    output = page.locator(".jp-OutputArea-output").first
    expect(output).to_contain_text("42")
    assert str(hub.state / "data" / "b") in output.inner_text()
    expect(row).to_contain_text("in use: 1")
    shoot(page, "lab-notebook")


def test_builds_are_compared_pinned_and_rolled_back(page: Page, hub: DemoHub, lecture: tuple[int, int]) -> None:
    panel = open_lab(page, hub, "alice")
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


def test_a_viewer_sees_what_they_may_do_and_who_can_give_more(
    page: Page, hub: DemoHub, channel: str, lecture: tuple[int, int]
) -> None:
    wait_for_build(hub, submit(hub, "alice", text("for-carol", channel)))
    with as_user(hub, "alice") as client:
        grant = {"subject": "user", "name": "carol", "role": "viewer"}
        client.put("api/v1/environment/alice/for-carol/member/", json=grant).raise_for_status()
    panel = open_lab(page, hub, "carol")
    shown = open_page(page, panel, "for-carol", heading="alice")
    expect(shown.get_by_text("The right to can be given by alice")).to_be_visible()
    for action in ("Rebuild", "Delete", "Rename…", "Activate", "Pin"):
        expect(shown.get_by_role("button", name=action)).to_have_count(0)
    expect(panel.get_by_text("team")).to_have_count(0)
    check_with_axe(page, ".csh-Panel")
    shoot(page, "lab-viewer")


def test_what_is_shared_from_the_page_is_there_for_the_other(page: Page, hub: DemoHub, channel: str) -> None:
    wait_for_build(hub, submit(hub, "alice", text("shared", channel)))
    shown = open_page(page, open_lab(page, hub, "alice"), "shared")
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


def test_deleting_is_undone_with_the_keyboard_alone(page: Page, hub: DemoHub, channel: str) -> None:
    wait_for_build(hub, submit(hub, "alice", text("gone", channel)))
    panel = open_lab(page, hub, "alice")
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
    page.locator(".Toastify__toast", has_text="alice/gone was deleted").get_by_role("button", name="Undo").click()
    expect(row).to_be_visible()
    shoot(page, "lab-undone")


def test_a_build_that_fails_says_why_and_one_that_goes_on_is_cancelled(page: Page, hub: DemoHub, channel: str) -> None:
    failed = submit(hub, "alice", text("broken", channel, "  - no-such-package\n"))
    panel = open_lab(page, hub, "alice", "JupyterLab Dark")
    expect(row_of(panel, "broken")).to_contain_text("failed")
    shown = open_page(page, panel, "broken")
    shown.get_by_role("button", name=f"Build {failed}").click()
    expect(shown.get_by_role("alert").first).to_contain_text("no-such-package")
    check_with_axe(page, ".csh-Page:not(.lm-mod-hidden)")
    shoot(page, "lab-failed-dark")

    running = submit(hub, "alice", text("slow", channel, "  - ipykernel\n  - pandas\n"))
    page.get_by_role("button", name="Refresh Environments").click()
    shown = open_page(page, panel, "slow")
    shown.get_by_role("button", name=f"Build {running}").click()
    shown.get_by_role("region", name=f"Build {running}").get_by_role("button", name="Cancel").click()
    confirm(page, "Cancel the build")
    expect(row_of(panel, "slow")).to_contain_text("cancelled")
    check_with_axe(page, ".csh-Panel")
    shoot(page, "lab-cancelled-dark")


def test_what_is_searched_is_found_wherever_it_is(page: Page, hub: DemoHub, lecture: tuple[int, int]) -> None:
    panel = open_lab(page, hub, "alice", "JupyterLab Dark High Contrast")
    panel.get_by_role("searchbox").fill("lect")
    expect(panel.get_by_role("status")).to_have_text("1 found")
    row = row_of(panel, "lecture", "group.team")
    row.get_by_role("button", name="Add group.team/lecture to favourites").click()
    panel.get_by_role("searchbox").press("Escape")
    expect(panel.get_by_role("treeitem", name=re.compile("^Favourites"))).to_be_visible()
    expect(row.first).to_contain_text("group.team/lecture")
    check_with_axe(page, ".csh-Panel")
    shoot(page, "lab-favourite-high-contrast")


def test_a_closed_panel_asks_nothing_and_the_picker_follows_nevertheless(
    page: Page, hub: DemoHub, channel: str
) -> None:
    open_lab(page, hub, "bob")
    page.get_by_role("tab", name=re.compile("^File Browser")).click()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if API in request.url else None)
    wait_for_build(hub, submit(hub, "alice", text("quiet", channel, "  - ipykernel\n"), "group.team"))
    expect(page.locator(".jp-LauncherCard[data-category=Notebook]", has_text="team/quiet")).to_be_visible()
    assert asked == []


def test_a_service_that_is_down_is_said_and_it_is_noticed_when_it_is_back(
    page: Page, hub: DemoHub, lecture: tuple[int, int]
) -> None:
    panel = open_lab(page, hub, "alice")
    os.kill(find_service(hub).pid, signal.SIGKILL)
    page.get_by_role("button", name="Refresh Environments").click()
    notice = panel.get_by_role("alert")
    expect(notice).to_contain_text("Kernels that are listed still start")
    expect(panel.get_by_role("treeitem", name=re.compile("^team"))).to_be_visible()
    check_with_axe(page, ".csh-Panel")
    shoot(page, "lab-down")
    # The Hub looks every 30 s after services, and starts those that have ended.
    expect(notice).to_have_count(0, timeout=120_000)


def test_who_is_logged_out_is_told_so_and_how_to_go_on(page: Page, hub: DemoHub, lecture: tuple[int, int]) -> None:
    panel = open_lab(page, hub, "alice")
    # What the server says of a login that has ended; the Hub remembers a good one for minutes.
    forbidden = {"message": "Forbidden", "reason": None}
    page.route(f"**{API}**", lambda route: route.fulfill(status=403, json=forbidden))
    page.get_by_role("button", name="Refresh Environments").click()
    expect(panel.get_by_role("alert")).to_contain_text("You are logged out")
    shoot(page, "lab-logged-out")
    page.unroute(f"**{API}**")
    with page.expect_navigation():
        panel.get_by_role("button", name="Load the page again").click()
    show_panel(page, hub, "alice")
    expect(panel.get_by_role("treeitem", name=re.compile("^alice"))).to_be_visible()
    expect(panel.get_by_role("alert")).to_have_count(0)


def test_notebook_7_has_the_panel_too(page: Page, hub: DemoHub, lecture: tuple[int, int]) -> None:
    open_lab(page, hub, "alice")
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


def find_service(hub: DemoHub) -> psutil.Process:
    """Return the service that this Hub runs."""
    config = str(hub.state / "conda_store_hub_config.py")
    found = [one for one in psutil.process_iter(["cmdline"]) if config in (one.info["cmdline"] or [])]
    (service,) = [one for one in found if "serve" in one.info["cmdline"]]
    return service
