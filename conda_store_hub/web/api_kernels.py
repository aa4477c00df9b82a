"""API: the kernels that one may start, as a long poll that costs nothing while it waits; those of one build."""

from __future__ import annotations

import asyncio
import time
from contextlib import ExitStack

from pydantic import Field

from conda_store_hub.core import schemas
from conda_store_hub.core.errors import ConflictError, GoneError
from conda_store_hub.core.permissions import Permission
from conda_store_hub.services import kernels
from conda_store_hub.services.changes import ALL_KERNELS
from conda_store_hub.web import arguments
from conda_store_hub.web.base import ApiHandler
from conda_store_hub.web.operations import Operation
from conda_store_hub.web.query import Query, Text

LONGEST_SECONDS = 50.0


class KernelsQuery(Query):
    """Whether to wait, and for what."""

    since: Text | None = Field(None, description="The etag of a list: answer when the list is another one.")
    wait: float = Field(
        LONGEST_SECONDS, ge=0, description=f"Seconds to wait for that; more than {LONGEST_SECONDS:g} means as many."
    )


class KernelsHandler(ApiHandler):
    """`GET /api/v1/kernels/?since=ETAG&wait=SECONDS`."""

    left = False
    news: asyncio.Event | None = None

    @Operation(answer=schemas.Answer[schemas.KernelList], query=KernelsQuery, statuses=(200, 304))
    async def get(self) -> None:
        """List the kernels that who asks may start.

        With `since`, answers when the list is no longer that one, or with 304 when nothing changed for `wait` seconds.
        """
        query = self.read_query(KernelsQuery)
        since = query.since
        listing = await self._next(since, time.monotonic() + min(query.wait, LONGEST_SECONDS))
        if listing is None:
            self.set_status(304)
            self.set_header("ETag", f'"{since}"')
            self.finish()
        else:
            self.set_header("ETag", f'"{listing.etag}"')
            self.write_model(schemas.Answer[schemas.KernelList](data=listing))

    async def _next(self, since: str | None, until: float) -> schemas.KernelList | None:
        """Return the first list that is not `since`, or None when there is none in time."""
        while True:
            with ExitStack() as watches:
                listing = await self._read(watches)
                if listing.etag != since:
                    return listing
                del listing  # five hundred of these may wait here
                if not await self._hear_of_change(until):
                    return None

    async def _read(self, watches: ExitStack) -> schemas.KernelList:
        """Read the list, and watch what may change it from before the read on: no announcement is lost between.

        Which topics matter is known only from the read, so everything is watched while it runs.
        """
        changes = self.services.changes
        await self.stay()
        with changes.watch(ALL_KERNELS) as anything:
            answer = await self.services.db.read(kernels.list_kernels, self.identity, data=self.services.data)
            self.news = watches.enter_context(changes.watch(*answer.topics))
            if anything.is_set():
                self.news.set()
        return answer.list

    async def _hear_of_change(self, until: float) -> bool:
        if self.news is None or self.left:
            return False
        try:
            async with asyncio.timeout(max(0.0, until - time.monotonic())):
                await self.news.wait()
        except TimeoutError:
            return False
        return not self.left

    def on_connection_close(self) -> None:
        """Wait no longer for somebody who has left."""
        self.left = True
        if self.news is not None:
            self.news.set()


class BuildKernelsHandler(ApiHandler):
    """`GET /api/v1/build/ID/kernels/`."""

    @Operation(
        answer=schemas.Answer[list[schemas.KernelView]],
        needs=Permission.ENVIRONMENT_READ,
        errors=(ConflictError, GoneError),
    )
    async def get(self, build_id: str) -> None:
        """List the kernels of one build, whether it is the active one or not."""
        found = await self.services.db.read(
            kernels.list_build_kernels, self.identity, arguments.read_id(build_id), data=self.services.data
        )
        self.write_model(schemas.Answer[list[schemas.KernelView]](data=found))
