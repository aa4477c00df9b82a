"""Whether channels changed: what their servers say of the indexes that the engine would read, as one digest."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import replace
from email.message import Message
from email.utils import parsedate_to_datetime
from http.client import HTTPException
from pathlib import Path

from rattler import Gateway, Subdir
from rattler.repo_data.gateway import SourceConfig

from conda_store_hub.builder.heads import read_head

_INDEXES = ("repodata_shards.msgpack.zst", "repodata.json.zst", "repodata.json")  # in the engine's order
_YOUNG = 2.0  # seconds; a file of that age could change once more without a change of its date
_MOST_AT_ONCE = 16


def read_channel_state(channels: Sequence[str], platform: str, *, patience: float) -> str | None:
    """Return a digest that changes when an index does; None if a server does not tell, or not in time."""
    addresses = [f"{channel.rstrip('/')}/{subdir}" for channel in channels for subdir in (platform, "noarch")]
    pool = ThreadPoolExecutor(min(len(addresses), _MOST_AT_ONCE) or 1)
    answers = [pool.submit(_describe_index, address, patience) for address in addresses]
    waiting = wait(answers, timeout=2 * patience).not_done
    # What still waits ends with the process.
    pool.shutdown(wait=False, cancel_futures=True)
    if waiting or not all(answer.result() for answer in answers):
        return None
    said = list(zip(addresses, (answer.result() for answer in answers), strict=True))
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()


def tells_bad_form(text: str) -> bool:
    """Tell whether the engine says of a newer form of an index that it fails: the oldest may be good."""
    return any(name in text for name in _INDEXES[:-1])


def take_oldest_form(config: SourceConfig) -> SourceConfig:
    """Return how channels are read from the form of an index that all of them have."""
    return replace(config, sharded_enabled=False, zstd_enabled=False, bz2_enabled=False)


class IndexCache:
    """Remembers the state in which indexes were read into the engine's cache, which may be older than the channels'.

    The engine asks again only when HTTP's rules say so: a file that had no change for ten days may be kept for one.
    """

    def __init__(self, folder: Path, channels: Sequence[str], platform: str) -> None:
        self._channels = channels
        self._platform = platform
        digest = hashlib.sha256(json.dumps([*channels, platform]).encode()).hexdigest()
        self._path = folder / "states" / digest[:32]

    def renew(self, gateway: Gateway, state: str | None) -> None:
        """Let the engine read the indexes anew, unless it read them in this state; packages' shards are kept."""
        if state is None or self._read() == state:
            return
        for channel in self._channels:
            gateway.clear_repodata_cache(channel, subdirs=[Subdir(self._platform), Subdir("noarch")], clear_disk=True)

    def remember(self, state: str | None) -> None:
        """Note that the cache is at least as new as this state."""
        if state is not None and self._read() != state:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._path.write_text(state)

    def _read(self) -> str:
        try:
            return self._path.read_text()
        except FileNotFoundError:
            return ""


def _describe_index(address: str, patience: float) -> str | None:
    """Return what tells one state of an index from another; `absent` where there is no index."""
    for name in _INDEXES:
        try:
            headers = read_head(f"{address}/{name}", patience)
            if headers is not None:
                validators = _find_validators(headers)
                return f"{name} {validators}" if validators else None
        except (OSError, HTTPException, ValueError, TypeError):
            return None
    return "absent"


def _find_validators(headers: Message) -> str | None:
    if tag := headers["ETag"]:
        return tag
    changed, size = headers["Last-Modified"], headers["Content-Length"]
    if not changed or not size or not headers["Date"]:
        return None
    age = parsedate_to_datetime(headers["Date"]) - parsedate_to_datetime(changed)
    return f"{changed} {size}" if age.total_seconds() > _YOUNG else None
