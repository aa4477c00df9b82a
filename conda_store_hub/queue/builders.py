"""Builders for builds and dry runs, with one kept ready: what it has to load takes as long as a small environment."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

from conda_store_hub.core.names import DataDirectory
from conda_store_hub.core.protocol import BuildRequest
from conda_store_hub.queue.process import BUILDER, BuilderProcess

_READY_SECONDS = 600.0  # for how long one waits for something to do: it occupies some 80 MB


class Builders:
    """Starts builders. Once there was something to do, one that has loaded all it needs waits for the next."""

    def __init__(self, data: DataDirectory, command: Sequence[str] = BUILDER) -> None:
        self._data = data
        self._command = command
        self._ready: BuilderProcess | None = None
        self._letting_go: asyncio.TimerHandle | None = None
        self._stopped = False

    async def start(self, request: BuildRequest, home: Path) -> BuilderProcess:
        """Start a builder with `home` as its directory and home, and hand it the request."""
        builder = self._take() or await BuilderProcess.start(home, self._command)
        try:
            await builder.hand_over(request)
        except BaseException:
            builder.close()
            raise
        return builder

    async def make_ready(self) -> None:
        """See to it that one waits for what comes next."""
        if self._stopped or (self._ready is not None and self._ready.is_alive()):
            return
        self._take()
        try:
            ready = await BuilderProcess.start(self._data.work, self._command)
        except OSError:
            return  # whoever needs one next will say why there is none
        if self._stopped or self._ready is not None:
            await _end(ready)
            return
        self._ready = ready
        self._letting_go = asyncio.get_running_loop().call_later(_READY_SECONDS, self._let_go)

    async def stop(self) -> None:
        """End the one that waits."""
        self._stopped = True
        if ready := self._take():
            await _end(ready)

    def _take(self) -> BuilderProcess | None:
        """Return the one that waits, if it does; nobody else gets it."""
        ready, self._ready = self._ready, None
        if self._letting_go is not None:
            self._letting_go.cancel()
        if ready is None or ready.is_alive():
            return ready
        ready.close()
        return None

    def _let_go(self) -> None:
        if ready := self._take():
            ready.close()


async def _end(builder: BuilderProcess) -> None:
    await builder.stop()
    builder.close()
