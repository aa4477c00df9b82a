"""What 500 user servers cost while they wait for kernels, and how soon a kernel is in a running server's picker."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

from benchmarks.figures import Figure, in_turn, median, spread
from benchmarks.stack import Stack, running
from conda_store_hub.demo.kernels import UserServer

WAITING = 500
SECONDS = 10.0
RUNS = 3
_MEGABYTE = 1 << 20


def measure() -> Iterator[Figure]:
    """Measure the waiting first, then the picker."""
    with running() as stack:
        stack.wait_until_whole(stack.submit("first", ("python=3.11", "ipykernel")))
        yield from asyncio.run(_wait_together(stack))
        yield _picker(stack)


async def _wait_together(stack: Stack) -> list[Figure]:
    etag = stack.user.get("api/v1/kernels/").json()["data"]["etag"]
    service = stack.service
    idle = await _cpu_share(stack)
    before = service.memory_info().rss
    waiting = [await _ask(stack, etag) for _ in range(WAITING)]
    await asyncio.sleep(6)  # they are being answered to first, which is not waiting
    busy = await _cpu_share(stack)
    grown = (service.memory_info().rss - before) / _MEGABYTE
    for _, writer in waiting:
        writer.close()
    return [
        Figure(what=f"{WAITING} servers waiting, memory", value=grown, goal=60, unit="MB"),
        Figure(
            what=f"{WAITING} servers waiting, processor",
            value=max(busy - idle, 0.0),
            goal=1.0,
            unit="% of a core above idle",
            reference=f"idle {idle:.2f} %, waiting {busy:.2f} %",
        ),
    ]


async def _cpu_share(stack: Stack) -> float:
    """Return the share of a core, in per cent, that the service takes over some seconds."""
    times = stack.service.cpu_times()
    await asyncio.sleep(SECONDS)
    later = stack.service.cpu_times()
    return 100 * (later.user + later.system - times.user - times.system) / SECONDS


async def _ask(stack: Stack, etag: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    address = urlsplit(stack.hub.direct_url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    token = stack.user.headers["Authorization"]
    request = f"GET {address.path}api/v1/kernels/?since={etag} HTTP/1.1\r\nHost: h\r\nAuthorization: {token}\r\n\r\n"
    writer.write(request.encode())
    await writer.drain()
    return reader, writer


def _picker(stack: Stack) -> Figure:
    stack.hub.start_server("alice")
    names = iter(f"picked{number}" for number in range(RUNS))
    with UserServer(stack.hub.user_url("alice"), stack.hub.make_token("alice")) as server:

        def usable_to_listed() -> float:
            name = next(names)
            stack.submit(name, ("python=3.11", "ipykernel"))
            link = stack.data.link("alice", name)
            while not link.is_symlink():
                time.sleep(0.002)
            started = time.perf_counter()
            while not any(name in kernel for kernel in server.list_kernels()):
                time.sleep(0.005)
            return time.perf_counter() - started

        def list_once() -> float:
            started = time.perf_counter()
            server.list_kernels()
            return time.perf_counter() - started

        listed, once = in_turn(RUNS, usable_to_listed, list_once)
    return Figure(
        what="usable to listed in a running server",
        value=median(listed),
        goal=2.0,
        unit="s",
        reference=f"ours {spread(listed)}, one request for the list {spread(once)}",
    )
