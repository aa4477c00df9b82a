"""Who waits for what: committed writes announce topics, and waiters in this process wake without a read."""

from __future__ import annotations

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import Generator, Iterable
from contextlib import contextmanager

QUEUE = "queue"
ALL_KERNELS = "kernels"


def build_topic(build_id: int) -> str:
    """Return the topic of a build's state, progress and log."""
    return f"build:{build_id}"


def artifacts_topic(build_id: int) -> str:
    """Return the topic of what a build yields: whether there is more of it, or less."""
    return f"artifacts:{build_id}"


def kernels_topic(namespace_id: int) -> str:
    """Return the topic of a namespace's kernels."""
    return f"kernels:{namespace_id}"


def rights_topic(subject: str) -> str:
    """Return the topic of what a subject of grants may do."""
    return f"rights:{subject}"


class Changes:
    """The announcements of one process; bound to the event loop that made it."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._waiting: defaultdict[str, set[asyncio.Event]] = defaultdict(set)

    def publish(self, topics: Iterable[str]) -> None:
        """Wake whoever watches one of `topics`; from any thread."""
        wanted = tuple(topics)
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._wake, wanted)

    @contextmanager
    def watch(self, *topics: str) -> Generator[asyncio.Event]:
        """Give an event that is set by the next announcement of any of `topics`; the watcher clears it."""
        event = asyncio.Event()
        for topic in topics:
            self._waiting[topic].add(event)
        try:
            yield event
        finally:
            for topic in topics:
                self._waiting[topic].discard(event)
                if not self._waiting[topic]:
                    del self._waiting[topic]

    def _wake(self, topics: tuple[str, ...]) -> None:
        for topic in topics:
            for event in self._waiting.get(topic, ()):
                event.set()


async def wait(event: asyncio.Event, seconds: float) -> bool:
    """Wait until `event` is set, at most `seconds`; tell whether it is.

    `asyncio.wait_for` loses a cancellation that comes together with the event (CPython before 3.12), and a task that
    somebody then waits for never ends; a time-out block does not.
    """
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
    return event.is_set()
