"""What a person does in JupyterLab, in a browser, and what they find there; and environments for them to find."""

from __future__ import annotations

import json
import re

import psutil
from playwright.sync_api import Locator, Page, expect

from conda_store_hub.demo.hub import DemoHub
from tests.support.browser import log_in_page
from tests.support.hub import as_user
from tests.support.jupyter import wait_until


def text(name: str, *packages: str) -> str:
    """Return a specification of Python and what else is named, from the channels that are set."""
    return f"name: {name}\ndependencies:\n" + "".join(f"  - {package}\n" for package in ("python", *packages))


def submit(hub: DemoHub, user: str, specification: str, namespace: str | None = None) -> int:
    """Have an environment built; the number of its build."""
    with as_user(hub, user) as client:
        body = {"specification": specification, "namespace": namespace or user}
        return client.post("api/v1/specification/", json=body).raise_for_status().json()["data"]["build_id"]


def wait_for_build(hub: DemoHub, build_id: int, user: str = "alice") -> int:
    """Wait until a build is completed, which that user may see; its number."""
    with as_user(hub, user) as client:
        wait_until(
            lambda: client.get(f"api/v1/build/{build_id}/").json()["data"]["status"] == "COMPLETED", "a build", 120
        )
    return build_id


def open_lab(page: Page, hub: DemoHub, user: str, *, owner: str = "", theme: str = "JupyterLab Light") -> None:
    """Log in, and open JupyterLab with nothing in it but the launcher; on the server of `owner`, if one is named."""
    owner = owner or user
    settings = hub.state / "users" / owner / ".jupyter" / "lab" / "user-settings" / "@jupyterlab" / "apputils-extension"
    settings.mkdir(parents=True, exist_ok=True)
    # JupyterLab would ask whether it may ask others for news.
    (settings / "notification.jupyterlab-settings").write_text(json.dumps({"fetchNews": "false"}))
    (settings / "themes.jupyterlab-settings").write_text(json.dumps({"theme": theme}))
    hub.start_server(owner)
    log_in_page(page, hub, user)
    show_lab(page, hub, owner)


def show_lab(page: Page, hub: DemoHub, owner: str) -> None:
    """Open JupyterLab as it is at first."""
    page.goto(f"{hub.user_url(owner)}lab?reset")
    launcher = page.locator(".jp-Launcher").first
    authorize = page.get_by_role("button", name="Authorize")  # the Hub asks visitors for their consent
    expect(launcher.or_(authorize)).to_be_visible()
    if authorize.is_visible():
        authorize.click()
    expect(launcher).to_be_visible()


def wait_for_layout(hub: DemoHub, user: str, widget: str) -> None:
    """Wait until JupyterLab has kept that something is open: it does so a moment after it was opened."""
    workspaces = hub.state / "users" / user / ".jupyter" / "lab" / "workspaces"
    wait_until(lambda: any(widget in file.read_text() for file in workspaces.glob("*")), "the layout to be kept")


def show_panel(page: Page) -> Locator:
    """Show the panel in a JupyterLab that is open."""
    page.get_by_role("tab", name="Environments").click()
    panel = page.get_by_role("region", name="Environments", exact=True)
    expect(panel.get_by_role("tree")).to_be_visible()
    return panel


def open_panel(page: Page, hub: DemoHub, user: str, *, owner: str = "", theme: str = "JupyterLab Light") -> Locator:
    """Log in, open JupyterLab and show the panel."""
    open_lab(page, hub, user, owner=owner, theme=theme)
    return show_panel(page)


def row_of(panel: Locator, name: str, namespace: str = "alice") -> Locator:
    """Return an environment's rows in the panel: a favourite has two."""
    return panel.locator(f"[data-csh-namespace='{namespace}'][data-csh-name='{name}']")


def card_of(page: Page, name: str) -> Locator:
    """Return what the launcher has for notebooks in an environment, NAMESPACE/NAME."""
    return page.locator(".jp-LauncherCard[data-category=Notebook]", has_text=name)


def toast_of(page: Page, said: str) -> Locator:
    """Return the notification that says something."""
    return page.locator(".Toastify__toast", has_text=said)


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


def choose(page: Page, row: Locator, label: str) -> None:
    """Choose a command in the menu of the other mouse button."""
    row.click(button="right")
    page.get_by_role("menuitem", name=label).click()


def confirm(page: Page, label: str) -> None:
    """Press a button of the dialog that is open."""
    page.get_by_role("dialog").get_by_role("button", name=label).click()


def run_command(page: Page, label: str) -> None:
    """Run a command as people find it: in the palette."""
    page.keyboard.press("Control+Shift+C")
    page.locator(".lm-CommandPalette-input").fill(label)
    page.locator(".lm-CommandPalette-item", has_text=re.compile(f"^{label}")).first.click()


def compute(page: Page, notebook: Locator, index: int, code: str) -> Locator:
    """Type code into a cell and run it; what comes of that, to be looked at."""
    # What is typed before the kernel has answered can be lost: the page then rebuilds the notebook's editors.
    expect(page.locator("#jp-bottom-panel")).to_contain_text("| Idle")
    cell = notebook.locator(".jp-CodeCell .cm-content").nth(index)
    cell.click()
    page.keyboard.type(code)
    expect(cell).to_contain_text(code[-10:])
    page.keyboard.press("Shift+Enter")
    return notebook.locator(".jp-OutputArea-output").nth(index)


def find_service(hub: DemoHub) -> psutil.Process:
    """Return the service that this Hub runs."""
    config = str(hub.state / "conda_store_hub_config.py")
    found = [one for one in psutil.process_iter(["cmdline"]) if config in (one.info["cmdline"] or [])]
    (service,) = [one for one in found if "serve" in one.info["cmdline"]]
    return service
