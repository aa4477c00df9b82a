"""What starting a kernel of an environment adds to starting ipykernel by hand in the same, activated prefix.

From a prefix that lies where the service has it, and from one that was made on this machine; until the process is
started, which is all that is ours, and to the first answer.
"""

from __future__ import annotations

import asyncio
import logging
import os
import subprocess
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from jupyter_client.asynchronous.client import AsyncKernelClient
from jupyter_client.connect import write_connection_file
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager

from benchmarks.figures import Figure, median, spread
from conda_store_hub.client.addresses import name_server
from conda_store_hub.client.atomic import replace_text
from conda_store_hub.client.cached import Made, Origin, Place
from conda_store_hub.client.envcache import EnvironmentCache
from conda_store_hub.core.schemas import KernelView
from conda_store_hub.lab.local import LocalBuilds
from conda_store_hub.lab.provisioner import CondaStoreHubProvisioner
from conda_store_hub.lab.specs import make_spec
from tests.support.channel import install, sample_channel_dir, solve

ROUNDS = 9
ADDED = 0.15  # seconds
ELSEWHERE = "/nowhere/b/abcdefghijklmnopqrstuv"
URL = "http://127.0.0.1:9/"  # nobody is asked
_QUIET: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
KERNEL_JSON = {
    "argv": ["python", "-m", "ipykernel_launcher", "-f", "{connection_file}"],
    "display_name": "Python 3 (ipykernel)",
    "language": "python",
}


class Taken(NamedTuple):
    """Seconds to a process, and to its first answer."""

    started: float
    answered: float


def make_local(scratch: Path, url: str = URL) -> tuple[EnvironmentCache, Place]:
    """Return a cache with one environment of a service in it, as it is once it was made."""
    cache = EnvironmentCache(scratch / "cache")
    place = cache.make_place(url, 1, ELSEWHERE)
    install(solve([sample_channel_dir().as_uri()], ["python", "ipykernel"], scratch), place.prefix, scratch)
    made = Made(server=name_server(url), build_id=1, namespace="alice", environment="ml", origin=Origin.LOCK, size=1)
    replace_text(place.record, made.dump())
    return cache, place


def spec_of(prefix: str) -> KernelSpec:
    """Return the kernel as the picker has it."""
    view = KernelView(
        name="csh.alice.ml.python3",
        namespace="alice",
        environment="ml",
        build_id=1,
        raw="python3",
        prefix=prefix,
        spec=KERNEL_JSON,
    )
    return make_spec(view, python_version="3.11")


async def first_answer(client: Any) -> None:
    """Wait until a kernel says what it is; the question waits for it from before it is there."""
    client.kernel_info()
    while (await client.get_shell_msg(timeout=60))["msg_type"] != "kernel_info_reply":
        pass


async def start_ours(spec: KernelSpec, scratch: Path) -> Taken:
    """Start a kernel as a server does whose activation of it is not known yet."""
    CondaStoreHubProvisioner._activations.clear()  # noqa: SLF001 as a server that was just started
    manager: Any = AsyncKernelManager(connection_file=str(scratch / f"{time.monotonic_ns()}.json"))
    manager._kernel_spec = spec  # noqa: SLF001 the manager would look it up by name
    began = time.perf_counter()
    await manager.start_kernel(**_QUIET)
    started = time.perf_counter() - began
    client = manager.client()
    client.start_channels()
    try:
        await first_answer(client)
        return Taken(started, time.perf_counter() - began)
    finally:
        client.stop_channels()
        await manager.shutdown_kernel(now=True)


async def start_by_hand(prefix: Path, scratch: Path) -> Taken:
    """Start a process as one would in an activated shell."""
    variables = {
        **os.environ,
        "PATH": f"{prefix}/bin:{os.environ['PATH']}",
        "CONDA_PREFIX": str(prefix),
        "CONDA_DEFAULT_ENV": "alice/ml",
    }
    began = time.perf_counter()
    file, _ = write_connection_file(str(scratch / f"{time.monotonic_ns()}.json"))
    command = [prefix / "bin" / "python", "-m", "ipykernel_launcher", "-f", file]
    process = subprocess.Popen(command, env=variables, **_QUIET)
    started = time.perf_counter() - began
    client: Any = AsyncKernelClient()
    client.load_connection_file(file)
    client.start_channels()
    try:
        await first_answer(client)
        return Taken(started, time.perf_counter() - began)
    finally:
        client.stop_channels()
        process.kill()
        process.wait()


async def measure_starts(scratch: Path, cache: EnvironmentCache, place: Place) -> list[list[Taken]]:
    """Return what each takes: shared prefix, made here, by hand. One a round, so that all meet the same load."""
    CondaStoreHubProvisioner.builds = LocalBuilds(url=URL, token=None, log=logging.getLogger("bench"), cache=cache)
    kinds: tuple[Callable[[], Awaitable[Taken]], ...] = (
        lambda: start_ours(spec_of(str(place.prefix)), scratch),
        lambda: start_ours(spec_of(ELSEWHERE), scratch),
        lambda: start_by_hand(place.prefix, scratch),
    )
    taken: list[list[Taken]] = [[] for _ in kinds]
    for number in range(ROUNDS + 1):
        # Each comes first, second and third: what one leaves running slows down the next.
        for place_in_turn in range(len(kinds)):
            kind = (number + place_in_turn) % len(kinds)
            taken[kind].append(await kinds[kind]())
    # The first round fills the disk cache, and writes bytecode.
    return [times[1:] for times in taken]


def measure() -> Iterator[Figure]:
    """Measure both starts."""
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        shared, local, by_hand = asyncio.run(measure_starts(scratch, *make_local(scratch)))
    for what, taken in (("of a prefix that is shared", shared), ("of a prefix that was made here", local)):
        for until, ours, hand in (
            ("to its process", [each.started for each in taken], [each.started for each in by_hand]),
            ("to the first answer", [each.answered for each in taken], [each.answered for each in by_hand]),
        ):
            yield Figure(
                what=f"kernel start {what}, {until}",
                value=median(ours),
                goal=median(hand) + ADDED,
                unit="s",
                reference=f"ours {spread(ours)}, by hand {spread(hand)}",
            )
