"""Images on demand through the Hub's proxy: many who pull a new one at once, one alone, and many once it is there."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import httpx

from benchmarks.figures import Figure
from benchmarks.stack import Stack, running
from conda_store_hub.core.oci import Manifest
from tests.support.hub import USERS

PULLS = 50
_NAMES = ("python.ge.3/click/{0}", "{0}/click/python.ge.3")
_LONGEST = 330.0


def measure() -> Iterator[Figure]:
    """Warm up with an image of other packages; then one pulls alone, and many at once another image."""
    with running(service={"registry": True}) as stack:
        clients = [_make_client(stack, user) for user in USERS]
        _pull(clients[0], "python.ge.3/click")
        alone, _ = _pull_all(clients, "jinja2", 1)
        together, failed = _pull_all(clients, "markupsafe", PULLS)
        again, _ = _pull_all(clients, "markupsafe", PULLS)
        built = _count_builds(stack) - 2
        for client in clients:
            client.close()
    yield Figure(what=f"builds and failed pulls of {PULLS} at once", value=built + failed, goal=1, unit="")
    yield Figure(
        what="all of them",
        value=together,
        goal=1.25 * (alone + again),
        unit="s",
        reference=f"one alone, another image, {alone:.2f} s; all of them once it is there {again:.2f} s",
    )


def _make_client(stack: Stack, user: str) -> httpx.Client:
    root = urlsplit(stack.hub.service_url)
    headers = {"Authorization": f"Bearer {stack.hub.make_token(user)}"}
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    where = f"{root.scheme}://{root.netloc}/v2/conda-store-dynamic/"
    return httpx.Client(base_url=where, headers=headers, timeout=_LONGEST, limits=limits, trust_env=False)


def _pull_all(clients: list[httpx.Client], package: str, count: int) -> tuple[float, int]:
    """Pull an image as often as that, at once and by both of its names; seconds, and how many have failed."""
    started = time.perf_counter()
    with ThreadPoolExecutor(count) as threads:
        jobs = [
            threads.submit(_pull, clients[number % len(clients)], _NAMES[number % 2].format(package))
            for number in range(count)
        ]
        failed = [job.exception() for job in jobs if job.exception() is not None]
    for error in failed[:3]:
        print(f"{type(error).__name__}: {error}")
    return time.perf_counter() - started, len(failed)


def _pull(client: httpx.Client, name: str) -> None:
    """Pull an image as a client does: its manifest, then each blob, held against its digest."""
    answer = client.get(f"{name}/manifests/latest")
    answer.raise_for_status()
    manifest = Manifest.model_validate_json(answer.content)
    for blob in (manifest.config, *manifest.layers):
        digest = hashlib.sha256()
        with client.stream("GET", f"{name}/blobs/{blob.digest}") as content:
            content.raise_for_status()
            for piece in content.iter_bytes():
                digest.update(piece)
        if f"sha256:{digest.hexdigest()}" != blob.digest:
            raise ValueError(f"{blob.digest} is not what was sent")


def _count_builds(stack: Stack) -> int:
    answer = stack.user.get("api/v1/build/", params={"namespace": "conda-store-dynamic"})
    answer.raise_for_status()
    return int(answer.json()["count"])
