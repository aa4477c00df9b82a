"""Names as Hubs have them: whoever has another name is somebody else, however alike the names look."""

from __future__ import annotations

import itertools
import unicodedata

import httpx
import pytest

from conda_store_hub.core.names import check_namespace_name
from tests.support import make
from tests.support.fake_hub import user
from tests.support.service import RunningService, service

__all__ = ["service"]

COMPOSED = unicodedata.normalize("NFC", "zoë")
ALIKE = [
    ["john.doe", "john-doe", "john_doe", "johndoe", "John.Doe", "JOHN.DOE", "john.doe.", "john..doe", "john doe"],
    [COMPOSED, unicodedata.normalize("NFD", COMPOSED), "zoe", "ZOË", "zo\u200de", "zoe\u200b", "\uff5aoe", "zoе"],  # noqa: RUF001
    ["al+x@e.org", "al-x@e.org", "al+x@e_org", "alx@e.org", "al%2Bx@e.org", "al x@e.org"],
    ["a/b", "a%2Fb", "a%b", "a'b", 'a"b', "a\\b", "a;b", "a\tb", "a\x01b", "a\x7fb", "ab", "a*b", "a?b", "a#b", "a&b"],
    ["*", "%", "_", "..", ".", "-", "*/*", "group.", "{}", "''"],
    ["default", "shared", "filesystem", "conda-store-dynamic", "Default", "group.physics", "group-physics"],
]


def come(service: RunningService, name: str, *groups: str) -> httpx.Client:
    """Have somebody of that name come for the first time, with a token that is all text."""
    token = f"token-{name.encode().hex()}"
    service.hub.tokens[token] = user(name, *groups)
    return service.client(headers={"Authorization": f"token {token}"})


def own(client: httpx.Client) -> str:
    """Return the namespace that somebody has, which must be a name."""
    answer = client.get("api/v1/permission/")
    assert answer.status_code == 200, answer.text
    found = answer.json()["data"]["primary_namespace"]
    assert answer.json()["data"]["entity_roles"][f"{found}/*"] == ["admin"]
    return check_namespace_name(found)


@pytest.mark.parametrize("names", ALIKE, ids=lambda names: ascii(names[0]))
def test_users_with_names_that_look_alike_have_nothing_in_common(service: RunningService, names: list[str]) -> None:
    clients = [come(service, name) for name in names]
    owned = [own(client) for client in clients]
    assert len(set(owned)) == len(names), owned
    for client, namespace in zip(clients, owned, strict=True):
        submitted = client.post("api/v1/specification/", json={"specification": make.text("ml")})
        assert submitted.status_code == 200, submitted.text
        found = client.get("api/v1/environment/").json()["data"]
        assert [row["namespace"]["name"] for row in found] == [namespace]
    for (client, mine), theirs in itertools.product(zip(clients, owned, strict=True), owned):
        status = 200 if mine == theirs else 404
        assert client.get(f"api/v1/environment/{theirs}/ml/").status_code == status
    for client in clients:
        client.close()


@pytest.mark.parametrize("names", ALIKE, ids=lambda names: ascii(names[0]))
def test_groups_with_names_that_look_alike_have_nothing_in_common(service: RunningService, names: list[str]) -> None:
    clients = [come(service, f"u{number}", name) for number, name in enumerate(names)]
    seen = [{row["name"] for row in client.get("api/v1/namespace/").json()["data"]} for client in clients]
    groups = [found - {f"u{number}"} for number, found in enumerate(seen)]
    assert all(len(found) == 1 for found in groups), groups
    assert len(set.union(*groups)) == len(names)
    for client in clients:
        client.close()


def test_a_group_named_like_a_user_is_another(service: RunningService) -> None:
    """Neither does the group's member see the user's, nor the user the group's."""
    with come(service, "dana") as dana, come(service, "eve", "dana") as eve:
        assert own(dana) == "dana"
        assert {row["name"] for row in eve.get("api/v1/namespace/").json()["data"]} == {"eve", "group.dana"}
        assert eve.get("api/v1/namespace/dana/").status_code == 404
        assert dana.get("api/v1/namespace/group.dana/").status_code == 404


def test_a_user_named_like_a_groups_namespace_is_another(service: RunningService) -> None:
    """Whoever came first: a user cannot sit where the namespace of a group will be."""
    with come(service, "group.chess") as impostor, come(service, "frank", "chess") as member:
        taken = own(impostor)
        assert taken != "group.chess"
        assert {row["name"] for row in member.get("api/v1/namespace/").json()["data"]} == {"frank", "group.chess"}
        assert impostor.get("api/v1/namespace/group.chess/").status_code == 404
        assert member.get(f"api/v1/namespace/{taken}/").status_code == 404


def test_a_user_named_like_the_namespace_that_another_was_given_gets_one_more(service: RunningService) -> None:
    """A name made for a Hub name that is no namespace's is no way in when somebody is called so."""
    with come(service, "Grace") as first:
        made = own(first)
        with come(service, made) as second:
            assert own(second) not in ("Grace", made)
            assert second.get(f"api/v1/namespace/{made}/").status_code == 404


def test_a_user_named_like_a_shared_namespace_does_not_own_it(service: RunningService) -> None:
    with service.client("root") as root, come(service, "course") as newcomer:
        assert root.post("api/v1/namespace/course/").status_code == 200
        assert own(newcomer) != "course"
        assert newcomer.get("api/v1/namespace/course/").json()["data"]["role"] == "viewer"
        refused = newcomer.post("api/v1/specification/", json={"specification": make.text(), "namespace": "course"})
        assert refused.status_code == 403


def test_what_is_shared_with_a_name_is_shared_with_that_name_alone(service: RunningService) -> None:
    service.hub.tokens["alice-token"] = user("alice", "John")
    with come(service, "john.doe") as meant, come(service, "john-doe") as other, service.client("alice") as alice:
        assert own(meant) != own(other)
        for subject, name in (("user", "john.doe"), ("group", "John")):
            body = {"subject": subject, "name": name, "role": "viewer"}
            assert alice.put("api/v1/namespace/alice/member/", json=body).status_code == 200
        with come(service, "hal", "john") as member:
            assert member.get("api/v1/namespace/alice/").status_code == 404
        assert meant.get("api/v1/namespace/alice/").status_code == 200
        assert other.get("api/v1/namespace/alice/").status_code == 404


@pytest.mark.parametrize("names", ALIKE, ids=lambda names: ascii(names[0]))
def test_what_a_hub_calls_somebody_can_be_shared_with(service: RunningService, names: list[str]) -> None:
    """Also over addresses of the Hub's API, in which the name stands; `.` and `..` cannot stand there."""
    with service.client("alice") as alice:
        for name in set(names) - {".", ".."}:
            with come(service, name) as friend:
                own(friend)
                body = {"subject": "user", "name": name, "role": "viewer"}
                answer = alice.put("api/v1/namespace/alice/member/", json=body)
                assert answer.json()["data"]["name"] == name, answer.text
                assert friend.get("api/v1/namespace/alice/").json()["data"]["role"] == "viewer"
