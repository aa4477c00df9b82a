"""What the service costs before anybody asks for anything: its first answer, and its memory."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from subprocess import run

from benchmarks.figures import Figure, in_turn, median, spread
from tests.support.process import ServiceProcess

RUNS = 5
_MEGABYTE = 1 << 20


def measure() -> Iterator[Figure]:
    """Measure start and idle memory, on a database that is there already, as at every start but the first."""
    with tempfile.TemporaryDirectory(prefix="b") as scratch:
        data = Path(scratch) / "data"
        with ServiceProcess(data) as service:
            service.wait_until_ready()
        resident: list[float] = []
        starts, reference = in_turn(RUNS, lambda: _first_answer(data, resident), _interpreter_with_tornado)
    yield Figure(
        what="start to first answer",
        value=median(starts),
        goal=1.0,
        unit="s",
        reference=f"ours {spread(starts)}, an interpreter that imports tornado and sqlalchemy {spread(reference)}",
    )
    yield Figure(what="idle, resident", value=median(resident), goal=150, unit="MB", reference=spread(resident, "MB"))


def _first_answer(data: Path, resident: list[float]) -> float:
    with ServiceProcess(data) as service:
        started = time.perf_counter()
        while service.health() is None:
            time.sleep(0.002)
        seconds = time.perf_counter() - started
        service.wait_until_ready()
        resident.append(_resident(service.process.pid))
    return seconds


def _interpreter_with_tornado() -> float:
    started = time.perf_counter()
    run([sys.executable, "-c", "import tornado.web, sqlalchemy.orm"], check=True)
    return time.perf_counter() - started


def _resident(pid: int) -> float:
    """Return the resident memory of a process and its children, in MB."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * 4096 / _MEGABYTE + sum(_resident(int(child)) for child in children)
