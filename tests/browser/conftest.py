"""The browser for these tests, and a Hub for all of them in one process, which builds from the sample channel."""

from __future__ import annotations

import socket
from collections.abc import Generator

import pytest

from conda_store_hub.demo.channel import serve_channel
from conda_store_hub.demo.hub import DemoHub
from tests.support.browser import chromium, page
from tests.support.channel import sample_channel_dir, shell_channel
from tests.support.hub import clear, configure_channels, make_settings, run_hub

__all__ = ["chromium", "page"]

#: Bob may use alice's server, as those may whom she works with. The Hub starts a service that ended again within 3 s,
#: not 30, which nobody has to wait for.
LINES = """
from jupyterhub.services import service
from traitlets import Integer

class Watched(service._ServiceSpawner):
    poll_interval = Integer(3)

service._ServiceSpawner = Watched
c.JupyterHub.load_roles.append(
    {"name": "collaborators", "scopes": ["access:servers!user=alice"], "users": ["bob"]}
)
"""


@pytest.fixture(scope="session")
def channel() -> Generator[str]:
    """The address of the sample channel."""
    with serve_channel(sample_channel_dir()) as url:
        yield url


@pytest.fixture(scope="session")
def shared_hub(channel: str, tmp_path_factory: pytest.TempPathFactory) -> Generator[DemoHub]:
    """The Hub. It offers images, builds one after the other, and knows two more channels.

    `shell` has a kernel that is not Python's. `silent` takes every question and answers none: what is built from it
    takes forever.
    """
    with (
        serve_channel(shell_channel(tmp_path_factory.mktemp("channel"))) as shell,
        socket.create_server(("127.0.0.1", 0)) as server,
    ):
        silent = f"http://127.0.0.1:{server.getsockname()[1]}/silent/"
        config = configure_channels(sample=channel, shell=shell, silent=silent)
        settings = make_settings(
            service_config=f"{config}c.LocalExecutor.concurrency = 1\n",
            service={"tab": "Environments", "registry": True},
            lines=LINES,
        )
        with run_hub(tmp_path_factory.mktemp("h"), settings) as running:
            yield running


@pytest.fixture(scope="module")
def hub(shared_hub: DemoHub) -> DemoHub:
    """The Hub, as if nothing had been built yet, nor any notebook opened."""
    clear(shared_hub)
    return shared_hub
