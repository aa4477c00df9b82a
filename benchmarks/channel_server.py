"""A channel on loopback, served by a process of its own that takes as little time for a file as can be.

A page of a search fetches a hundred small files at once: a server that took its time would be what is measured.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote

_BACKLOG = 256


class _Files(asyncio.Protocol):
    """Answers GET and HEAD below the folder, one after the other; no more than the engine needs."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._waiting = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._waiting += data
        while b"\r\n\r\n" in self._waiting:
            head, _, self._waiting = self._waiting.partition(b"\r\n\r\n")
            self._answer(*head.decode().splitlines())

    def _answer(self, request: str, *headers: str) -> None:
        method, path, _ = request.split()
        file = self._folder / unquote(path).lstrip("/")
        if not file.is_file():
            self._transport.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
            return
        content = file.read_bytes()
        tag = f'"{file.stat().st_mtime_ns:x}-{len(content):x}"'
        if any(line.lower().startswith("if-none-match:") and tag in line for line in headers):
            self._transport.write(f"HTTP/1.1 304 Not Modified\r\nETag: {tag}\r\n\r\n".encode())
            return
        head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(content)}\r\nETag: {tag}\r\n\r\n".encode()
        self._transport.write(head if method == "HEAD" else head + content)


async def _serve(folder: Path) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Files(folder), "127.0.0.1", 0, backlog=_BACKLOG)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


@contextmanager
def serving_files(folder: Path) -> Generator[str]:
    """Serve a folder while the block runs; its address is the value."""
    command = [sys.executable, "-m", "benchmarks.channel_server", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            yield f"http://127.0.0.1:{server.stdout.readline().strip()}"
        finally:
            server.terminate()


if __name__ == "__main__":
    asyncio.run(_serve(Path(sys.argv[1])))
