"""Puts right what a crash left, builds without workers and links behind their rows, and has freed what nobody needs."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from conda_store_hub.core.errors import StorageError, UnavailableError
from conda_store_hub.core.names import DataDirectory
from conda_store_hub.core.schemas.notes import JanitorRun, JobDone
from conda_store_hub.db.session import Database
from conda_store_hub.queue.cleaner import Cleaner, Freed
from conda_store_hub.queue.links import Links
from conda_store_hub.services import notes, recovery
from conda_store_hub.services.changes import ALL_KERNELS, CLEANING, Changes, wait
from conda_store_hub.storage import prefixes

T = TypeVar("T")

EVERY_SECONDS = 60.0
HOUR_SECONDS = 3_600.0
DAY_SECONDS = 86_400.0


class Janitor:
    """Repairs at start, then every minute; links at once when somebody activates a build by hand."""

    def __init__(
        self,
        *,
        db: Database,
        data: DataDirectory,
        links: Links,
        cleaner: Cleaner,
        changes: Changes,
        worker: str,
        log: logging.Logger,
    ) -> None:
        self._db = db
        self._data = data
        self._links = links
        self._cleaner = cleaner
        self._changes = changes
        self._worker = worker
        self._log = log
        self._left_behind: list[str] = []
        self._heard: frozenset[recovery.Beat] = frozenset()
        self._tasks: list[asyncio.Task[None]] = []

    async def repair_after_start(self) -> None:
        """Take over what this worker had before it began anew. Only one service has a data directory."""
        self._left_behind = await asyncio.to_thread(prefixes.list_work, self._data)
        await self._db.write(recovery.take_over, self._worker)
        await self._links.follow()

    def start(self) -> None:
        """Begin the rounds: what is freed may take long, and no link waits for it."""
        self._tasks = [
            asyncio.create_task(self._repair(), name="janitor"),
            asyncio.create_task(self._clean(), name="janitor-cleans"),
        ]

    async def stop(self) -> None:
        """End the rounds."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _repair(self) -> None:
        each_minute = Regularly(EVERY_SECONDS, at_once=False)
        await self._attempt(self.requeue)
        with self._changes.watch(ALL_KERNELS) as activated:
            while True:
                await wait(activated, each_minute.remaining())
                activated.clear()
                await self._attempt(self._links.follow)
                if each_minute.is_due():
                    await self._attempt(self.requeue)

    async def _clean(self) -> None:
        await self._attempt(self._remove_scratch)
        each_hour, each_day = Regularly(HOUR_SECONDS), Regularly(DAY_SECONDS)
        with self._changes.watch(CLEANING) as asked:
            while True:
                wanted = asked.is_set()
                asked.clear()
                hourly, daily = each_hour.is_due() or wanted, each_day.is_due() or wanted
                await self._go_round(hourly=hourly, daily=daily)
                await wait(asked, EVERY_SECONDS)

    async def _go_round(self, *, hourly: bool, daily: bool) -> None:
        """Do what is due, and write down how it went if that is more than what is done each minute."""
        run = await self._attempt(self._begin_run) if hourly else None
        clean = self._cleaner
        jobs: list[tuple[str, Callable[[], Awaitable[Freed]]]] = [
            *([("prefixes and files without a build", clean.remove_orphans)] if daily else []),
            ("builds that newer ones replace", clean.keep_newest_where_completed),
            *([("builds that are kept no longer", clean.keep_newest)] if hourly else []),
            *([("images on demand that nobody pulls", clean.expire_on_demand)] if hourly else []),
            *([("environments that cannot be brought back", clean.give_up_deleted)] if hourly else []),
            ("files of what was deleted", clean.free),
            *([("caches", clean.trim_caches)] if hourly else []),
        ]
        done = [await self._do(words, job) for words, job in jobs]
        if run is not None:
            await self._attempt(lambda: self._db.write(notes.end_run, run, done))

    async def _begin_run(self) -> JanitorRun:
        return await self._db.write(notes.begin_run)

    async def _do(self, words: str, job: Callable[[], Awaitable[Freed]]) -> JobDone:
        freed = await self._attempt(job)
        failed = freed is None
        return JobDone(
            job=words, said="it failed; the log of the service says why" if failed else str(freed), failed=failed
        )

    async def _attempt(self, job: Callable[[], Awaitable[T]]) -> T | None:
        """Return what a job gives, None when it fails: the rounds go on."""
        name = job.__name__
        try:
            return await job()
        except (StorageError, UnavailableError, OSError) as exc:
            self._log.warning("janitor: %s failed: %s", name, exc)
        except Exception:  # noqa: BLE001 - a process edge: it logs, and the service goes on
            self._log.exception("janitor: %s failed", name)
        return None

    async def requeue(self) -> None:
        """Put builds back of whose worker nothing was heard since the last round."""
        self._heard = await self._db.write(recovery.requeue_silent, self._worker, self._heard)

    async def _remove_scratch(self) -> None:
        """Remove the folders that builders of this service worked in when it was killed."""
        for name in self._left_behind:
            await asyncio.to_thread(prefixes.remove_work, self._data, name)


class Regularly:
    """When something is to be done again; by a clock that nobody sets."""

    def __init__(self, seconds: float, *, at_once: bool = True) -> None:
        self._seconds = seconds
        self._due = time.monotonic() + (0.0 if at_once else seconds)

    def remaining(self) -> float:
        """Return the seconds until then."""
        return max(0.0, self._due - time.monotonic())

    def is_due(self) -> bool:
        """Tell whether it is time; if so, the next time is a period away."""
        if self.remaining():
            return False
        self._due = time.monotonic() + self._seconds
        return True
