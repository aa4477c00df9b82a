"""The project as people meet it who install it: `binder/postBuild`, run in an empty environment, and the demo of that.

The extension is not built once more for it: `tests/acceptance/test_base_install.py` does so in a clean clone.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from conda_store_hub.demo import processes
from tests.support.browser import fill_login, shoot
from tests.support.channel import sample_channel_dir
from tests.support.hub import PROXY_CACHE, require_proxy
from tests.support.jupyter import TOKEN, JupyterServer
from tests.support.wheel import UV, copy_built, copy_clone, run

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]

BASE = "/user/somebody/"
SPECIFICATION = "name: tried\nchannels: [sample]\ndependencies: [python]\n"


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what postBuild makes: `venv/` and `home/`; the sample channel was there already."""
    require_proxy()
    place = tmp_path_factory.mktemp("i")
    clone, home, environment = copy_clone(place / "clone"), place / "home", place / "venv"
    copy_built(clone)
    give_channel(home / ".environments")
    run([*UV, "venv", "--quiet", "--seed", "--python", sys.executable, environment], place)
    path = f"{environment / 'bin'}:{os.environ['PATH']}"
    cache = run([*UV, "cache", "dir"], place).strip()
    run(["bash", "binder/postBuild"], clone, HOME=str(home), PATH=path, UV_NO_CACHE="false", UV_CACHE_DIR=cache)
    return place


def give_channel(state: Path) -> None:
    shutil.copytree(sample_channel_dir(), state / "channels" / "sample", copy_function=os.link)
    shutil.copytree(PROXY_CACHE, state / "proxy", symlinks=True)


@pytest.fixture
def demo(scratch: Path) -> Generator[dict[str, str]]:
    """The demo of the installed package; what it says of itself."""
    state = scratch / "demo"
    give_channel(state)
    command = [scratch / "venv" / "bin" / "conda-store-hub", "demo", "--state", state]
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


@pytest.fixture
def binder(scratch: Path) -> Generator[str]:
    """A Jupyter server as mybinder starts one, under a path of its own; its address."""
    root = scratch / "j"
    root.mkdir()
    (root / "config").symlink_to(scratch / "home" / ".jupyter")
    server = JupyterServer(
        root,
        config={"ServerApp": {"base_url": BASE}},
        python=str(scratch / "venv" / "bin" / "python"),
        HOME=str(scratch / "home"),
    )
    try:
        server.start()
        yield server.url
    finally:
        server.close()


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


def test_binder_leads_from_a_jupyter_server_to_the_hub_and_to_an_environment_that_is_built(
    page: Page, binder: str
) -> None:
    page.goto(f"{binder}tree?token={TOKEN}")
    page.goto(f"{binder}environments/", timeout=240_000)
    expect(page.get_by_text("Log in as “demo”")).to_be_visible()
    page.get_by_label("Username").fill("demo")
    page.get_by_label("Password").fill("anything")
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(lambda url: "login" not in url)
    page.goto(f"{binder}environments/hub/token")
    page.get_by_role("navigation").get_by_role("link", name="Environments", exact=True).click()
    page.wait_for_url(f"**{BASE}environments/services/conda-store-hub/")
    expect(page.get_by_role("link", name="demo/example", exact=True)).to_be_visible()
    shoot(page, "binder")

    page.get_by_role("link", name="New environment").first.click()
    page.get_by_label("environment.yaml").fill(SPECIFICATION)
    page.get_by_role("button", name="Build it").click()
    expect(page.locator("#log")).to_contain_text("Channels:")
    expect(page.locator("#state")).to_contain_text("completed", timeout=240_000)
    shoot(page, "binder-built")
