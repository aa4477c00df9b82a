"""One measured figure beside its reference and its goal, and the table that shows them."""

from __future__ import annotations

import os
import statistics
import subprocess
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Figure:
    """`value` and `goal` in `unit`; `reference` says in words what the goal was made of, with its own figures."""

    what: str
    value: float
    goal: float
    unit: str
    reference: str = ""

    @property
    def share(self) -> float:
        """How much of the goal was needed; above 1 it is missed."""
        return self.value / self.goal


def in_turn(runs: int, *measures: Callable[[], float]) -> list[list[float]]:
    """Take each measure once a round, `runs` rounds: a machine that slows down slows all of them."""
    taken: list[list[float]] = [[] for _ in measures]
    for _ in range(runs):
        for values, measure in zip(taken, measures, strict=True):
            values.append(measure())
    return taken


def median(values: Sequence[float]) -> float:
    """Return the median."""
    return statistics.median(values)


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value below which that share of the values is."""
    return sorted(values)[int(share * len(values))]


def spread(values: Sequence[float], unit: str = "s") -> str:
    """Return the median with minimum and maximum."""
    return f"{median(values):.2f} {unit} ({min(values):.2f} to {max(values):.2f})"


def processor_seconds(command: list[str], variables: Mapping[str, str] | None = None) -> float:
    """Return how long a processor works on a process, which does not depend on what else the machine does."""
    process = subprocess.Popen(command, env=variables, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"it ended with {process.returncode}")
    return used.ru_utime + used.ru_stime


def show(figures: Iterable[Figure]) -> bool:
    """Print each figure as it comes; tell whether all reach their goals."""
    good = True
    for figure in figures:
        good = good and figure.share <= 1
        verdict = "reached" if figure.share <= 1 else "MISSED"
        print(
            f"{verdict:8} {figure.share:5.2f} of the goal | {figure.what}: {figure.value:.3f} {figure.unit},"
            f" at most {figure.goal:.3f}" + (f" [{figure.reference}]" if figure.reference else ""),
            flush=True,
        )
    return good
