"""A real Hub for tests: npm proxy, service, users' servers. Everything it starts ends with it.

The fixture `hub` is one for the whole session, with alice and bob in `team`, carol in no group, and an admin.
`make_hub(state, **settings)` starts another with other settings; those are `HubSettings`.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from conda_store_hub.core.names import DataDirectory
from conda_store_hub.demo.errors import DemoError
from conda_store_hub.demo.hub import DemoHub, HubSettings
from conda_store_hub.demo.node import ensure_proxy
from tests.support.bytecode import link_bytecode
from tests.support.ports import find_ports

PROXY_CACHE = Path(__file__).parents[2] / ".cache" / "proxy"
PASSWORD = "correct horse"
ADMIN_PASSWORD = "a longer one, for those who may do everything"
USERS = ("alice", "bob", "carol")
ADMIN = "the-admin"
GROUPS = {"team": ["alice", "bob"]}

MakeHub = Callable[..., DemoHub]


def require_proxy() -> list[str]:
    """Return the command of the npm proxy; without Node or npm's index the test is skipped, in CI it fails."""
    try:
        return ensure_proxy(PROXY_CACHE)
    except DemoError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"no npm proxy: {error.message.splitlines()[0]}")


def make_settings(**settings: Any) -> HubSettings:
    """Return the usual settings, with other values where given."""
    usual: dict[str, Any] = {
        "ports": find_ports(),
        "password": PASSWORD,
        "admin_password": ADMIN_PASSWORD,
        "users": USERS,
        "admins": (ADMIN,),
        "groups": GROUPS,
        "service_config": allow_root(),
    }
    return HubSettings(proxy=require_proxy(), **usual | settings)


def allow_root() -> str:
    """Return the line of the service's configuration that lets it build as root, where the tests are root."""
    return "c.LocalExecutor.allow_root = True\n" if os.geteuid() == 0 else ""


def configure_channels(**channels: str) -> str:
    """Return the service's configuration for channels by name; the first is the default, and found below its alias."""
    name, url = next(iter(channels.items()))
    alias, _, _ = url.rstrip("/").rpartition("/")
    return (
        f"{allow_root()}c.CondaStore.conda_channel_alias = {alias!r}\n"
        f"c.CondaStore.conda_channel_aliases = {channels!r}\n"
        f"c.CondaStore.conda_default_channels = [{name!r}]\n"
        "c.CondaStore.image_base = ''\n"  # the usual one is in a registry elsewhere
    )


@contextmanager
def run_hub(state: Path, settings: HubSettings) -> Generator[DemoHub]:
    """Run a Hub whose first builds find the usual bytecode."""
    link_bytecode(DataDirectory(state / "data"))
    with DemoHub(state, settings) as running:
        yield running


@pytest.fixture
def make_hub(tmp_path: Path) -> Generator[MakeHub]:  # the tests give folders in there, and those end later
    """Start Hubs that end with the test: `make_hub(state, **settings)`."""
    states: list[Path] = []

    def start(state: Path, **settings: Any) -> DemoHub:
        states.append(state)
        return hubs.enter_context(DemoHub(state, make_settings(**settings)))

    with ExitStack() as hubs:
        yield start
    for data in (state / "data" for state in states):
        if data.is_symlink():  # the data are elsewhere, since prefixes would be too long here
            shutil.rmtree(data.resolve())


@pytest.fixture(scope="session")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Generator[DemoHub]:
    """One Hub with the service for all tests that do not change it."""
    with DemoHub(tmp_path_factory.mktemp("hub"), make_settings()) as running:
        yield running


@contextmanager
def log_in(hub: DemoHub, user: str) -> Generator[httpx.Client]:
    """Log in through the Hub's form, as a browser does; cookies and redirects are kept and followed."""
    with httpx.Client(base_url=hub.url, follow_redirects=True, trust_env=False, timeout=30) as browser:
        browser.get("hub/login")
        form = {"username": user, "password": password_of(hub, user), "_xsrf": browser.cookies["_xsrf"]}
        answer = browser.post("hub/login", data=form)
        assert answer.is_success, answer.text
        yield browser


def clear(hub: DemoHub) -> None:
    """Take away environments, and what users have in JupyterLab; their servers run on."""
    with as_user(hub, ADMIN) as client:
        for row in client.get("api/v1/environment/?size=200").raise_for_status().json()["data"]:
            path = f"api/v1/environment/{row['namespace']['name']}/{row['name']}/"
            client.delete(path, params={"force": True}).raise_for_status()
    for user in (*hub.settings.users, *hub.settings.admins):
        if hub.api("GET", f"users/{user}")["servers"].get("", {}).get("ready"):
            _end_kernels(hub, user)
        home = hub.state / "users" / user
        shutil.rmtree(home / ".jupyter", ignore_errors=True)
        for notebook in home.glob("*.ipynb"):
            notebook.unlink()


def _end_kernels(hub: DemoHub, user: str) -> None:
    headers = {"Authorization": f"token {hub.make_token(user)}"}
    with httpx.Client(base_url=hub.user_url(user), headers=headers, trust_env=False, timeout=60) as server:
        for kernel in server.get("api/kernels").raise_for_status().json():
            server.delete(f"api/kernels/{kernel['id']}").raise_for_status()


def password_of(hub: DemoHub, user: str) -> str:
    """Return the password that the Hub takes from a user."""
    admin = user in hub.settings.admins
    return hub.settings.admin_password if admin else hub.settings.password


def as_user(hub: DemoHub, user: str, *scopes: str) -> httpx.Client:
    """Return a client of the service with a token of the user's; paths are relative to the service."""
    headers = {"Authorization": f"token {hub.make_token(user, *scopes)}"}
    return httpx.Client(base_url=hub.service_url, headers=headers, trust_env=False, timeout=60)
