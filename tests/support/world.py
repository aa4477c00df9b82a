"""A service with namespaces of every kind, the same things in each, and people and tokens of every role on them.

What each of them may is told here once more, in full and by hand: a test holds the service against it.
"""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Generator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
from sqlalchemy import select
from sqlalchemy.orm import Session
from traitlets.config import Config, LoggingConfigurable

from conda_store_hub.core.names import DataDirectory, NamespaceKind, list_namespace_names
from conda_store_hub.core.permissions import ANONYMOUS, Claim, Identity, Role, group_subject, user_subject
from conda_store_hub.core.protocol import MADE_OF_PREFIXES
from conda_store_hub.db.tables import Environment, Grant, HubUser, Namespace
from conda_store_hub.services import tags, tokens
from tests.support.fake_hub import user
from tests.support.make import ADMIN as ROOT
from tests.support.service import RunningService, run_service

OWN, GROUP, SHARED, FOREIGN, SEALED = "alice", "group.physics", "course", "bob", "olga"
PLACES = (OWN, GROUP, SHARED, FOREIGN, SEALED)
#: Somebody is sealed out of SEALED: all that was given on it is worth nothing, but to administrators of the Hub.
OPEN = PLACES[:-1]
#: Each place has both environments; who has a role on one alone has it on the first.
ENVIRONMENTS = ("ml", "other")
VIEWER, DEVELOPER, ADMIN = Role

_PREDEFINED = {
    "predefined-viewer": {"role_bindings": {f"{place}/*": ["viewer"] for place in PLACES}},
    "predefined-one-developer": {"role_bindings": {f"{place}/ml": ["developer"] for place in PLACES}},
    "predefined-of-elsewhere": {"role_bindings": {"adam/*": ["admin"]}},
}


@dataclass(frozen=True, kw_only=True)
class Who:
    """Somebody who asks, and the role that they have in each namespace, and on its environment `ml`."""

    name: str
    in_namespace: Mapping[str, Role] = field(default_factory=dict)
    on_ml: Mapping[str, Role] = field(default_factory=dict)
    beside: tuple[str, ...] = ()
    """What they see that is no place: the namespaces of their own."""
    is_user: bool = True

    @property
    def anonymous(self) -> bool:
        return self.name == "anonymous"

    def role(self, place: str, environment: str | None = None) -> Role | None:
        """Return the role that they have in a namespace, or on one of its environments."""
        held = self.on_ml if environment == "ml" else self.in_namespace
        return held.get(place)


def _person(name: str, whole: Mapping[str, Role] | None = None, one: Mapping[str, Role] | None = None) -> Who:
    """Return a user of the Hub: as everybody who is logged in, a viewer of what is shared."""
    everybody = {SHARED: VIEWER}
    held = everybody | dict(whole or {})
    beside = {"alice": (), "bob": (), "staff": ("staff", "group.staff")}.get(name, (name,))
    return Who(name=name, in_namespace=held, on_ml=held | dict(one or {}), beside=beside)


def _everywhere(role: Role, places: tuple[str, ...] = OPEN) -> dict[str, Role]:
    return dict.fromkeys(places, role)


def _bearer(name: str, whole: dict[str, Role], one: dict[str, Role] | None = None, *, is_user: bool = True) -> Who:
    return Who(name=name, in_namespace=whole, on_ml=whole | (one or {}), is_user=is_user)


