"""Answers about the packages of channels. A channel that fails is named in the answer; the others are still there."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence, Set
from contextlib import aclosing
from http.client import HTTPException
from typing import Any, Literal, NamedTuple, TypeVar
from urllib.parse import quote

from rattler import RepoDataRecord, Version

from conda_store_hub.builder import memory
from conda_store_hub.builder.channel_index import ChannelError, ChannelIndex, ChannelSilentError, open_gateway
from conda_store_hub.builder.heads import read_head
from conda_store_hub.core.engine import strip_credentials
from conda_store_hub.core.search import (
    Departed,
    FindDeparted,
    FindNames,
    FoundBuild,
    FoundBuilds,
    FoundDeparted,
    FoundName,
    FoundNames,
    ListVersions,
    PinnedPackage,
    Place,
    Problem,
    SearcherSetup,
)

T = TypeVar("T")
_State = Literal["there", "gone", "changed", "unknown"]

_HEAD_SECONDS = 3.0
_MOST_INDEXES = 32  # in memory
_MOST_KEPT = 250_000  # names and records of all of them, at 1.6 kB or less
_MOST_LOOKED_FOR = 2  # builds' packages of a channel, at once
_OLD, _NEW = ".tar.bz2", ".conda"


class Finder:
    """Answers questions; keeps what it read of channels in memory."""

    def __init__(self, setup: SearcherSetup) -> None:
        self._setup = setup
        self._gateway = open_gateway(setup)
        self._indexes: dict[tuple[str, tuple[str, ...]], ChannelIndex] = {}
        self._looking_for = asyncio.Semaphore(_MOST_LOOKED_FOR)

    async def answer(self, ask: FindNames | ListVersions | FindDeparted) -> FoundNames | FoundBuilds | FoundDeparted:
        """Answer any question."""
        try:
            match ask:
                case FindNames():
                    return await self.find_names(ask)
                case ListVersions():
                    return await self.list_versions(ask)
                case FindDeparted():
                    return await self.find_departed(ask)
        finally:
            self._let_go()

    async def find_names(self, ask: FindNames) -> FoundNames:
        """Find packages by their names, with their newest versions."""
        text = ask.text.lower()
        indexes, problems = await self._open(ask.place)
        found = _list_matches(indexes, text, ask)
        wanted = [(name, indexes[at]) for name, at in found[ask.paging.part]]
        described, more = await _describe(wanted)
        return FoundNames(found=tuple(described), count=len(found), problems=_once([*problems, *more]))

    async def list_versions(self, ask: ListVersions) -> FoundBuilds:
        """List the builds of a package, the newest version first."""
        name = ask.name.lower()
        indexes, problems = await self._open(ask.place)
        answers, more = await _ask_all(indexes, lambda index: index.query([name]))
        records = [(index.channel, record) for index, part in answers for record in part if _is_meant(record, ask)]
        order = {channel: at for at, channel in enumerate(ask.place.channels)}
        records.sort(key=lambda each: order[each[0]])
        records.sort(key=lambda each: _age(each[1]), reverse=True)
        shown = tuple(_show(channel, record) for channel, record in records[ask.paging.part])
        return FoundBuilds(found=shown, count=len(records), problems=_once([*problems, *more]))

    async def find_departed(self, ask: FindDeparted) -> FoundDeparted:
        """Find packages that are no longer in their channel as they were."""
        by_channel: dict[str, list[PinnedPackage]] = defaultdict(list)
        for package in ask.packages:
            by_channel[package.channel].append(package)
        indexes: list[ChannelIndex] = []
        problems: list[Problem] = []
        for channel, packages in by_channel.items():
            opened, failed = await self._open(self._find_wider(channel, {each.subdir for each in packages}))
            indexes += opened
            problems += failed
        answers, more = await _ask_all(indexes, lambda index: self._look_for(index, by_channel[index.channel]))
        looks = [look for _, found in answers for look in found]
        states = await asyncio.gather(*(_settle(look) for look in looks))
        silent = {each.channel for each in (*problems, *more)}
        return FoundDeparted(
            found=tuple(Departed(package=package, how=how) for package, how in states if how in ("gone", "changed")),
            unknown=(
                *(each for each in ask.packages if each.channel in silent),
                *(package for package, how in states if how == "unknown"),
            ),
            problems=_once([*problems, *more]),
        )

    def _find_wider(self, channel: str, platforms: Set[str]) -> Place:
        """Return a place that has these folders, if it can be one that is searched already."""
        wider = (known for other, known in self._indexes if other == channel and platforms <= {*known})
        return Place(channels=(channel,), platforms=next(wider, tuple(sorted(platforms))))

    async def _look_for(self, index: ChannelIndex, packages: Sequence[PinnedPackage]) -> list[_Look]:
        """Return what an index says of packages of a build; few are looked for at once, as each takes memory."""
        there: dict[tuple[str, str], RepoDataRecord] = {}
        wanted = {(each.subdir, file) for each in packages for file in _list_forms(each)}
        async with self._looking_for, aclosing(index.query_once(list({each.name: None for each in packages}))) as found:
            async for records in found:
                places = ((each, (each.subdir, each.file_name)) for each in records)
                there |= {place: record for record, place in places if place in wanted}
        return list(_compare(packages, there))

    async def _open(self, place: Place) -> tuple[list[ChannelIndex], list[Problem]]:
        """Return the channels that can be searched, in order, and what is wrong with the others."""
        indexes = [self._get_index(channel, place.platforms) for channel in place.channels]
        answers, problems = await _ask_all(indexes, lambda index: index.refresh())
        return [index for index, _ in answers], problems

    def _get_index(self, channel: str, platforms: Sequence[str]) -> ChannelIndex:
        # The engine wants a `noarch` of every channel.
        key = channel, tuple(sorted({*platforms, "noarch"}))
        index = self._indexes.pop(key, None) or self._make_index(channel, key[1])
        self._indexes[key] = index  # the last that was asked for is at the end
        return index

    def _let_go(self) -> None:
        """Forget the channels that were not asked for the longest while all are too much; the last one stays."""
        before = len(self._indexes)
        weight = sum(each.weight for each in self._indexes.values())
        while len(self._indexes) > 1 and (len(self._indexes) > _MOST_INDEXES or weight > _MOST_KEPT):
            weight -= self._indexes.pop(next(iter(self._indexes))).weight
        if len(self._indexes) < before:
            memory.give_back()

    def _make_index(self, channel: str, platforms: tuple[str, ...]) -> ChannelIndex:
        for key in [key for key in self._indexes if key[0] == channel and {*key[1]} <= {*platforms}]:
            del self._indexes[key]  # what it has is in the new one
        return ChannelIndex(channel=channel, platforms=platforms, gateway=self._gateway, setup=self._setup)


async def _ask_all(
    indexes: Sequence[ChannelIndex], work: Callable[[ChannelIndex], Awaitable[T]]
) -> tuple[list[tuple[ChannelIndex, T]], list[Problem]]:
    """Ask all channels at once; return what they answer, and what is wrong with the others."""

    async def attempt(index: ChannelIndex) -> T | Problem:
        try:
            return await work(index)
        except ChannelError as exc:
            return Problem(channel=index.channel, message=str(exc))

    answers = await asyncio.gather(*(attempt(index) for index in indexes))
    good = [(index, each) for index, each in zip(indexes, answers, strict=True) if not isinstance(each, Problem)]
    return good, [each for each in answers if isinstance(each, Problem)]


async def _describe(wanted: Sequence[tuple[str, ChannelIndex]]) -> tuple[list[FoundName], list[Problem]]:
    """Return what the channels say of some of their packages."""
    unknown: dict[str, list[str]] = defaultdict(list)
    indexes = {index.channel: index for _, index in wanted}
    for name, index in wanted:
        if name not in index.summaries:
            unknown[index.channel].append(name)
    asked = [index for channel, index in indexes.items() if channel in unknown]
    _, problems = await _ask_all(asked, lambda index: _summarise(index, unknown[index.channel]))
    nothing = [FoundName(name=name, channel=index.channel) for name, index in wanted]
    return [index.summaries.get(name, empty) for (name, index), empty in zip(wanted, nothing, strict=True)], problems


async def _summarise(index: ChannelIndex, names: Sequence[str]) -> None:
    """Remember the newest version of some packages; one that cannot be read does not hide the others."""
    failed: ChannelError | None = None
    try:
        records = await index.query(names)
    except ChannelSilentError:
        raise
    except ChannelError:
        records, failed = await _query_each(index, names)
    by_name: dict[str, list[RepoDataRecord]] = defaultdict(list)
    for record in records:
        by_name[record.name.normalized].append(record)
    for name, found in by_name.items():
        versions = {record.version: record for record in found}  # each look into a record costs
        newest = max(versions)
        index.summaries[name] = FoundName(
            name=name,
            channel=index.channel,
            version=str(newest),
            versions=len(versions),
            license=versions[newest].license,
        )
    if failed:
        raise failed


async def _query_each(index: ChannelIndex, names: Sequence[str]) -> tuple[list[RepoDataRecord], ChannelError | None]:
    """Ask for one package after the other; return what could be read, and what the last failure was."""
    found: list[RepoDataRecord] = []
    failed: ChannelError | None = None
    for name in names:
        try:
            found += await index.query([name])
        except ChannelSilentError as exc:
            return found, exc
        except ChannelError as exc:
            failed = exc
    return found, failed


def _list_matches(indexes: Sequence[ChannelIndex], text: str, ask: FindNames) -> list[tuple[str, int]]:
    """Return names with the numbers of their channels: those that are the text, begin with it, and have it in them."""
    same: list[tuple[str, int]] = []
    begin: list[tuple[str, int]] = []
    rest: list[tuple[str, int]] = []
    for at, index in enumerate(indexes):
        for name in index.names:
            if text in name:
                (same if name == text else begin if name.startswith(text) else rest).append((name, at))
    if ask.exact:
        return same
    if ask.by_name:
        return sorted([*same, *begin, *rest])
    return [*same, *sorted(begin), *sorted(rest)]  # quick, because the names of each channel are in order


def _age(record: RepoDataRecord) -> tuple[Any, ...]:
    when = record.timestamp
    return record.version, record.build_number, when.timestamp() if when else 0.0, record.file_name


def _is_meant(record: RepoDataRecord, ask: ListVersions) -> bool:
    return (ask.build is None or ask.build in str(record.build)) and (
        ask.version is None or _is_version(record.version, ask.version)
    )


def _is_version(version: Version, text: str) -> bool:
    if str(version) == text:
        return True
    try:
        return version == Version(text)
    except Exception:  # noqa: BLE001 - the engine has many words for a text that is no version
        return False


def _show(channel: str, record: RepoDataRecord) -> FoundBuild:
    return FoundBuild(
        name=record.name.normalized,
        version=str(record.version),
        build=str(record.build),
        build_number=record.build_number,
        channel=channel,
        subdir=record.subdir,
        file=record.file_name,
        url=strip_credentials(record.url),
        size=record.size,
        license=record.license,
        timestamp=record.timestamp,
        sha256=record.sha256.hex() if record.sha256 else None,
        depends=tuple(record.depends),
    )


class _Look(NamedTuple):
    """What an index says of a package of a build; None if the file itself has to be asked for, at `address`."""

    package: PinnedPackage
    state: _State | None
    address: str = ""


def _list_forms(package: PinnedPackage) -> tuple[str, str]:
    """Return a package's file, and what it is called in the newer form: of two the engine tells that one only."""
    return package.file, package.file.removesuffix(_OLD) + _NEW


