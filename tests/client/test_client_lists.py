"""Lists that change while they are read, from the real service."""

from __future__ import annotations

import pytest

from conda_store_hub.client import transport
from conda_store_hub.client.api import Client
from conda_store_hub.core.permissions import Role, SubjectKind
from conda_store_hub.core.schemas import GrantRole, MakeToken
from tests.support.service import RunningService, service

__all__ = ["service"]


def test_nothing_is_lost_or_comes_twice_in_a_list_that_changes(
    service: RunningService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "PAGE_SIZE", 2)
    for name in ("a", "b", "c", "d", "e"):
        service.submit(name)
    with Client(service.url, token="alice-token") as client:
        environments, builds = client.list_environments("alice"), client.list_builds(namespace="alice")
        seen = [next(environments).name]
        newest = [next(builds).environment]
        client.delete_environment("alice", "a", force=True)
        service.submit("f")
        seen += [each.name for each in environments]
        newest += [each.environment for each in builds]
    assert seen == ["a", "b", "c", "d", "e", "f"]
    assert newest == ["e", "d", "c", "b"]
    with Client(service.url, token="root-token") as root:
        for name in ("n1", "n2", "n3", "n4", "n5"):
            root._ask("POST", f"namespace/{name}/")
        namespaces = root.list_namespaces()
        first = next(namespaces).name
        root._ask("DELETE", f"namespace/{first}/", query={"force": "true"})
        rest = [each.name for each in namespaces]
    assert (first, rest) == ("alice", ["group.physics", "n1", "n2", "n3", "n4", "n5", "root"])


def test_no_token_is_lost_or_comes_twice_in_a_list_that_changes(
    service: RunningService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "PAGE_SIZE", 2)
    with Client(service.url, token="alice-token") as client:
        made = [client.make_token(MakeToken(label=f"t{number}")).id for number in range(1, 6)]
        tokens = client.list_tokens()
        labels = [next(tokens).label]
        client.revoke_token(made[-1])
        client.make_token(MakeToken(label="t6"))
        labels += [each.label for each in tokens]
        assert labels == ["t5", "t4", "t3", "t2", "t1"]
        assert [each.label for each in client.list_tokens()] == ["t6", "t4", "t3", "t2", "t1"]


def test_no_member_is_lost_or_comes_twice_in_a_list_that_changes(
    service: RunningService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "PAGE_SIZE", 2)
    with Client(service.url, token="alice-token") as client:
        for name in ("bob", "carol", "root"):
            client.grant("alice", None, GrantRole(subject=SubjectKind.USER, name=name, role=Role.VIEWER))
        client.grant("alice", None, GrantRole(subject=SubjectKind.GROUP, name="physics", role=Role.VIEWER))
        members = client.list_members("alice")
        seen = [next(members), next(members)]
        client.remove_member("alice", None, seen[1].id or 0)
        client.grant("alice", None, GrantRole(subject=SubjectKind.AUTHENTICATED, role=Role.VIEWER))
        seen += members
        assert [each.name for each in seen] == ["alice", "bob", "carol", "root", "physics", None]
        assert [each.name for each in client.list_members("alice")] == ["alice", "carol", "root", "physics", None]
