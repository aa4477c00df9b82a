"""Puts right what a crash left: builds without a worker, links behind their rows, prefixes that nobody owns."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

from conda_store_hub.core.errors import StorageError, UnavailableError
from conda_store_hub.core.names import DataDirectory
from conda_store_hub.db.session import Database
from conda_store_hub.queue.links import Links
from conda_store_hub.services import leases, storage, work
from conda_store_hub.services.changes import ALL_KERNELS, Changes, wait
from conda_store_hub.storage import prefixes
from conda_store_hub.storage.base import ArtifactStore

EVERY_SECONDS = 60.0
_AT_ONCE = 20


class Janitor:
    """Repairs at start, then every minute; links at once when somebody activates a build by hand."""

    def __init__(
        self,
        *,
        db: Database,
        data: DataDirectory,
        store: ArtifactStore,
        links: Links,
        changes: Changes,
        worker: str,
        log: logging.Logger,
    ) -> None:
        self._db = db
        self._data = data
        self._store = store
        self._links = links
        self._changes = changes
        self._worker = worker
        self._log = log
        self._left_behind: list[str] = []
        self._heard: frozenset[work.Beat] = frozenset()
        self._task: asyncio.Task[None] | None = None

    async def repair_after_start(self) -> None:
        """Take over what this worker had before it began anew. Only one service has a data directory."""
        self._left_behind = await asyncio.to_thread(prefixes.list_work, self._data)
        await self._db.write(work.take_over, self._worker)
        await self._links.follow()

    def start(self) -> None:
        """Begin the rounds."""
        self._task = asyncio.create_task(self._go_round(), name="janitor")

    async def stop(self) -> None:
        """End the rounds."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _go_round(self) -> None:
        await self._attempt(self.remove_orphans)
        await self._attempt(self.requeue)
        await self._attempt(self.free)
        with self._changes.watch(ALL_KERNELS) as activated:
            due = time.monotonic() + EVERY_SECONDS
            while True:
                await wait(activated, max(0.0, due - time.monotonic()))
                activated.clear()
                await self._attempt(self._links.follow)
                if time.monotonic() >= due:
                    await self._attempt(self.requeue)
                    await self._attempt(self.free)
                    due = time.monotonic() + EVERY_SECONDS

    async def _attempt(self, job: Callable[[], Awaitable[None]]) -> None:
        try:
            await job()
        except (StorageError, UnavailableError, OSError) as exc:
            self._log.warning("janitor: %s failed: %s", job.__name__, exc)
        except Exception:  # noqa: BLE001 - a process edge: it logs, and the service goes on
            self._log.exception("janitor: %s failed", job.__name__)

    async def requeue(self) -> None:
        """Put builds back of whose worker nothing was heard since the last round."""
        self._heard = await self._db.write(work.requeue_silent, self._worker, self._heard)

    async def free(self) -> None:
        """Free what deleted builds and environments had on disk, once nobody needs it; row first, then the bytes."""
        await self._db.write(leases.forget_ended)
        while found := await self._db.read(storage.list_prefixes_to_free, _AT_ONCE):
            for doomed in found:
                if await self._db.write(storage.give_up_prefix, doomed):
                    await asyncio.to_thread(prefixes.remove_prefix, self._data, doomed.prefix_name)
        while await self._free_bytes():
            continue

    async def _free_bytes(self) -> bool:
        async with self._store.changing:
            given_up = await self._db.write(storage.give_up_keys, _AT_ONCE)
            for key in given_up.free:
                await self._store.delete(key)
        return given_up.more

    async def remove_orphans(self) -> None:
        """Remove prefixes and scratch that belong to no build, the half-made ones of killed builders."""
        for name in self._left_behind:
            await asyncio.to_thread(prefixes.remove_work, self._data, name)
        on_disk = await asyncio.to_thread(prefixes.list_prefixes, self._data)
        for name in sorted(await self._db.read(work.unknown_prefixes, on_disk)):
            self._log.info("removing the prefix %s, which no build owns", name)
            await asyncio.to_thread(prefixes.remove_prefix, self._data, name)
