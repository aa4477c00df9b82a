"""Files of builds that are waited for while they are made and checked; for whichever handler sends them."""

from __future__ import annotations

import asyncio
import time
from typing import ClassVar, NoReturn

from conda_store_hub.core.errors import BeingMadeError, DamagedError, NotFoundError
from conda_store_hub.core.protocol import ArtifactType
from conda_store_hub.services import artifacts, changes
from conda_store_hub.services.artifacts import Location, Missing
from conda_store_hub.services.changes import artifacts_topic
from conda_store_hub.web.base import BaseHandler

_CHECK_SECONDS = 5.0  # for who does not wait: most files are checked in less


class FileMaker(BaseHandler):
    """A handler of one kind of file, which has it made if it has to be."""

    kind: ClassVar[ArtifactType]
    left = False
    news: asyncio.Event | None = None
    checking: asyncio.Future[None] | None = None

    async def find_file(self, build_id: int, seconds: float, *, makes: bool) -> Location | None:
        """Return where the file of a build is, and wait for it that long; None for who has left.

        Where it `makes` none it waits for none: it tells whether there is one, and reads no bytes.
        """
        if not makes:
            return await self._look(build_id)
        with self.services.changes.watch(artifacts_topic(build_id)) as self.news:
            return await self._wait(build_id, time.monotonic() + seconds)

    async def _look(self, build_id: int) -> Location:
        found = await self.services.db.read(artifacts.find, self.identity, build_id, self.kind)
        if isinstance(found, Missing):
            self.refuse(build_id, found)
        await self.require_bytes(found)
        return found

    async def _wait(self, build_id: int, until: float) -> Location | None:
        """Return where the file is once its bytes are known to be whole.

        Nothing is read while nothing happens: whatever is written of a build's files is announced.
        """
        db = self.services.db
        while True:
            found = await db.read(artifacts.find, self.identity, build_id, self.kind)
            if isinstance(found, Location) and await self._is_whole(found, until):
                return found
            if found is Missing.UNASKED:
                await self.order(build_id)
            if not await self.hear_of_change(until):
                return None if self.left else self.refuse(build_id, Missing.PENDING)
            await self.stay()

    async def order(self, build_id: int) -> None:
        """Have the file of a build made that nobody asked for yet."""
        await self.services.db.write(artifacts.request, self.identity, build_id, self.kind, self.services.rules)

    async def require_bytes(self, location: Location) -> None:
        """Raise NotFoundError where there are no bytes at all; they are not read for who wants none."""
        try:
            await self.services.store.head(location.key)
        except NotFoundError:
            self.refuse(location.build_id, Missing.UNASKED)

    def refuse(self, build_id: int, found: Missing) -> NoReturn:
        """Raise the error for a file that is not there, or not yet."""
        what = f"The {self.kind} of build {build_id}"
        if found is Missing.UNASKED:
            raise NotFoundError(f"{what} is not there: GET has it made.")
        raise BeingMadeError(f"{what} is being made; ask again in a moment.")

    async def _is_whole(self, location: Location, until: float) -> bool:
        """Tell whether the bytes are those that were stored; if not, have the file made again, or raise GoneError."""
        words = await self.find_damage(location, until - time.monotonic())
        if words:
            await self.services.db.write(artifacts.replace_damaged, location, words, self.services.rules)
        return not words and not self.left

    async def find_damage(self, location: Location, seconds: float) -> str:
        """Say what happened to bytes that are not those that were stored; nothing of others.

        Raises BeingMadeError when that takes longer; whoever asks again finds it further.
        """
        try:
            await self._check(location, max(_CHECK_SECONDS, seconds))
        except (NotFoundError, DamagedError) as exc:
            words = "was removed on disk" if isinstance(exc, NotFoundError) else "was changed on disk"
            self.log.warning("the %s of build %s %s", self.kind, location.build_id, words)
            return words
        return ""

    async def _check(self, location: Location, seconds: float) -> None:
        self.checking = asyncio.ensure_future(self.services.store.check(location.key, location.size))
        done, _ = await asyncio.wait([self.checking], timeout=seconds)
        if done and not self.checking.cancelled():
            return self.checking.result()
        self.checking.cancel()
        if not self.left:
            raise BeingMadeError(
                f"The {self.kind} of build {location.build_id} is being checked; ask again in a moment."
            )
        return None

    async def hear_of_change(self, until: float) -> bool:
        """Wait for news at most until then; tell whether there are any for somebody who is still there."""
        if self.news is None or self.left:
            return False
        heard = await changes.wait(self.news, max(0.0, until - time.monotonic()))
        self.news.clear()
        return heard and not self.left

    def on_connection_close(self) -> None:
        """Wait no longer for somebody who has left."""
        self.left = True
        if self.checking is not None:
            self.checking.cancel()
        if self.news is not None:
            self.news.set()
