"""Everybody asks for everything everywhere: every route of the API against the table that says who may what.

A route that is added is asked for too; if it takes a part, a body or a query that is not known here, that is said.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from conda_store_hub.core import policy, schemas
from conda_store_hub.core.names import DataDirectory
from conda_store_hub.core.permissions import PERMISSIONS, Permission, Role, SubjectKind
from conda_store_hub.db import lists, queries
from conda_store_hub.db.tables import Grant, Namespace
from conda_store_hub.storage import prefixes
from conda_store_hub.web.api_kernels import KernelsQuery
from conda_store_hub.web.api_members import RoleQuery
from conda_store_hub.web.api_namespaces import DeleteQuery
from conda_store_hub.web.operations import Operation, Route
from conda_store_hub.web.query import ForceQuery, Query
from conda_store_hub.web.routes import ROUTES
from tests.support import make
from tests.support.world import EVERYBODY, FOREIGN, PLACES, Place, Who, World, make_world

#: Values for the parts of paths in braces.
PARTS: dict[str, Callable[[Place], object]] = {
    "namespace": lambda place: place.name,
    "name": lambda place: "ml",
    "build_id": lambda place: place.build_id,
    "other_id": lambda place: place.old_id,
    "member_id": lambda place: place.member_id,
    "package": lambda place: "python",
    "tag": lambda place: "v1",
}
#: Where a route needs another value, so that what it does can be done.
PARTS_OF: dict[str, dict[str, Callable[[Place], object]]] = {
    "api/v1/build/{build_id}/": {"build_id": lambda place: place.old_id},
    "api/v1/build/{build_id}/cancel/": {"build_id": lambda place: place.queued_id},
    "api/v1/environment/{namespace}/{name}/member/{member_id}/": {
        "member_id": lambda place: place.environment_member_id
    },
}
#: What is nowhere.
NOTHING: dict[str, object] = {"namespace": "nowhere", "name": "nothing", "build_id": 987654321, "other_id": 987654321}
BODIES: dict[type[Any], Any] = {
    policy.ChangePolicy: {"keep_builds": 5},
    schemas.ActivateBuild: {"description": "another"},
    schemas.ChangeNamespace: {"metadata": {}},
    schemas.CloneEnvironment: {"namespace": "nowhere", "name": "clone"},
    schemas.EndLease: {"holder": "kernel"},
    schemas.MakeArtifact: {"artifact_type": "YAML"},
    schemas.NewName: {"name": "renamed"},
    schemas.PinBuild: {},
    schemas.Rebuild: {},
    schemas.TagBuild: {},
    schemas.TakeLease: {"holder": "kernel"},
    schemas.GrantRole: {"subject": "user", "name": "stranger", "role": "viewer"},
    schemas.Notes: {},
    schemas.RestoreNamespace: {},
    schemas.RoleMapping: {"other_namespace": "stranger", "role": "viewer"},
    schemas.RoleMappingOf: {"other_namespace": "guest"},
}
QUERIES: dict[type[Query], dict[str, str]] = {
    DeleteQuery: {"force": "true"},
    ForceQuery: {"force": "true"},
    KernelsQuery: {"wait": "0"},
    RoleQuery: {"other_namespace": "guest"},
}
RESTORE = "api/v1/namespace/{namespace}/restore/"
RESTORE_ONE = "api/v1/environment/{namespace}/{name}/restore/"
RENAME = "api/v1/environment/{namespace}/{name}/rename/"
#: Of these the tests below that have no table of routes tell who may what; of packages, `test_package_search.py`.
BY_HAND = {
    ("GET", "api/v1/audit/"),
    ("POST", "api/v1/specification/"),
    ("GET", "api/v1/specification/"),
    ("POST", "api/v1/specification/solve/"),
    ("POST", "api/v1/environment/{namespace}/{name}/clone/"),
    ("GET", "api/v1/token/"),
    ("POST", "api/v1/token/"),
    ("DELETE", "api/v1/token/{token_id}/"),
    ("GET", "api/v1/package/"),
    ("GET", "api/v1/package/{package}/"),
}


@dataclass(frozen=True)
class Asked:
    """An operation of a route."""

    method: str
    route: Route
    operation: Operation

    def __str__(self) -> str:
        return f"{self.method} {self.route.template}"

    @property
    def environment(self) -> str | None:
        """The environment that its path names."""
        return "ml" if {"name", "build_id"} & set(self.route.parts) else None

    def values(self, place: Place) -> dict[str, object]:
        known = PARTS | PARTS_OF.get(self.route.template, {})
        missing = [part for part in self.route.parts if part not in known]
        assert not missing, f"{self}: say in PARTS what {missing} is in a namespace, so that everybody can ask for it."
        return {part: known[part](place) for part in self.route.parts}

    def of(self, client: httpx.Client, values: dict[str, object], **options: Any) -> httpx.Response:
        """Ask."""
        body, query = self.operation.body, self.operation.query
        if body is not None and "json" not in options:
            assert body in BODIES, f"{self}: say in BODIES what a valid {body.__name__} is."
            options["json"] = {} if self.route.template == RESTORE_ONE else BODIES[body]  # under the name it had
        params = QUERIES.get(query, {}) if query else {}
        address = self.route.template.format(**values)
        return client.request(self.method, address, params=params | options.pop("params", {}), **options)


ASKED = [Asked(method, route, operation) for route in ROUTES for method, operation in route.operations]
OF_SERVICE = [asked for asked in ASKED if asked.operation.needs is not None and not asked.route.parts]
NEEDING = [
    asked
    for asked in ASKED
    if asked.operation.needs not in (None, Permission.NAMESPACE_CREATE) and asked not in OF_SERVICE
]


def find(method: str, template: str) -> Asked:
    return next(asked for asked in ASKED if (asked.method, asked.route.template) == (method, template))


@pytest.fixture(scope="module")
def shared_world(tmp_path_factory: pytest.TempPathFactory) -> Generator[World]:
    directory = DataDirectory(tmp_path_factory.mktemp("d"))
    prefixes.ensure_data_directory(directory, publish_links=False)
    with make_world(directory) as made:
        yield made


@pytest.fixture
def world(shared_world: World) -> Generator[World]:
    """The world as it was made."""
    yield shared_world
    shared_world.snapshot.restore()


def hidden(who: Who) -> int:
    """Return the status of what somebody may not know of."""
    return 401 if who.anonymous else 404


def expect(who: Who, asked: Asked, place: str) -> int:
    """Return what the table says."""
    role = who.role(place, asked.environment)
    if role is None:
        return hidden(who)
    if asked.route.template == RENAME:  # a new name is one in the namespace
        return 200 if Permission.ENVIRONMENT_CREATE in PERMISSIONS.get(who.role(place), ()) else 403
    if asked.operation.needs in PERMISSIONS[role]:
        return 200
    # What was deleted is shown to nobody, so it is not there for who may not bring it back.
    return hidden(who) if asked.route.template == RESTORE else 403


def delete_place(session: Session, place: str) -> None:
    """Delete a namespace as the service does, without saying so."""
    now = datetime.now(UTC)
    row = session.scalars(select(Namespace).where(Namespace.name == place)).one()
    row.deleted_at = now
    queries.delete_environments(session, row.id, now)


def delete_one(session: Session, place: str) -> None:
    """Delete the environment `ml` as the service does, without saying so."""
    row = queries.find_environment(session, place, "ml")
    assert row is not None
    row.deleted_at = datetime.now(UTC)


#: What is brought back has to be gone first.
GONE = {RESTORE: delete_place, RESTORE_ONE: delete_one}


@pytest.mark.parametrize("asked", NEEDING, ids=str)
def test_who_asks_gets_what_the_table_says(world: World, asked: Asked) -> None:
    wrong: list[str] = []
    for place in map(world.places.__getitem__, PLACES):
        if (gone := GONE.get(asked.route.template)) is not None:
            world.service.db.write_sync(gone, place.name)
        for who in EVERYBODY:
            expected = expect(who, asked, place.name)
            answer = asked.of(world.clients[who.name], asked.values(place))
            if answer.status_code != expected:
                wrong.append(f"{who.name} on {place.name}: {answer.status_code}, not {expected}: {answer.text}")
            if answer.is_success and asked.method != "GET":
                world.snapshot.restore()
                if gone is not None:
                    world.service.db.write_sync(gone, place.name)
        if gone is not None:
            world.snapshot.restore()
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("asked", NEEDING, ids=str)
def test_what_one_may_not_see_is_answered_as_what_is_not_there(world: World, asked: Asked) -> None:
    for who in EVERYBODY:

        @functools.cache
        def ask(*typed: tuple[str, object], client: httpx.Client = world.clients[who.name]) -> object:
            return show(asked.of(client, dict(typed)), dict(typed))

        for place in map(world.places.__getitem__, PLACES):
            if who.role(place.name, asked.environment) is not None:
                continue
            values = asked.values(place)
            for part in set(NOTHING) & set(values):
                changed = values | {part: NOTHING[part]}
                assert ask(*changed.items()) == ask(*values.items()), f"{who.name} on {place.name}"


def show(answer: httpx.Response, typed: dict[str, object]) -> tuple[int, str, dict[str, str]]:
    """Return all of an answer but the names that were typed, and how long they are."""
    text = answer.text
    for value in typed.values():
        text = re.sub(rf"\b{re.escape(str(value))}\b", "•", text)
    headers = {key: value for key, value in answer.headers.items() if key not in ("date", "content-length")}
    return answer.status_code, text, headers


def test_a_number_of_another_place_opens_nothing_here(world: World) -> None:
    """Who administers a namespace takes back nothing that was given in another one."""
    theirs, alice = world.places[FOREIGN], world.clients["alice"]
    for address in (
        f"api/v1/namespace/alice/member/{theirs.member_id}/",
        f"api/v1/namespace/alice/member/{theirs.environment_member_id}/",
        f"api/v1/environment/alice/ml/member/{theirs.environment_member_id}/",
        f"api/v1/environment/alice/other/member/{world.places['alice'].environment_member_id}/",
    ):
        assert alice.delete(address).status_code == 404, address
    assert alice.put("api/v1/environment/alice/ml/", json={"build_id": theirs.build_id}).status_code == 404


# What needs no permission on what a path names


@pytest.mark.parametrize("who", EVERYBODY, ids=lambda who: who.name)
def test_only_who_administers_all_makes_shared_namespaces(world: World, who: Who) -> None:
    asked = find("POST", "api/v1/namespace/{namespace}/")
    assert asked.operation.needs is Permission.NAMESPACE_CREATE
    fresh = asked.of(world.clients[who.name], {"namespace": "fresh"})
    taken = asked.of(world.clients[who.name], {"namespace": FOREIGN})
    if who.name == "root":
        assert (fresh.status_code, taken.status_code) == (200, 409)
    else:
        assert fresh.status_code == (401 if who.anonymous else 403)
        assert show(fresh, {}) == show(taken, {})


@pytest.mark.parametrize("asked", OF_SERVICE, ids=str)
def test_what_is_of_the_whole_service_is_for_who_administers_all(world: World, asked: Asked) -> None:
    for who in EVERYBODY:
        status = asked.of(world.clients[who.name], {}).status_code
        assert status == (200 if who.name == "root" else 401 if who.anonymous else 403), who.name


@pytest.mark.parametrize("asked", [one for one in ASKED if one.operation.public], ids=str)
def test_what_is_public_is_for_everybody(world: World, asked: Asked) -> None:
    for who in EVERYBODY:
        assert asked.of(world.clients[who.name], {}).status_code == 200, who.name


def names_of_namespaces(data: Any) -> set[str]:
    return {row["name"] for row in data}


def names_of_environments(data: Any) -> set[str]:
    return {f"{row['namespace']['name']}/{row['name']}" for row in data}


def names_of_builds(data: Any) -> set[str]:
    return {f"{row['namespace']}/{row['environment']}" for row in data}


def names_of_kernels(data: Any) -> set[str]:
    return names_of_builds(data["kernels"])


def in_namespaces(who: Who) -> set[str]:
    return {place for place in PLACES if who.role(place) is not None}


def on_environments(who: Who) -> set[str]:
    return {f"{place}/{name}" for place in PLACES for name in ("ml", "other") if who.role(place, name) is not None}


#: What a list names, and what it should name of the places.
LISTS: dict[str, tuple[Callable[[Any], set[str]], Callable[[Who], set[str]]]] = {
    "api/v1/namespace/": (names_of_namespaces, in_namespaces),
    "api/v1/usage/": (set, in_namespaces),
    "api/v1/environment/": (names_of_environments, on_environments),
    "api/v2/environment/": (names_of_environments, on_environments),
    "api/v1/build/": (names_of_builds, on_environments),
    "api/v1/kernels/": (names_of_kernels, on_environments),
}
SUMMARY = "api/v1/permission/"


def test_every_operation_is_told_of_here() -> None:
    told = {*BY_HAND, *(("GET", template) for template in (*LISTS, SUMMARY))}
    free = {
        (one.method, one.route.template) for one in ASKED if one.operation.needs is None and not one.operation.public
    }
    assert free == told, "say in LISTS or BY_HAND who may do what needs no permission on what a path names"


@pytest.mark.parametrize("template", LISTS)
@pytest.mark.parametrize("who", EVERYBODY, ids=lambda who: who.name)
def test_a_list_names_what_one_may_see_and_nothing_else(world: World, template: str, who: Who) -> None:
    named, expected = LISTS[template]
    answer = find("GET", template).of(world.clients[who.name], {})
    if who.anonymous:
        assert answer.status_code == 401
        return
    found = named(answer.json()["data"])
    if who.name == "root":
        assert found >= expected(who)
        return
    beside = set(who.beside) if expected is in_namespaces else set()
    assert found == expected(who) | beside


@pytest.mark.parametrize("who", EVERYBODY, ids=lambda who: who.name)
def test_one_is_told_what_one_may(world: World, who: Who) -> None:
    told = world.clients[who.name].get(SUMMARY).json()["data"]
    assert told["authenticated"] is not who.anonymous
    if who.name == "root":
        assert told["entity_roles"] == {"*/*": ["admin"]}
        return
    places = {key: [Role(role) for role in roles] for key, roles in told["entity_roles"].items()}
    for place in PLACES:
        held = who.role(place)
        assert places.get(f"{place}/*") == ([held] if held else None), place
        alone = who.role(place, "ml")
        if alone != held:
            assert places.get(f"{place}/ml") == [alone], place
    for key, roles in places.items():
        assert set(told["entity_permissions"][key]) == PERMISSIONS[roles[0]], key


@pytest.mark.parametrize("who", EVERYBODY, ids=lambda who: who.name)
def test_the_statements_of_lists_say_the_same(world: World, who: Who) -> None:
    identity = world.identity(who)

    def read(session: Session) -> tuple[set[str], set[str]]:
        namespaces = queries.first_namespaces(session, identity, 1000, Permission.NAMESPACE_READ)
        rows, _ = lists.list_environments(session, identity, page=1, size=1000)
        return {row.name for row in namespaces}, {f"{row.namespace}/{row.name}" for row in rows}

    namespaces, environments = world.service.db.read_sync(read)
    assert namespaces & set(PLACES) == in_namespaces(who)
    assert environments == on_environments(who)
    if who.name != "root":
        assert namespaces - set(PLACES) == set(who.beside)


# What is asked for in a body or in a query


@pytest.mark.parametrize("template", ["api/v1/specification/solve/", "api/v1/specification/"])
@pytest.mark.parametrize("name", ["ml", "new"])
@pytest.mark.parametrize("who", EVERYBODY, ids=lambda who: who.name)
def test_who_may_write_somewhere_solves_and_submits_there(world: World, who: Who, name: str, template: str) -> None:
    asked = find("POST", template)
    for place in PLACES:
        role = who.role(place, name)
        expected = hidden(who) if role is None else 200 if Permission.ENVIRONMENT_UPDATE in PERMISSIONS[role] else 403
        answer = asked.of(world.clients[who.name], {}, json={"specification": make.text(name), "namespace": place})
        assert answer.status_code == expected, f"{place}: {answer.text}"
        if role is None:
            nowhere = {"specification": make.text(name), "namespace": "nowhere"}
            other = asked.of(world.clients[who.name], {}, json=nowhere)
            assert show(other, {"": "nowhere"}) == show(answer, {"": place})


@pytest.mark.parametrize("who", EVERYBODY, ids=lambda who: who.name)
def test_the_audit_trail_is_for_who_administers(world: World, who: Who) -> None:
    asked = find("GET", "api/v1/audit/")
    for place in PLACES:
        role = who.role(place)
        answer = asked.of(world.clients[who.name], {}, params={"namespace": place})
        assert answer.status_code == (hidden(who) if role is None else 200 if role is Role.ADMIN else 403), place
        if role is Role.ADMIN:
            assert {row["namespace"] for row in answer.json()["data"]} <= {place}
        if role is None:
            other = asked.of(world.clients[who.name], {}, params={"namespace": "nowhere"})
            assert show(other, {"": "nowhere"}) == show(answer, {"": place})
    everything = asked.of(world.clients[who.name], {})
    if who.name != "root" and everything.is_success:
        assert {row["namespace"] for row in everything.json()["data"]} <= {*who.beside, who.name, "alice", "adam"}


#: Tokens of ours, which make none.
OURS = {"viewer-token", "one-developer-token", "token-of-elsewhere", "owners-viewer-token", "roots-viewer-token"}


@pytest.mark.parametrize("who", EVERYBODY, ids=lambda who: who.name)
def test_a_token_is_made_for_what_one_has_and_for_no_more(world: World, who: Who) -> None:
    asked = find("POST", "api/v1/token/")
    maker = who.is_user and who.name not in OURS
    for place in PLACES:
        for key, held in ((f"{place}/*", who.role(place)), (f"{place}/ml", who.role(place, "ml"))):
            for role in Role:
                answer = asked.of(world.clients[who.name], {}, json={"role_bindings": {key: [role]}})
                assert answer.is_success is (held is not None and maker and role.rank <= held.rank), (key, role)
                if held is None and maker:
                    assert answer.status_code == 404
                if who.name in OURS:
                    assert answer.json()["code"] == "token-too-strong"


@pytest.mark.parametrize("who", EVERYBODY, ids=lambda who: who.name)
def test_tokens_are_seen_and_revoked_by_their_owner(world: World, who: Who) -> None:
    client, one = world.clients[who.name], find("DELETE", "api/v1/token/{token_id}/")
    made = world.clients["adam"].get("api/v1/token/").json()["data"]
    of_adam = {row["id"] for row in made}
    listed = client.get("api/v1/token/")
    mine = who.name in ("adam", "viewer-token", "one-developer-token", "token-of-elsewhere")
    if who.anonymous or not who.is_user:
        assert listed.status_code == (401 if who.anonymous else 403)
    else:
        assert bool(of_adam & {row["id"] for row in listed.json()["data"]}) is mine
    number = next(row["id"] for row in made if not who.name.startswith(row["label"]))
    other, answer = one.of(client, {"token_id": 987654}), one.of(client, {"token_id": number})
    assert answer.status_code == (200 if who.name in ("adam", "root") else hidden(who))
    if not answer.is_success:
        assert show(other, {"": 987654}) == show(answer, {"": number})


# Who is not logged in, where the site allows that


@pytest.mark.parametrize("asked", NEEDING, ids=str)
def test_what_is_shared_with_everybody_is_shown_and_not_changed(world: World, asked: Asked) -> None:
    auth, nobody = world.service.services.auth, world.clients["anonymous"]
    world.service.db.write_sync(share_with_everybody)
    who = replace(EVERYBODY[0], on_ml={FOREIGN: Role.VIEWER})
    auth.allow_anonymous = True
    try:
        for place in PLACES:
            closed = asked.method != "GET" or asked.operation.logged_in
            expected = 401 if closed or expect(who, asked, place) != 200 else 200
            answer = asked.of(nobody, asked.values(world.places[place]))
            assert answer.status_code == expected, f"{place}: {answer.text}"
    finally:
        auth.allow_anonymous = False
    assert asked.of(nobody, asked.values(world.places[FOREIGN])).status_code == 401


def share_with_everybody(session: Session) -> None:
    """Let everybody see one environment."""
    row = queries.find_environment(session, FOREIGN, "ml")
    assert row is not None
    session.add(
        Grant(
            namespace_id=row.namespace_id,
            environment_id=row.id,
            subject=SubjectKind.ANYONE,
            role=Role.VIEWER,
            created_at=datetime.now(UTC),
        )
    )
