"""A real Hub that one call has configured: its users, their browsers and their servers reach the service."""

from __future__ import annotations

import json
from collections.abc import Generator

import httpx
import pytest

from conda_store_hub.client.api import Client
from conda_store_hub.core.errors import ForbiddenError, NotAuthenticatedError
from conda_store_hub.demo import processes
from conda_store_hub.demo.errors import DemoError
from conda_store_hub.demo.hub import DemoHub
from conda_store_hub.demo.kernels import UserServer
from tests.support.hub import log_in, make_settings

# What a server knows of the service, and what the service says to the server's own token.
ASK_FROM_SERVER = """
import json, os, urllib.request
url, token = os.environ["CONDA_STORE_HUB_URL"], os.environ["JUPYTERHUB_API_TOKEN"]
request = urllib.request.Request(url + "api/v1/permission/", headers={"Authorization": "token " + token})
print(json.dumps({"url": url, "answer": json.load(urllib.request.urlopen(request))}))
"""


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Generator[DemoHub]:
    """A Hub under a base with a space in it, and with settings of its own that have to stay."""
    settings = make_settings(base_url="/a%20b/", lines="c.Spawner.environment = {'KEPT': 'yes'}")
    with DemoHub(tmp_path_factory.mktemp("h"), settings) as running:
        yield running


def test_a_user_reaches_it_with_a_token_of_the_hubs(hub: DemoHub) -> None:
    with Client(hub.service_url, token=hub.make_token("alice")) as client:
        permission = client.permission()
    assert permission.authenticated
    assert permission.primary_namespace == "alice"


def test_a_browser_logs_in_to_the_hub_and_is_taken_to_its_pages_without_a_question(hub: DemoHub) -> None:
    with log_in(hub, "alice") as browser:
        page = browser.get(hub.service_url)
    assert page.status_code == httpx.codes.OK
    assert str(page.url) == hub.service_url
    assert "alice" in page.text


def test_the_hubs_page_has_a_link_to_it(hub: DemoHub) -> None:
    with log_in(hub, "bob") as browser:
        assert "/a%20b/services/conda-store-hub/" in browser.get("hub/home").text


def test_nobody_in_particular_is_refused(hub: DemoHub) -> None:
    with Client(hub.service_url) as client, pytest.raises(NotAuthenticatedError):
        list(client.list_environments())


def test_a_token_without_the_scope_is_refused(hub: DemoHub) -> None:
    token = hub.make_token("alice", "read:users:name!user")
    with Client(hub.service_url, token=token) as client, pytest.raises((ForbiddenError, NotAuthenticatedError)):
        list(client.list_environments())


def test_a_users_server_knows_where_it_is_and_may_use_it_as_the_user(hub: DemoHub) -> None:
    token = hub.make_token("alice")
    with UserServer(hub.start_server("alice"), token) as server:
        said = json.loads(server.compute("python3", ASK_FROM_SERVER))
        assert said["url"] == hub.direct_url
        assert said["answer"]["data"]["primary_namespace"] == "alice"
        assert server.compute("python3", "import os; print(os.environ['KEPT'])") == "yes\n"
    hub.stop_server("alice")


def test_the_service_sees_groups(hub: DemoHub) -> None:
    with Client(hub.service_url, token=hub.make_token("alice")) as client:
        assert "group.team" in {namespace.name for namespace in client.list_namespaces()}
    with Client(hub.service_url, token=hub.make_token("carol")) as client:
        assert "group.team" not in {namespace.name for namespace in client.list_namespaces()}


def test_it_does_not_survive_a_hub_that_is_killed_and_the_next_start_finds_its_port_free(hub: DemoHub) -> None:
    left = hub.kill()
    assert len(left) >= 2  # the proxy and the service
    assert processes.wait_until(lambda: not any(process.is_alive() for process in left), 15)
    hub.start()
    with Client(hub.service_url, token=hub.make_token("alice")) as client:
        assert client.permission().primary_namespace == "alice"


def test_a_hub_whose_service_cannot_be_configured_says_why(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    with pytest.raises(DemoError, match=r"no trait LocalExecutor\.alow_root.*Did you mean allow_root"):
        DemoHub(
            tmp_path_factory.mktemp("h"), make_settings(service_config="\n\nc.LocalExecutor.alow_root = True\n")
        ).start()
