"""From the service's pages into a notebook, and an environment's life on them, on a real Hub with real builds."""

from __future__ import annotations

import json
import re

import pytest
from playwright.sync_api import Browser, Page, expect

from conda_store_hub.demo.hub import DemoHub
from tests.support.browser import check_with_axe, come_back, log_in_page, shoot
from tests.support.hub import as_user
from tests.support.jupyter import wait_until

pytestmark = pytest.mark.browser

TEXT = """\
# what {name} is for
name: {name}
channels:
  - {channel}
dependencies:
  - python
{more}"""
KERNEL = "  - ipykernel\n"


@pytest.fixture(scope="module", autouse=True)
def quiet(hub: DemoHub) -> None:
    for user in ("alice", "carol"):
        ask_for_no_news(hub, user)


def ask_for_no_news(hub: DemoHub, user: str) -> None:
    """JupyterLab would ask whether it may ask others for news."""
    settings = hub.state / "users" / user / ".jupyter" / "lab" / "user-settings" / "@jupyterlab" / "apputils-extension"
    settings.mkdir(parents=True, exist_ok=True)
    (settings / "notification.jupyterlab-settings").write_text(json.dumps({"fetchNews": "false"}))


def build(hub: DemoHub, channel: str, name: str, more: str = "") -> int:
    """Have an environment of alice's built, and wait until it is usable."""
    body = {"specification": TEXT.format(name=name, channel=channel, more=more), "namespace": "alice"}
    with as_user(hub, "alice") as client:
        number = client.post("api/v1/specification/", json=body).raise_for_status().json()["data"]["build_id"]
        wait_until(lambda: client.get(f"api/v1/build/{number}/").json()["data"]["status"] == "COMPLETED", name, 120)
    return int(number)


def share(hub: DemoHub, name: str, user: str, role: str) -> None:
    """Give somebody a role on an environment of alice's."""
    with as_user(hub, "alice") as client:
        grant = {"subject": "user", "name": user, "role": role}
        client.put(f"api/v1/environment/alice/{name}/member/", json=grant).raise_for_status()


def compute(page: Page, words: str) -> None:
    """Run something in the notebook that is open, and expect words in what comes."""
    # What is typed before the kernel has answered can be lost: the page then rebuilds the notebook's editors.
    expect(page.locator("#jp-bottom-panel")).to_contain_text("| Idle")
    cell = page.locator(".jp-Notebook .jp-CodeCell .cm-content").first
    cell.click()
    page.keyboard.type("import sys; print(6 * 7, sys.prefix)")
    expect(cell).to_contain_text("sys.prefix)")
    page.keyboard.press("Shift+Enter")
    expect(page.locator(".jp-OutputArea-output").first).to_contain_text(words)


def test_a_link_starts_the_server_and_opens_a_notebook(page: Page, hub: DemoHub, channel: str) -> None:
    build(hub, channel, "lecture", KERNEL)
    build(hub, channel, "quiet")
    log_in_page(page, hub, "alice")
    page.goto(hub.service_url)
    shoot(page, "web-home")
    check_with_axe(page, "body")
    page.get_by_role("link", name="Open in JupyterLab with alice/lecture").click()
    page.wait_for_url(re.compile("/user/alice/lab"))
    compute(page, f"42 {hub.state / 'data' / 'b'}")
    assert "csh-open" not in page.url
    shoot(page, "web-opened-notebook")

    page.goto(f"{hub.service_url}environment/alice/quiet/")
    page.get_by_role("link", name="Open in JupyterLab").click()
    expect(page.locator(".Toastify__toast")).to_contain_text("No notebook can run in alice/quiet")
    expect(page.locator(".csh-Page:visible").get_by_role("heading", level=1)).to_contain_text("quiet")


def test_where_others_build_a_link_opens_nothing_unasked(page: Page, hub: DemoHub, channel: str) -> None:
    build(hub, channel, "shown", KERNEL)
    share(hub, "shown", "carol", "viewer")
    log_in_page(page, hub, "carol")
    page.goto(f"{hub.service_url}environment/alice/shown/")
    page.get_by_role("link", name="Open in JupyterLab").click()
    asked = page.get_by_role("dialog")
    expect(asked).to_contain_text("Open a notebook in alice/shown?")
    shoot(page, "web-open-asked")
    assert page.locator(".jp-Notebook").count() == 0
    asked.get_by_role("button", name="Open").click()
    compute(page, "42")


def test_two_people_see_one_environment_live_its_life(
    page: Page, chromium: Browser, hub: DemoHub, channel: str
) -> None:
    first = build(hub, channel, "ours")
    second = build(hub, channel, "ours", "  - numpy\n")
    share(hub, "ours", "bob", "developer")
    where = f"{hub.service_url}environment/alice/ours/"
    log_in_page(page, hub, "alice")
    page.goto(where)
    with chromium.new_context(viewport={"width": 360, "height": 740}, color_scheme="dark") as context:
        other = context.new_page()
        log_in_page(other, hub, "bob")
        other.goto(where)
        expect(other.locator("#active")).to_have_text(f"Active: build {second}")
        expect(other.get_by_text("# what ours is for")).to_be_visible()
        check_with_axe(other, "body")
        shoot(other, "web-environment-dark-360")

        other.get_by_role("button", name=f"Activate build {first}").click()
        expect(other.locator("#active")).to_have_text(f"Active: build {first}")
        come_back(page)
        expect(page.locator("#active")).to_have_text(f"Active: build {first}")
        page.get_by_role("link", name=f"What changed in build {second}").click()
        expect(page.get_by_role("row", name=re.compile("^numpy"))).to_be_visible()
        shoot(page, "web-changes")

        page.goto(where)
        page.get_by_role("button", name="Rebuild", exact=True).click()
        expect(page.locator("#state")).to_be_visible()
        come_back(other)
        expect(page.locator("#state")).to_contain_text("completed")
        expect(other.locator("#active")).to_have_text(f"Active: build {second + 1}")

    page.goto(f"{where.split('environment/')[0]}build/{second}/delete/?from=environment")
    page.get_by_role("button", name="Delete it").click()
    row = page.locator(".entry-deleted")
    expect(row).to_contain_text(f"Build {second}")
    shoot(page, "web-environment")
    row.get_by_role("button", name="Rebuild exactly").click()
    expect(page.locator("#state")).to_contain_text("completed")
    expect(page.locator("#packages")).to_contain_text("numpy")

    page.goto(f"{where}clone/")
    page.get_by_label("Into the namespace").select_option("group.team")
    page.get_by_label("Name", exact=True).fill("mine")
    page.get_by_role("button", name="Clone").click()
    expect(page.locator("#state")).to_contain_text("completed")
    page.goto(f"{hub.service_url}environment/group.team/mine/")
    expect(page.get_by_text("# what ours is for")).to_be_visible()
