"""A server behind a certificate that nobody knows."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tests.support.certificates import make_certificate

VERSION = b'{"status": "ok", "data": {"version": "0.1.0"}, "message": null}'


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(VERSION)))
        self.end_headers()
        self.wfile.write(VERSION)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class _Server(ThreadingHTTPServer):
    def handle_error(self, *_: object) -> None:
        """Say nothing: who does not trust it hangs up."""


@contextmanager
def serve_tls(folder: Path) -> Generator[tuple[str, Path]]:
    """Answer every request with a version; gives the address, and the file with the certificate."""
    files = make_certificate(folder, "127.0.0.1")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.certificate, files.key)
    server = _Server(("127.0.0.1", 0), _Handler)
    # A handshake in `accept` would hold the thread that others wait for.
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield f"https://127.0.0.1:{server.server_port}/csh/", files.certificate
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
