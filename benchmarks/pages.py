"""How soon the first byte of a page comes among 2,000 environments, beside an empty request to the same service.

The service is a process of its own; who asks is known to it, and may see all of the environments.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from benchmarks.figures import Figure, median, percentile, spread
from benchmarks.lists import EMPTY, ask_in_turn
from benchmarks.served import ADMIN, Connection, Served, serving
from benchmarks.world import fill

ENVIRONMENTS = 2_000
BUILDS = 20_000
PACKAGES = 100
GOAL = 100.0
GOAL_AGAIN = 5.0
LOOKS = 500
PAGES = {
    "home": "",
    "home, a name searched for": "?search=env019",
    "home, a package searched for": "?search=package:package-0100>=1",
    "home, the last page": "?page=20",
    "an environment with 10 builds": "environment/team07/env00507/",
    "what changed in a build": "environment/team07/env00507/changes/?build=4508",
    "a build": "build/4508/",
    "packages of a build": "build/4508/packages/?search=package-0",
    "namespaces": "namespace/",
    "a namespace": "namespace/team07/",
    "the form for an environment": "create/",
    "oneself": "user/",
}
#: For who administers the Hub.
ADMIN_PAGES = {
    "a change of an environment": "create/?environment=team07/env00507",
    "members and policy of a namespace": "namespace/team08/",
    "administration": "admin/",
    "all namespaces": "admin/namespaces/",
    "all namespaces, searched": "admin/namespaces/?search=team1",
    "the audit trail": "admin/audit/",
}


def measure() -> Iterator[Figure]:
    """Measure each page in turn with the empty request."""
    yield from asyncio.run(_measure())


async def _measure() -> list[Figure]:
    with tempfile.TemporaryDirectory(prefix="b") as scratch:
        world = partial(fill, environments=ENVIRONMENTS, builds=BUILDS, packages=PACKAGES)
        async with (
            serving(Path(scratch), world) as service,
            service.connect() as reader,
            service.connect(ADMIN) as admin,
        ):
            paths = {name: (reader, path) for name, path in {EMPTY: EMPTY, **PAGES}.items()}
            taken = await ask_in_turn(paths | {name: (admin, path) for name, path in ADMIN_PAGES.items()})
            again = await _look_again(service, reader)
    return [*[_compare(name, taken[name], taken[EMPTY]) for name in (*PAGES, *ADMIN_PAGES)], again]


async def _look_again(service: Served, reader: Connection) -> Figure:
    """Have a page look again while nothing changes, as each open page does every four seconds in a busy service."""
    etag, before = await reader.find_etag(""), service.processor_seconds
    taken = [await reader.look_again("", etag) for _ in range(LOOKS)]
    worked = 1000 * (service.processor_seconds - before) / LOOKS
    return Figure(
        what="home, looked at again by its script while nothing has changed",
        value=median(taken),
        goal=GOAL_AGAIN,
        unit="ms",
        reference=f"{spread(taken, 'ms')}; of a processor {worked:.1f} ms each",
    )


def _compare(name: str, taken: list[float], empty: list[float]) -> Figure:
    most = f"90 %: {percentile(taken, 0.9):.1f} ms; the empty request {spread(empty, 'ms')}"
    return Figure(what=f"{name}, among {ENVIRONMENTS}", value=median(taken), goal=GOAL, unit="ms", reference=most)
