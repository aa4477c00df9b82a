"""JupyterLab where the disk of the service is not seen: an environment is made there before its kernel starts."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest
from playwright.sync_api import Page, expect

from conda_store_hub.demo.hub import DemoHub
from tests.support.browser import check_with_axe, shoot
from tests.support.hub import configure_channels, make_settings, run_hub
from tests.support.jupyter import wait_until
from tests.support.lab import (
    card_of,
    compute,
    confirm,
    open_panel,
    row_of,
    submit,
    text,
    toast_of,
    wait_for_build,
)

pytestmark = [
    pytest.mark.browser,
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can hide a disk from a server"),
]

#: Users' servers see an empty folder where the prefixes are.
HIDE = """
hide = 'mount -t tmpfs -o size=1m tmpfs "$1" && shift && exec "$@"'
c.Spawner.cmd = ["unshare", "--mount", "--propagation", "private", "sh", "-c", hide, "sh", {folder!r}, *c.Spawner.cmd]
"""


@pytest.fixture(scope="module")
def hub(channel: str, tmp_path_factory: pytest.TempPathFactory) -> Generator[DemoHub]:
    state = tmp_path_factory.mktemp("h")
    lines = HIDE.format(folder=str(state / "data" / "b"))
    with run_hub(state, make_settings(service_config=configure_channels(sample=channel), lines=lines)) as running:
        yield running


def test_an_environment_that_is_not_here_is_made_and_its_kernel_starts(page: Page, hub: DemoHub) -> None:
    wait_for_build(hub, submit(hub, "alice", text("far", "ipykernel")))
    panel = open_panel(page, hub, "alice")
    card_of(page, "alice/far").click()
    expect(toast_of(page, "Making alice/far on this machine")).to_be_in_viewport(ratio=1)
    shoot(page, "elsewhere-making")
    notebook = page.locator(".jp-NotebookPanel")
    output = compute(page, notebook, 0, "import sys; print(6 * 7, sys.prefix)")
    expect(output).to_contain_text("42")
    prefix = Path(output.inner_text().split()[-1])
    assert prefix.is_relative_to(hub.state / "users" / "alice" / ".cache" / "conda-store" / "envs")
    expect(row_of(panel, "far")).to_contain_text("in use: 1")
    shoot(page, "elsewhere-made")

    # The second time it is there.
    notebook.get_by_role("button", name="Restart the kernel", exact=True).click()
    page.get_by_role("dialog").locator(".jp-mod-accept").click()
    expect(compute(page, notebook, 1, "import sys; print('again', sys.prefix)")).to_contain_text(f"again {prefix}")
    expect(toast_of(page, "Making alice/far")).to_have_count(0)


@contextmanager
def holding_makers(hub: DemoHub) -> Generator[list[psutil.Process]]:
    """Stop what makes environments for this Hub's users as soon as it begins, for as long as this lasts."""
    held: list[psutil.Process] = []
    over = threading.Event()

    def hold() -> None:
        while not over.wait(0.1):  # making takes seconds
            for process in psutil.process_iter():
                with suppress(psutil.Error):
                    if process not in held and is_maker(process, hub):
                        process.send_signal(signal.SIGSTOP)
                        held.append(process)

    watching = threading.Thread(target=hold)
    watching.start()
    try:
        yield held
    finally:
        over.set()
        watching.join()
        for process in held:
            with suppress(psutil.Error):
                process.send_signal(signal.SIGCONT)


def is_maker(process: psutil.Process, hub: DemoHub) -> bool:
    """Tell whether a process makes an environment, for a user of this Hub."""
    is_ours = process.environ().get("HOME", "").startswith(str(hub.state))
    return is_ours and "conda_store_hub.client.maker" in process.cmdline()


def test_what_is_being_made_is_cancelled_for_all_who_wait_and_nothing_of_it_is_left(page: Page, hub: DemoHub) -> None:
    wait_for_build(hub, submit(hub, "bob", text("slow", "ipykernel")), "bob")
    panel = open_panel(page, hub, "bob")
    envs = hub.state / "users" / "bob" / ".cache" / "conda-store" / "envs"
    making = panel.get_by_text("Making bob/slow on this machine")
    with holding_makers(hub) as held:
        card_of(page, "bob/slow").click()
        toast = toast_of(page, "Making bob/slow on this machine")
        expect(toast.get_by_role("button", name="Cancel")).to_be_visible()
        expect(making).to_be_visible()
        wait_until(lambda: held != [], "a process that makes it")
        check_with_axe(page, ".csh-Panel")
        shoot(page, "elsewhere-cancel")
        toast.get_by_role("button", name="Cancel").click()
        expect(page.get_by_role("dialog")).to_contain_text("was cancelled, so its kernel has not started")
        expect(toast_of(page, "bob/slow is not made on this machine: it was cancelled")).to_be_visible()
        shoot(page, "elsewhere-cancelled")
        expect(making).to_have_count(0)
        assert not held[0].is_running()
        assert list(envs.glob("*/*.json")) == []
        assert [path for path in envs.glob("*/*") if path.is_dir()] == []
        confirm(page, "Ok")
        confirm(page, "No Kernel")
        expect(page.get_by_role("dialog")).to_have_count(0)

        # Two wait for one making, which is asked about once.
        for _ in range(2):
            page.locator(".lm-TabBar-addButton:visible").click()
            card_of(page, "bob/slow").click()
            # The notebook comes to the front by itself, a moment later: before that, "+" would open behind it.
            expect(page.locator(".jp-NotebookPanel:visible")).to_have_count(1)
        expect(panel.get_by_text("2 kernels wait")).to_be_visible()
        panel.get_by_role("button", name="Cancel").click()
        expect(page.get_by_role("dialog")).to_contain_text("2 kernels wait for it: none of them starts.")
        confirm(page, "Cancel it")
        expect(making).to_have_count(0)
        expect(page.get_by_role("dialog")).to_contain_text("was cancelled")
    assert list(envs.glob("*/*.json")) == []


def test_when_what_makes_it_is_killed_that_is_said_and_the_next_start_makes_it(page: Page, hub: DemoHub) -> None:
    wait_for_build(hub, submit(hub, "carol", text("killed", "ipykernel")), "carol")
    panel = open_panel(page, hub, "carol")
    with holding_makers(hub) as held:
        card_of(page, "carol/killed").click()
        expect(toast_of(page, "Making carol/killed on this machine")).to_be_visible()
        wait_until(lambda: held != [], "a process that makes it")
        held[0].kill()
        said = "carol/killed could not be made on this machine. The process that makes it was killed"
        expect(toast_of(page, said)).to_be_visible()
        shoot(page, "elsewhere-killed")
        expect(panel.get_by_text("Making carol/killed")).to_have_count(0)
        confirm(page, "Ok")
        confirm(page, "No Kernel")
        expect(page.get_by_role("dialog")).to_have_count(0)
    page.locator(".lm-TabBar-addButton:visible").click()
    card_of(page, "carol/killed").click()
    notebook = page.locator(".jp-NotebookPanel:visible")
    expect(compute(page, notebook, 0, "print(6 * 7)")).to_contain_text("42")
