"""Who waits for what: committed writes announce topics, and waiters in this process wake without a read."""

from __future__ import annotations

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager

from sqlalchemy.orm import Session

from conda_store_hub.core.protocol import BuildStatus
from conda_store_hub.db.claims import Ended
from conda_store_hub.db.session import announce

QUEUE = "queue"
ALL_KERNELS = "kernels"
CLEANING = "cleaning"
_ENDED = "ended"


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


def ended_topic(build_id: int, status: BuildStatus) -> str:
    """Return the topic of a build that ends without having run: nobody waits for it, and it is counted."""
    return f"{_ENDED}:{build_id}:{status}"


def announce_ends(session: Session, ended: Ended) -> None:
    """Tell who waits for builds, or counts them, that they were ended with what they belong to."""
    for build_id in ended.all:
        announce(session, build_topic(build_id))
    for build_id in ended.queued:
        announce(session, ended_topic(build_id, BuildStatus.CANCELED))
    announce(session, QUEUE)


def announce_artifacts(session: Session, build_ids: Iterable[int]) -> None:
    """Tell who waits for what builds yield that there is more of it, or that there will be none."""
    for build_id in build_ids:
        announce(session, artifacts_topic(build_id))


def find_ended(topics: Iterable[str]) -> list[BuildStatus]:
    """Return how those builds ended that topics are about."""
    parts = [topic.split(":") for topic in topics]
    return [BuildStatus(each[2]) for each in parts if each[0] == _ENDED]


class Changes:
    """The announcements of one process; bound to the event loop that made it."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._listeners: list[Callable[[Sequence[str]], None]] = []
        self._waiting: defaultdict[str, set[asyncio.Event]] = defaultdict(set)

    def publish(self, topics: Iterable[str]) -> None:
        """Wake whoever watches one of `topics`; from any thread."""
        wanted = tuple(topics)
        for listener in self._listeners:
            listener(wanted)
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._wake, wanted)

    def listen(self, listener: Callable[[Sequence[str]], None]) -> None:
        """Have `listener` get all topics from now on, in the thread that publishes them."""
        self._listeners.append(listener)

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
