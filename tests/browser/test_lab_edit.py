"""Environments written in JupyterLab: compose, preview, build, compute, add a package, restart; with a real Hub."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Locator, Page, Route, expect

from conda_store_hub.demo.hub import DemoHub
from tests.support.browser import SECONDS, check_with_axe, log_in_page, shoot
from tests.support.hub import as_user
from tests.support.lab import choose, compute, open_lab, open_panel, row_of, run_command, submit, wait_for_layout

pytestmark = pytest.mark.browser

BUILD = 3 * SECONDS


def new_environment(page: Page) -> Locator:
    """Open the editor for a new environment, with its template."""
    run_command(page, "New Environment")
    editor = page.locator(".csh-Editor:visible")
    expect(editor.locator(".cm-content")).to_contain_text("my-environment")
    return editor


def open_file(editor: Locator, text: str, name: str = "environment.yaml") -> None:
    editor.locator("input[type=file]").set_input_files(
        {"name": name, "mimeType": "text/plain", "buffer": text.encode()}
    )


def text_of(editor: Locator) -> str:
    return "\n".join(line.rstrip("\n") for line in editor.locator(".cm-line").all_inner_texts())


def test_an_environment_is_composed_previewed_built_used_and_changed(page: Page, hub: DemoHub) -> None:
    open_lab(page, hub, "alice")
    editor = new_environment(page)
    expect(editor.get_by_label("Namespace")).to_have_value("alice")
    editor.get_by_label("Name", exact=True).fill("ml")
    field = editor.get_by_role("combobox", name="Add a package")
    field.press_sequentially("nump")
    expect(editor.get_by_role("option", name=re.compile("^numpy"))).to_be_visible()
    shoot(page, "edit-search")
    field.press("ArrowDown")
    field.press("Enter")
    expect(field).to_have_value("numpy")
    field.press_sequentially("=")
    expect(editor.get_by_role("listbox").get_by_role("option").first).to_contain_text(re.compile("^[0-9]"))
    shoot(page, "edit-versions")
    check_with_axe(page, ".csh-Editor")
    field.press("ArrowDown")
    field.press("Enter")
    expect(editor.locator(".cm-content")).to_contain_text(re.compile("- numpy=[0-9]"))
    assert text_of(editor).startswith("name: ml\ndependencies:\n  - python\n  - ipykernel\n  - numpy=")

    editor.get_by_role("button", name="Preview").click()
    preview = editor.get_by_role("region", name="What would be installed")
    expect(preview.get_by_role("row", name=re.compile("^numpy .*added"))).to_contain_text("asked for")
    expect(preview.get_by_role("row", name=re.compile("^comm .*added"))).to_contain_text("needed by ipykernel")
    shoot(page, "edit-preview")
    check_with_axe(page, ".csh-Editor")
    editor.get_by_role("button", name="Build").click()
    ready = page.locator(".Toastify__toast", has_text="alice/ml is ready")
    expect(ready).to_be_visible(timeout=BUILD)
    shoot(page, "edit-built")
    ready.get_by_role("button", name="Open notebook").click()

    expect(page.locator("#jp-bottom-panel")).to_contain_text("| Idle")
    notebook = page.locator(".jp-NotebookPanel")
    compute(page, notebook, 0, "import numpy, sys; print(numpy.arange(10).sum(), sys.prefix)")
    expect(notebook.locator(".jp-OutputArea-output").first).to_contain_text("45")
    _change_it_from_the_notebook(page, notebook)


def _change_it_from_the_notebook(page: Page, notebook: Locator) -> None:
    notebook.get_by_role("button", name=re.compile("alice.ml · build [0-9]+")).click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Search its packages").fill("nump")
    expect(dialog.get_by_role("row", name=re.compile("^numpy"))).to_be_visible()
    expect(dialog.get_by_role("row", name=re.compile("^python"))).to_have_count(0)
    shoot(page, "edit-notebook-environment")
    check_with_axe(page, ".csh-Running")
    dialog.get_by_role("button", name="Add a package").click()

    editor = page.locator(".csh-Editor:visible")
    field = editor.get_by_role("combobox", name="Add a package")
    expect(field).to_be_focused()
    expect(editor.locator(".cm-content")).to_contain_text("ipykernel")
    field.fill("flask")
    field.press("Enter")
    editor.get_by_role("button", name="Preview").click()
    changes = editor.get_by_role("region", name=re.compile("^What changes from build [0-9]+, the active one"))
    expect(changes.get_by_role("row", name=re.compile("^flask .*added"))).to_contain_text("asked for")
    expect(changes.get_by_role("row", name=re.compile("^(numpy|python) "))).to_have_count(0)
    shoot(page, "edit-preview-change")
    editor.get_by_role("button", name="Build").click()

    offer = page.locator(".Toastify__toast", has_text="is active now")
    expect(offer).to_be_visible(timeout=BUILD)
    shoot(page, "edit-restart-offer")
    offer.get_by_role("button", name=re.compile("Restart into build [0-9]+")).click()
    page.get_by_role("dialog").get_by_role("button", name="Restart").click()
    expect(notebook.get_by_role("button", name=re.compile("Restart into build"))).to_have_count(0)
    expect(page.locator("#jp-bottom-panel")).to_contain_text("| Idle")
    compute(page, notebook, 1, "import flask, sys; print('flask is', flask.__name__, sys.prefix)")
    outputs = notebook.locator(".jp-OutputArea-output")
    expect(outputs.nth(1)).to_contain_text("flask is flask")
    first, second = (outputs.nth(index).inner_text().split()[-1] for index in (0, 1))
    assert first != second
    shoot(page, "edit-restarted")


SPREAD = """\
# for the course
name: course
channels:
  - sample # ours
  # for later
  - second
  - third
