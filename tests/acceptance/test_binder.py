"""`binder/`: a Jupyter server starts a Hub with the service behind itself, and environments can be built there."""

from __future__ import annotations

import os
import shutil
from collections.abc import Generator

import httpx
import pytest

from tests.support.channel import sample_channel_dir
from tests.support.hub import PROXY_CACHE, require_proxy
from tests.support.jupyter import ROOT, TOKEN, JupyterServer, wait_until

BASE = "/user/somebody/"
SPECIFICATION = "name: tried\nchannels: [sample]\ndependencies: [python]\n"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Generator[str]:
    """A server as mybinder starts one, under a path of its own; what postBuild makes is there already."""
    require_proxy()
    root = tmp_path_factory.mktemp("b")
    jupyter = JupyterServer(root, config={"ServerApp": {"base_url": BASE}})
    for name in ("jupyter_server_config.py", "start.py"):
        shutil.copy(ROOT / "binder" / name, root / "config" / name)
    kept = root / "home" / ".environments"
    shutil.copytree(sample_channel_dir(), kept / "channels" / "sample", copy_function=os.link)
    (kept / "proxy").symlink_to(PROXY_CACHE)
    try:
        jupyter.start()
        yield jupyter.url
    finally:
        jupyter.close()


@pytest.fixture(scope="module")
def browser(server: str) -> Generator[httpx.Client]:
    """Who has come through the outer server's login, and then logged in at the Hub as it asks for."""
    with httpx.Client(base_url=server, follow_redirects=True, trust_env=False, timeout=240) as client:
        client.get("api/status", headers={"Authorization": f"token {TOKEN}"}).raise_for_status()
        client.get("tree", params={"token": TOKEN})
        page = client.get("environments/")
        assert page.status_code == 200
        assert "Log in as “demo”" in page.text
        where = page.url.path
        assert where.startswith(f"{BASE}environments/hub/login")
        xsrf = next(cookie.value for cookie in client.cookies.jar if cookie.name == "_xsrf" and "hub" in cookie.path)
        form = {"username": "demo", "password": "x", "_xsrf": xsrf or ""}
        answer = client.post("environments/hub/login", data=form)
        assert answer.is_success, answer.text
        yield client


def test_the_first_answer_is_the_hubs_and_leads_to_the_service(browser: httpx.Client) -> None:
    page = browser.get("environments/services/conda-store-hub/", headers={"Sec-Fetch-Mode": "navigate"})
    assert page.status_code == 200
    assert page.url.path == f"{BASE}environments/services/conda-store-hub/"
    assert "example" in page.text
    tab = browser.get("environments/hub/token")
    assert f'href="{BASE}environments/services/conda-store-hub/"' in tab.text


def test_an_environment_is_built_from_the_channel_that_comes_with_it(browser: httpx.Client) -> None:
    prefix = "environments/services/conda-store-hub/"
    browser.get(prefix, headers={"Sec-Fetch-Mode": "navigate"})
    path = f"{BASE}{prefix}"
    xsrf = next(each.value for each in browser.cookies.jar if each.name == "_xsrf" and each.path == path)
    form = {"specification": SPECIFICATION, "namespace": "demo", "_xsrf": xsrf or ""}
    page = browser.post(f"{prefix}create/", data=form, headers={"Sec-Fetch-Mode": "navigate"})
    assert page.status_code == 200, page.text
    build = page.url.path.rstrip("/").rpartition("/")[2]
    headers = {"X-XSRFToken": xsrf or ""}

    def find() -> str:
        return browser.get(f"{prefix}api/v1/build/{build}/", headers=headers).json()["data"]["status"]

    wait_until(lambda: find() in ("COMPLETED", "FAILED"), "the build", 180)
    assert find() == "COMPLETED"
