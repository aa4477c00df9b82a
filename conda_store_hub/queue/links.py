"""Links to active prefixes: they follow the rows, one swap at a time, whoever noticed."""

from __future__ import annotations

import asyncio

from conda_store_hub.core.names import DataDirectory
from conda_store_hub.db.session import Database
from conda_store_hub.services import work
from conda_store_hub.storage import prefixes


class Links:
    """The links of a data directory. A reader sees the old prefix or the new, never none."""

    def __init__(self, *, db: Database, data: DataDirectory) -> None:
        self._db = db
        self._data = data
        self._one_at_a_time = asyncio.Lock()

    async def follow(self) -> None:
        """Make every link show its active build; costs nothing where all do."""
        async with self._one_at_a_time:
            for link in await self._db.read(work.links_to_swap):
                await asyncio.to_thread(
                    prefixes.swap_link, self._data, link.namespace, link.environment, link.prefix_name
                )
                await self._db.write(work.record_link, link)
