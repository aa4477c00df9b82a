"""A layer of half a gigabyte over loopback: beside Debian's registry, each directly and each behind the Hub's proxy."""

from __future__ import annotations

import asyncio
import subprocess
import tempfile
import urllib.request
from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from sqlalchemy.orm import Session

from benchmarks.downloads import answers, copy_of, download, write_noise
from benchmarks.figures import Figure, in_turn, median, spread
from benchmarks.served import make_usable_build, serving
from conda_store_hub.core.names import DataDirectory
from conda_store_hub.core.oci import LAYER_TYPE, Descriptor, Manifest
from conda_store_hub.core.protocol import ArtifactEvent, ArtifactType, BlobEvent
from conda_store_hub.services import work
from conda_store_hub.storage.base import LocalArtifactStore, artifact_key
from tests.support.hub import require_proxy
from tests.support.ports import find_port
from tests.support.process import until

SIZE = 500_000_000
ROUNDS = 15
_DEBIANS = """\
version: 0.1
log: {{level: error, accesslog: {{disabled: true}}}}
storage: {{filesystem: {{rootdirectory: {folder}}}, cache: {{blobdescriptor: inmemory}}}}
http: {{addr: "127.0.0.1:{port}"}}
"""


def measure() -> Iterator[Figure]:
    """Take all in turn, after a first one of each, which reads every byte to check it."""
    with tempfile.TemporaryDirectory(prefix="b") as scratch:
        yield from asyncio.run(_measure(Path(scratch)))


async def _measure(scratch: Path) -> list[Figure]:
    layer, port = scratch / "layer", find_port()
    digest = write_noise(layer, SIZE)
    async with serving(scratch, lambda session: _fill(session, digest), f"c.Registry.port = {port}\n") as service:
        LocalArtifactStore(DataDirectory(scratch / "data").objects).adopt(copy_of(layer), artifact_key(digest))
        hubs = f"http://127.0.0.1:{urlsplit(service.process.url).port}"
        return await asyncio.to_thread(_compare, f"http://127.0.0.1:{port}", hubs, layer, digest)


def _fill(session: Session, digest: str) -> None:
    """Put in one build, whose image has one layer of these bytes."""
    ticket = make_usable_build(session)
    layer = Descriptor(media_type=LAYER_TYPE, digest=f"sha256:{digest}", size=SIZE)
    event = BlobEvent(path="x", digest=layer.digest, size=SIZE)
    work.record_blob(session, ticket, event, artifact_key(digest))
    manifest = Manifest(config=layer, layers=(layer,)).to_json()
    kind = ArtifactType.DOCKER_MANIFEST
    made = ArtifactEvent(artifact=kind, path="x", sha256="0" * 64, size=len(manifest))
    work.record_artifact(session, ticket, made, artifact_key("0" * 64))
    work.finish(session, ticket, None)


def _compare(own: str, hubs: str, layer: Path, digest: str) -> list[Figure]:
    blob = f"/v2/alice/ml/blobs/sha256:{digest}"
    with ExitStack() as stack:
        debians = stack.enter_context(_debian_registry(layer.parent / "debian"))
        _push(debians, layer, digest)
        behind = [stack.enter_context(_proxy_of(address)) for address in (hubs, debians)]
        addresses = [f"{address}{blob}" for address in (own, debians, *behind)]
        for address in addresses:
            download(address, SIZE)
        taken = in_turn(ROUNDS, *(lambda address=address: download(address, SIZE) for address in addresses))
    return [
        _figure("at the port of its own", *taken[:2]),
        _figure("through the Hub's proxy", *taken[2:]),
    ]


def _figure(where: str, ours: list[float], theirs: list[float]) -> Figure:
    return Figure(
        what=f"seconds for a layer of 0.5 GB {where}",
        value=median(ours) / median(theirs),
        goal=1.0,
        unit="times docker-registry there",
        reference=f"{spread(ours)}, {spread(theirs)}",
    )


@contextmanager
def _debian_registry(folder: Path) -> Generator[str]:
    port = find_port()
    folder.mkdir()
    settings = folder / "config.yml"
    settings.write_text(_DEBIANS.format(folder=folder, port=port))
    with _running(["docker-registry", "serve", str(settings)], f"http://127.0.0.1:{port}") as address:
        yield address


@contextmanager
def _proxy_of(target: str) -> Generator[str]:
    port = find_port()
    command = [*require_proxy(), "--ip", "127.0.0.1", "--port", str(port), "--api-port", str(find_port())]
    command += ["--default-target", target, "--log-level", "error"]
    with _running(command, f"http://127.0.0.1:{port}") as address:
        yield address


@contextmanager
def _running(command: list[str], address: str) -> Generator[str]:
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            until(lambda: answers(address))
            yield address
        finally:
            process.terminate()


def _push(registry: str, layer: Path, digest: str) -> None:
    """Give a layer to a registry, in one request (distribution specification, "Pushing a blob monolithically")."""
    begin = urllib.request.Request(f"{registry}/v2/alice/ml/blobs/uploads/", method="POST")
    with urllib.request.urlopen(begin) as begun:
        where = begun.headers["Location"]
    headers = {"Content-Length": str(SIZE), "Content-Type": "application/octet-stream"}
    with layer.open("rb") as file:
        put = urllib.request.Request(f"{where}&digest=sha256:{digest}", data=file, method="PUT", headers=headers)
        with urllib.request.urlopen(put):
            pass