#: The people; each has the name and the token of a user of the Hub.
PEOPLE = (
    _person("stranger"),
    _person("viewer", _everywhere(VIEWER)),
    _person("developer", _everywhere(DEVELOPER)),
    _person("adam", _everywhere(ADMIN)),
    _person("one-viewer", one=_everywhere(VIEWER)),
    _person("one-developer", one=_everywhere(DEVELOPER)),
    _person("one-admin", one=_everywhere(ADMIN)),
    _person("staff", _everywhere(DEVELOPER)),  # by a role of their group
    _person("late", {}),  # an admin until yesterday
    _person("weak-and-strong", _everywhere(VIEWER), _everywhere(ADMIN)),
    _person("alice", {OWN: ADMIN, GROUP: DEVELOPER}),
    _person("carol", {GROUP: DEVELOPER}),
    _person("bob", {FOREIGN: ADMIN}),
    _person("guest", _everywhere(VIEWER), _everywhere(VIEWER)),
    replace(_person("olga"), beside=(list_namespace_names(NamespaceKind.USER, "olga")[1],)),  # the name's new owner
    Who(name="root", in_namespace=_everywhere(ADMIN, PLACES), on_ml=_everywhere(ADMIN, PLACES)),
)
#: The bearers of tokens that are not the Hub's.
BEARERS = (
    _bearer("owners-viewer-token", {OWN: VIEWER}),
    _bearer("viewer-token", _everywhere(VIEWER)),
    _bearer("one-developer-token", {}, _everywhere(DEVELOPER)),
    Who(name="token-of-elsewhere", beside=("adam",)),
    _bearer("roots-viewer-token", _everywhere(VIEWER, PLACES)),
    _bearer("predefined-viewer", _everywhere(VIEWER), is_user=False),
    _bearer("predefined-one-developer", {}, _everywhere(DEVELOPER), is_user=False),
    Who(name="predefined-of-elsewhere", beside=("adam",), is_user=False),
)
EVERYBODY = (Who(name="anonymous", is_user=False), *PEOPLE, *BEARERS)


