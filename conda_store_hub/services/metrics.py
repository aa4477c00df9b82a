"""What the service tells Prometheus of itself: numbers, and never the name of a person, a namespace, an environment."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Iterable
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.exposition import generate_latest

from conda_store_hub.core.errors import StorageError
from conda_store_hub.core.protocol import BuildStatus, Phase
from conda_store_hub.db import totals
from conda_store_hub.db.session import Database
from conda_store_hub.services.changes import find_ended

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
ADDED_UP_SECONDS = 300.0
_SHARE = 0.01  # of the time that adding up may take, where there is very much to add up
_ENDED = (BuildStatus.COMPLETED, BuildStatus.FAILED, BuildStatus.CANCELED)
_WAITED = (0.1, 0.5, 1, 5, 15, 60, 300, 900, 3600, 14400)
_TOOK = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 900, 3600)
_ANSWERED = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60)
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_PREFIX = "conda_store_hub"


class Metrics:
    """What happened since the service started, and what there is at the moment of a scrape. A registry of its own."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._add_up_at = 0.0
        self._adding = asyncio.Lock()
        ProcessCollector(registry=self._registry)
        self._make_metrics_of_builds()
        self._make_metrics_of_disks()
        self._requests = self._counter("http_requests", "Requests answered.", "route", "method", "status")
        self._answers = self._histogram(
            "http_request_duration_seconds",
            "How long answers took, with those that wait.",
            _ANSWERED,
            "route",
            "method",
        )

    def _make_metrics_of_builds(self) -> None:
        self._live = self._gauge("builds", "Builds that are queued, and that run.", "status")
        self._ended = self._counter("builds_ended", "Builds that ended, by how, queued ones too.", "status")
        self._waits = self._histogram("build_queue_seconds", "How long builds were queued before they ran.", _WAITED)
        self._phases = self._histogram("build_phase_seconds", "How long the phases of builds took.", _TOOK, "phase")
        for status in _ENDED:
            self._ended.labels(status.lower())
        for phase in Phase:
            self._phases.labels(phase)

    def _make_metrics_of_disks(self) -> None:
        self._disk = self._gauge("data_disk_size_bytes", "Size of the file system that holds the data directory.")
        self._free = self._gauge("data_disk_free_bytes", "What is free on it for the service.")
        self._prefixes = self._gauge("prefixes_bytes", "What prefixes take beside what they share with the cache.")
        self._artifacts = self._gauge("artifacts_bytes", "What the artifacts of builds take.")
        self._images = self._gauge("images_bytes", "What the layers of images take, each once.")

    def _counter(self, name: str, words: str, *labels: str) -> Counter:
        return Counter(f"{_PREFIX}_{name}", words, labels, registry=self._registry)

    def _gauge(self, name: str, words: str, *labels: str) -> Gauge:
        return Gauge(f"{_PREFIX}_{name}", words, labels, registry=self._registry)

    def _histogram(self, name: str, words: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
        return Histogram(f"{_PREFIX}_{name}", words, labels, registry=self._registry, buckets=buckets)

    # What happened

    def note_start(self, waited: float) -> None:
        """Count a build that begins to run after so many seconds."""
        self._waits.observe(waited)

    def note_phase(self, phase: Phase, seconds: float) -> None:
        """Count a phase of a build."""
        self._phases.labels(phase).observe(seconds)

    def note_end(self, status: BuildStatus) -> None:
        """Count a build that ended."""
        self._ended.labels(status.lower()).inc()

    def note_changes(self, topics: Iterable[str]) -> None:
        """Count the builds that ended while they were queued, of what was announced; from any thread."""
        for status in find_ended(topics):
            self.note_end(status)

    def note_request(self, route: str, method: str | None, status: int, seconds: float) -> None:
        """Count a request; `route` is a template and not the address."""
        method = method if method in _METHODS else "other"
        self._requests.labels(route, method, f"{status // 100}xx").inc()
        self._answers.labels(route, method).observe(seconds)

    # What there is

    async def render(self, db: Database, data: Path) -> bytes:
        """Return all of it in Prometheus' text format; what takes long to add up is as it was minutes ago."""
        for status, count in (await db.read(totals.count_live)).items():
            self._live.labels(status.lower()).set(count)
        await self._look_at_disk(data)
        async with self._adding:
            if time.monotonic() >= self._add_up_at:
                await self._add_up(db)
        return generate_latest(self._registry)

    async def _look_at_disk(self, data: Path) -> None:
        try:
            disk = await asyncio.to_thread(shutil.disk_usage, data)
        except OSError as exc:
            raise StorageError(f"The data directory cannot be looked at: {exc.strerror}.") from exc
        self._disk.set(disk.total)
        self._free.set(disk.free)

    async def _add_up(self, db: Database) -> None:
        began = time.monotonic()
        found = await db.read(totals.add_up)
        self._prefixes.set(found.prefixes)
        self._artifacts.set(found.artifacts)
        self._images.set(found.images)
        ended = time.monotonic()
        self._add_up_at = ended + max(ADDED_UP_SECONDS, (ended - began) / _SHARE)
