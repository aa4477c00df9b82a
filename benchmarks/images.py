"""Images: the first one beside compressing its files once, a sibling's, and what twenty siblings take on disk."""

from __future__ import annotations

import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.figures import Figure, in_turn, median, spread
from benchmarks.stack import SPECS
from conda_store_hub.core.oci import Layer, Manifest
from conda_store_hub.core.protocol import ArtifactType, BlobEvent, BuildRequest, ImageRequest
from conda_store_hub.demo.channel import index, make_package, serve_channel
from tests.support.builder import Workshop, run_builder
from tests.support.channel import sample_channel_dir

RUNS = 3
SIBLINGS = 20
_OWN = 6  # packages that a sibling alone has, of some 46: 85 % and more are in other images too
_OWN_BYTES = 100_000
_COMPRESS = """
import sys, tarfile
from isal import igzip
with igzip.open(sys.argv[2], "wb", compresslevel=2) as out, tarfile.open(fileobj=out, mode="w|") as tar:
    tar.add(sys.argv[1], arcname="opt/conda")
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Made:
    """An image: how long it took, the layers that it has by their keys, and the bytes of its blobs by digest."""

    seconds: float
    layers: dict[str, Layer]
    sizes: dict[str, int]
    written: int


def measure() -> Iterator[Figure]:
    """Build an environment and its siblings once; then only images are made."""
    with tempfile.TemporaryDirectory(prefix="b") as scratch:
        own = _make_channel(Path(scratch) / "own")
        with serve_channel(sample_channel_dir()) as sample, serve_channel(own) as others:
            shop = Workshop(Path(scratch) / "data", [sample, others])
            first = _build(shop)
            siblings = [_build(shop, *(f"own-{number}-{part}" for part in range(_OWN))) for number in range(SIBLINGS)]
        yield _measure_first(first, Path(scratch))
        yield from _measure_siblings(first, siblings, Path(scratch))


def _make_channel(directory: Path) -> Path:
    source = random.Random(1)
    for number in range(SIBLINGS):
        for part in range(_OWN):
            files = {f"share/own-{number}-{part}": source.randbytes(_OWN_BYTES // 2).hex()}
            make_package(directory, f"own-{number}-{part}", "1.0", files=files)
    index(directory)
    return directory


def _build(shop: Workshop, *more: str) -> BuildRequest:
    request = shop.request(*SPECS, *more)
    outcome = run_builder(request)
    if not outcome.succeeded:
        raise SystemExit(outcome.log)
    return request


def _make(request: BuildRequest, work: Path, known: dict[str, Layer] | None = None) -> _Made:
    """Make an image, as a process from start to end."""
    asked = request.model_copy(
        update={
            "directories": request.directories.model_copy(update={"work": str(work)}),
            "prefix_ready": True,
            "artifacts": (ArtifactType.DOCKER_MANIFEST,),
            "image": ImageRequest(known=known or {}),
        }
    )
    started = time.perf_counter()
    outcome = run_builder(asked)
    seconds = time.perf_counter() - started
    made = outcome.artifacts[ArtifactType.DOCKER_MANIFEST]
    if made.error:
        raise SystemExit(outcome.log)
    blobs = [event for event in outcome.events if isinstance(event, BlobEvent)]
    manifest = Manifest.model_validate_json(Path(made.path).read_bytes())
    sizes = {each.digest: each.size for each in (manifest.config, *manifest.layers)}
    return _Made(
        seconds=seconds,
        layers={e.key: Layer(digest=e.digest, size=e.size, diff_id=e.diff_id) for e in blobs if e.key},
        sizes=sizes,
        written=sum(each.size for each in blobs if each.path),
    )


def _measure_first(request: BuildRequest, scratch: Path) -> Figure:
    count = iter(range(RUNS))

    def compress() -> float:
        started = time.perf_counter()
        command = [sys.executable, "-c", _COMPRESS, request.directories.prefix, str(scratch / "once.tar.gz")]
        subprocess.run(command, check=True)
        return time.perf_counter() - started

    ours, once = in_turn(RUNS, lambda: _make(request, scratch / f"first-{next(count)}").seconds, compress)
    return Figure(
        what="first image of an environment",
        value=median(ours),
        goal=1.5 * median(once),
        unit="s",
        reference=f"ours {spread(ours)}, its files compressed once {spread(once)}",
    )


def _measure_siblings(first: BuildRequest, siblings: list[BuildRequest], scratch: Path) -> Iterator[Figure]:
    made = [_make(first, scratch / "known")]
    known = dict(made[0].layers)
    for number, request in enumerate(siblings):
        made.append(_make(request, scratch / f"sibling-{number}", known))
        known |= made[-1].layers
    took, news = [each.seconds for each in made[1:]], [each.written / sum(each.sizes.values()) for each in made[1:]]
    yield Figure(what="image of a sibling", value=median(took), goal=2.0, unit="s", reference=spread(took))
    yield Figure(what="its new bytes", value=100 * median(news), goal=10.0, unit="%")
    stored = sum({digest: size for each in made for digest, size in each.sizes.items()}.values())
    unique = sum({layer.digest: layer.size for layer in known.values()}.values())
    yield Figure(
        what=f"disk for {len(made)} images",
        value=stored / 1e6,
        goal=1.3 * unique / 1e6,
        unit="MB",
        reference=f"each package once {unique / 1e6:.1f} MB",
    )