class Snapshot:
    """A database as it was, to be had again: what one question changed disturbs no other."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._kept = sqlite3.connect(":memory:")
        with closing(sqlite3.connect(path)) as source:
            source.backup(self._kept)

    def restore(self) -> None:
        """Put everything back, in one transaction, under a service that runs."""
        with closing(sqlite3.connect(self._path, timeout=10)) as target:
            self._kept.backup(target, sleep=0.005)

    def close(self) -> None:
        self._kept.close()


@dataclass(frozen=True, kw_only=True)
class Place:
    """What a namespace has, by number; the environment is `ml`."""

    name: str
    build_id: int
    old_id: int
    queued_id: int
    member_id: int
    environment_member_id: int


@dataclass(frozen=True, kw_only=True)
class World:
    """The service, what is in it, and those who ask."""

    service: RunningService
    places: dict[str, Place]
    clients: dict[str, httpx.Client]
    secrets: dict[str, str]
    snapshot: Snapshot

    def identity(self, who: Who) -> Identity:
        """Return somebody as the services take them."""
        auth, db = self.service.services.auth, self.service.db
        secret = self.secrets.get(who.name, "")
        if who.anonymous:
            return ANONYMOUS
        if not who.is_user:
            found = auth.backend.find(secret)
            assert found is not None
            return found
        if secret.startswith(tokens.PREFIX):
            owner = db.read_sync(tokens.find_owner, tokens.make_digest(secret, auth.pepper))
            assert owner is not None
            return self._user(owner.name, owner.user_id, owner.limit)
        return self._user(who.name, db.read_sync(_user_ids)[who.name])

    def _user(self, name: str, user_id: int, limit: tuple[Claim, ...] | None = None) -> Identity:
        model = self.service.hub.person(name)
        assert model is not None
        groups = frozenset(model["groups"])
        return Identity(name=name, user_id=user_id, groups=groups, admin=model["admin"], limit=limit)


@contextmanager
def make_world(data: DataDirectory) -> Generator[World]:
    """Run a service with all of that in it."""
    config = Config({"AuthenticationBackend": {"predefined_tokens": _PREDEFINED}})
    with run_service(data, cache_max_age=3600, parent=LoggingConfigurable(config=config)) as service:
        service.solve_at_once()
        service.search_at_once()
        service.hub.tokens |= {
            f"{who.name}-token": user(who.name, *_groups(who.name), admin=who.name == "root") for who in PEOPLE
        }
        service.hub.created["olga"] = "2020-01-01T00:00:00Z"
        clients = {"anonymous": service.client()} | {who.name: service.client(who.name) for who in PEOPLE}
        for who in PEOPLE:
            _ask(clients[who.name].get("api/v1/permission/"))
        _ask(clients["root"].post(f"api/v1/namespace/{SHARED}/"))
        places = _fill(service)
        _give_the_name_away(service, clients)
        secrets = _make_tokens(clients) | {name: name for name in _PREDEFINED}
        for name, secret in secrets.items():
            clients[name] = service.client(headers={"Authorization": f"Bearer {secret}"})
            _ask(clients[name].get("api/v1/permission/"))
        service.settle()
        snapshot = Snapshot(service.services.data.database)
        try:
            yield World(service=service, places=places, clients=clients, secrets=secrets, snapshot=snapshot)
        finally:
            snapshot.close()
            for client in clients.values():
                client.close()


def _groups(name: str) -> tuple[str, ...]:
    return {"alice": ("physics",), "carol": ("physics",), "staff": ("staff",)}.get(name, ())


def _ask(answer: httpx.Response) -> httpx.Response:
    assert answer.status_code == 200, answer.text
    return answer


def _fill(service: RunningService) -> dict[str, Place]:
    wanted = list(itertools.product(PLACES, ENVIRONMENTS))
    old = {place: service.completed("ml", user="root", namespace=place) for place in PLACES}
    built = {(place, name): service.completed(name, user="root", namespace=place) for place, name in wanted}
    for build_id in built.values():
        service.log(build_id, "solving\n")
        for kind in MADE_OF_PREFIXES:
            service.store(build_id, kind, b"name: ml\n")
    for place in PLACES:
        service.db.write_sync(tags.give, ROOT, built[place, "ml"], "v1", move=False)
    queued = {place: service.submit("ml", user="root", namespace=place) for place in PLACES}
    numbers = service.db.write_sync(_grant)
    return {
        place: Place(
            name=place,
            build_id=built[place, "ml"],
            old_id=old[place],
            queued_id=queued[place],
            member_id=numbers[place][0],
            environment_member_id=numbers[place][1],
        )
        for place in PLACES
    }


def _user_ids(session: Session) -> dict[str, int]:
    return {row.name: row.id for row in session.scalars(select(HubUser).where(HubUser.replaced_at.is_(None)))}


#: Who was given what, on each whole namespace, and on its environment `ml` alone.
_GIVEN = (
    ("viewer", VIEWER, False),
    ("developer", DEVELOPER, False),
    ("adam", ADMIN, False),
    ("staff", DEVELOPER, False),
    ("late", ADMIN, False),
    ("weak-and-strong", VIEWER, False),
    ("weak-and-strong", ADMIN, True),
    ("one-viewer", VIEWER, True),
    ("one-developer", DEVELOPER, True),
    ("one-admin", ADMIN, True),
    ("guest", VIEWER, False),
    ("guest", VIEWER, True),
)


def _grant(session: Session) -> dict[str, tuple[int, int]]:
    """Give everybody their roles; the numbers of those of `guest`, on each namespace and its environment."""
    users, now = _user_ids(session), datetime.now(UTC)
    made: dict[tuple[str, str, bool], int] = {}
    rows = session.execute(select(Namespace, Environment).join(Environment.namespace).where(Environment.name == "ml"))
    for namespace, environment in rows.all():
        for name, role, alone in _GIVEN:
            row = Grant(
                namespace_id=namespace.id,
                environment_id=environment.id if alone else None,
                subject=group_subject(name) if name == "staff" else user_subject(users[name]),
                user_id=None if name == "staff" else users[name],
                role=role,
                expires_at=now - timedelta(days=1) if name == "late" else None,
                created_at=now,
            )
            session.add(row)
            session.flush()
            made[namespace.name, name, alone] = row.id
    return {place: (made[place, "guest", False], made[place, "guest", True]) for place in PLACES}


def _give_the_name_away(service: RunningService, clients: dict[str, httpx.Client]) -> None:
    """Have the Hub call somebody else olga."""
    service.hub.created["olga"] = "2026-01-01T00:00:00Z"
    service.hub.tokens["olgas-token"] = service.hub.tokens.pop("olga-token")
    clients["olga"].close()
    clients["olga"] = service.client(headers={"Authorization": "token olgas-token"})
    _ask(clients["olga"].get("api/v1/permission/"))


def _make_tokens(clients: dict[str, httpx.Client]) -> dict[str, str]:
    asked = {
        "owners-viewer-token": ("alice", {f"{OWN}/*": ["viewer"]}),
        "viewer-token": ("adam", {f"{place}/*": ["viewer"] for place in OPEN}),
        "one-developer-token": ("adam", {f"{place}/ml": ["developer"] for place in OPEN}),
        "token-of-elsewhere": ("adam", {"adam/*": ["admin"]}),
        "roots-viewer-token": ("root", {f"{place}/*": ["viewer"] for place in PLACES}),
    }
    return {
        name: _ask(clients[maker].post("api/v1/token/", json={"label": name, "role_bindings": bindings})).json()[
            "data"
        ]["token"]
        for name, (maker, bindings) in asked.items()
    }
