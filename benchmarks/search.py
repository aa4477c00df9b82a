"""Searching a channel of 500,000 records in two folders: the first answer, the next ones, and the memory it takes.

The channel has the forms that conda-forge has: sharded, and one packed file, which is measured for itself because many
channels have no other. From no process means that the one which reads channels has to be started; cold, that nothing of
the channel is on disk either. It is served on loopback, by a process of its own.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import psutil

from benchmarks.channel_server import serving_files
from benchmarks.channels import make_records, write_subdir
from benchmarks.figures import Figure, median, spread
from benchmarks.served import Connection, Served, serving

RECORDS = {"linux-64": 300_000, "noarch": 200_000}
ROUNDS = 5
SEARCHES = ("scikit", "py", "data", "torch", "a", "json-", "zip", "core-lib", "xml", "test")
_MEGABYTE = 1 << 20


def measure() -> Iterator[Figure]:
    """Measure a sharded channel, and one that is a packed file."""
    with tempfile.TemporaryDirectory(prefix="b") as scratch:
        for form in ("sharded", "packed"):
            for number, (subdir, count) in enumerate(RECORDS.items()):
                records = dict(make_records(count, subdir, seed=number))
                write_subdir(Path(scratch) / "channels" / form, subdir, records, sharded=form == "sharded")
        with serving_files(Path(scratch) / "channels") as address:
            for form in ("sharded", "packed"):
                yield from asyncio.run(_measure(Path(scratch) / form, address, form))


async def _measure(scratch: Path, address: str, form: str) -> list[Figure]:
    scratch.mkdir()
    config = f"c.CondaStore.conda_channel_alias = {address!r}\nc.CondaStore.conda_default_channels = [{form!r}]\n"
    async with serving(scratch, lambda session: None, config) as service, service.connect() as connection:
        await connection.ask("api/v1/permission/")
        return [figure async for figure in _figures(service, connection, scratch / "data" / "pkgs" / ".repodata", form)]


async def _figures(service: Served, connection: Connection, cache: Path, form: str) -> AsyncIterator[Figure]:
    before = _memory(service)
    for disk in ("cold", "warm"):
        first = [await _ask_first(service, connection, cache, is_cold=disk == "cold") for _ in range(ROUNDS)]
        what = f"first answer from no process, {form} channel, {disk} disk cache"
        yield Figure(what=what, value=median(first), goal=1000, unit="ms", reference=spread(first, "ms"))
    unseen = [await connection.time(f"api/v1/package/?search={text}") for text in SEARCHES]
    again = [await connection.time(f"api/v1/package/?search={text}") for text in SEARCHES for _ in range(ROUNDS)]
    for what, taken in (("next answers, each for something else", unseen), ("next answers, asked before", again)):
        yield Figure(
            what=f"{what}, {form} channel", value=median(taken), goal=50, unit="ms", reference=spread(taken, "ms")
        )
    after = _memory(service)
    _end_searcher(service)
    yield Figure(
        what=f"memory that searching takes, {form} channel",
        value=after - before,
        goal=300,
        unit="MB",
        reference=f"service and search {before:.0f} MB before, {after:.0f} MB after,"
        f" {_memory(service):.0f} MB when the search has ended",
    )


async def _ask_first(service: Served, connection: Connection, cache: Path, *, is_cold: bool) -> float:
    _end_searcher(service)
    if is_cold:
        shutil.rmtree(cache, ignore_errors=True)
    return await connection.time("api/v1/package/?search=scikit")


def _end_searcher(service: Served) -> None:
    """End the process that reads channels, as the service does when nobody has searched for some minutes."""
    children = psutil.Process(service.process.process.pid).children()
    for child in children:
        child.kill()
    psutil.wait_procs(children)


def _memory(service: Served) -> float:
    """Return what the service and its processes occupy, in MB; a page that two share counts once."""
    parent = psutil.Process(service.process.process.pid)
    return sum(each.memory_full_info().pss for each in (parent, *parent.children())) / _MEGABYTE
