"""JupyterLab where the disk of the service is not seen: an environment is made there before its kernel starts."""

from __future__ import annotations

import os
from collections.abc import Generator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from conda_store_hub.demo.hub import DemoHub
from tests.support.browser import shoot
from tests.support.hub import configure_channels, make_settings
from tests.support.lab import card_of, compute, open_panel, row_of, submit, text, toast_of, wait_for_build

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
    with DemoHub(state, make_settings(service_config=configure_channels(sample=channel), lines=lines)) as running:
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
