"""Notices that something changed below a folder: by the kernel where it can, by looking regularly where it cannot."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, Iterable
from dataclasses import dataclass

from conda_store_hub.storage.folders import WatchedPath


@dataclass(frozen=True, kw_only=True, slots=True)
class Pace:
    """Seconds: how long a file has to stay the same, between looks without notice, until what failed is tried again."""

    settle: float = 0.5
    every: float = 300.0
    again: float = 10.0
    poll: float = 5.0


class _LostError(Exception):
    """Something was not told of; the next notices may be."""


class Notices:
    """Sets `changed`, also when a folder comes or goes, or its path leads to another one; who looks clears it."""

    def __init__(self, *, pace: Pace, log: logging.Logger) -> None:
        self.changed = asyncio.Event()
        self._pace = pace
        self._log = log
        self._tasks: list[asyncio.Task[None]] = []

    def start(self, folders: Iterable[WatchedPath]) -> None:
        """Begin with these folders, whether they are there or not."""
        self._tasks = [asyncio.create_task(self._watch(each), name=f"watch {each.folder}") for each in folders]

    async def stop(self) -> None:
        """End all."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _watch(self, where: WatchedPath) -> None:
        polls, said = False, ""
        while True:
            place = await asyncio.to_thread(where.find_place)
            self.changed.set()
            if place is None:
                await asyncio.sleep(self._pace.again)
                continue
            try:
                await self._follow(where, place, polls=polls)
            except FileNotFoundError:
                await asyncio.sleep(self._pace.settle)
            except _LostError as exc:
                if str(exc) != said:
                    said = str(exc)
                    self._log.warning("%s: some changes are noticed later: %s", where.folder, said)
                await asyncio.sleep(self._pace.again)
            except (OSError, RuntimeError) as exc:  # a limit of the kernel's, or a file system that tells nothing
                if polls:
                    await asyncio.sleep(self._pace.again)
                else:
                    self._log.warning(
                        "%s is looked at every %g seconds, because changes are not noticed: %s",
                        *(where.folder, self._pace.poll, exc),
                    )
                polls = True

    async def _follow(self, where: WatchedPath, place: tuple[str, str], *, polls: bool) -> None:
        """Pass on what changes for as long as the folder is the same."""
        async with contextlib.aclosing(self.listen(place[0], deep=where.only is None, polls=polls)) as heard:
            async for something in heard:
                if something:
                    self.changed.set()
                if await asyncio.to_thread(where.find_place) != place:
                    return

    async def listen(self, root: str, *, deep: bool, polls: bool) -> AsyncGenerator[bool]:
        """Yield whether something changed below `root`; regularly, too, when nothing did.

        Raises what it cannot begin with; and _LostError for what goes wrong later, such as a name that is not UTF-8.
        """
        from watchfiles import awatch  # only where something is watched

        found = awatch(
            root,
            watch_filter=None,
            rust_timeout=int(1000 * self._pace.again),
            yield_on_timeout=True,
            force_polling=polls or None,
            poll_delay_ms=int(1000 * self._pace.poll),
            recursive=deep,
            ignore_permission_denied=True,
        )
        try:
            async with contextlib.aclosing(found) as changes:
                async for change in changes:
                    yield bool(change)
        except ExceptionGroup as group:  # all that it meets while it waits
            raise _LostError("; ".join(str(exc) for exc in group.exceptions)) from group
