"""What administrators do in a browser: look at the service, have it clean up, tell everybody something, log out."""

from __future__ import annotations

import re

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from conda_store_hub.demo.hub import DemoHub
from tests.support.browser import SECONDS, check_with_axe, fill_login, log_in_page, shoot
from tests.support.hub import ADMIN, as_user, password_of
from tests.support.process import until

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module", autouse=True)
def builds(hub: DemoHub, channel: str) -> None:
    """One that is completed, and one that failed."""
    build(hub, channel, "stats", "python")
    build(hub, channel, "wrong", "no-such-package")


def build(hub: DemoHub, channel: str, name: str, package: str) -> None:
    text = f"name: {name}\nchannels: [{channel}]\ndependencies: [{package}]\n"
    with as_user(hub, "alice") as client:
        body = {"specification": text, "namespace": "alice"}
        number = client.post("api/v1/specification/", json=body).raise_for_status().json()["data"]["build_id"]
        until(lambda: client.get(f"api/v1/build/{number}/").json()["data"]["ended_on"] is not None, 120)


def open_page(page: Page, hub: DemoHub, path: str) -> None:
    page.goto(f"{hub.service_url}{path}")
    expect(page.get_by_role("main")).to_be_visible()


def test_an_administrator_sees_how_builds_went_and_has_the_janitor_go_round(page: Page, hub: DemoHub) -> None:
    log_in_page(page, hub, ADMIN)
    open_page(page, hub, "")
    page.get_by_role("link", name="Admin", exact=True).press("Enter")
    expect(page.get_by_role("heading", name="Administration")).to_be_visible()
    expect(page.get_by_role("img", name=re.compile("Builds that ended"))).to_be_visible()
    page.get_by_text("As a table").click()
    expect(page.get_by_role("row", name=re.compile("Completed Failed Cancelled"))).to_be_visible()
    expect(page.get_by_role("row", name=re.compile("package-not-found"))).to_be_visible()
    expect(page.locator("#sizes").get_by_role("link", name="alice/stats")).to_be_visible()
    page.get_by_role("button", name="Go round now").press("Enter")
    expect(page.locator("#live")).to_contain_text(re.compile(f"which {ADMIN} asked for, ended"))
    expect(page.locator("#live")).to_contain_text("caches")
    page.get_by_role("link", name="Audit trail").click()
    page.get_by_label("What").select_option("janitor.run")
    page.get_by_role("button", name="Filter").click()
    expect(page.get_by_role("row", name=re.compile(ADMIN))).to_be_visible()
    expect(page.get_by_role("row", name=re.compile("build.submit"))).to_have_count(0)


def test_what_administrators_say_is_seen_by_another_person_until_it_is_taken_back(
    page: Page, hub: DemoHub, chromium: Browser
) -> None:
    log_in_page(page, hub, ADMIN)
    open_page(page, hub, "admin/banner/")
    page.get_by_role("textbox", name="Message").press_sequentially("Closed on Monday: see https://hub.example/news.")
    page.get_by_label("warning").press("Space")
    page.get_by_role("button", name="Show it").press("Enter")
    expect(page.get_by_role("complementary")).to_contain_text("Closed on Monday")
    with chromium.new_context(java_script_enabled=False) as context:
        context.set_default_timeout(SECONDS)
        other = context.new_page()
        # The Hub's own form needs no script to be sent.
        fill_login(other, hub.url, "carol", password_of(hub, "carol"))
        other.goto(hub.service_url)
        expect(other.get_by_role("complementary")).to_contain_text("Closed on Monday")
        expect(other.get_by_role("link", name="https://hub.example/news")).to_be_visible()
        shoot(other, "banner")
    for theme in ("light", "dark"):
        page.emulate_media(color_scheme=theme)
        page.reload()  # colours that are still changing would be looked at
        expect(page.locator("html")).to_have_attribute("data-bs-theme", theme)
        check_with_axe(page, "body")
    page.get_by_role("button", name=re.compile("Back to the configuration")).click()
    expect(page.get_by_role("complementary")).to_have_count(0)


def test_the_pages_do_their_work_without_javascript(hub: DemoHub, chromium: Browser) -> None:
    with chromium.new_context(java_script_enabled=False) as context:
        context.set_default_timeout(SECONDS)
        page = context.new_page()
        fill_login(page, hub.url, ADMIN, password_of(hub, ADMIN))
        open_page(page, hub, "admin/")
        page.get_by_role("button", name="Go round now").click()
        expect(page.get_by_text(re.compile("Janitor"))).to_be_visible()
        page.get_by_role("link", name="Health").click()
        expect(page.get_by_role("row", name=re.compile("Hub well JupyterHub"))).to_be_visible()


def test_who_does_not_administer_the_hub_gets_no_further(page: Page, hub: DemoHub) -> None:
    log_in_page(page, hub, "alice")
    open_page(page, hub, "")
    expect(page.get_by_role("link", name="Admin", exact=True)).to_have_count(0)
    answer = page.goto(f"{hub.service_url}admin/")
    assert answer is not None
    assert answer.status == 403
    expect(page.get_by_text("only administrators of the Hub have")).to_be_visible()


def test_the_hubs_own_pages_have_a_tab_that_leads_here(page: Page, hub: DemoHub) -> None:
    log_in_page(page, hub, "alice")
    page.goto(f"{hub.url}hub/token")
    shoot(page, "hub-tab")
    page.get_by_role("navigation").get_by_role("link", name="Environments", exact=True).click()
    expect(page.get_by_role("heading", name="Environments", level=1)).to_be_visible()


def test_logged_out_means_logged_out(page: Page, hub: DemoHub) -> None:
    log_in_page(page, hub, "alice")
    open_page(page, hub, "environment/alice/stats/")
    expect(page.get_by_role("heading", name=re.compile("stats"))).to_be_visible()
    at_service = [each for each in page.context.cookies() if "/services/" in f"{each.get('path')}"]
    kept = {str(each.get("name")): str(each.get("value")) for each in page.context.cookies()}
    kept |= {str(each.get("name")): str(each.get("value")) for each in at_service}
    form = {"label": "", "role": "admin", "end": "never", "_xsrf": kept["_xsrf"]}
    browsers = {"Sec-Fetch-Mode": "navigate"}
    with httpx.Client(base_url=hub.service_url, cookies=kept, trust_env=False, headers=browsers) as thief:
        assert thief.post("user/", data=form).status_code == 400  # who they are is known, and the label is missing
    page.get_by_role("link", name="Log out").click()
    expect(page.get_by_label("Username")).to_be_visible()

    page.go_back()  # nothing of the page was kept: it is asked for again
    expect(page.get_by_label("Username")).to_be_visible()
    expect(page.get_by_text("stats")).to_have_count(0)
    page.goto(f"{hub.service_url}environment/alice/stats/")
    expect(page.get_by_label("Username")).to_be_visible()

    # Whoever has kept the cookies changes nothing with them; what they read ends with `cache_max_age`.
    with httpx.Client(base_url=hub.service_url, cookies=kept, trust_env=False, headers=browsers) as thief:
        answer = thief.post("user/", data=form | {"label": "stolen"})
    assert answer.status_code == 401
    assert answer.headers["Cache-Control"] == "no-store"
    with as_user(hub, "alice") as alice:
        assert alice.get("api/v1/token/").json()["data"] == []
