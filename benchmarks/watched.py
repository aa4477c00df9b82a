"""5,000 files that appear at once in a watched directory: how soon all are queued, what others feel of it, memory.

They are renamed into it in one go. The only channel is silent, so that the one builder waits for it and takes no
processor. The service is started again over them afterwards: it reads each once more, and builds none.
"""

from __future__ import annotations

import asyncio
import json
import socket
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import psutil

from benchmarks.figures import Figure, percentile, spread
from benchmarks.served import HEADERS, Connection, Served, serving

FILES = 5_000
SUBMITTED = 100
ASKED = 100
_LIST = "api/v1/environment/?namespace=filesystem&size=1"
_MEGABYTE = 1 << 20


def measure() -> Iterator[Figure]:
    """Measure taking them, and a start over them."""
    with tempfile.TemporaryDirectory(prefix="b") as scratch, socket.create_server(("127.0.0.1", 0)) as silent:
        folder = Path(scratch) / "watched"
        folder.mkdir()
        config = (
            f"c.CondaStore.conda_channel_alias = 'http://127.0.0.1:{silent.getsockname()[1]}'\n"
            f"c.CondaStore.watch_paths = [{str(folder)!r}]\n"
        )
        yield from asyncio.run(_measure(Path(scratch), folder, config))


async def _measure(scratch: Path, folder: Path, config: str) -> list[Figure]:
    async with serving(scratch, lambda session: None, config) as service, service.connect() as connection:
        figures = [figure async for figure in _take(service, connection, scratch, folder)]
    (folder / "z-last.yaml").write_text(_text("z-last"))
    async with serving(scratch, lambda session: None, config) as service, service.connect() as connection:
        began = time.perf_counter()
        await _wait(connection, FILES + 1)
        restarted = time.perf_counter() - began
    restart = Figure(
        what=f"from the start over {FILES:,} files that are known until one that is new is queued",
        value=restarted,
        goal=0.2 * FILES * figures[0].value / 1000,
        unit="s",
        reference="a fifth of what it took to take them",
    )
    return [*figures, restart]


async def _take(service: Served, connection: Connection, scratch: Path, folder: Path) -> AsyncIterator[Figure]:
    (beside := scratch / "beside").mkdir()
    for number in range(FILES):
        (beside / f"{number}.yaml").write_text(_text(f"e{number}"))
    submitting = await asyncio.to_thread(_submit, service)
    before = _memory(service)
    began = time.perf_counter()
    beside.rename(folder / "all")
    meanwhile = await _wait(connection, FILES)
    taken = time.perf_counter() - began
    after = _memory(service)
    idle = [await connection.time(_LIST) for _ in range(ASKED)]
    yield Figure(
        what=f"a file, of {FILES:,} that appear at once, until it is queued",
        value=1000 * taken / FILES,
        goal=2 * submitting,
        unit="ms",
        reference=f"twice a submission over HTTP, {submitting:.1f} ms; all in {taken:.0f} s",
    )
    yield Figure(
        what="95th percentile of another's request meanwhile, above idle",
        value=max(percentile(meanwhile, 0.95) - percentile(idle, 0.95), 0.0),
        goal=50,
        unit="ms",
        reference=f"idle {spread(idle, 'ms')}, meanwhile {spread(meanwhile, 'ms')}",
    )
    yield Figure(
        what="memory that it takes",
        value=after - before,
        goal=50,
        unit="MB",
        reference=f"{before:.0f} MB before, {after:.0f} MB after",
    )


def _submit(service: Served) -> float:
    """Return how many milliseconds it takes to submit one environment, when many are submitted one by one."""
    with httpx.Client(base_url=service.process.url, headers=HEADERS, trust_env=False, timeout=60) as client:
        began = time.perf_counter()
        for number in range(SUBMITTED):
            body = {"specification": _text(f"e{number}"), "namespace": "alice"}
            client.post("api/v1/specification/", json=body).raise_for_status()
        return 1000 * (time.perf_counter() - began) / SUBMITTED


async def _wait(connection: Connection, count: int) -> list[float]:
    """Ask until there are so many environments; return how many milliseconds each answer took."""
    taken: list[float] = []
    while True:
        began = time.perf_counter()
        found = json.loads(await connection.ask(_LIST))["count"]
        taken.append(1000 * (time.perf_counter() - began))
        if found >= count:
            return taken
        await asyncio.sleep(0.05)


def _text(name: str) -> str:
    return f"name: {name}\nchannels: [main]\ndependencies: [python, numpy]\n"


def _memory(service: Served) -> float:
    """Return what the service itself occupies, in MB."""
    return psutil.Process(service.process.process.pid).memory_full_info().pss / _MEGABYTE
