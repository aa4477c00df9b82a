"""What the engine tells while it installs: progress for the runner, lines for the log, and whether anything comes."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Sequence

from rattler import InstallerReporter, RepoDataRecord

from conda_store_hub.builder.events import EventWriter, ProgressMeter, say
from conda_store_hub.builder.words import format_size
from conda_store_hub.core.errors import InstallError
from conda_store_hub.core.protocol import Download, Phase

_LOOK_INTERVAL = 5.0  # seconds
_MOST_DOWNLOADS = 4  # that are told of at a time


class Reporter(InstallerReporter):
    """Called by the engine from its own threads, several at once; what it raises there would be swallowed."""

    def __init__(self, events: EventWriter, records: Sequence[RepoDataRecord]) -> None:
        self._progress = ProgressMeter(events, Phase.INSTALL, unit="packages")
        self._sizes = {record.name.normalized: record.size or 0 for record in records}
        self._total = len(records)
        self._names: dict[int, str] = {}
        self._linked = itertools.count(1)
        self._done = 0
        self._coming: dict[int, Download] = {}
        # When something last came, by the number of the download.
        self._heard: dict[int, float] = {}

    async def watch(self, work: asyncio.Future[None], *, patience: float) -> None:
        """Wait for the install; raise InstallError when a download brought nothing for `patience` seconds.

        The engine's threads then go on until the process ends.
        """
        while not work.done():
            await asyncio.wait({work}, timeout=min(_LOOK_INTERVAL, patience / 4))
            silent = time.monotonic() - patience
            if stalled := [number for number, heard in self._heard.copy().items() if heard < silent]:
                names = ", ".join(self._names.get(number, "a package") for number in stalled)
                raise InstallError(f"The download of {names} stalled: nothing came for {patience:g} s.")
        await work

    def on_transaction_start(self, total_operations: int) -> None:
        """Learn how many packages there are to link."""
        self._total = total_operations

    def on_populate_cache_start(self, operation: int, package_name: str) -> int:
        """Remember the name; later calls carry only the number."""
        self._names[operation] = package_name
        return operation

    def on_download_start(self, cache_entry: int) -> int:
        """Begin to listen."""
        self._heard[cache_entry] = time.monotonic()
        return cache_entry

    def on_download_progress(self, download_idx: int, progress: int, total: int | None) -> None:
        """Note that something came, and tell how far it is."""
        self._heard[download_idx] = time.monotonic()
        name = self._names.get(download_idx, "")
        self._coming[download_idx] = Download(name=name, done=progress, total=total or self._sizes.get(name, 0))
        if self._progress.is_due():
            self._tell()

    def on_download_completed(self, download_idx: int) -> None:
        """Tell the log."""
        self._heard.pop(download_idx, None)
        self._coming.pop(download_idx, None)
        name = self._names.get(download_idx, "")
        say(f"  downloaded {name} ({format_size(self._sizes.get(name, 0))})")

    def on_link_complete(self, index: int) -> None:
        """Count."""
        self._done = next(self._linked)
        self._tell()

    def _tell(self) -> None:
        """Tell how many packages are linked, and which of the largest are on their way."""
        coming = sorted(self._coming.copy().values(), key=lambda item: (-item.total, item.name))
        self._progress.show(self._done, self._total, tuple(coming[:_MOST_DOWNLOADS]))
