"""Tokens and policies in a browser, on a real Hub: what is made and set there holds where it is used."""

from __future__ import annotations

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from conda_store_hub.demo.hub import DemoHub
from tests.support.browser import check_with_axe, log_in_page, new_page, shoot
from tests.support.hub import ADMIN, as_user
from tests.support.lab import text

pytestmark = pytest.mark.browser


def ask(hub: DemoHub, token: str) -> int:
    headers = {"Authorization": f"token {token}"}
    return httpx.get(f"{hub.service_url}api/v1/token/", headers=headers, trust_env=False, timeout=60).status_code


def test_a_token_is_copied_once_lets_a_program_in_and_is_revoked(page: Page, hub: DemoHub) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    log_in_page(page, hub, "bob")
    page.goto(hub.service_url)
    page.get_by_role("link", name="bob", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_have_text("bob")
    expect(page.get_by_role("row", name="group.team")).to_contain_text("developer")
    page.get_by_label("Label").fill("Nightly builds")
    page.get_by_role("button", name="Make the token").press("Enter")
    page.get_by_role("button", name="Copy the token").press("Enter")
    expect(page.locator("#copied")).to_have_text("Copied.")
    token = page.evaluate("navigator.clipboard.readText()")
    check_with_axe(page, "main")
    assert ask(hub, token) == 200

    page.goto(f"{hub.service_url}user/")
    assert token not in page.content()
    tokens = page.get_by_role("region", name="Your tokens")
    expect(tokens).to_contain_text("last used")
    shoot(page, "web-user")
    tokens.get_by_role("link", name=f"Revoke Nightly builds, …{token[-4:]}").press("Enter")
    expect(page.get_by_role("heading", level=1)).to_contain_text("Nightly builds")
    page.get_by_role("button", name="Revoke it").press("Enter")
    expect(tokens).not_to_contain_text("Nightly builds")
    assert ask(hub, token) == 401


def test_what_an_administrator_sets_is_seen_with_where_it_comes_from_and_holds_for_a_member(
    page: Page, hub: DemoHub, chromium: Browser
) -> None:
    try:
        log_in_page(page, hub, ADMIN)
        page.goto(f"{hub.service_url}admin/policy/")
        setting = page.locator("#setting-forbidden_packages")
        expect(setting).to_contain_text("from: default")
        page.get_by_label("forbidden_packages, set").fill("flask")
        page.get_by_role("button", name="Save").press("Enter")
        page.goto(f"{hub.service_url}admin/policy/")
        expect(setting).to_contain_text("from: service")
        page.goto(f"{hub.service_url}namespace/group.team/policy/")
        expect(setting).to_contain_text("from: service")
        page.get_by_label("forbidden_packages, set").fill("pandas")
        page.get_by_role("button", name="Save").press("Enter")
        shoot(page, "web-policy-set")
        with new_page(chromium) as other:
            _keep_to_it(other, hub)
    finally:
        with as_user(hub, ADMIN) as client:
            for place in ("", "group.team/"):
                client.put(f"api/v1/setting/{place}", json={"forbidden_packages": None}).raise_for_status()


def _keep_to_it(page: Page, hub: DemoHub) -> None:
    """Look, as a member of the group, at what counts, and be refused what is forbidden."""
    log_in_page(page, hub, "alice")
    page.goto(f"{hub.service_url}namespace/group.team/policy/")
    setting = page.locator("#setting-forbidden_packages")
    expect(setting).to_contain_text("flask")
    setting.get_by_text("What was set where").click()
    expect(setting.locator("dl")).to_contain_text("pandas")
    expect(setting.get_by_role("textbox")).to_have_count(0)
    check_with_axe(page, "main")
    for package, who in (("flask", "service"), ("pandas", "namespace")):
        page.goto(f"{hub.service_url}create/?namespace=group.team")
        page.get_by_label("environment.yaml").fill(text("kept", package))
        page.get_by_role("button", name="Build it").click()
        words = f"“{package}” cannot be used here: the policy of the {who} forbids “{package}”."
        expect(page.get_by_role("alert")).to_contain_text(words)
