"""A conda channel over HTTP on loopback, from a folder."""

from __future__ import annotations

import shutil
import socket
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from conda_store_hub.core.errors import ConfigurationError


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # the body follows the head at once, in a packet of its own

    def __init__(self, *arguments: Any, directory: Path) -> None:
        self._directory = directory  # the base class answers before it returns
        super().__init__(*arguments)

    def do_GET(self) -> None:
        """Send the file."""
        self._answer(with_body=True)

    def do_HEAD(self) -> None:
        """Send what would be said about the file."""
        self._answer(with_body=False)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002, the name is the base class's
        """Say nothing."""

    def _answer(self, *, with_body: bool) -> None:
        path = self._find_file()
        if path is None:
            self.send_error(HTTPStatus.NOT_FOUND)
            return
        with path.open("rb") as file:
            stat = path.stat()
            # A time of whole seconds would let a channel that was indexed twice in one second look unchanged.
            tag = f'"{stat.st_mtime_ns:x}-{stat.st_size:x}"'
            if self.headers.get("If-None-Match") == tag:
                self.send_response(HTTPStatus.NOT_MODIFIED)
                self.send_header("ETag", tag)
                self.end_headers()
                return
            self.send_response(HTTPStatus.OK)
            self.send_header("Content-Type", "application/octet-stream")
            self.send_header("Content-Length", str(stat.st_size))
            self.send_header("ETag", tag)
            self.end_headers()
            if with_body:
                shutil.copyfileobj(file, self.wfile, 1 << 20)

    def _find_file(self) -> Path | None:
        path = (self._directory / unquote(urlsplit(self.path).path).lstrip("/")).resolve()
        return path if path.is_relative_to(self._directory) and path.is_file() else None


class _Server(ThreadingHTTPServer):
    daemon_threads = False  # closing waits for them
    request_queue_size = 128

    def __init__(self, directory: Path, port: int) -> None:
        super().__init__(("127.0.0.1", port), partial(_Handler, directory=directory.resolve()))
        self._connections: set[socket.socket] = set()

    def process_request(self, request: Any, client_address: Any) -> None:
        """Remember the connection: its thread serves it until somebody closes it."""
        self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """Close the connection."""
        self._connections.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a client that went away."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)

    def close(self) -> None:
        """Stop, and end every connection: a client that keeps one must not be served any longer."""
        self.shutdown()
        for connection in list(self._connections):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self.server_close()


@contextmanager
def serve_channel(directory: Path, port: int = 0) -> Generator[str]:
    """Serve the folder on 127.0.0.1 while the block runs; its address, without a slash at the end, is the value.

    Port 0 takes a free one. Raises `ConfigurationError` for a port that is taken.
    """
    try:
        server = _Server(directory, port)
    except OSError as exc:
        raise ConfigurationError(f"Port {port} cannot be used: {exc.strerror}.") from exc
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), name="channel-server", daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.close()
        thread.join()
