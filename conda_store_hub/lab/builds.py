"""Follow the builds that this server's pages have begun, so that no page has to ask how they stand."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, suppress

import httpx
from pydantic import ValidationError

from conda_store_hub.core.errors import GoneError
from conda_store_hub.core.schemas import LogState
from conda_store_hub.core.states import TRANSITIONS, BuildStatus
from conda_store_hub.lab.proxy import Upstream

MOST_FOLLOWED = 50
PAUSE_SECONDS = 2.0
LONGEST_PAUSE = 60.0
PAST_THE_END = 10**17  # bytes, of any log: only states are wanted


class BuildFollower:
    """One task a build, which ends with it; `on_state` hears each state once."""

    def __init__(self, upstream: Upstream, *, on_state: Callable[[int, BuildStatus], None]) -> None:
        self._upstream = upstream
        self._on_state = on_state
        self._tasks: dict[int, asyncio.Task[None]] = {}

    def follow(self, build_id: int) -> None:
        """Follow a build until its end; beyond some, the newest are not followed, and pages ask themselves."""
        if build_id in self._tasks or len(self._tasks) >= MOST_FOLLOWED:
            return
        task = asyncio.create_task(self._run(build_id), name=f"conda-store-hub-build-{build_id}")
        self._tasks[build_id] = task
        task.add_done_callback(lambda _: self._tasks.pop(build_id, None))

    async def stop(self) -> None:
        """Follow none any more."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self, build_id: int) -> None:
        with suppress(GoneError):
            await self._follow(build_id)

    async def _follow(self, build_id: int) -> None:
        told: BuildStatus | None = None
        pause = PAUSE_SECONDS
        while True:
            with suppress(httpx.TransportError, ValidationError):
                async with aclosing(self._read(build_id)) as states:
                    async for status in states:
                        pause = PAUSE_SECONDS
                        if status is not told:
                            told = status
                            self._on_state(build_id, status)
                        if not TRANSITIONS[status]:
                            return
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    async def _read(self, build_id: int) -> AsyncGenerator[BuildStatus]:
        """Yield states until the service hangs up."""
        headers = {"Accept": "text/event-stream", "Authorization": f"token {self._upstream.token}"}
        path, query = f"build/{build_id}/logs/", f"offset={PAST_THE_END}"
        async with self._upstream.stream("GET", path, query, headers, b"") as answer:
            if answer.is_success:
                async for status in _read_states(answer.aiter_lines()):
                    yield status
            elif answer.is_client_error:  # it is gone, or not for this server's owner
                raise GoneError


async def _read_states(lines: AsyncIterator[str]) -> AsyncIterator[BuildStatus]:
    """Yield the states of a live log (WHATWG HTML, 9.2), as far as `web.events` writes them."""
    event = ""
    async for line in lines:
        if line.startswith("event: "):
            event = line.removeprefix("event: ")
        elif line.startswith("data: ") and event == "state":
            yield LogState.model_validate_json(line.removeprefix("data: ")).status