def _compare(packages: Iterable[PinnedPackage], there: Mapping[tuple[str, str], RepoDataRecord]) -> Iterator[_Look]:
    for package in packages:
        record, newer = (there.get((package.subdir, file)) for file in _list_forms(package))
        if record is not None:
            yield _Look(package, "changed" if _is_other(package, record) else "there")
        elif newer is None:
            yield _Look(package, "gone")
        else:
            yield _Look(package, None, f"{newer.url.rpartition('/')[0]}/{quote(package.file)}")


async def _settle(look: _Look) -> tuple[PinnedPackage, _State]:
    """Return whether a package is there, for which its server may have to be asked."""
    if look.state is not None:
        return look.package, look.state
    try:
        headers = await asyncio.to_thread(read_head, look.address, _HEAD_SECONDS)
    except (OSError, HTTPException, ValueError):
        return look.package, "unknown"
    if headers is None:
        return look.package, "gone"
    size = headers["Content-Length"] or ""
    is_other = look.package.size > 0 and size.isdigit() and int(size) != look.package.size
    return look.package, "changed" if is_other else "there"


def _is_other(package: PinnedPackage, record: RepoDataRecord) -> bool:
    """Tell whether a hash that both have differs; the stronger one counts."""
    if package.sha256 and record.sha256:
        return record.sha256.hex() != package.sha256
    return bool(package.md5 and record.md5) and (record.md5 or b"").hex() != package.md5


def _once(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    return tuple({each.channel: each for each in problems}.values())
