"""Whether the service stays quick for others: `/health` while builds run and a page waits on a slow Hub."""

from __future__ import annotations

import threading
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import replace

import httpx
import psutil

from benchmarks.figures import Figure, percentile, spread
from benchmarks.stack import Stack, running

ASKED = 200


def measure() -> Iterator[Figure]:
    """Measure the 95th percentile idle and under load; the difference is what others feel."""
    with running() as stack:
        stack.wait_until_whole(stack.submit("first"))
        idle = _ask(stack)
        stop = threading.Event()
        load = [threading.Thread(target=job, args=(stack, stop)) for job in (_build_always, _wait_for_the_hub)]
        with _stopped_hub(stack):
            for thread in load:
                thread.start()
            busy = _ask(stack)
            stop.set()
        for thread in load:
            thread.join()
    added = 1000 * (percentile(busy, 0.95) - percentile(idle, 0.95))
    yield Figure(
        what="95th percentile of /health under load, above idle",
        value=max(added, 0.0),
        goal=50,
        unit="ms",
        reference=f"idle {spread([1000 * value for value in idle], 'ms')},"
        f" busy {spread([1000 * value for value in busy], 'ms')}",
    )


@contextmanager
def _stopped_hub(stack: Stack) -> Generator[None]:
    """Have the Hub answer nothing for a while, as one that is overloaded."""
    hub = psutil.Process(stack.hub.pid)
    hub.suspend()
    try:
        yield
    finally:
        hub.resume()


def _ask(stack: Stack) -> list[float]:
    seconds: list[float] = []
    with httpx.Client(trust_env=False, timeout=30) as client:
        for _ in range(ASKED):
            started = time.perf_counter()
            client.get(f"{stack.hub.direct_url}health").raise_for_status()
            seconds.append(time.perf_counter() - started)
            time.sleep(0.03)
    return seconds


def _build_always(stack: Stack, stop: threading.Event) -> None:
    """Keep builds running; the Hub's answer about this user is known, so they need none of it."""
    headers = {"Authorization": stack.user.headers["Authorization"]}
    with httpx.Client(base_url=stack.hub.direct_url, headers=headers, trust_env=False, timeout=60) as client:
        direct = replace(stack, user=client)
        number = 0
        while not stop.is_set():
            number += 1
            direct.wait_until_whole(direct.submit(f"load{number}"))


def _wait_for_the_hub(stack: Stack, stop: threading.Event) -> None:
    """Ask for pages as somebody of whom only the Hub knows."""
    with httpx.Client(trust_env=False, timeout=60) as client:
        number = 0
        while not stop.is_set():
            number += 1
            client.get(stack.hub.direct_url, headers={"Authorization": f"token unknown-{number}"})
