"""What kernels of environments cost a user's server: listing 200 of them, and starting one.

The references are what the server would do otherwise: the stock manager over 200 kernel directories on local disk,
and the stock provisioner starting the same interpreter without activating anything.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
from jupyter_client.manager import AsyncKernelManager

from benchmarks.figures import Figure, in_turn, median, spread
from conda_store_hub.core.names import KernelName
from conda_store_hub.core.schemas import KernelView
from conda_store_hub.lab.kernels import KernelCatalog, compose_manager
from conda_store_hub.lab.provisioner import CondaStoreHubProvisioner
from conda_store_hub.lab.specs import EnvironmentKernelSpec, make_spec

ENVIRONMENTS = 200
ROUNDS = 50
STARTS = 5
KERNEL_JSON = {
    "argv": ["python", "-m", "ipykernel_launcher", "-f", "{connection_file}"],
    "display_name": "Python 3 (ipykernel)",
    "language": "python",
    "metadata": {"debugger": True},
}


class EmptyManager(KernelSpecManager):
    """A manager with nothing of its own, so that only what is laid over it is measured."""

    def find_kernel_specs(self) -> dict[str, str]:
        """Find none."""
        return {}


def make_environment_spec(name: str, prefix: str) -> EnvironmentKernelSpec:
    """Return the kernel spec of an environment, as the poller makes it."""
    kernel = str(KernelName(namespace="alice", environment=name, raw="python3"))
    view = KernelView(
        name=kernel, namespace="alice", environment=name, build_id=1, raw="python3", prefix=prefix, spec=KERNEL_JSON
    )
    return make_spec(view, python_version="3.11")


def measure_listing(folder: Path) -> list[list[float]]:
    """Return the milliseconds of our listings and of the stock manager's."""
    catalog = KernelCatalog()
    catalog.replace(make_environment_spec(f"e{number}", f"/nowhere/{number}") for number in range(ENVIRONMENTS))
    for number in range(ENVIRONMENTS):
        kernel = folder / f"e{number}"
        kernel.mkdir()
        (kernel / "kernel.json").write_text(json.dumps(KERNEL_JSON))
    ours = compose_manager(EmptyManager, catalog)()
    stock = KernelSpecManager(kernel_dirs=[str(folder)], ensure_native_kernel=False)
    return in_turn(ROUNDS, lambda: _list(ours), lambda: _list(stock))


def _list(manager: KernelSpecManager) -> float:
    began = time.perf_counter()
    listed = manager.get_all_specs()
    milliseconds = (time.perf_counter() - began) * 1000
    if len(listed) != ENVIRONMENTS:
        raise SystemExit(f"{type(manager).__name__} listed {len(listed)} kernels")
    return milliseconds


async def measure_starts(folder: Path) -> list[list[float]]:
    """Return the seconds to the first answer: activated anew, activation known, stock provisioner."""
    spec = make_environment_spec("ml", sys.prefix)
    stock = KernelSpec(argv=spec.argv, display_name="stock", language="python")

    async def cold() -> float:
        CondaStoreHubProvisioner._activations.clear()  # noqa: SLF001 as a server that was just started
        return await _start(spec, folder)

    kinds: tuple[Callable[[], Awaitable[float]], ...] = (
        cold,
        lambda: _start(spec, folder),
        lambda: _start(stock, folder),
    )
    # The first round fills the disk cache.
    rounds = [[await kind() for kind in kinds] for _ in range(STARTS + 1)][1:]
    return [list(column) for column in zip(*rounds, strict=True)]


async def _start(spec: KernelSpec, folder: Path) -> float:
    manager: Any = AsyncKernelManager(connection_file=str(folder / f"{time.monotonic_ns()}.json"))
    manager._kernel_spec = spec  # noqa: SLF001 the manager would look it up by name
    began = time.perf_counter()
    await manager.start_kernel()
    client = manager.client()
    client.start_channels()
    try:
        await client.wait_for_ready(timeout=60)
        return time.perf_counter() - began
    finally:
        client.stop_channels()
        await manager.shutdown_kernel(now=True)


def measure() -> Iterator[Figure]:
    """Measure listing and starting."""
    with tempfile.TemporaryDirectory() as scratch:
        listing = Path(scratch) / "kernels"
        listing.mkdir()
        ours, stock = measure_listing(listing)
        cold, warm, plain = asyncio.run(measure_starts(Path(scratch)))
    yield Figure(
        what=f"listing {ENVIRONMENTS} environments as kernels",
        value=median(ours),
        goal=5.0,
        unit="ms",
        reference=f"ours {spread(ours, 'ms')}, stock manager over as many directories {spread(stock, 'ms')}",
    )
    yield Figure(
        what="kernel start to first answer, environment activated anew",
        value=median(cold),
        goal=1.2 * median(plain) + 0.1,
        unit="s",
        reference=f"anew {spread(cold)}, activation known {spread(warm)}, stock provisioner {spread(plain)}",
    )
