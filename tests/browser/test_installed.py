"""A wheel that was built from a clean clone and installed, as a person meets it: the demo, and JupyterLab in it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tomllib
from collections.abc import Generator

import pytest
from playwright.sync_api import Page, expect

from conda_store_hub.demo import processes
from tests.support.browser import fill_login, shoot
from tests.support.channel import sample_channel_dir
from tests.support.hub import PROXY_CACHE, require_proxy
from tests.support.wheel import ROOT, build_wheel, install

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Generator[dict[str, str]]:
    """The demo of the installed package; what it says of itself."""
    require_proxy()
    scratch = tmp_path_factory.mktemp("i")
    needed = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]["demo"]
    environment = install(scratch, f"{build_wheel(scratch)}[server]", *needed)
    state = scratch / "demo"
    shutil.copytree(sample_channel_dir(), state / "channels" / "sample", copy_function=os.link)
    shutil.copytree(PROXY_CACHE, state / "proxy", symlinks=True)
    command = [environment / "bin" / "conda-store-hub", "demo", "--state", state]
    with subprocess.Popen(command, cwd=scratch, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            said = ""
            for line in process.stdout:
                said += line
                if "Ctrl-C ends it." in line:
                    break
            yield dict(re.findall(r"^  (\w+) +(\S+)$", said, re.MULTILINE))
        finally:
            own = processes.list_descendants(process.pid)
            process.kill()
            processes.end_processes(own)


def test_the_installed_extension_shows_the_example_and_opens_a_notebook_in_it(page: Page, demo: dict[str, str]) -> None:
    fill_login(page, demo["JupyterHub"], demo["user"], demo["password"])
    page.goto(f"{demo['JupyterHub']}user/{demo['user']}/lab?reset")
    page.get_by_role("tab", name="Environments").click()
    row = page.locator("[data-csh-name=example]")
    expect(row).to_contain_text("ready")
    row.locator(".csh-TreeItem-name").click()
    page.get_by_role("button", name="New notebook").click()
    expect(page.locator("#jp-bottom-panel")).to_contain_text("| Idle")
    expect(row).to_contain_text("in use: 1")
    shoot(page, "installed")
