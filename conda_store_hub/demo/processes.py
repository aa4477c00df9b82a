"""Ending a process and all that it started, by their ids."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Process:
    """A process of this machine: its id and when it started, since ids are given again."""

    pid: int
    started: str

    def is_alive(self) -> bool:
        """Tell whether it still runs; a zombie does not."""
        found = _read_stat(self.pid)
        return found is not None and found[2] == self.started and found[0] != "Z"

    def send(self, number: signal.Signals) -> None:
        """Send a signal, if it still runs."""
        if self.is_alive():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(self.pid, number)


def find_process(pid: int) -> Process | None:
    """Return the running process of that id, or None."""
    found = _read_stat(pid)
    return Process(pid, found[2]) if found else None


def list_descendants(pid: int) -> list[Process]:
    """List what a process has started, directly or not. Empty where there is no /proc."""
    children: dict[int, list[Process]] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        if found := _read_stat(int(entry.name)):
            children.setdefault(found[1], []).append(Process(int(entry.name), found[2]))
    found_so_far: list[Process] = []
    waiting = [pid]
    while waiting:
        own = children.get(waiting.pop(), [])
        found_so_far += own
        waiting += [child.pid for child in own]
    return found_so_far


def end_processes(processes: Iterable[Process], patience: float = 5.0) -> None:
    """Ask each to end, and after `patience` seconds make it."""
    ending = list(processes)
    for number in (signal.SIGTERM, signal.SIGKILL):
        for process in ending:
            process.send(number)
        if wait_until(lambda: not any(process.is_alive() for process in ending), patience):
            return


def wait_until(holds: Callable[[], bool], patience: float, every: float = 0.05) -> bool:
    """Wait for something to hold; False if it does not within `patience` seconds."""
    until = time.monotonic() + patience
    while not holds():
        if time.monotonic() > until:
            return False
        time.sleep(every)
    return True


def _read_stat(pid: int) -> tuple[str, int, str] | None:
    """Read state, parent and start time; the name before them may hold anything, brackets too (proc(5))."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
        return fields[0], int(fields[1]), fields[19]
    except (OSError, IndexError, ValueError):
        return None
