"""Who may do what behind the real Hub: its scopes, its groups, names that it gives to somebody new."""

from __future__ import annotations

from collections.abc import Generator

import httpx
import pytest

from conda_store_hub.demo.hub import DemoHub
from tests.support import make
from tests.support.hub import USERS, allow_root, as_user, log_in, make_settings
from tests.support.process import until

NAVIGATE = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Site": "same-origin"}
#: What docs/permissions.md tells administrators to write, and who is in which role.
SCOPES = """
c.JupyterHub.custom_scopes = {
    "custom:conda-store-hub:environments:read": {"description": "use environments"},
    "custom:conda-store-hub:environments:write": {
        "description": "make and change environments",
        "subscopes": ["custom:conda-store-hub:environments:read"],
    },
    "custom:conda-store-hub:environments:admin": {
        "description": "administer environments",
        "subscopes": ["custom:conda-store-hub:environments:write"],
    },
}
c.JupyterHub.extra_user_scopes = {"custom:conda-store-hub:environments:admin!user"}
c.JupyterHub.load_roles.extend([
    {"name": "team-writes", "groups": ["team"], "scopes": ["custom:conda-store-hub:environments:write!group=team"]},
    {"name": "librarian", "users": ["dora"], "scopes": ["custom:conda-store-hub:environments:read"]},
])
"""


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Generator[DemoHub]:
    settings = make_settings(
        users=(*USERS, "dora", "emil"),
        groups={"team": ["alice", "bob", "emil"]},
        lines=SCOPES,
        service_config=f"{allow_root()}c.HubAuthenticator.cache_max_age = 1\n",
    )
    with DemoHub(tmp_path_factory.mktemp("h"), settings) as running:
        yield running


def roles(client: httpx.Client) -> dict[str, list[str]]:
    answer = client.get("api/v1/permission/")
    assert answer.status_code == 200, answer.text
    return answer.json()["data"]["entity_roles"]


def test_the_hubs_scopes_give_the_roles_that_the_documentation_says(hub: DemoHub) -> None:
    with as_user(hub, "alice") as alice, as_user(hub, "dora") as dora:
        assert roles(alice) == {"alice/*": ["admin"], "group.team/*": ["developer"]}
        assert alice.post("api/v1/specification/", json={"specification": make.text("ml")}).status_code == 200
        assert roles(dora)["alice/*"] == roles(dora)["group.team/*"] == ["viewer"]
        assert roles(dora)["dora/*"] == ["admin"]
        refused = dora.post("api/v1/specification/", json={"specification": make.text("x"), "namespace": "alice"})
        assert refused.status_code == 403
        with log_in(hub, "alice") as browser:
            page = browser.get(f"{hub.service_url}user/", headers=NAVIGATE)
            assert "group.team" in page.text
    with as_user(hub, "emil") as emil:
        assert "group.team/*" in roles(emil)
        hub.api("DELETE", "groups/team/users", json={"users": ["emil"]})
        until(lambda: roles(emil) == {"emil/*": ["admin"]})


def test_groups_and_users_of_the_hub_can_be_given_roles_and_others_not(hub: DemoHub) -> None:
    with as_user(hub, "alice") as alice, as_user(hub, "carol") as carol:
        alice.post("api/v1/specification/", json={"specification": make.text("ml")})
        place = "api/v1/environment/alice/ml/member/"
        for name, found in (("carol", 200), ("Carol", 404), ("nobody", 404), ("..", 404), ("a/b", 404), ("é ?#%", 404)):
            asked = {"subject": "user", "name": name, "role": "viewer"}
            assert alice.put(place, json=asked).status_code == found, name
        for name, found in (("team", 200), ("Team", 404), (".", 404), ("te%", 404)):
            asked = {"subject": "group", "name": name, "role": "developer"}
            assert alice.put(place, json=asked).status_code == found, name
        assert roles(carol) == {"alice/ml": ["viewer"], "carol/*": ["admin"]}
        hub.api("POST", "groups/team/users", json={"users": ["carol"]})
        until(lambda: roles(carol).get("alice/ml") == ["developer"])


def test_a_name_that_the_hub_gives_to_somebody_new_opens_nothing(hub: DemoHub) -> None:
    with as_user(hub, "bob") as bob:
        build_id = bob.post("api/v1/specification/", json={"specification": make.text("ml")}).json()["data"]["build_id"]
        token = bob.post("api/v1/token/", json={"label": "x", "role": "admin"}).json()["data"]["token"]
    hub.api("DELETE", "users/bob")
    hub.api("POST", "users/bob")
    ours = {"Authorization": f"Bearer {token}"}
    with as_user(hub, "bob") as newcomer, as_user(hub, "the-admin") as admin:
        assert newcomer.get(f"api/v1/build/{build_id}/").status_code == 404
        assert "bob/*" not in roles(newcomer)
        assert newcomer.get("api/v1/permission/", headers=ours).status_code == 401
        assert admin.get("api/v1/namespace/bob/").json()["data"]["sealed"] is True
