"""Packages of a lock file that somebody brought, as records that can be installed."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from rattler import Gateway, MatchSpec, RepoDataRecord, Subdir
from rattler.exceptions import GatewayError

from conda_store_hub.builder.events import say
from conda_store_hub.builder.words import count
from conda_store_hub.core.engine import make_record, name_file
from conda_store_hub.core.errors import InvalidRequestError, PackageCorruptError
from conda_store_hub.core.lockfiles import LockedPackage

_Index = dict[tuple[str, str], RepoDataRecord]


@dataclass(frozen=True, slots=True)
class LockedRecords:
    """Makes records of conda's packages of a lock: from their channel's index, or from what the lock tells."""

    gateway: Gateway
    platform: str

    async def find(self, packages: Sequence[LockedPackage]) -> list[RepoDataRecord]:
        """Return one record a package; raise PackageCorruptError when a channel has another file of that name."""
        conda = [each for each in packages if each.manager == "conda"]
        for each in conda:
            if each.subdir not in (self.platform, "noarch"):
                raise InvalidRequestError(f"{each.name} is a package for {each.subdir}, not for {self.platform}.")
        channels = sorted({each.channel for each in conda})
        indexes = await asyncio.gather(*(self._read_index(channel, conda) for channel in channels))
        known: _Index = {place: record for index in indexes for place, record in index.items()}
        unknown = sum((each.channel, name_file(each)) not in known for each in conda)
        if unknown:
            say(f"Not in the index of its channel: {count(unknown, 'package')}, installed as the lock file says")
        return [_make_record(each, known.get((each.channel, name_file(each)))) for each in conda]

    async def _read_index(self, channel: str, packages: Sequence[LockedPackage]) -> _Index:
        """Return the channel's records by channel and place; none when it cannot be read."""
        names = sorted({each.name for each in packages if each.channel == channel})
        try:
            found = await self.gateway.query(
                [channel],
                [Subdir(self.platform), Subdir("noarch")],
                [MatchSpec(name) for name in names],
                recursive=False,
                channel_relations="disabled",
            )
        except GatewayError:
            say(f"Warning: the index of {channel} could not be read; its packages are taken as the lock file says")
            return {}
        records = (record for source in found.repodata for record in source)
        return {(channel, f"{record.subdir}/{record.file_name}"): record for record in records}


def _make_record(package: LockedPackage, known: RepoDataRecord | None) -> RepoDataRecord:
    record = known or make_record(package)
    for kind in ("sha256", "md5"):
        wanted, there = getattr(package, kind), getattr(record, kind)
        if wanted and there is not None and there.hex() != wanted:
            raise PackageCorruptError(
                f"{package.name} is not what the lock file says: its channel has {kind} {there.hex()}, not {wanted}."
            )
        if wanted and there is None:
            setattr(record, kind, bytes.fromhex(wanted))
    return record
