"""An archive of a gigabyte over loopback, beside Python's own file server, and what memory the service takes for it."""

from __future__ import annotations

import asyncio
import hashlib
import os
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
from sqlalchemy.orm import Session

from benchmarks.figures import Figure, in_turn, median, spread
from benchmarks.served import HEADERS, Served, make_usable_build, serving
from conda_store_hub.core.names import DataDirectory
from conda_store_hub.core.protocol import ArtifactEvent, ArtifactType
from conda_store_hub.services import work
from conda_store_hub.storage.base import LocalArtifactStore, artifact_key
from tests.support.ports import find_port
from tests.support.process import until

SIZE = 1_000_000_000
ROUNDS = 7
_PIECE = 1 << 20
_LOOK_SECONDS = 0.01


def measure() -> Iterator[Figure]:
    """Take both in turn, after the first download, which reads every byte to check it."""
    with tempfile.TemporaryDirectory(prefix="b") as scratch:
        yield from asyncio.run(_measure(Path(scratch)))


async def _measure(scratch: Path) -> list[Figure]:
    archive = scratch / "environment.tar.gz"
    digest = write_noise(archive, SIZE)
    async with serving(scratch, lambda session: _fill(session, digest)) as service:
        LocalArtifactStore(DataDirectory(scratch / "data").objects).adopt(copy_of(archive), artifact_key(digest))
        return await asyncio.to_thread(_compare, service, archive)


def write_noise(path: Path, size: int) -> str:
    """Write bytes that nothing can make smaller; their digest."""
    digest, left = hashlib.sha256(), size
    with path.open("wb") as file:
        while left:
            piece = os.urandom(min(_PIECE, left))
            digest.update(piece)
            file.write(piece)
            left -= len(piece)
    return digest.hexdigest()


def copy_of(path: Path) -> Path:
    """Return the same file under another name: both servers send one file from one cache of the system."""
    copy = path.with_suffix(".copy")
    copy.hardlink_to(path)
    return copy


def _fill(session: Session, digest: str) -> None:
    """Put in one build with an archive of these bytes."""
    ticket = make_usable_build(session)
    event = ArtifactEvent(artifact=ArtifactType.CONDA_PACK, path="x", sha256=digest, size=SIZE)
    work.record_artifact(session, ticket, event, artifact_key(digest))
    work.finish(session, ticket, None)


def _compare(service: Served, archive: Path) -> list[Figure]:
    ours = f"{service.process.url}api/v1/build/1/archive/"
    with _python_server(archive.parent) as theirs:
        first = download(ours)
        process = psutil.Process(service.process.process.pid)
        before = process.memory_info().rss
        with _watching(process) as most:
            mine, other = in_turn(ROUNDS, lambda: download(ours), lambda: download(f"{theirs}/{archive.name}"))
    return [
        Figure(
            what="seconds for an archive of 1 GB over loopback",
            value=median(mine) / median(other),
            goal=1 / 0.8,
            unit="times python -m http.server",
            reference=f"{spread(mine)}, {spread(other)}; the first took {first:.2f} s, with the check of all bytes",
        ),
        Figure(
            what="memory that the service takes on for it",
            value=max(0, max(most) - before) / 1e6,
            goal=30,
            unit="MB",
            reference=f"{before / 1e6:.0f} MB before",
        ),
    ]


@contextmanager
def _python_server(folder: Path) -> Generator[str]:
    port = find_port()
    command = [sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1", "--directory", str(folder)]
    address = f"http://127.0.0.1:{port}"
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            until(lambda: answers(address))
            yield address
        finally:
            server.kill()


def answers(address: str) -> bool:
    """Tell whether somebody listens there, whatever they say."""
    try:
        with urllib.request.urlopen(f"{address}/"):
            return True
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False


@contextmanager
def _watching(process: psutil.Process) -> Generator[list[int]]:
    """Look at a process's memory all the time."""
    seen, stop = [process.memory_info().rss], threading.Event()

    def look() -> None:
        while not stop.wait(_LOOK_SECONDS):
            seen.append(process.memory_info().rss)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield seen
    finally:
        stop.set()
        thread.join()


def download(address: str, expected: int = SIZE) -> float:
    """Read all of it, and keep nothing; seconds."""
    request = urllib.request.Request(address, headers=HEADERS)
    piece, size = bytearray(_PIECE), 0
    began = time.perf_counter()
    with urllib.request.urlopen(request) as answer:
        while got := answer.readinto(piece):
            size += got
    if size != expected:
        raise SystemExit(f"{size} bytes came of {address}")
    return time.perf_counter() - began
