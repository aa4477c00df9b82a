"""A login from end to end: a real Hub, its service, a real Chromium, and `conda-store` with a home of its own."""

from __future__ import annotations

import re
from pathlib import Path

from playwright.sync_api import Browser, expect

from conda_store_hub.demo.hub import DemoHub
from tests.client.test_client_login_command import Machine
from tests.support.browser import check_with_axe, chromium, log_in_page, new_page, shoot
from tests.support.hub import hub

__all__ = ["chromium", "hub"]


def test_somebody_logs_in_with_a_browser_and_out_again(hub: DemoHub, chromium: Browser, tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    with machine.start("login", hub.service_url) as process, new_page(chromium) as page:
        # Who is not logged in at the Hub logs in first, and comes back.
        address = machine.address()
        page.goto(address)
        expect(page).to_have_url(re.compile(r"/hub/login"))
        page.get_by_label("Username").fill("alice")
        page.get_by_label("Password").fill(hub.settings.password)
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_role("heading", name="Let conda-store in?")).to_be_visible()
        check_with_axe(page, "main")
        shoot(page, "login-ask")
        page.get_by_label("It may").select_option("developer")
        page.get_by_label("This ends").press("Tab")
        page.get_by_role("button", name="Let it in").press("Enter")
        expect(page.get_by_role("heading", name="Go back to your terminal")).to_be_visible()
        out, err = process.communicate(timeout=60)
        assert (process.returncode, out) == (0, ""), err
        assert f"Logged in to {hub.service_url} as alice." in err
        assert machine.run("list", "namespace").stdout == "alice\tuser\ngroup.team\tgroup\n"

        page.goto(f"{hub.service_url}user/")
        token = page.locator("li", has_text="conda-store on")
        expect(token).to_contain_text("developer on everything you have")
        assert machine.run("logout").returncode == 0
        page.reload()
        expect(token).to_have_count(0)


def test_a_code_is_shown_to_be_carried_over(hub: DemoHub, chromium: Browser, tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    with machine.start("login", hub.service_url, "--no-browser") as process, new_page(chromium) as page:
        assert process.stderr is not None
        address = next(line.strip() for line in process.stderr if "http" in line)
        log_in_page(page, hub, "bob")
        page.set_viewport_size({"width": 360, "height": 800})
        page.emulate_media(color_scheme="dark")
        page.goto(address)
        expect(page.get_by_role("heading", name="Let conda-store in?")).to_be_visible()
        check_with_axe(page, "main")
        shoot(page, "login-ask-dark-360")
        page.get_by_role("button", name="Let it in").click()
        code = page.locator("#code")
        expect(code).to_be_visible()
        check_with_axe(page, "main")
        shoot(page, "login-code-dark-360")
        out, err = process.communicate(f"{code.text_content()}\n", timeout=60)
        assert (process.returncode, out) == (0, ""), err
        assert "as bob." in err
        assert machine.run("logout").returncode == 0
