"""Takes queued builds when there is room for them. The rows are the queue; an announcement is only a hint."""

from __future__ import annotations

import asyncio
import os
import socket
from typing import Any

from traitlets import Bool, Int
from traitlets.config import LoggingConfigurable

from conda_store_hub.core.errors import StorageError, UnavailableError
from conda_store_hub.db.session import Database
from conda_store_hub.queue.places import Places
from conda_store_hub.queue.runner import Runner
from conda_store_hub.services import work
from conda_store_hub.services.changes import QUEUE, Changes, wait

_LOOK_AGAIN_SECONDS = 30.0  # a hint can be lost: another process may have queued something


class LocalExecutor(LoggingConfigurable):
    """Builds on this machine, as child processes of the service."""

    concurrency = Int(0, min=0, help="Builds at once; 0 means half of the processors, at least one.").tag(config=True)

    build_seconds = Int(7200, min=1, help="Seconds after which a build is ended and fails.").tag(config=True)

    allow_root = Bool(
        default_value=False,
        help="Let builds run as root. Root ignores file modes, so a package's scripts could change every environment.",
    ).tag(config=True)

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._tasks: set[asyncio.Task[None]] = set()
        self._files_first = False

    @property
    def worker(self) -> str:
        """The name under which this executor claims builds; the same after a restart."""
        return f"local:{socket.gethostname()}"[:128]

    def find_refusal(self) -> str | None:
        """Return why nothing can be built here, in words for whoever submits."""
        if os.geteuid() != 0 or self.allow_root:
            return None
        return (
            "This service runs as root and does not build: as root, a package could change every environment."
            " An administrator can give it an account of its own (configure(c, user=...)),"
            " or set c.LocalExecutor.allow_root = True."
        )

    def slots(self) -> int:
        """Return how many builds run at once."""
        return self.concurrency or max(1, (os.cpu_count() or 2) // 2)

    def start(self, *, db: Database, changes: Changes, runner: Runner) -> None:
        """Begin to take builds."""
        self._db = db
        self._changes = changes
        self._runner = runner
        self._places = Places(lambda: changes.publish([QUEUE]))
        self._tasks = {asyncio.create_task(self._take_builds(), name="executor")}

    async def stop(self) -> None:
        """Take no more builds; end the running ones and give them back to the queue."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _take_builds(self) -> None:
        with self._changes.watch(QUEUE) as hint:
            while True:
                hint.clear()
                taken = self._places.taken < self.slots() and await self._take_one()
                if not taken:
                    await wait(hint, _LOOK_AGAIN_SECONDS)

    async def _take_one(self) -> bool:
        try:
            claim = await self._db.write(
                work.claim, self.worker, files_first=self._files_first, with_images=self._places.may_make_images
            )
        except (StorageError, UnavailableError) as exc:
            self.log.warning("cannot look for builds: %s", exc.message)
            return False
        except Exception:
            self.log.exception("cannot look for builds")
            return False
        if claim is None:
            return False
        # In turn, so that who waits for a file, or pulls an image, does not wait for all that is queued.
        self._files_first = not claim.prefix_ready
        place = self._places.take()
        task = asyncio.create_task(self._runner.run(claim, place), name=f"build-{claim.build_id}")
        self._tasks.add(task)
        task.add_done_callback(self._forget)
        task.add_done_callback(lambda _: place.give_up())
        return True

    def _forget(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (exc := task.exception()):
            self.log.error("%s failed", task.get_name(), exc_info=exc)
