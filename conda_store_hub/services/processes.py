"""How a part of the service stands that works in processes of its own, for who administers it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class ProcessState:
    """How many processes run, how many answers are waited for, and why the last one failed, empty if it did not."""

    running: int
    waiting: int
    fault: str = ""
