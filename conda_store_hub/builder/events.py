"""Events for the runner as JSON lines, and the log for people."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress

from conda_store_hub.core.protocol import AsideEvent, BuildEvent, Download, Phase, PhaseEvent, ProgressEvent

_PROGRESS_INTERVAL = 0.2  # seconds between two progress events of one phase


def say(text: str) -> None:
    """Write one line of the log; it is out before this returns. A log that nobody reads any more stops nothing."""
    with suppress(OSError):
        sys.stdout.write(text + "\n")
        sys.stdout.flush()


class EventWriter:
    """Writes numbered events to a descriptor, from any thread, each as one whole line.

    Without a descriptor, and once nobody reads it any more, events go nowhere.
    """

    def __init__(self, descriptor: int | None, *, started: float) -> None:
        """Count `t` from `started`, a `time.monotonic()`."""
        self._descriptor = descriptor
        self._started = started
        self._seq = 0
        self._lock = threading.Lock()

    def restart(self) -> None:
        """Count `t` from now."""
        self._started = time.monotonic()

    def write(self, event: BuildEvent) -> None:
        """Write an event with its number and time."""
        with self._lock:
            self._write(event)

    def write_last(self, event: BuildEvent) -> None:
        """Write an event after which nothing is written any more, whatever other threads do."""
        with self._lock:
            self._write(event)
            self._descriptor = None

    def start(self, phase: Phase) -> None:
        """Tell that a phase began."""
        self.write(PhaseEvent(name=phase, state="started"))

    def finish(self, phase: Phase, *, seconds: float) -> None:
        """Tell that a phase ended, and how long it took."""
        self.write(PhaseEvent(name=phase, state="finished", seconds=round(seconds, 4)))

    @contextmanager
    def aside(self, *, as_all_would: bool) -> Generator[None]:
        """Tell that in the block nothing is done here but wait; `as_all_would` by whoever makes an image."""
        self.write(AsideEvent(state="started", as_all_would=as_all_would))
        try:
            yield
        finally:
            self.write(AsideEvent(state="finished"))

    @property
    def elapsed(self) -> float:
        """Seconds since the builder started."""
        return time.monotonic() - self._started

    def _write(self, event: BuildEvent) -> None:
        self._seq += 1
        stamped = event.model_copy(update={"seq": self._seq, "t": round(time.monotonic() - self._started, 4)})
        self._write_line(stamped.model_dump_json().encode() + b"\n")

    def _write_line(self, line: bytes) -> None:
        view = memoryview(line)
        while view and self._descriptor is not None:
            try:
                view = view[os.write(self._descriptor, view) :]
            except OSError:
                self._descriptor = None


class ProgressMeter:
    """Turns many small steps, from any thread, into a few progress events a second."""

    def __init__(self, events: EventWriter, phase: Phase, *, unit: str) -> None:
        self._events = events
        self._phase = phase
        self._unit = unit
        self._last = float("-inf")
        self._lock = threading.Lock()

    def is_due(self) -> bool:
        """Tell whether the last event is old enough for another one."""
        return time.monotonic() - self._last >= _PROGRESS_INTERVAL

    def show(self, done: int, total: int, downloads: tuple[Download, ...] = ()) -> None:
        """Write an event, unless the last one is too young and more is to come."""
        with self._lock:
            if not self.is_due() and done < total:
                return
            self._last = time.monotonic()
            self._events.write(
                ProgressEvent(phase=self._phase, done=done, total=total, unit=self._unit, downloads=downloads)
            )