dependencies:
  - python
  - no-such-package # why
"""


def test_channels_are_ordered_by_hand_and_by_keys_and_comments_stay(page: Page, hub: DemoHub) -> None:
    open_lab(page, hub, "bob")
    editor = new_environment(page)
    make = "text => { const made = new DataTransfer(); made.items.add(new File([text], 'x.yaml')); return made; }"
    editor.dispatch_event("drop", {"dataTransfer": page.evaluate_handle(make, SPREAD)})
    expect(editor.get_by_label("Name", exact=True)).to_have_value("course")
    channels = editor.get_by_role("region", name="Channels").get_by_role("listitem")
    expect(channels).to_have_count(3)
    channels.nth(2).drag_to(channels.nth(0))
    expect(channels.first).to_contain_text("third")
    channels.first.focus()
    page.keyboard.press("Alt+ArrowDown")
    expect(channels.nth(1)).to_contain_text("third")
    expect(channels.nth(1)).to_be_focused()
    assert text_of(editor) == SPREAD.replace("  - third\n", "").replace("# ours\n", "# ours\n  - third\n")
    editor.get_by_role("button", name="Remove second").click()
    assert "  # for later\n" in text_of(editor)


def test_what_is_wrong_is_said_at_its_line_and_what_was_typed_is_kept(page: Page, hub: DemoHub) -> None:
    open_lab(page, hub, "bob")
    editor = new_environment(page)
    open_file(editor, SPREAD.replace("  # for later\n  - second\n  - third\n", ""))
    editor.get_by_role("button", name="Preview").click()
    expect(editor.locator(".csh-Fault")).to_contain_text("There is no package no-such-package")
    shoot(page, "edit-fault")
    check_with_axe(page, ".csh-Editor")
    editor.get_by_role("button", name="Line 7").click()
    page.keyboard.press("End")
    page.keyboard.type("x: [")
    expect(editor.get_by_role("button", name="Build")).to_be_enabled()  # in a comment
    page.keyboard.press("Control+End")
    page.keyboard.type("x: [")
    expect(editor.get_by_role("button", name="Build")).to_be_disabled()
    expect(editor.get_by_role("alert")).to_be_visible()
    wait_for_layout(hub, "bob", "csh-editor")
    page.reload()  # nothing asks whether one is sure, and nothing is lost
    expect(page.locator(".csh-Editor .cm-content")).to_contain_text("x: [")
    expect(page.locator(".csh-Editor")).to_contain_text("is not built yet")
    page.locator(".lm-TabBar-tab", has_text="New environment").locator(".lm-TabBar-tabCloseIcon").click()
    run_command(page, "New Environment")
    editor = page.locator(".csh-Editor:visible")
    expect(editor).to_contain_text("is not built yet: bob/")
    expect(editor.locator(".cm-content")).to_contain_text("my-environment")
    shoot(page, "edit-draft-offered")
    check_with_axe(page, ".csh-Editor")
    editor.get_by_role("button", name="Go on with it").click()
    expect(editor.locator(".cm-content")).to_contain_text("no-such-package # whyx: [")
    editor.get_by_role("button", name="Begin anew").click()
    expect(editor.locator(".cm-content")).to_contain_text("my-environment")
    expect(editor.locator(".cm-content")).not_to_contain_text("no-such-package")


def test_while_a_slow_service_is_asked_nothing_is_typed_into_nothing(page: Page, hub: DemoHub) -> None:
    submit(hub, "carol", "name: slow\ndependencies: [python]\n")
    panel = open_panel(page, hub, "carol")
    held: list[Route] = []
    place = re.compile(r"/api/v1/environment/carol/slow/(\?|$)")  # JupyterLab adds the time to what it asks for
    page.route(place, lambda route: held.append(route))
    choose(page, row_of(panel, "slow", "carol"), "Edit Environment")
    editor = page.locator(".csh-Editor:visible")
    code = editor.locator(".cm-content")
    expect(code).to_have_attribute("aria-readonly", "true")
    expect(editor.get_by_text("Loading…")).to_be_visible()
    expect(editor.get_by_role("combobox", name="Add a package")).to_have_count(0)
    shoot(page, "edit-loading")
    (route,) = held
    route.continue_()
    page.unroute(place)
    expect(code).to_contain_text("dependencies: [python]")
    expect(code).not_to_have_attribute("aria-readonly", "true")
    code.click()
    page.keyboard.press("Control+End")
    page.keyboard.type("# mine")
    expect(code).to_contain_text("# mine")


def test_without_the_service_and_after_a_login_has_ended_nothing_is_lost(page: Page, hub: DemoHub) -> None:
    open_lab(page, hub, "bob")
    editor = new_environment(page)
    open_file(editor, "# precious\nname: kept\ndependencies:\n  - python\n")
    wait_for_layout(hub, "bob", "csh-editor")  # later nobody would be logged in to keep it
    page.context.set_offline(True)
    editor.get_by_role("button", name="Build").click()
    expect(editor.get_by_role("alert")).to_contain_text("What you have typed is kept.")
    shoot(page, "edit-offline")
    page.context.set_offline(False)
    # The server remembers for minutes who was logged in; this is what it answers then to who is not.
    submission = re.compile("/conda-store-hub/api/v1/specification/")
    page.route(submission, lambda route: route.fulfill(status=403, json={"message": "Forbidden"}))
    page.context.clear_cookies()
    editor.locator(".cm-content").click()
    page.keyboard.press("Control+End")
    page.keyboard.type("  - numpy")
    editor.get_by_role("button", name="Build").click()
    expect(editor.get_by_role("alert")).to_contain_text("You are logged out")
    shoot(page, "edit-logged-out")
    page.unroute(submission)
    log_in_page(page, hub, "bob")
    page.goto(f"{hub.user_url('bob')}lab")
    expect(page.locator(".csh-Editor .cm-content")).to_contain_text("# precious")
    expect(page.locator(".csh-Editor .cm-content")).to_contain_text("- numpy")


def test_two_who_edit_the_same_do_not_overwrite_each_other(page: Page, hub: DemoHub) -> None:
    submit(hub, "carol", "name: shared\ndependencies: [python]\n")
    open_lab(page, hub, "carol")
    page.get_by_role("tab", name="Environments").click()
    page.locator(".csh-Environment", has_text="shared").click(button="right")
    page.get_by_role("menuitem", name="Edit Environment").click()
    editor = page.locator(".csh-Editor:visible")
    expect(editor.locator(".cm-content")).to_contain_text("python")
    submit(hub, "carol", "name: shared\ndependencies: [python, pip]\n")  # meanwhile, somewhere else
    field = editor.get_by_role("combobox", name="Add a package")
    field.fill("flask")
    field.press("Enter")
    expect(editor.locator(".cm-content")).to_contain_text("[python, flask]")
    editor.get_by_role("button", name="Build").click()
    expect(editor.get_by_role("alert")).to_contain_text("shared")
    shoot(page, "edit-conflict")
    editor.get_by_role("button", name="Build mine all the same").click()
    expect(page.get_by_role("heading", name=re.compile("^Build [0-9]+"))).to_be_visible()


def test_a_notebook_is_kept_in_a_build_and_follows_again(page: Page, hub: DemoHub) -> None:
    open_lab(page, hub, "carol")
    first = submit(hub, "carol", "name: kept\ndependencies: [python, ipykernel]\n")
    card = page.locator(".jp-LauncherCard[data-category=Notebook]", has_text="carol/kept")
    expect(card).to_be_visible(timeout=BUILD)
    card.click()
    notebook = page.locator(".jp-NotebookPanel")
    notebook.get_by_role("button", name=f"carol/kept · build {first}").click()
    page.get_by_role("dialog").get_by_role("button", name=f"Keep in build {first}").click()
    page.get_by_role("dialog").get_by_role("button", name="Restart").click()
    expect(notebook.get_by_role("button", name=f"carol/kept · kept in build {first}")).to_be_visible()

    second = submit(hub, "carol", "name: kept\ndependencies: [python, ipykernel, flask]\n")
    run_command(page, "Show Environments")
    page.locator("[data-csh-namespace='carol'][data-csh-name='kept'] .csh-TreeItem-name").click()
    shown = page.locator(".csh-Page:visible")
    row = shown.locator(f"[data-csh-build='{second}']")
    expect(row).to_contain_text("active", timeout=BUILD)
    expect(page.locator(".Toastify__toast", has_text="is active now")).to_have_count(0)
    shoot(page, "edit-kept-page")
    with page.expect_download() as begun:
        shown.get_by_role("link", name="pixi.lock").click()
    assert "flask" in begun.value.path().read_text()
    # They come while one looks at the page.
    expect(shown.get_by_role("link", name="Lock file")).to_be_visible(timeout=BUILD)
    row.get_by_role("button", name="Keep notebook here").click()
    page.get_by_role("dialog").get_by_role("button", name="Restart").click()
    expect(notebook.get_by_role("button", name=f"carol/kept · kept in build {second}")).to_be_visible()
    expect(page.locator("#jp-bottom-panel")).to_contain_text("| Idle")
    compute(page, notebook, 0, "import flask; print('flask is', flask.__name__)")
    expect(notebook.locator(".jp-OutputArea-output").first).to_contain_text("flask is flask")
    shoot(page, "edit-kept")

    notebook.get_by_role("button", name="Follow the active build").click()
    page.get_by_role("dialog").get_by_role("button", name="Restart").click()
    expect(notebook.get_by_role("button", name=f"carol/kept · build {second}")).to_be_visible()
    expect(notebook.get_by_role("button", name="Follow the active build")).to_have_count(0)
    _edit_after_going_back(page, hub, first, second)


def _edit_after_going_back(page: Page, hub: DemoHub, first: int, second: int) -> None:
    """Edit what is active, and begin with the newest instead."""
    with as_user(hub, "carol") as client:
        client.put("api/v1/environment/carol/kept/", json={"build_id": first}).raise_for_status()
    page.locator("[data-csh-namespace='carol'][data-csh-name='kept'] .csh-TreeItem-name").click(button="right")
    page.get_by_role("menuitem", name="Edit Environment").click()
    editor = page.locator(".csh-Editor:visible")
    expect(editor).to_contain_text(f"This begins with build {first}, the active one. The newest is build {second}.")
    expect(editor.locator(".cm-content")).not_to_contain_text("flask")
    shoot(page, "edit-began")
    check_with_axe(page, ".csh-Editor")
    editor.get_by_role("button", name="Begin with that instead").click()
    expect(editor.locator(".cm-content")).to_contain_text("flask")
    expect(editor).to_contain_text(f"This begins with build {second}, the newest. Active is build {first}.")
