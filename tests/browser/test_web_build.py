"""Builds, namespaces, sharing and policies in a browser, on a real Hub with real builds of the sample channel."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from conda_store_hub.demo.hub import DemoHub
from tests.support.browser import SECONDS, check_with_axe, log_in_page, shoot
from tests.support.hub import ADMIN, as_user
from tests.support.jupyter import wait_until
from tests.support.lab import find_service, submit, text, wait_for_build

pytestmark = pytest.mark.browser


@contextmanager
def window(chromium: Browser, hub: DemoHub, user: str, **options: Any) -> Generator[Page]:
    """A window of somebody who has logged in, in a browser of their own."""
    with chromium.new_context(**options) as context:
        context.set_default_timeout(SECONDS)
        expect.set_options(timeout=SECONDS)
        shown = context.new_page()
        log_in_page(shown, hub, user)
        yield shown


def address(hub: DemoHub, path: str) -> str:
    return f"{hub.service_url}{path}"


def end_of(page: Page) -> None:
    """Wait until nothing more comes of the build on the page."""
    expect(page.locator("#log-note")).to_have_text("")
    expect(page.locator("#progress")).to_be_hidden()
    expect(page.locator("#steps .step-running")).to_have_count(0)


def test_a_build_is_followed_and_then_done_with_what_one_likes(page: Page, hub: DemoHub) -> None:
    log_in_page(page, hub, "alice")
    first = submit(hub, "alice", text("stats", "flask", "numpy"))
    page.goto(address(hub, f"build/{first}/"))
    shoot(page, "web-build-begun")
    expect(page.locator("#state")).to_contain_text("completed")
    end_of(page)
    expect(page.locator("#steps .step-done")).to_contain_text(["Choose packages", "Install packages"])
    expect(page.locator("#facts")).to_contain_text("by alice")
    check_with_axe(page, "main")
    shoot(page, "web-build-done")

    page.get_by_role("searchbox", name="Search packages").press_sequentially("fla")
    expect(page.locator("#package-list")).to_contain_text("1 package has “fla” in the name.")
    expect(page.locator("#package-list tbody tr")).to_have_count(1)
    expect(page.locator("#package-list")).to_contain_text("asked for")
    assert page.url == address(hub, f"build/{first}/")
    with page.expect_download() as download:
        page.get_by_role("link", name="Download log").click()
    assert download.value.suggested_filename == f"build-{first}.log"

    page.get_by_role("button", name="Rebuild exactly").click()
    expect(page.locator("#facts")).to_contain_text(f"the lock of build {first}, exactly")
    expect(page.locator("#state")).to_contain_text("completed")
    end_of(page)

    page.goto(address(hub, f"build/{first}/"))
    page.get_by_role("button", name="Pin").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#state")).to_contain_text("pinned")
    expect(page.get_by_role("link", name="Delete")).to_have_count(0)
    page.get_by_role("button", name="Unpin").press("Enter")
    page.get_by_role("link", name="Delete").press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text(f"Delete build {first} of alice/stats?")
    check_with_axe(page, "main")
    shoot(page, "web-build-delete")
    page.get_by_role("link", name="Keep everything").press("Enter")
    page.get_by_role("link", name="Delete").click()
    page.get_by_role("button", name="Delete it").click()
    expect(page.locator("#state")).to_contain_text("deleted")
    shoot(page, "web-build-deleted")


def test_an_image_is_made_and_the_lines_for_docker_are_copied(chromium: Browser, hub: DemoHub) -> None:
    image = f"127.0.0.1:{hub.settings.ports.public}/alice/boxed"
    build = submit(hub, "alice", text("boxed"))
    wait_for_build(hub, build)
    with window(chromium, hub, "alice", permissions=["clipboard-read", "clipboard-write"]) as page:
        page.goto(address(hub, f"build/{build}/"))
        section = page.locator("#image")
        section.get_by_role("button", name="Make it").click()
        expect(section).to_contain_text("It is there. With all its layers it has")
        expect(page.locator("#steps")).to_contain_text("Make the image")
        section.get_by_role("button", name="Copy").click()
        expect(page.locator("#pull-copied")).to_have_text("Copied.")
        assert page.evaluate("navigator.clipboard.readText()") == f"docker pull {image}:{build}"
        check_with_axe(page, "main")
        shoot(page, "web-build-image")

        page.goto(address(hub, "environment/alice/boxed/"))
        page.get_by_role("button", name="Copy the line that pulls").click()
        assert page.evaluate("navigator.clipboard.readText()") == f"docker pull {image}"
        check_with_axe(page, "main")
        page.goto(address(hub, "?search=boxed"))
        page.get_by_text("Image of alice/boxed").click()
        expect(page.get_by_text(f"docker pull {image}")).to_be_visible()
        check_with_axe(page, "main")
        shoot(page, "web-home-image")
        page.goto(address(hub, "user/"))
        page.get_by_role("button", name="Copy the line that logs Docker in").click()
        assert page.evaluate("navigator.clipboard.readText()").startswith("docker login -u token 127.0.0.1:")
        shoot(page, "web-user-login")
    narrow: Any = {"viewport": {"width": 360, "height": 800}, "color_scheme": "dark"}
    with window(chromium, hub, "alice", **narrow) as page:
        for path in (f"build/{build}/", "environment/alice/boxed/", "user/", "?search=boxed"):
            page.goto(address(hub, path))
            assert page.evaluate("document.documentElement.scrollWidth") <= 360, path
        page.get_by_text("Image of alice/boxed").click()
        shoot(page, "web-home-image-narrow")
        page.goto(address(hub, f"build/{build}/"))
        check_with_axe(page, "#image")
        shoot(page, "web-build-image-narrow")


def test_a_failure_is_told_in_words_and_in_those_of_the_solver(page: Page, hub: DemoHub) -> None:
    log_in_page(page, hub, "alice")
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    build = submit(hub, "alice", text("broken", "numpy 99.*", "flask"))
    page.goto(address(hub, f"build/{build}/"))
    expect(page.get_by_role("heading", name="The build failed")).to_be_visible()
    expect(page.locator("#reason")).to_contain_text("(line 4, column 5)")
    end_of(page)
    page.get_by_role("button", name="Copy the explanation").click()
    expect(page.locator("#explanation-copied")).to_have_text("Copied.")
    said = page.evaluate("navigator.clipboard.readText()")
    assert "numpy 99.*" in said
    assert said == page.locator("#explanation").text_content()
    check_with_axe(page, "main")
    shoot(page, "web-build-failed")


def test_a_page_left_open_goes_on_after_the_service_was_killed(page: Page, hub: DemoHub) -> None:
    log_in_page(page, hub, "alice")
    build = submit(hub, "alice", text("lasting", "pandas", "flask"))
    home, environment = page.context.new_page(), page.context.new_page()
    home.goto(hub.service_url)
    environment.goto(address(hub, "environment/alice/lasting/"))
    page.goto(address(hub, f"build/{build}/"))
    expect(page.locator("#log-note")).to_have_text("live")
    killed = find_service(hub)
    killed.kill()
    # The Hub looks after services now and then, and starts those that have ended.
    expect(page.locator("#state")).to_contain_text("completed", timeout=180_000)
    end_of(page)
    expect(page.locator("#log")).to_contain_text("Done after")
    expect(page.locator("#packages")).to_contain_text("pandas")
    row = home.get_by_role("listitem").filter(has_text="alice/lasting")
    expect(row).to_contain_text("completed", timeout=90_000)  # by then they ask once a minute
    expect(environment.locator("#active")).to_have_text(f"Active: build {build}", timeout=90_000)
    assert find_service(hub).pid != killed.pid


def test_a_page_left_open_goes_on_after_one_was_logged_out(page: Page, hub: DemoHub) -> None:
    log_in_page(page, hub, "alice")
    build = submit(hub, "alice", text("patient", "flask"))
    page.route("**/logs/**", lambda route: route.fulfill(status=401))
    page.route(f"**/build/{build}/", lambda route: _refuse_head(route))
    page.goto(address(hub, f"build/{build}/"))
    expect(page.locator("#log-note")).to_contain_text("log in in another tab, and this goes on")
    page.unroute_all()
    expect(page.locator("#state")).to_contain_text("completed")
    end_of(page)
    expect(page.locator("#log")).to_contain_text("Done after")


def _refuse_head(route: Any) -> None:
    if route.request.method == "HEAD":
        route.fulfill(status=401)
    else:
        route.continue_()


def test_two_people_in_two_browsers_share_an_environment(chromium: Browser, hub: DemoHub) -> None:
    wait_for_build(hub, submit(hub, "alice", text("shared")))
    with window(chromium, hub, "alice") as alice, window(chromium, hub, "carol") as carol:
        answer = carol.goto(address(hub, "environment/alice/shared/"))
        assert answer is not None
        assert answer.status == 404
        alice.goto(address(hub, "environment/alice/shared/share/"))
        alice.get_by_label("Name on the Hub").fill("caroline")
        alice.get_by_role("button", name="Share").click()
        expect(alice.get_by_role("alert")).to_have_text("There is no user “caroline” on this Hub.")
        expect(alice.get_by_label("Name on the Hub")).to_have_value("caroline")
        check_with_axe(alice, "main")
        shoot(alice, "web-share-error")
        alice.get_by_label("Who").select_option("Everybody who is logged in")
        expect(alice.get_by_label("Name on the Hub")).to_be_hidden()
        alice.get_by_label("Who").select_option("A person")
        alice.get_by_label("Name on the Hub").fill("carol")
        alice.get_by_label("Name on the Hub").press("Enter")
        expect(alice.locator("#member-list")).to_contain_text("carol")
        carol.reload()
        expect(carol.get_by_role("heading", level=1)).to_contain_text("shared")
        alice.get_by_label("Role of carol").select_option("developer")
        alice.get_by_role("button", name="Change the role of carol").click()
        expect(alice.get_by_label("Role of carol")).to_have_value("developer")
        carol.goto(address(hub, "environment/alice/shared/share/"))
        expect(carol.locator("#member-list")).to_contain_text("developer")
        expect(carol.get_by_role("button", name="Share")).to_have_count(0)
        check_with_axe(alice, "main")
        shoot(alice, "web-share")
        alice.get_by_role("button", name="Remove carol").click()
        expect(alice.locator("#member-list")).to_contain_text("Nobody was given a role on this alone.")
        answer = carol.goto(address(hub, "environment/alice/shared/"))
        assert answer is not None
        assert answer.status == 404


def test_a_namespace_is_made_given_a_policy_deleted_and_brought_back(
    chromium: Browser, hub: DemoHub, channel: str
) -> None:
    with window(chromium, hub, ADMIN) as page:
        page.goto(hub.service_url)
        page.get_by_role("link", name="Namespaces").click()
        page.get_by_label("Name", exact=True).fill("A Course")
        page.get_by_role("button", name="Make it").click()
        expect(page.get_by_role("alert")).to_contain_text("lower-case letters")
        page.get_by_label("Name", exact=True).fill("course")
        page.get_by_label("Name", exact=True).press("Enter")
        expect(page.get_by_role("heading", level=1)).to_have_text("course")

        page.get_by_role("link", name="Change the policy").click()
        page.get_by_label("quota_bytes, set").fill("a lot")
        page.get_by_label("keep_builds, set").fill("5")
        page.get_by_role("button", name="Save").click()
        expect(page.get_by_role("alert")).to_contain_text("Nothing was changed.")
        expect(page.locator("#quota_bytes-fault")).to_contain_text("takes a size such as 500 MB")
        expect(page.get_by_label("keep_builds, set")).to_have_value("5")
        check_with_axe(page, "main")
        shoot(page, "web-policy-error")
        page.get_by_role("alert").get_by_role("link", name="quota_bytes").click()
        page.get_by_label("quota_bytes, set").fill("20 GB")
        page.get_by_label("quota_builds, set").fill("10")
        page.get_by_role("button", name="Save").click()
        wait_for_admin(hub, submit(hub, ADMIN, text("lecture"), "course"))
        page.goto(address(hub, "namespace/course/"))
        expect(page.locator("main")).to_contain_text("Builds: 1 of 10")
        expect(page.locator("main")).to_contain_text("of 20.0 GB")
        check_with_axe(page, "main")
        shoot(page, "web-namespace")

        page.get_by_role("link", name="Delete").click()
        expect(page.locator("main")).to_contain_text("1 environment and 1 build go, with ")
        shoot(page, "web-namespace-delete")
        page.get_by_role("button", name="Delete it").click()
        expect(page.locator("#namespaces")).not_to_contain_text("course")
        shoot(page, "web-namespaces")
        page.get_by_role("button", name="Bring back course").click()
        expect(page.locator("main")).to_contain_text("1 environment,")


def wait_for_admin(hub: DemoHub, build_id: int) -> None:
    with as_user(hub, ADMIN) as client:
        wait_until(lambda: client.get(f"api/v1/build/{build_id}/").json()["data"]["status"] == "COMPLETED", "it", 120)


def test_without_javascript_all_can_be_read_and_done(chromium: Browser, hub: DemoHub) -> None:
    build = submit(hub, "bob", text("plain", "flask"))
    with as_user(hub, "bob") as client:
        wait_until(lambda: client.get(f"api/v1/build/{build}/").json()["data"]["status"] == "COMPLETED", "it", 120)
    with window(chromium, hub, "bob", java_script_enabled=False) as page:
        page.goto(address(hub, f"build/{build}/"))
        page.get_by_role("searchbox", name="Search packages").fill("flask")
        page.get_by_role("button", name="Search").click()
        expect(page.locator("#package-list tbody tr")).to_have_count(1)
        page.get_by_role("link", name=f"Build {build}").click()
        page.get_by_role("button", name="Pin").click()
        expect(page.locator("#state")).to_contain_text("pinned")
        page.goto(address(hub, "namespace/bob/"))
        page.get_by_label("Who").select_option("A group of the Hub")
        page.get_by_label("Name on the Hub").fill("team")
        page.get_by_role("button", name="Share").click()
        expect(page.locator("#member-list")).to_contain_text("the group team")
        page.get_by_role("button", name="Remove the group team").click()
        expect(page.locator("#member-list")).not_to_contain_text("the group team")
        page.get_by_role("link", name="Change the policy").click()
        page.get_by_label("forbidden_packages, set").fill("numpy<2\nscipy")
        page.get_by_role("button", name="Save").click()
        expect(page.locator("main")).to_contain_text("numpy<2")
