"""A channel as it is searched: its names in memory, its records through the engine, looked at again after a while."""

from __future__ import annotations

import asyncio
import functools
import re
import time
import weakref
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from rattler import Gateway, MatchSpec, RepoDataRecord, Subdir
from rattler.networking import Client
from rattler.repo_data.gateway import SourceConfig

from conda_store_hub.builder.channel_state import (
    IndexCache,
    read_channel_state,
    take_oldest_form,
    tells_bad_form,
)
from conda_store_hub.builder.events import say
from conda_store_hub.builder.reasons import find_channel_reason
from conda_store_hub.core import disk
from conda_store_hub.core.engine import strip_credentials
from conda_store_hub.core.search import FoundName, SearcherSetup

T = TypeVar("T")

_RETRIES = 1
_STATE_SECONDS = 3
_MOST_RECORDS = 50_000  # that the engine keeps of a channel, at 1.6 kB
_LOT = 50  # packages
_STATUS = re.compile(r"HTTP status (?:client|server) error \((\d+)")


class ChannelError(Exception):
    """A channel cannot be searched; the text says why, to anybody."""


class ChannelSilentError(ChannelError):
    """A channel does not answer in time."""


def open_gateway(setup: SearcherSetup, *, oldest: bool = False) -> Gateway:
    """Return the engine's reader of channels, with the cache that builders have; or one of the `oldest` form only."""
    # The engine's time-out is for a whole answer: a large index goes on being read when nobody waits any more.
    client = Client.default_client(max_retries=_RETRIES, timeout=round(6 * setup.patience))
    config = take_oldest_form(SourceConfig()) if oldest else SourceConfig()
    return Gateway(cache_dir=Path(setup.repodata), client=client, default_config=config)


