"""What it costs to decide who may do what: one check, and lists among 100,000 environments in 10,000 namespaces.

The references are the emptiest request of somebody known, and the list of a namespace of one's own.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from benchmarks.figures import Figure, in_turn, median, spread
from conda_store_hub.core.names import DataDirectory, NamespaceKind
from conda_store_hub.core.permissions import Identity, Permission, Role, SubjectKind, user_subject
from conda_store_hub.db.tables import Environment, Grant, HubUser, Namespace
from conda_store_hub.services import rights
from conda_store_hub.storage import prefixes
from tests.support.fake_hub import user
from tests.support.service import RunningService, run_service

NAMESPACES = 10_000
ENVIRONMENTS = 10
ROUNDS = 60
CHECKS = 500
#: Who sees what: their own and some; half of everything, one by one; all, as an administrator.
PEOPLE = ("alice", "halina", "root")


def fill(session: Session) -> None:
    """Make namespaces of users, groups and everybody, environments in each, and grants of every kind."""
    now = datetime.now(UTC)
    kinds = [NamespaceKind.USER, NamespaceKind.GROUP]
    owners = [*PEOPLE, *(f"u{number}" for number in range(NAMESPACES))]
    rows = [
        {"name": f"n{n:05}-{owners[n]}", "kind": kinds[n % 2 if n > len(PEOPLE) else 0], "hub_name": owners[n]}
        for n in range(NAMESPACES - 100)
    ]
    rows += [{"name": f"shared{number:04}", "kind": NamespaceKind.SHARED, "hub_name": None} for number in range(100)]
    session.execute(insert(Namespace), [row | {"created_at": now, "about": {}} for row in rows])
    ids = list(session.scalars(select(Namespace.id).order_by(Namespace.id)))
    made = {"created_at": now, "updated_at": now, "description": "An environment of the benchmark."}
    for start in range(0, len(ids), 1000):
        names = [
            {"namespace_id": number, "name": f"e{n}", "name_key": f"e{n}"} | made
            for number in ids[start : start + 1000]
            for n in range(100 if number == ids[0] else ENVIRONMENTS)
        ]
        session.execute(insert(Environment), names)
    session.execute(
        insert(HubUser), [{"id": n, "name": name, "first_seen_at": now} for n, name in enumerate(PEOPLE, start=1)]
    )
    session.execute(insert(Grant), [row | {"created_at": now} for row in _grants(ids)])


def _grants(ids: list[int]) -> Iterator[dict[str, object]]:
    alice, halina = user_subject(1), user_subject(2)
    for number in ids[100:150]:
        yield {"namespace_id": number, "environment_id": None, "subject": alice, "user_id": 1, "role": Role.VIEWER}
    for number in ids[200:250]:
        environment = {"environment_id": number * ENVIRONMENTS + 95, "subject": alice, "user_id": 1}
        yield {"namespace_id": number, "role": Role.DEVELOPER} | environment
    for number in ids[300::2]:
        yield {"namespace_id": number, "environment_id": None, "subject": halina, "user_id": 2, "role": Role.VIEWER}
    for number in ids[301:3000:2]:  # what others were given does not slow anybody down
        group = {"subject": f"{SubjectKind.GROUP}:others", "user_id": None}
        yield {"namespace_id": number, "environment_id": None, "role": Role.ADMIN} | group


def timed(client: httpx.Client, path: str, entries: int | None = None) -> Callable[[], float]:
    """Return a measure of one request, in milliseconds."""

    def ask() -> float:
        began = time.perf_counter()
        answer = client.get(path)
        milliseconds = (time.perf_counter() - began) * 1000
        if answer.status_code != 200 or entries not in (None, len(answer.json()["data"])):
            raise SystemExit(f"{path}: {answer.status_code} {answer.text[:200]}")
        return milliseconds

    return ask


def measure() -> Iterator[Figure]:
    """Measure the check and the lists."""
    with tempfile.TemporaryDirectory(prefix="b") as scratch:
        data = DataDirectory(Path(scratch))
        prefixes.ensure_data_directory(data, publish_links=False)
        with run_service(data) as service:
            service.db.write_sync(fill)
            service.hub.tokens["halina-token"] = user("halina")
            yield from _check(service)
            yield from _lists(service)


def _check(service: RunningService) -> Iterator[Figure]:
    identity = Identity(name="alice", user_id=1, groups=frozenset({"physics"}))

    def decide(session: Session) -> float:
        began = time.perf_counter()
        for _ in range(CHECKS):
            rights.require_environment(session, identity, "n00000-alice", "e7", Permission.ENVIRONMENT_READ)
            session.expunge_all()
        return (time.perf_counter() - began) * 1000 / CHECKS

    with service.client("alice") as alice:
        one = timed(alice, "api/v1/environment/n00000-alice/e7/")
        empty = timed(alice, "api/v1/")
        known = timed(alice, "api/v1/token/")
        one()
        whole, nothing, recognised = in_turn(ROUNDS, one, empty, known)
    checks = [service.db.read_sync(decide) for _ in range(5)]
    yield Figure(
        what="a permission check, with finding what it is about",
        value=median(checks),
        goal=1.0,
        unit="ms",
        reference=f"the request it is part of {spread(whole, 'ms')}, one that asks nobody {spread(nothing, 'ms')},"
        f" the list of one's tokens {spread(recognised, 'ms')}",
    )


def _lists(service: RunningService) -> Iterator[Figure]:
    for name in PEOPLE:
        own = "n00000-alice"
        with service.client(name) as client, service.client("alice") as alice:
            mine = timed(alice, f"api/v1/environment/?namespace={own}&page=1&size=100", 100)
            visible = timed(client, "api/v1/environment/?page=1&size=100", 100)
            later = timed(client, "api/v1/environment/?page=4&size=100", 100)
            for ask in (mine, visible, later):
                ask()
            references, lists, deeper = in_turn(ROUNDS, mine, visible, later)
        for what, taken in (("first", lists), ("fourth", deeper)):
            yield Figure(
                what=f"the {what} hundred of what {name} may see among {NAMESPACES * ENVIRONMENTS} environments",
                value=median(taken),
                goal=2.0 * median(references),
                unit="ms",
                reference=f"of alice's own namespace {spread(references, 'ms')}, the list {spread(taken, 'ms')}",
            )
