"""Leases on the builds that kernels run in, kept up for as long as they run, so that nobody deletes one under them."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Coroutine
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal

from conda_store_hub.client.failures import find_error
from conda_store_hub.core.errors import GoneError, UnavailableError
from conda_store_hub.core.schemas import EndLease, TakeLease
from conda_store_hub.lab.line import Line

LEASE_SECONDS = 3600
RENEW_SECONDS = 1200.0  # two renewals may fail before a lease ends
RETRY_SECONDS = 60.0
FIRST_ANSWER_SECONDS = 2.0  # what the start of a kernel waits for at most
REQUEST_SECONDS = 10.0
GOODBYE_SECONDS = 1.0


@dataclass(kw_only=True, eq=False, slots=True)
class _Use:
    """A build in use: when to say so again, and whether it was logged that this did not work."""

    holder: str
    build_id: int
    due: float = 0.0
    complained: bool = False


class LeaseKeeper:
    """Tells the service which builds are in use on this server; one task renews what is held.

    Only a build that is gone is an error; whatever else goes wrong is logged once and tried again. `hold` and
    `release` may be called on any loop: a server whose kernel manager is not asynchronous starts kernels on another.
    """

    def __init__(self, *, url: str, token: str, log: logging.Logger) -> None:
        self._url = url
        self._token = token
        self._log = log
        self._uses: dict[str, _Use] = {}
        self._asking: set[Future[Any]] = set()

    def start(self) -> None:
        """Start renewing, on the running loop."""
        self._loop = asyncio.get_running_loop()
        self._line = Line(self._url, self._token)
        self._stopping = asyncio.Event()
        self._task = asyncio.create_task(self._run(), name="conda-store-hub-leases")

    async def stop(self) -> None:
        """Release what is held, as far as the service answers at once."""
        self._stopping.set()
        for holder in list(self._uses):
            self.release(holder)
        under_way = [self._task, *map(asyncio.wrap_future, self._asking)]
        await asyncio.wait(under_way, timeout=GOODBYE_SECONDS)
        self._line.hang_up()
        await asyncio.wait(under_way, timeout=GOODBYE_SECONDS)
        self._task.cancel()
        self._line.close()

    async def hold(self, holder: str, build_id: int) -> None:
        """Take a lease for a holder, who needs no other build any more; raises GoneError for one that was deleted."""
        before = self._uses.get(holder)
        if before is not None and before.build_id != build_id:
            self.release(holder)
        use = self._uses[holder] = _Use(holder=holder, build_id=build_id)
        answer = asyncio.wrap_future(self._schedule(self._take(use)))
        await asyncio.wait({answer}, timeout=FIRST_ANSWER_SECONDS)
        if answer.done() and (gone := answer.result()) is not None:
            raise gone

    def release(self, holder: str) -> Future[Any] | None:
        """End the lease of a holder in the background, for who wants to wait for that; one that has none is fine."""
        use = self._uses.pop(holder, None)
        return None if use is None else self._schedule(self._end(use))

    def _schedule(self, asking: Coroutine[Any, Any, GoneError | None]) -> Future[GoneError | None]:
        future = asyncio.run_coroutine_threadsafe(asking, self._loop)
        self._asking.add(future)
        future.add_done_callback(self._asking.discard)
        return future

    async def _run(self) -> None:
        while not self._stopping.is_set():
            now = time.monotonic()
            await asyncio.gather(*(self._take(use) for use in list(self._uses.values()) if use.due <= now))
            with suppress(TimeoutError):
                async with asyncio.timeout(RETRY_SECONDS * random.uniform(0.75, 1.25)):  # noqa: S311 not all at once
                    await self._stopping.wait()

    async def _take(self, use: _Use) -> GoneError | None:
        """Take or renew a lease; return the error that a build is gone, which ends the use of it."""
        try:
            await self._ask("PUT", use.build_id, TakeLease(holder=use.holder, seconds=LEASE_SECONDS))
        except GoneError as exc:
            self._lose(use, exc)
            return exc
        except Exception as exc:  # noqa: BLE001 the edge of the task: no kernel waits or ends for want of a lease
            self._complain(use, exc)
            return None
        use.due, use.complained = time.monotonic() + RENEW_SECONDS, False
        if not self._is_held(use):  # released meanwhile, by a request that may have come first
            await self._end(use)
        return None

    async def _end(self, use: _Use) -> None:
        try:
            await self._ask("DELETE", use.build_id, EndLease(holder=use.holder))
        except Exception as exc:  # noqa: BLE001 the edge of the task; the lease ends by itself within the hour
            self._log.debug("conda-store-hub: the lease on build %s was not ended: %s", use.build_id, exc)

    async def _ask(self, method: Literal["PUT", "DELETE"], build_id: int, body: TakeLease | EndLease) -> None:
        response = await self._line.ask(method, f"build/{build_id}/lease/", body=body, seconds=REQUEST_SECONDS)
        if response.error is not None:
            answered = UnavailableError(f"the service answers {response.code} {response.reason}")
            raise find_error(response.code, response.body) or answered

    def _is_held(self, use: _Use) -> bool:
        held = self._uses.get(use.holder)
        return held is not None and held.build_id == use.build_id

    def _lose(self, use: _Use, exc: GoneError) -> None:
        if self._is_held(use):
            del self._uses[use.holder]
            self._log.warning("conda-store-hub: the build of %s is gone: %s", use.holder, exc)

    def _complain(self, use: _Use, exc: Exception) -> None:
        if self._is_held(use) and not use.complained:
            self._log.warning(
                "conda-store-hub: the service does not know that %s uses build %s, which could be deleted"
                " under it; this is tried again: %s",
                *(use.holder, use.build_id, exc or type(exc).__name__),
            )
        use.complained = True