@dataclass(kw_only=True)
class ChannelIndex:
    """Some folders of a channel. It is read when it is first asked for, once for all who ask."""

    channel: str
    platforms: tuple[str, ...]
    gateway: Gateway
    setup: SearcherSetup
    names: tuple[str, ...] = ()
    summaries: dict[str, FoundName] = field(default_factory=dict[str, FoundName])
    """What was said of a name since the index was read."""
    _oldest: Gateway | None = None
    """Reads the oldest form, since a newer one failed."""
    _known: frozenset[str] = frozenset()
    _records: int = 0
    """How many records the engine was asked for since it had none."""
    _states: tuple[str | None, ...] = ()
    _looked: float | None = None
    _failure: tuple[float, str] | None = None
    _looking: asyncio.Task[None] | None = None

    def __post_init__(self) -> None:
        # The engine keeps what it read for as long as its gateway lives; this goes with the last question about it.
        forget = weakref.finalize(self, _forget, self.gateway, self.channel, self.platforms)
        forget.atexit = False

    @property
    def weight(self) -> int:
        """How many names and records there are in memory."""
        return len(self.names) + self._records

    async def refresh(self) -> None:
        """See to it that what is in memory is young enough; raise ChannelError in words."""
        now = time.monotonic()
        if self._records >= _MOST_RECORDS:
            self._forget(clear_disk=False)  # the index is read again by who asks for something that was not summarised
        if self._looked is not None and now - self._looked < self.setup.fresh:
            return
        if self._failure is not None and now - self._failure[0] < self.setup.sulk:
            raise ChannelError(self._failure[1])
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look())
        # Who has no more patience leaves; the channel goes on being read for who asks next.
        await self._translate(lambda: asyncio.shield(self._looking or asyncio.sleep(0)))

    async def query(self, names: Sequence[str]) -> list[RepoDataRecord]:
        """Return all records of some packages, names that the channel has; raise ChannelError in words."""
        known = [name for name in names if name in self._known]
        return await self._translate(lambda: self._query(known)) if known else []

    async def query_once(self, names: Sequence[str]) -> AsyncGenerator[list[RepoDataRecord]]:
        """Yield all records of some packages, a few packages at a time; nothing of them is kept for the next question.

        A build has so many that they would take the place of what is searched.
        """
        known = [name for name in names if name in self._known]
        oldest = self._oldest is not None
        gateway, count = open_gateway(self.setup, oldest=oldest), 0
        for at in range(0, len(known), _LOT):
            if count >= _MOST_RECORDS:
                gateway, count = open_gateway(self.setup, oldest=oldest), 0
            records = await self._translate(functools.partial(self._ask, gateway, known[at : at + _LOT]))
            count += len(records)
            yield records

    async def _query(self, names: Sequence[str]) -> list[RepoDataRecord]:
        records = await self._ask(self._oldest or self.gateway, names)
        self._records += len(records)
        return records

    async def _ask(self, gateway: Gateway, names: Sequence[str]) -> list[RepoDataRecord]:
        # Names are of the index, so that what somebody typed never becomes a pattern.
        found = await gateway.query(
            [self.channel],
            [Subdir(platform) for platform in self.platforms],
            [MatchSpec(name) for name in names],
            recursive=False,
            channel_relations="disabled",
        )
        return [record for source in found.repodata for record in source]

    async def _translate(self, work: Callable[[], Awaitable[T]]) -> T:
        """Do something with the engine; its own words go to the log."""
        try:
            async with asyncio.timeout(self.setup.patience):
                return await work()
        except TimeoutError:
            raise ChannelSilentError("It did not answer in time.") from None
        except (asyncio.CancelledError, ChannelError, KeyboardInterrupt, SystemExit):
            raise
        except BaseException as exc:  # a panic of the engine is no Exception
            text = strip_credentials(str(exc))
            say(f"{self.channel}: {text}")
            raise ChannelError(_explain(text)) from exc

    async def _look(self) -> None:
        """Read the names, unless the channel says that nothing has changed since."""
        try:
            await self._read()
        except (asyncio.CancelledError, KeyboardInterrupt, SystemExit):
            raise
        except BaseException as exc:
            text = strip_credentials(str(exc))
            self._looked, self._failure = None, (time.monotonic(), _explain(text))
            raise
        self._looked, self._failure = time.monotonic(), None

    async def _read(self) -> None:
        states = await self._read_states()
        # A state is of the newest form: it tells nothing of an older one that was read instead.
        if self._looked is not None and states == self._states and None not in states and self._oldest is None:
            return
        self._forget(clear_disk=False)
        self._oldest = None
        caches = [IndexCache(Path(self.setup.repodata), (self.channel,), each) for each in self._own]
        for cache, state in zip(caches, states, strict=True):
            cache.renew(self.gateway, state)
        self.summaries.clear()
        self.names = await self._read_names()
        self._known, self._states = frozenset(self.names), states
        for cache, state in zip(caches, states, strict=True):
            cache.remember(state if self._oldest is None else None)

    async def _read_names(self) -> tuple[str, ...]:
        try:
            return await self._ask_names()
        except Exception as exc:
            # A server that answers 304 without the ETag that belongs to it: read everything anew, once.
            if "304 Not Modified" in str(exc):
                self._forget(clear_disk=True)
            elif tells_bad_form(str(exc)):
                say(f"{self.channel}: {strip_credentials(str(exc))}; reading the oldest form of its index")
                self._oldest = open_gateway(self.setup, oldest=True)
            else:
                raise
            return await self._ask_names()

    async def _ask_names(self) -> tuple[str, ...]:
        platforms = [Subdir(platform) for platform in self.platforms]
        found = await (self._oldest or self.gateway).names([self.channel], platforms, channel_relations="disabled")
        return tuple(sorted(name.normalized for name in found.names))

    @property
    def _own(self) -> list[str]:
        return [platform for platform in self.platforms if platform != "noarch"] or ["noarch"]

    async def _read_states(self) -> tuple[str | None, ...]:
        reads = (
            asyncio.to_thread(read_channel_state, [self.channel], platform, patience=_STATE_SECONDS)
            for platform in self._own
        )
        return tuple(await asyncio.gather(*reads))

    def _forget(self, *, clear_disk: bool) -> None:
        self._records = 0
        _forget(self._oldest or self.gateway, self.channel, self.platforms, clear_disk=clear_disk)


def _forget(gateway: Gateway, channel: str, platforms: Sequence[str], *, clear_disk: bool = False) -> None:
    gateway.clear_repodata_cache(channel, subdirs=[Subdir(each) for each in platforms], clear_disk=clear_disk)


def _explain(text: str) -> str:
    """Return what the engine says of a channel in words that tell nothing of this machine."""
    if disk.tells_full(text):
        return "There is no room on the disk for its index."
    if known := find_channel_reason(text):
        return f"It could not be read: {known}."
    if "body" in text or "message length" in text:
        return "Its answer broke off."
    if status := _STATUS.search(text):
        return f"It answers with an error ({status[1]})."
    if "error sending request" in text:
        return "It could not be reached."
    return "Its index makes no sense."
