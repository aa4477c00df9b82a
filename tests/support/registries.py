"""Debian's `docker-registry` on loopback, with and without logins, and servers that are none."""

from __future__ import annotations

import json
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.support.containers import run
from tests.support.ports import find_port
from tests.support.process import until

USER, PASSWORD = "alice", "secret"
_HTPASSWD = f"{USER}:$2b$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a\n"


@dataclass(frozen=True)
class Registry:
    """A running registry, and the folder where it keeps things."""

    host: str
    folder: Path

    def push(self, source: str, name: str, *options: str) -> str:
        """Push what skopeo finds at `source`; return the reference."""
        run("skopeo", "copy", "--quiet", "--dest-tls-verify=false", *options, source, f"docker://{self.host}/{name}")
        return f"{self.host}/{name}"

    def find_blob(self, digest: str) -> Path:
        """Return the file of a blob."""
        hexes = digest.removeprefix("sha256:")
        return self.folder / "docker" / "registry" / "v2" / "blobs" / "sha256" / hexes[:2] / hexes / "data"


@contextmanager
def run_registry(folder: Path, auth: dict[str, Any] | None = None, *, port: int = 0) -> Generator[Registry]:
    """Run one while the block runs."""
    if shutil.which("docker-registry") is None:
        pytest.skip("docker-registry is missing")
    folder.mkdir(exist_ok=True)
    host = f"127.0.0.1:{port or find_port()}"
    settings: dict[str, Any] = {
        "version": "0.1",
        "log": {"level": "error", "accesslog": {"disabled": True}},
        "storage": {"filesystem": {"rootdirectory": str(folder)}},
        "http": {"addr": host},
    }
    file = folder.with_suffix(".yml")
    file.write_text(json.dumps(settings | ({"auth": auth} if auth else {})))  # which is YAML too
    with folder.with_suffix(".log").open("wb") as log:
        process = subprocess.Popen(["docker-registry", "serve", str(file)], stdout=log, stderr=log)
    try:
        until(lambda: process.poll() is not None or _listens(host))
        assert process.poll() is None, folder.with_suffix(".log").read_text()
        yield Registry(host, folder)
    finally:
        process.kill()
        process.wait()


def with_password(folder: Path) -> dict[str, Any]:
    """Return what has a registry ask for user and password (Basic)."""
    file = folder / "htpasswd"
    file.write_text(_HTPASSWD)
    return {"htpasswd": {"realm": "tests", "path": str(file)}}


def with_tokens(realm: str) -> dict[str, Any]:
    """Return what has a registry name a token service; it takes any token."""
    return {"silly": {"realm": realm, "service": "tests"}}


def _listens(host: str) -> bool:
    name, _, port = host.partition(":")
    with socket.socket() as probe:
        return probe.connect_ex((name, int(port))) == 0


@contextmanager
def answer_with(body: bytes, *, status: int = 200) -> Generator[tuple[str, list[tuple[str, str]]]]:
    """Serve one answer to everything; give the address, and a list of what was asked: path and `Authorization`."""
    asked: list[tuple[str, str]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append((self.path, self.headers.get("Authorization", "")))
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def hang(first: bytes = b"") -> Generator[str]:
    """Take connections, say `first` and nothing more; give the host."""
    kept: list[socket.socket] = []
    server = socket.create_server(("127.0.0.1", 0))

    def take() -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            kept.append(connection)
            connection.sendall(first)

    thread = threading.Thread(target=take)
    thread.start()
    try:
        yield f"127.0.0.1:{server.getsockname()[1]}"
    finally:
        server.shutdown(socket.SHUT_RDWR)
        server.close()
        thread.join()
        for connection in kept:
            connection.close()


def answer(body: bytes, media_type: str = "application/octet-stream") -> bytes:
    """Return an answer after which the connection ends."""
    head = f"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: {media_type}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


@contextmanager
def drip(
    *answers: bytes, last: bytes, tls: ssl.SSLContext | None = None, is_own_proxy: bool = False
) -> Generator[str]:
    """Give each connection its answer, and those after them `last` and then byte after byte; give the host.

    `is_own_proxy`: it is reached through a proxy, which it is itself.
    """
    is_over = threading.Event()
    server = socket.create_server(("127.0.0.1", 0))

    def take() -> None:
        left = [*answers]
        while not is_over.is_set():
            with suppress(OSError):
                opened, _ = server.accept()
                if is_own_proxy:
                    opened.recv(1 << 16)
                    opened.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
                with opened if tls is None else tls.wrap_socket(opened, server_side=True) as connection:
                    connection.recv(1 << 16)  # unread, it would take what is sent along when the connection ends
                    connection.sendall(left[0] if left else last)
                    while not left and not is_over.wait(0.05):
                        connection.sendall(b"x")
                del left[:1]

    thread = threading.Thread(target=take)
    thread.start()
    try:
        yield f"127.0.0.1:{server.getsockname()[1]}"
    finally:
        is_over.set()
        server.shutdown(socket.SHUT_RDWR)
        server.close()
        thread.join()
