"""Answers that take long: nothing is waited for on behalf of who has left."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from tornado.web import Finish

from conda_store_hub.web.base import ApiHandler, BaseHandler

T = TypeVar("T")

_NOBODY_THERE = 499  # for the log; nobody gets it


class Following(BaseHandler):
    """Answers after some work, which ends with the connection of who asked for it."""

    _work: asyncio.Task[Any] | None = None
    _left = False

    async def follow(self, work: Coroutine[Any, Any, T]) -> T:
        """Wait for it."""
        task = self._work = asyncio.create_task(work)
        try:
            return await task
        except asyncio.CancelledError:
            if not self._left:
                raise
            self.set_status(_NOBODY_THERE, "Client Closed Request")
            raise Finish from None

    def on_connection_close(self) -> None:
        """End the work for somebody who has left."""
        self._left = True
        if self._work is not None:
            self._work.cancel()


class FollowingHandler(Following, ApiHandler):
    """An answer of the API that takes long."""
