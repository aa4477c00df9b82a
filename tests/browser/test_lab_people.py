"""JupyterLab with several who look: two tabs, two servers, a visitor on somebody else's, and who is logged out."""

from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from conda_store_hub.demo.hub import DemoHub
from tests.support.browser import fill_login, new_page, shoot
from tests.support.hub import ADMIN, as_user, password_of
from tests.support.lab import (
    card_of,
    choose,
    compute,
    confirm,
    open_page,
    open_panel,
    row_of,
    run_command,
    show_lab,
    show_panel,
    submit,
    text,
    wait_for_build,
    wait_for_layout,
)

pytestmark = pytest.mark.browser


def list_deeds(hub: DemoHub, namespace: str) -> list[tuple[str, str]]:
    """Return who did what in a namespace, the newest first."""
    with as_user(hub, ADMIN) as client:
        rows: list[dict[str, Any]] = (
            client.get(f"api/v1/audit/?namespace={namespace}").raise_for_status().json()["data"]
        )
    return [(row["actor"], row["action"]) for row in rows]


def test_a_new_kernel_is_seen_in_every_tab_and_on_every_server(page: Page, hub: DemoHub, chromium: Browser) -> None:
    panel = open_panel(page, hub, "alice")
    with page.context.new_page() as second, new_page(chromium) as other:
        show_lab(second, hub, "alice")
        others = open_panel(other, hub, "bob")
        panels = (panel, show_panel(second), others)
        for shown in panels:
            shown.get_by_role("treeitem", name=re.compile("^team")).click()
        build = submit(hub, "bob", text("seen", "ipykernel"), "group.team")
        wait_for_build(hub, build)
        for tab, shown in zip((page, second, other), panels, strict=True):
            expect(card_of(tab, "team/seen")).to_be_visible()
            expect(row_of(shown, "seen", "group.team")).to_contain_text("ready")
        shoot(other, "people-other-server")

        # The picker of a notebook that was open before.
        run_command(second, "New Notebook")
        confirm(second, "Select")
        compute(second, second.locator(".jp-NotebookPanel"), 0, "print(6 * 7)")
        wait_for_build(hub, submit(hub, "bob", text("picked", "ipykernel"), "group.team"))
        expect(row_of(panel, "picked", "group.team")).to_contain_text("ready")
        second.locator(".jp-NotebookPanel").get_by_role("button", name=re.compile("Python 3")).click()
        expect(second.get_by_role("dialog").locator("option", has_text="team/picked")).to_have_count(1)
        shoot(second, "people-picker")


def test_a_visitor_changes_what_they_change_as_themselves(page: Page, hub: DemoHub) -> None:
    wait_for_build(hub, submit(hub, "alice", text("visited")))
    panel = open_panel(page, hub, ADMIN, owner="alice")
    expect(
        panel.get_by_text(
            f"This is the server of alice: you see what alice sees; what you change is changed as {ADMIN}"
        )
    ).to_be_visible()
    choose(page, row_of(panel, "visited"), "Rename Environment…")
    page.get_by_role("dialog").get_by_role("textbox", name="Name").fill("looked-at")
    confirm(page, "Rename")
    expect(row_of(panel, "looked-at")).to_contain_text("no kernel")
    expect(row_of(panel, "visited")).to_have_count(0)
    shoot(page, "people-visitor")
    assert list_deeds(hub, "alice")[0] == (ADMIN, "environment.rename")


def test_a_visitor_who_may_not_change_something_is_told_so(page: Page, hub: DemoHub) -> None:
    wait_for_build(hub, submit(hub, "alice", text("hers")))
    wait_for_build(hub, submit(hub, "alice", text("ours"), "group.team"))
    before = list_deeds(hub, "alice")
    panel = open_panel(page, hub, "bob", owner="alice")
    expect(panel.get_by_text("what you change is changed as bob")).to_be_visible()
    choose(page, row_of(panel, "hers"), "Delete Environment")
    confirm(page, "Delete")
    said = page.get_by_role("dialog", name="That was not done")
    expect(said).to_contain_text("alice/hers")
    expect(said).to_contain_text("see what alice sees, but change it as bob")
    shoot(page, "people-may-not")
    said.get_by_role("button").first.click()
    expect(row_of(panel, "hers")).to_be_visible()
    assert list_deeds(hub, "alice") == before

    # In a namespace of both, bob may; and it was bob.
    shown = open_page(page, panel, "ours", "group.team", "team")
    shown.get_by_role("button", name="Pin").click()
    expect(shown.get_by_role("button", name="Unpin")).to_be_visible()
    assert list_deeds(hub, "group.team")[0] == ("bob", "build.pin")


def test_who_may_not_use_a_server_does_not_come_in(page: Page, hub: DemoHub) -> None:
    hub.start_server("alice")
    fill_login(page, hub.url, "carol", password_of(hub, "carol"))
    answer = page.goto(f"{hub.user_url('alice')}lab")
    assert answer is not None
    assert answer.status == 403


def test_who_was_logged_out_elsewhere_loses_nothing_that_was_typed(page: Page, hub: DemoHub) -> None:
    panel = open_panel(page, hub, "alice")
    run_command(page, "New Environment")
    editor = page.locator(".csh-Editor:visible")
    expect(editor.locator(".cm-content")).to_contain_text("my-environment")
    editor.locator(".cm-content").click()
    page.keyboard.press("Control+End")
    page.keyboard.type("  - precious")
    wait_for_layout(hub, "alice", "csh-editor")
    with page.context.new_page() as second:
        second.goto(f"{hub.url}hub/logout")
        expect(second.get_by_label("Username").or_(second.get_by_text("logged out"))).to_be_visible()

    editor.get_by_role("button", name="Build").click()
    expect(editor.get_by_role("alert")).to_contain_text("You are logged out")
    page.get_by_role("button", name="Refresh Environments").click()
    expect(panel.get_by_role("alert")).to_contain_text("You are logged out")
    editor.locator(".cm-content").click()
    page.keyboard.press("Control+End")
    page.keyboard.type("-too")
    shoot(page, "people-logged-out")
    panel.get_by_role("button", name="Load the page again").click()
    page.get_by_label("Username").fill("alice")
    page.get_by_label("Password").fill(password_of(hub, "alice"))
    page.get_by_role("button", name="Sign in").click()
    expect(page.locator(".csh-Editor .cm-content")).to_contain_text("precious-too")
    shoot(page, "people-logged-in-again")
