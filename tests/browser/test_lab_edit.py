"""Environments written in JupyterLab: compose, preview, build, compute, add a package, restart; with a real Hub."""

from __future__ import annotations

import re
from collections.abc import Generator

import pytest
from playwright.sync_api import Locator, Page, expect

from conda_store_hub.demo.channel import serve_channel
from conda_store_hub.demo.hub import DemoHub
from tests.support.browser import shoot
from tests.support.channel import sample_channel_dir
from tests.support.hub import allow_root, as_user, make_settings, password_of

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def channel() -> Generator[str]:
    with serve_channel(sample_channel_dir()) as url:
        yield url


@pytest.fixture(scope="module")
def hub(channel: str, tmp_path_factory: pytest.TempPathFactory) -> Generator[DemoHub]:
    config = (
        f"{allow_root()}c.CondaStore.conda_channel_aliases = {{'sample': {channel!r}}}\n"
        "c.CondaStore.conda_default_channels = ['sample']\n"
    )
    with DemoHub(tmp_path_factory.mktemp("h"), make_settings(service_config=config)) as running:
        yield running


def open_lab(page: Page, hub: DemoHub, user: str) -> None:
    hub.start_server(user)
    page.goto(f"{hub.url}hub/login")
    page.get_by_label("Username").fill(user)
    page.get_by_label("Password").fill(password_of(hub, user))
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(lambda url: "login" not in url)
    page.goto(f"{hub.user_url(user)}lab?reset")
    page.locator(".jp-Launcher").first.wait_for()


def run_command(page: Page, label: str) -> None:
    """Run a command as people find it: in the palette."""
    page.keyboard.press("Control+Shift+C")
    page.locator(".lm-CommandPalette-input").fill(label)
    page.locator(".lm-CommandPalette-item", has_text=re.compile(f"^{label}")).first.click()


def new_environment(page: Page) -> Locator:
    run_command(page, "New Environment")
    return page.locator(".csh-Editor:visible")


def lines(editor: Locator) -> str:
    return "\n".join(editor.locator(".cm-line").all_inner_texts())


def submit(hub: DemoHub, user: str, text: str) -> int:
    with as_user(hub, user) as client:
        answer = client.post("api/v1/specification/", json={"specification": text}).raise_for_status()
    return answer.json()["data"]["build_id"]


def test_an_environment_is_composed_previewed_built_used_and_changed(page: Page, hub: DemoHub, channel: str) -> None:
    open_lab(page, hub, "alice")
    editor = new_environment(page)
    expect(editor.get_by_label("Namespace")).to_have_value("alice")
    editor.get_by_label("Name", exact=True).fill("ml")
    expect(editor.locator(".cm-content")).to_contain_text("name: ml")

    field = editor.get_by_role("combobox", name="Add a package")
    field.press_sequentially("nump")
    expect(editor.get_by_role("option", name=re.compile("^numpy"))).to_be_visible()
    shoot(page, "edit-search")
    field.press("ArrowDown")
    field.press("Enter")
    expect(field).to_have_value(re.compile("^numpy"))
    field.press_sequentially("=")
    expect(editor.get_by_role("option").first).to_contain_text(re.compile("[0-9]"))
    shoot(page, "edit-versions")
    field.press("ArrowDown")
    field.press("Enter")
    expect(editor.locator(".cm-content")).to_contain_text(re.compile("- numpy=[0-9]"))

    editor.get_by_role("button", name="Preview").click()
    expect(editor.get_by_role("region", name="What would be installed")).to_contain_text("asked for")
    shoot(page, "edit-preview")
    editor.get_by_role("button", name="Build").click()
    toast = page.locator(".Toastify__toast", has_text="alice/ml is ready")
    expect(toast).to_be_visible()
    shoot(page, "edit-built")
    toast.get_by_role("button", name="Open notebook").click()

    expect(page.locator("#jp-bottom-panel")).to_contain_text("| Idle")
    notebook = page.locator(".jp-NotebookPanel:visible")
    compute(page, notebook, 0, "import numpy; print(numpy.arange(10).sum())")
    expect(notebook.locator(".jp-OutputArea-output").first).to_contain_text("45")
    button = notebook.get_by_role("button", name=re.compile("alice/ml · build [0-9]+"))
    button.click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Search its packages").fill("nump")
    expect(dialog.get_by_role("table")).to_contain_text("numpy")
    shoot(page, "edit-notebook-environment")

    dialog.get_by_role("button", name="Add a package").click()
    editor = page.locator(".csh-Editor:visible")
    field = editor.get_by_role("combobox", name="Add a package")
    expect(field).to_be_focused()
    field.fill("flask")
    field.press("Enter")
    editor.get_by_role("button", name="Preview").click()
    expect(editor.locator(".csh-Changes")).to_contain_text("flask")
    shoot(page, "edit-preview-change")
    editor.get_by_role("button", name="Build").click()
    offer = page.locator(".Toastify__toast", has_text="is active now")
    expect(offer).to_be_visible()
    shoot(page, "edit-restart-offer")
    offer.get_by_role("button", name=re.compile("Restart into build")).click()
    page.get_by_role("dialog").get_by_role("button", name="Restart").click()


def compute(page: Page, notebook: Locator, index: int, code: str) -> None:
    cell = notebook.locator(".jp-CodeCell .cm-content").nth(index)
    cell.click()
    page.keyboard.type(code)
    expect(cell).to_contain_text(code[-12:])
    page.keyboard.press("Shift+Enter")
