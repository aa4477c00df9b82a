"""A log of 100,000 lines: what a line costs as the log grows, and how far behind a reader is who follows it live."""

from __future__ import annotations

import logging
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import httpx

from benchmarks.figures import Figure, in_turn, median, percentile, spread
from conda_store_hub.client.logstream import read_events
from conda_store_hub.core.names import DataDirectory
from conda_store_hub.queue.builders import Builders
from conda_store_hub.queue.executor import LocalExecutor
from conda_store_hub.queue.links import Links
from conda_store_hub.queue.runner import Runner
from conda_store_hub.services import work
from conda_store_hub.storage import prefixes
from tests.support.service import RunningService, run_service

LINES = 100_000
PER_TICK = 100
TICKS = 100
ROUND_TRIPS = 200
_SOME_LINES = b"2026-01-02T03:04:05 python-dateutil-2.9.0-pyhd8ed1ab_0 linked\n" * PER_TICK
#: Writes lines that tell when they were written, many and quickly, and then reports that it is done.
_BUILDER = """
import os, sys, time
sys.stdin.read()
for number in range({lines} // 100):
    time.sleep(0.005)
    now = time.time()
    sys.stdout.write("".join(f"{{now}} python-dateutil-2.9.0-pyhd8ed1ab_0 linked\\n" for _ in range(100)))
    sys.stdout.flush()
"""


def measure() -> Iterator[Figure]:
    """Measure appending, then following."""
    with tempfile.TemporaryDirectory(prefix="b") as scratch:
        data = DataDirectory(Path(scratch) / "d")
        prefixes.ensure_data_directory(data, publish_links=False)
        with run_service(data) as service:
            yield _appending(service)
            yield _following(service, data)


def _appending(service: RunningService) -> Figure:
    """Append as the runner does, to a log that has as many lines and to one that is empty, in turn."""
    long, short = (service.submit(name) for name in ("long", "short"))
    for build_id in (long, short):
        service.claim(build_id)
    began = time.perf_counter()
    for _ in range(LINES // PER_TICK):
        _append(service, long)
    seconds = time.perf_counter() - began
    last, first = in_turn(TICKS, lambda: _append(service, long), lambda: _append(service, short))
    for build_id in (long, short):
        service.finish(build_id)
    return Figure(
        what=f"a line appended behind {LINES} lines",
        value=median(last) / median(first),
        goal=1.3,
        unit="times one at the beginning",
        reference=f"{spread(last, 'µs')}, {spread(first, 'µs')}; {seconds:.1f} s for the {LINES}",
    )


def _append(service: RunningService, build_id: int) -> float:
    """Append some lines in one transaction; microseconds a line."""
    began = time.perf_counter()
    service.db.write_sync(work.tick, service.tickets[build_id], log=_SOME_LINES, phases=(), progress=None)
    return (time.perf_counter() - began) * 1e6 / PER_TICK


def _following(service: RunningService, data: DataDirectory) -> Figure:
    """Follow a builder that writes as many lines in some seconds, from its first to its last."""
    script = data.root / "builder.py"
    script.write_text(_BUILDER.format(lines=LINES))
    with service.client("alice") as client:
        round_trips = [_ask(client) for _ in range(ROUND_TRIPS)]
        build_id = service.submit("live")
        executor = service.call(_start_executor(service, data, script))
        try:
            behind = list(_read_live(client, build_id))
        finally:
            service.call(executor.stop())
    if len(behind) != LINES:
        raise SystemExit(f"{len(behind)} lines arrived")
    return Figure(
        what=f"99th percentile of how far a reader is behind {LINES} lines",
        value=percentile(behind, 0.99),
        goal=200,
        unit="ms",
        reference=f"{spread(behind, 'ms')}; they are written down ten times a second,"
        f" and a round trip takes {spread(round_trips, 'ms')}",
    )


def _ask(client: httpx.Client) -> float:
    began = time.perf_counter()
    client.get("api/v1/").raise_for_status()
    return (time.perf_counter() - began) * 1000


async def _start_executor(service: RunningService, data: DataDirectory, script: Path) -> LocalExecutor:
    """Run the builds of the service with a builder that only writes."""
    services, log = service.services, logging.getLogger("benchmark")
    executor = LocalExecutor(concurrency=1, allow_root=True)
    runner = Runner(
        db=services.db,
        store=services.store,
        data=data,
        links=Links(db=services.db, data=data, log=log),
        rules=services.rules,
        log=log,
        builders=Builders(data, (sys.executable, str(script))),
    )
    executor.start(db=services.db, changes=services.changes, runner=runner)
    return executor


def _read_live(client: httpx.Client, build_id: int) -> Iterator[float]:
    """Yield by how many milliseconds each line came after it was written."""
    live = {"Accept": "text/event-stream"}
    with client.stream("GET", f"api/v1/build/{build_id}/logs/", headers=live) as answer:
        rest = ""
        for event in read_events(answer.iter_raw()):
            if event.name != "log":
                continue
            now = time.time()
            *lines, rest = (rest + event.data).split("\n")
            yield from ((now - float(line.partition(" ")[0])) * 1000 for line in lines)
