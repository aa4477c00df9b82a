"""The extension of JupyterLab, in a browser, with a real Hub and real builds."""

from __future__ import annotations

import re
from collections.abc import Generator

import pytest
from playwright.sync_api import Locator, Page, expect

from conda_store_hub.demo.channel import serve_channel
from conda_store_hub.demo.hub import DemoHub
from tests.support.browser import log_in_page, shoot
from tests.support.channel import sample_channel_dir
from tests.support.hub import allow_root, as_user, make_settings

pytestmark = pytest.mark.browser

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


def submit(hub: DemoHub, user: str, text: str, namespace: str | None = None) -> int:
    with as_user(hub, user) as client:
        body = {"specification": text, **({"namespace": namespace} if namespace else {})}
        return client.post("api/v1/specification/", json=body).raise_for_status().json()["data"]["build_id"]


def open_lab(page: Page, hub: DemoHub, user: str) -> Locator:
    """Log in, open JupyterLab and show the panel."""
    hub.start_server(user)
    log_in_page(page, hub, user)
    page.goto(f"{hub.user_url(user)}lab?reset")
    page.get_by_role("tab", name="Environments").click()
    panel = page.get_by_role("region", name="Environments")
    expect(panel.get_by_role("tree")).to_be_visible()
    return panel


def test_the_first_environment_is_built_and_computed_in(page: Page, hub: DemoHub, channel: str) -> None:
    panel = open_lab(page, hub, "alice")
    expect(panel.get_by_text("Start here")).to_be_visible()
    shoot(page, "lab-start-here")

    submit(hub, "alice", TEXT.format(name="ml", channel=channel, more=""))
    page.get_by_role("button", name="Refresh Environments").click()
    row = panel.get_by_role("treeitem", name=re.compile("^ml"))
    expect(row).to_contain_text("no kernel")
    shoot(page, "lab-no-kernel")

    row.click()
    page.get_by_role("button", name="Add ipykernel and build").click()
    log = page.get_by_role("log")
    expect(log).to_contain_text("Channels:")
    shoot(page, "lab-building")
    toast = page.locator(".Toastify__toast", has_text="alice/ml is ready")
    expect(toast).to_be_visible()
    expect(row).to_contain_text("ready")
    shoot(page, "lab-ready")
    toast.get_by_role("button", name="Open notebook").click()

    expect(page.locator("#jp-bottom-panel")).to_contain_text("| Idle")
    cell = page.locator(".jp-Notebook .jp-CodeCell .cm-content").first
    cell.click()
    page.keyboard.type("import sys; print(6 * 7, sys.prefix)")
    page.keyboard.press("Shift+Enter")
    output = page.locator(".jp-OutputArea-output").first
    expect(output).to_contain_text("42")
    assert str(hub.state / "data" / "b") in output.inner_text()
    expect(row).to_contain_text("in use: 1")
    shoot(page, "lab-notebook")
