"""Frees what nobody needs: builds that are not kept, what cannot be brought back, orphans, bytes, old cache entries.

Each job goes in small steps, a transaction or a few renames each, and may run in several processes at once.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from itertools import islice

from conda_store_hub.core.audit import AuditAction
from conda_store_hub.core.names import DataDirectory
from conda_store_hub.db.session import Database
from conda_store_hub.services import audit, leases, links, ondemand_expiry, retention, storage
from conda_store_hub.services.rules import BuildRules
from conda_store_hub.storage import caches, prefixes
from conda_store_hub.storage.base import ArtifactStore, Stored, list_shards
from conda_store_hub.storage.caches import Entry

_AT_ONCE = 20
_LOOKED_AT = 100
_ORPHAN_AFTER = timedelta(days=1)
_DAY_SECONDS = 86_400


@dataclass(frozen=True, kw_only=True, slots=True)
class Freed:
    """What one job removed, or several. `size` is in bytes; those of builds are free once their prefixes are."""

    builds: int = 0
    environments: int = 0
    prefixes: int = 0
    files: int = 0
    entries: int = 0
    size: int = 0

    def __add__(self, other: Freed) -> Freed:
        """Add up."""
        return Freed(**{each.name: getattr(self, each.name) + getattr(other, each.name) for each in fields(Freed)})

    def __str__(self) -> str:
        """Return what there is of it: `2 prefixes, 1,000 bytes`."""
        counted = ((each.name, getattr(self, each.name)) for each in fields(Freed))
        said = [f"{count:,} {'bytes' if name == 'size' else name}" for name, count in counted if count]
        return ", ".join(said) or "nothing"


class Cleaner:
    """The jobs; each returns what it freed, and says so in the audit trail."""

    def __init__(
        self,
        *,
        db: Database,
        data: DataDirectory,
        store: ArtifactStore,
        rules: BuildRules,
        cache_days: int,
        log: logging.Logger,
    ) -> None:
        self._db = db
        self._data = data
        self._store = store
        self._rules = rules
        self._cache_days = cache_days
        self._log = log
        self._unfinished: int | None = None

    async def keep_newest(self) -> Freed:
        """Remove the builds that environments do not keep."""
        freed, after = Freed(), 0
        if not await self._db.read(retention.is_limited, self._rules):
            return freed
        while True:
            found = await self._db.read(retention.find_due, self._rules, after, _LOOKED_AT)
            freed += await self._remove_due(found.due)
            if found.position is None:
                return freed
            after = found.position

    async def keep_newest_where_completed(self) -> Freed:
        """Do the same for environments in which a build has ended since this was done last."""
        found = await self._db.read(retention.find_due_where_ended, self._rules, self._unfinished)
        self._unfinished = found.position
        return await self._remove_due(found.due)

    async def _remove_due(self, environment_ids: tuple[int, ...]) -> Freed:
        builds = 0
        for number in environment_ids:
            while removed := await self._db.write(retention.remove_due, number, self._rules):
                builds += removed
        return Freed(builds=builds)

    async def expire_on_demand(self) -> Freed:
        """Delete environments of images on demand that nobody pulls any more; they can be brought back as others."""
        freed, after = Freed(), 0
        while found := await self._db.read(ondemand_expiry.find_unused, self._rules, after):
            for number in found:
                freed += Freed(environments=int(await self._db.write(ondemand_expiry.expire, number, self._rules)))
            after = found[-1]
        await self._db.write(ondemand_expiry.forget_wishes)
        return freed

    async def give_up_deleted(self) -> Freed:
        """Give up what is left of environments that cannot be brought back."""
        freed, after = Freed(), 0
        while found := await self._db.read(retention.find_expired, after, _LOOKED_AT):
            for number in found:
                while await self._db.write(retention.give_up, number):
                    continue
            freed += Freed(environments=len(found))
            after = found[-1]
        return freed

    async def free(self) -> Freed:
        """Free what deleted builds and environments had on disk, once nobody needs it; row first, then the bytes."""
        await self._db.write(leases.forget_ended)
        freed = Freed()
        while found := await self._db.read(storage.list_prefixes_to_free, _AT_ONCE):
            for doomed in found:
                if await self._db.write(storage.give_up_prefix, doomed):
                    await asyncio.to_thread(prefixes.remove_prefix, self._data, doomed.prefix_name)
                    freed += Freed(prefixes=1, size=doomed.size)
        return freed + await self._add_up(self._free_bytes(), AuditAction.STORAGE_FREE, "artifacts that were deleted")

    async def _free_bytes(self) -> AsyncIterator[Freed]:
        more = True
        while more:
            async with self._store.changing:
                given_up = await self._db.write(storage.give_up_keys, _AT_ONCE)
                for key in given_up.free:
                    await self._store.delete(key)
            yield Freed(files=len(given_up.free), size=given_up.size)
            more = given_up.more

    async def remove_orphans(self) -> Freed:
        """Remove prefixes and artifacts that belong to no build: what a killed process had half done."""
        return await self._add_up(self._remove_orphans(), AuditAction.STORAGE_FREE, "without a build")

    async def _remove_orphans(self) -> AsyncIterator[Freed]:
        on_disk = await asyncio.to_thread(prefixes.list_prefixes, self._data)
        for name in sorted(await self._db.read(links.list_unknown_prefixes, on_disk)):
            self._log.info("removing the prefix %s, which no build owns", name)
            await asyncio.to_thread(prefixes.remove_prefix, self._data, name)
            yield Freed(prefixes=1)
        for shard in list_shards():
            async for found in self._store.list_stored(shard):
                yield await self._remove_unknown(found)

    async def _remove_unknown(self, found: list[Stored]) -> Freed:
        before = datetime.now(UTC) - _ORPHAN_AFTER
        old = {each.key: each.size for each in found if each.changed_at < before}
        freed = Freed()
        if not old:
            return freed
        async with self._store.changing:
            for key in sorted(await self._db.read(storage.unknown_keys, list(old))):
                await self._store.delete(key)
                freed += Freed(files=1, size=old[key])
        return freed

    async def trim_caches(self) -> Freed:
        """Remove from the caches what no prefix has and nobody has used for long.

        While builders work nothing is taken from under them: the next round tries again.
        """
        words = f"not used for {self._cache_days} days"
        return await self._add_up(self._trim_caches(), AuditAction.CACHE_TRIM, words) if self._cache_days else Freed()

    async def _trim_caches(self) -> AsyncIterator[Freed]:
        before = time.time() - self._cache_days * _DAY_SECONDS
        stale = caches.list_stale(self._data, before)
        while entries := await asyncio.to_thread(_take, stale):
            removed = await asyncio.to_thread(caches.remove_stale, self._data, entries, before)
            if removed is None:
                self._log.info("builders are at work: the caches are trimmed in the next round")
                return
            yield Freed(entries=removed.entries, size=removed.size)

    async def _add_up(self, steps: AsyncIterator[Freed], action: AuditAction, words: str) -> Freed:
        """Return what all steps freed, and say it in the audit trail, also when one of them fails."""
        freed = Freed()
        try:
            async for step in steps:
                freed += step
        finally:
            if freed != Freed():
                await self._db.write(audit.record, audit.ITSELF, action, detail=f"{words}: {freed}")
        return freed

    @property
    def jobs(self) -> dict[str, Callable[[], Awaitable[Freed]]]:
        """All of them, by what a person calls them, in the order in which each gains from those before."""
        return {
            "not kept": self.keep_newest,
            "pulled no more": self.expire_on_demand,
            "cannot be brought back": self.give_up_deleted,
            "without a build": self.remove_orphans,
            "freed": self.free,
            "caches": self.trim_caches,
        }


def _take(stale: Iterator[Entry]) -> list[Entry]:
    return list(islice(stale, _AT_ONCE))
