"""The command line: how soon `--help` is there, and what listing 10,000 environments takes of memory."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from benchmarks.figures import Figure, in_turn, median, processor_seconds, spread
from benchmarks.served import HEADERS, serving
from benchmarks.world import fill

ROUNDS = 15
RATIO_OF_SIZES = 3
FEW, MANY = 100, 10_000
_PROGRAM = "import sys; from conda_store_hub.client.cli import main; sys.argv[0] = 'conda-store'; main()"


def measure() -> Iterator[Figure]:
    """Install the base and what is little; start both in turn; list in two sizes of database."""
    yield _install()
    yield _start()
    yield from asyncio.run(_list())


def _install() -> Figure:
    with tempfile.TemporaryDirectory(prefix="b") as scratch:
        base, few = Path(scratch, "base"), Path(scratch, "few")
        _fill(base, str(Path(__file__).parents[1]))
        _fill(few, "httpx", "click", "rich")
        engine, all_, little = _megabytes(base, "rattler"), _megabytes(base), _megabytes(few)
    return Figure(
        what="the base install beside its engine",
        value=all_ - engine,
        goal=RATIO_OF_SIZES * little,
        unit="MB",
        reference=f"{all_:.0f} MB, {engine:.0f} MB of them py-rattler; httpx, click and rich alone {little:.1f} MB",
    )


def _fill(folder: Path, *requirements: str) -> None:
    """Install into a new virtual environment, without what only JupyterLab shows."""
    uv = [sys.executable, "-m", "uv"]
    subprocess.run([*uv, "venv", "--quiet", "--python", sys.executable, str(folder)], check=True)
    command = [*uv, "pip", "install", "--quiet", "--python", str(folder / "bin" / "python"), *requirements]
    subprocess.run(command, env={**os.environ, "SKIP_JUPYTER_BUILDER": "1"}, check=True)


def _megabytes(folder: Path, package: str = "") -> float:
    (library,) = folder.glob("lib/python*/site-packages")
    return sum(path.stat().st_size for path in (library / package).rglob("*") if path.is_file()) / 1e6


def _start() -> Figure:
    help_, httpx = in_turn(
        ROUNDS,
        partial(processor_seconds, [sys.executable, "-c", _PROGRAM, "--help"]),
        partial(processor_seconds, [sys.executable, "-c", "import httpx"]),
    )
    return Figure(
        what="`conda-store --help`",
        value=median(help_) / median(httpx),
        goal=1.5,
        unit="times python -c 'import httpx'",
        reference=f"{spread(help_)}, {spread(httpx)} of a processor",
    )


async def _list() -> list[Figure]:
    taken: dict[int, tuple[float, int]] = {}
    for number in (FEW, MANY):
        with tempfile.TemporaryDirectory(prefix="b") as scratch:
            make = partial(fill, environments=number, builds=number, packages=0)
            async with serving(Path(scratch), make) as service:
                taken[number] = await asyncio.to_thread(_list_all, service.process.url)
    (few, _), (many, lines) = taken[FEW], taken[MANY]
    if lines != MANY:
        raise SystemExit(f"{lines} environments were listed, not {MANY}")
    return [
        Figure(
            what=f"memory that listing {MANY} environments takes on, beside {FEW}",
            value=many - few,
            goal=10,
            unit="MB",
            reference=f"{many:.0f} MB and {few:.0f} MB at most",
        )
    ]


# What the system says of a process's most memory begins with that of who forked it: it has to say so itself.
_TELLING = (
    f"import atexit, sys; atexit.register(lambda: sys.stderr.write(open('/proc/self/status').read())); {_PROGRAM}"
)


def _list_all(url: str) -> tuple[float, int]:
    """Return the most memory in MB, and how many lines there were."""
    variables = {"CONDA_STORE_URL": url, "CONDA_STORE_TOKEN": HEADERS["Authorization"].removeprefix("token ")}
    command = [sys.executable, "-c", _TELLING, "list", "environment", "--output", "json"]
    done = subprocess.run(command, env=os.environ | variables, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"the list ended with {done.returncode}: {done.stderr}")
    kilobytes = int(done.stderr.partition("VmHWM:")[2].split()[0])
    return kilobytes / 1000, done.stdout.count('\n    "latest_build_id"')
