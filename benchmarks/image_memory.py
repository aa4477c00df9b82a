"""A layer of two gigabytes, made and then served: what memory the builder and the service take for it."""

from __future__ import annotations

import asyncio
import os
import tempfile
import threading
import urllib.request
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import psutil
from sqlalchemy.orm import Session

from benchmarks.figures import Figure
from benchmarks.served import HEADERS, Served, make_usable_build, serving
from conda_store_hub.core.names import DataDirectory
from conda_store_hub.core.protocol import ArtifactType, BlobEvent, BuildRequest
from conda_store_hub.demo.channel import index, make_package, serve_channel
from conda_store_hub.services import work
from conda_store_hub.storage.base import LocalArtifactStore, artifact_key
from tests.support import make
from tests.support.builder import Workshop, run_builder, start_builder

SIZE = 2_000_000_000
_RANDOM = 1_000_000_000  # of it; the rest is a hole
_GOAL = 64.0
_PIECE = 1 << 20
_LOOK_SECONDS = 0.01


def measure() -> Iterator[Figure]:
    """Make the layer, and then the archive of its image; serve it, and check it before that."""
    with tempfile.TemporaryDirectory(prefix="b") as scratch:
        request = _build(Path(scratch))
        idle = _measure_idle(request)
        image = _ask(request, ArtifactType.DOCKER_MANIFEST, Path(scratch) / "image")
        peak, blobs = _run(image)
        layer = max(blobs, key=lambda blob: blob.size)
        yield _tell("the builder, while it makes a layer of 2 GB", peak, idle)
        archive = _ask(request, ArtifactType.OCI_ARCHIVE, Path(scratch) / "archive")
        yield _tell("the builder, while it packs its image into a file", _run(archive)[0], idle)
        yield asyncio.run(_measure_service(Path(scratch) / "s", layer))


def _build(scratch: Path) -> BuildRequest:
    """Build an environment of one package, and let its file be a large one."""
    make_package(scratch / "channel", "large", "1.0", files={"share/large.bin": "small"})
    index(scratch / "channel")
    with serve_channel(scratch / "channel") as channel:
        request = Workshop(scratch / "data", [channel]).request("large")
        outcome = run_builder(request)
    if not outcome.succeeded:
        raise SystemExit(outcome.log)
    path = Path(request.directories.prefix) / "share" / "large.bin"
    path.parent.chmod(0o755)
    path.unlink()
    with path.open("wb") as file:
        for _ in range(_RANDOM // _PIECE):
            file.write(os.urandom(_PIECE))
        file.truncate(SIZE)
    return request


def _ask(request: BuildRequest, kind: ArtifactType, work: Path) -> BuildRequest:
    directories = request.directories.model_copy(update={"work": str(work)})
    image = request.image.model_copy(update={"name": "alice/ml:1"})
    update = {"directories": directories, "prefix_ready": True, "artifacts": (kind,), "image": image}
    return request.model_copy(update=update)


def _measure_idle(request: BuildRequest) -> int:
    """Return what a builder has at most that finds nothing to do."""
    return _run(request.model_copy(update={"prefix_ready": True, "artifacts": ()}))[0]


def _run(request: BuildRequest) -> tuple[int, list[BlobEvent]]:
    """Return the most memory that a builder had in its life, in bytes, and what it told of."""
    with start_builder(request) as builder, _watching(psutil.Process(builder.process.pid)) as seen:
        outcome = builder.wait()
    if not outcome.succeeded or any(made.error for made in outcome.artifacts.values()):
        raise SystemExit(outcome.log)
    return max(seen), [event for event in outcome.events if isinstance(event, BlobEvent)]


@contextmanager
def _watching(process: psutil.Process) -> Generator[list[int]]:
    """Look at a process's memory all the time."""
    seen, stop = [0], threading.Event()

    def look() -> None:
        while not stop.wait(_LOOK_SECONDS):
            try:
                seen.append(process.memory_info().rss)
            except psutil.NoSuchProcess:
                return

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield seen
    finally:
        stop.set()
        thread.join()


async def _measure_service(scratch: Path, layer: BlobEvent) -> Figure:
    async with serving(scratch, lambda session: _fill(session, layer)) as service:
        store = LocalArtifactStore(DataDirectory(scratch / "data").objects)
        store.adopt(Path(layer.path), artifact_key(layer.digest.removeprefix("sha256:")))
        return await asyncio.to_thread(_serve, service, layer)


def _fill(session: Session, layer: BlobEvent) -> None:
    """Put in a build whose image has that layer."""
    ticket = make_usable_build(session)
    work.record_blob(session, ticket, layer, artifact_key(layer.digest.removeprefix("sha256:")))
    work.record_artifact(session, ticket, make.artifact_event(ArtifactType.DOCKER_MANIFEST), "x")
    work.finish(session, ticket, None)


def _serve(service: Served, layer: BlobEvent) -> Figure:
    address = urlsplit(service.process.url)
    blob = f"{address.scheme}://{address.netloc}/v2/alice/ml/blobs/{layer.digest}"
    process = psutil.Process(service.process.process.pid)
    before = process.memory_info().rss
    with _watching(process) as seen, urllib.request.urlopen(urllib.request.Request(blob, headers=HEADERS)) as answer:
        size = sum(len(piece) for piece in iter(lambda: answer.read(_PIECE), b""))
    if size != layer.size:
        raise SystemExit(f"{size} bytes came of {layer.size}")
    return _tell("the service, while it checks and sends it", max(seen), before)


def _tell(who: str, peak: int, idle: int) -> Figure:
    return Figure(
        what=f"memory more than idle of {who}",
        value=max(0, peak - idle) / 1e6,
        goal=_GOAL,
        unit="MB",
        reference=f"{peak / 1e6:.0f} MB, idle {idle / 1e6:.0f} MB",
    )
