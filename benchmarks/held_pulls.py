"""Pulls of an image whose build takes longer than they are held, through the Hub's proxy; takes over five minutes."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx

from benchmarks.figures import Figure
from benchmarks.stack import Stack, running
from conda_store_hub.demo.channel import index, make_package
from conda_store_hub.web.registry.content import LONGEST_SECONDS

_NAME = "conda-store-dynamic/waits"
_PATIENCE = LONGEST_SECONDS + 60
_MOST_LATER = 5.0
"""Seconds that an answer may come after it was due."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Held:
    """An answer, and how long it took."""

    answer: httpx.Response
    seconds: float

    @property
    def fault(self) -> str:
        """What is not as clients need it; empty for nothing."""
        said = self.answer.text if self.answer.request.method == "GET" else self.answer.headers.get("Warning", "")
        if self.answer.status_code != HTTPStatus.TOO_MANY_REQUESTS:
            return f"status {self.answer.status_code} after {self.seconds:.1f} s: {said}"
        if self.seconds < LONGEST_SECONDS:
            return f"given up after {self.seconds:.1f} s"
        if not self.answer.headers.get("Retry-After", "").isdecimal():
            return "no Retry-After"
        if self.answer.request.method == "GET" and self.answer.json()["errors"][0]["code"] != "TOOMANYREQUESTS":
            return f"another code: {said}"
        return "" if "/build/1/" in said else f"the build's address is not in it: {said}"


class _Slow(SimpleHTTPRequestHandler):
    """Sends packages byte by byte until they may go, and all else as it is."""

    def __init__(self, *arguments: Any, directory: str, go: threading.Event) -> None:
        self._go = go
        super().__init__(*arguments, directory=directory)

    def copyfile(self, source: Any, outputfile: Any) -> None:
        """Send a file."""
        while self.path.endswith(".conda") and not self._go.wait(1):
            outputfile.write(source.read(1))
        shutil.copyfileobj(source, outputfile)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002, the name is the base class's
        """Say nothing."""


@contextmanager
def _serving_slowly(folder: Path, go: threading.Event) -> Generator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Slow, directory=str(folder), go=go))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        go.set()
        server.shutdown()
        server.server_close()
        thread.join()


def measure() -> Iterator[Figure]:
    """Have GET and HEAD wait for the whole time, and skopeo until it has the image; then the build goes on."""
    go = threading.Event()
    with tempfile.TemporaryDirectory(prefix="b") as scratch:
        folder = Path(scratch) / "channel"
        noise = "".join(map(chr, range(256))) * 64  # more bytes than are sent meanwhile
        make_package(folder, "waits", "1.0", files={f"share/{number}": f"{number}{noise}" for number in range(64)})
        index(folder)
        channel = _serving_slowly(folder, go)
        with running(channel, service={"registry": True}) as stack, ThreadPoolExecutor() as threads:
            held = [threads.submit(_pull, stack, method) for method in ("GET", "HEAD")]
            copied = threads.submit(_copy, stack, Path(scratch) / "layout")
            yield from _judge(held)
            go.set()
            yield Figure(what="exit status of skopeo, which asks again", value=copied.result(), goal=0.5, unit="")


def _judge(held: list[Future[_Held]]) -> Iterator[Figure]:
    for each in (future.result() for future in held):
        if each.fault:
            print(each.fault)
        method = each.answer.request.method
        yield Figure(what=f"faults in what {method} was answered", value=1.0 * bool(each.fault), goal=0.5, unit="")
        yield Figure(
            what=f"{method} is answered 429 after", value=each.seconds, goal=LONGEST_SECONDS + _MOST_LATER, unit="s"
        )


def _pull(stack: Stack, method: str) -> _Held:
    headers = {"Authorization": f"Bearer {stack.hub.make_token('alice')}"}
    started = time.monotonic()
    answer = httpx.request(
        method,
        f"http://{_find_host(stack)}/v2/{_NAME}/manifests/latest",
        headers=headers,
        timeout=_PATIENCE,
        trust_env=False,
    )
    return _Held(answer=answer, seconds=time.monotonic() - started)


def _copy(stack: Stack, layout: Path) -> int:
    """Pull with a client as people have it; return its exit status, which is 0 where it has the image."""
    source = f"docker://{_find_host(stack)}/{_NAME}:latest"
    login = f"--src-creds=x:{stack.hub.make_token('bob')}"
    command = ["skopeo", "copy", "--quiet", "--src-tls-verify=false", login, source, f"oci:{layout}:got"]
    done = subprocess.run(command, stdout=subprocess.DEVNULL, timeout=2 * _PATIENCE, check=False)
    return done.returncode


def _find_host(stack: Stack) -> str:
    return urlsplit(stack.hub.service_url).netloc
