"""What reading costs among 1,000 environments: beside an empty request, and with a hundred times as many builds.

The empty request is `GET /api/v1/`. It is public, so the token that is sent with it is not looked at; for all others
the service remembers what the Hub said about it, as it does for a minute. The service is a process of its own.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from functools import partial
from pathlib import Path

from benchmarks.figures import Figure, median, percentile, spread
from benchmarks.served import Connection, Served, serving
from benchmarks.world import fill

ENVIRONMENTS = 1_000
PACKAGES = 150
ROUNDS = 100
READERS = 16
LOADS = 3
SECONDS = 3.0
EMPTY = "api/v1/"
PAGE = "api/v1/environment/?page=1&size=100"
BUILDS = "api/v1/build/?page=1&size=100"
#: What is read, and how many empty requests it may cost.
READS = {
    "a page of 100 environments": (PAGE, 10),
    "one environment": ("api/v1/environment/team07/env00507/", 3),
    "the builds of one environment": ("api/v1/build/?environment_id=508", 4),
    "the packages of one build, 100 of 150": ("api/v1/build/508/packages/", 6),
}
_PEER_LISTS = 3


def measure() -> Iterator[Figure]:
    """Measure single requests, many at once, and three sizes of database in turn."""
    yield from asyncio.run(_measure())


async def _measure() -> list[Figure]:
    async with AsyncExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="b")))
        usual = await stack.enter_async_context(_service(scratch / "usual", 10_000, PACKAGES))
        figures = [figure async for figure in _costs(usual)]
        figures += [figure async for figure in _loads(usual)]
        few = await stack.enter_async_context(_service(scratch / "few", 1_000, 0))
        many = await stack.enter_async_context(_service(scratch / "many", 100_000, 0))
        return [*figures, *[figure async for figure in _growth(few, many)]]


def _service(scratch: Path, builds: int, packages: int) -> AbstractAsyncContextManager[Served]:
    scratch.mkdir()
    return serving(scratch, partial(fill, environments=ENVIRONMENTS, builds=builds, packages=packages))


async def ask_in_turn(asked: Mapping[str, tuple[Connection, str]]) -> dict[str, list[float]]:
    """Ask for each once a round; milliseconds."""
    for connection, path in asked.values():
        await connection.ask(path)
    taken: dict[str, list[float]] = {name: [] for name in asked}
    for _ in range(ROUNDS):
        for name, (connection, path) in asked.items():
            taken[name].append(await connection.time(path))
    return taken


async def _costs(service: Served) -> AsyncIterator[Figure]:
    async with service.connect() as connection:
        paths = {EMPTY: EMPTY} | {name: path for name, (path, _) in READS.items()}
        taken = await ask_in_turn({name: (connection, path) for name, path in paths.items()})
    for name, (_, goal) in READS.items():
        yield Figure(
            what=name,
            value=median(taken[name]) / median(taken[EMPTY]),
            goal=goal,
            unit="empty requests",
            reference=f"{spread(taken[name], 'ms')}, the empty request {spread(taken[EMPTY], 'ms')}",
        )


async def _loads(service: Served) -> AsyncIterator[Figure]:
    """Have many read at once, an empty request and a list in turn."""
    empty: list[float] = []
    lists: list[float] = []
    spent = 0.0
    for _ in range(LOADS):
        empty += await _read_together(service, EMPTY)
        before = service.processor_seconds
        lists += await _read_together(service, PAGE)
        spent += service.processor_seconds - before
    rate, seconds = len(lists) / SECONDS / LOADS, SECONDS * LOADS
    at_once = f"{READERS} at once for {seconds:.0f} s"
    yield Figure(
        what=f"time a list of 100 environments takes the service, {READERS} at once",
        value=1000 / rate,
        goal=1000 / (100 * _PEER_LISTS),
        unit="ms",
        reference=f"{rate:.0f} a second, a hundred times the peer's are {100 * _PEER_LISTS}; of empty requests"
        f" {len(empty) / seconds:.0f} a second; a list takes {1000 * spent / len(lists):.2f} ms of a processor;"
        f" {at_once}",
    )
    yield Figure(
        what="99th percentile of a list's time",
        value=percentile(lists, 0.99) / median(lists),
        goal=5.0,
        unit="medians",
        reference=f"median {median(lists):.1f} ms, 99th percentile {percentile(lists, 0.99):.1f} ms; {at_once}",
    )


async def _read_together(service: Served, path: str) -> list[float]:
    """Have READERS read for SECONDS, each on a connection of its own; milliseconds of each request."""
    taken: list[float] = []
    until = time.perf_counter() + SECONDS

    async def read() -> None:
        async with service.connect() as connection:
            while time.perf_counter() < until:
                taken.append(await connection.time(path))

    await asyncio.gather(*(read() for _ in range(READERS)))
    return taken


async def _growth(few: Served, many: Served) -> AsyncIterator[Figure]:
    async with few.connect() as small, many.connect() as large:
        for what, path in (("environments", PAGE), ("builds", BUILDS)):
            taken = await ask_in_turn({"few": (small, path), "many": (large, path)})
            yield Figure(
                what=f"a page of 100 {what} at 100,000 builds",
                value=median(taken["many"]) / median(taken["few"]),
                goal=1.3,
                unit="times what it costs at 1,000",
                reference=f"{spread(taken['many'], 'ms')}, {spread(taken['few'], 'ms')}",
            )
