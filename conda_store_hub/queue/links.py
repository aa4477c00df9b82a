"""Links to active prefixes: they follow the rows, one swap at a time, whoever noticed."""

from __future__ import annotations

import asyncio
import logging

from conda_store_hub.core.names import DataDirectory
from conda_store_hub.db.session import Database
from conda_store_hub.services import links
from conda_store_hub.services.links import Link
from conda_store_hub.storage import prefixes
from conda_store_hub.storage.locks import ProcessLock

_AT_ONCE = 100


class Links:
    """The links of a data directory. A reader sees the old prefix or the new, never none."""

    def __init__(self, *, db: Database, data: DataDirectory, log: logging.Logger) -> None:
        self._db = db
        self._data = data
        self._log = log
        self._one_at_a_time = ProcessLock(data.links_lock)

    async def follow(self) -> None:
        """Make every link show its active build; costs nothing where all do.

        One that cannot be made is logged and tried again in the next round: it is no reason to hold up the others.
        """
        async with self._one_at_a_time:
            after = 0
            while found := await self._db.read(links.list_behind, after, _AT_ONCE):
                for link in found:
                    await self._swap(link)
                after = found[-1].environment_id

    async def _swap(self, link: Link) -> None:
        try:
            await asyncio.to_thread(self._change, link)
        except OSError as exc:
            self._log.error("the link of %s/%s cannot be made: %s", link.namespace, link.environment, exc.strerror)
        else:
            await self._db.write(links.record, link)

    def _change(self, link: Link) -> None:
        if link.prefix_name is not None:
            prefixes.swap_link(self._data, link.namespace, link.environment, link.prefix_name)
        if link.prefix_name is None or link.shown_as != link.environment:
            prefixes.remove_link(self._data, link.namespace, link.shown_as, link.shown)
