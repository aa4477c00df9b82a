"""Compiling in other processes, by the environment's own Python."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

from conda_store_hub.builder.events import EventWriter, ProgressMeter, say
from conda_store_hub.core import disk
from conda_store_hub.core.errors import BuildDiskFullError
from conda_store_hub.core.protocol import Phase

_WORKER = Path(__file__).with_name("bytecode_worker.py")
_WORKERS = 2
_BYTES_FOR_TWO = 500_000  # of source; below that a second process costs more than it gains
# Isolated, without site-packages, writing nothing, and silent about other people's code.
_OPTIONS = ("-I", "-S", "-B", "-W", "ignore")


@dataclass(frozen=True, kw_only=True, slots=True)
class Interpreter:
    """The Python of a prefix."""

    executable: Path
    tag: str
    """As in the name of a .pyc file: `cpython-311`."""
    magic: str
    """Hex of the number that bytecode of this Python starts with."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """One file to compile: its path, where the bytecode goes, its name without the prefix, its bytes."""

    source: str
    target: str
    name: str
    size: int


def find_interpreter(executable: Path) -> Interpreter | None:
    """Ask a Python what it is; None for one that cannot be asked, or is older than 3.7."""
    command = ["python", *_OPTIONS, str(_WORKER), "describe"]
    try:
        done = subprocess.run(
            command, executable=executable, env=_environment(executable), capture_output=True, check=True
        )
        answer = json.loads(done.stdout)
        return Interpreter(executable=executable, tag=answer["tag"], magic=answer["magic"])
    except (OSError, subprocess.CalledProcessError, ValueError, LookupError):
        return None


def compile_jobs(
    interpreter: Interpreter, jobs: Sequence[Job], events: EventWriter, *, by_time: bool
) -> dict[str, bool]:
    """Compile; return for each target whether it could be. One that a process died over is not in it."""
    meter = ProgressMeter(events, Phase.BYTECODE, unit="files")
    counter = itertools.count(1)
    workers = [_Worker(interpreter, part, by_time=by_time) for part in _share_out(jobs)]
    threads = [
        threading.Thread(target=worker.talk, args=(lambda: meter.show(next(counter), len(jobs)),), daemon=True)
        for worker in workers
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for worker in workers:
        worker.check()
    return {target: fine for worker in workers for target, fine in worker.results.items()}


def _environment(executable: Path) -> dict[str, str]:
    """Return what lets a Python that is started as `python` find its library: everybody can read the process list."""
    return {"PATH": str(executable.parent)}


def _share_out(jobs: Sequence[Job]) -> list[list[Job]]:
    """Split the jobs so that each process has about as many bytes to compile."""
    number = _WORKERS if sum(job.size for job in jobs) > _BYTES_FOR_TWO else 1
    parts: list[list[Job]] = [[] for _ in range(number)]
    weights = [0] * number
    for job in sorted(jobs, key=lambda each: -each.size):
        lightest = weights.index(min(weights))
        parts[lightest].append(job)
        weights[lightest] += job.size
    return [part for part in parts if part]


class _Worker:
    """One compiling process. Started by the thread that makes it, talked to from another."""

    def __init__(self, interpreter: Interpreter, jobs: Sequence[Job], *, by_time: bool) -> None:
        self.results: dict[str, bool] = {}
        self._jobs = jobs
        self._by_time = by_time
        self._noise: list[str] = []
        self._process = subprocess.Popen(
            ["python", *_OPTIONS, str(_WORKER)],
            executable=interpreter.executable,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=_environment(interpreter.executable),
            text=True,
            errors="replace",
        )
        self._input = cast("IO[str]", self._process.stdin)
        self._output = cast("IO[str]", self._process.stdout)

    def talk(self, count: Callable[[], None]) -> None:
        """Send the jobs and read the answers until the process ends."""
        request = {
            "parent": os.getpid(),
            "by_time": self._by_time,
            "jobs": [(job.source, job.target, job.name) for job in self._jobs],
        }
        with suppress(BrokenPipeError), self._input as out:
            json.dump(request, out)
        remaining = iter(self._jobs)
        for line in self._output:
            if line in {"+\n", "-\n"}:
                self.results[next(remaining).target] = line == "+\n"
                count()
            else:
                self._noise.append(line.rstrip())
        self._process.wait()

    def check(self) -> None:
        """Raise BuildDiskFullError, or tell the log what else went wrong: an environment works without bytecode."""
        if self._process.returncode == 0:
            return
        noise = "\n".join(self._noise)
        if disk.tells_full(noise):
            raise BuildDiskFullError
        say(f"Warning: compiling ended early (exit code {self._process.returncode}) {noise}".rstrip())
