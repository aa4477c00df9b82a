"""What `conda-store run` adds: to a command in an activated prefix, and to a bare install of forty packages.

Both sides are whole processes. What a start takes is told by the processor, whatever else the machine does. Of an exact
build that is cached nothing is asked; the first run has the packages in its cache, as a machine has after its first few
environments, and takes the lock from a service that answers at once.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from benchmarks.figures import Figure, in_turn, median, processor_seconds, spread
from benchmarks.kernel_start import ELSEWHERE, URL, make_local
from conda_store_hub.client.envcache import EnvironmentCache
from conda_store_hub.client.knownbuilds import KnownBuild, KnownBuilds
from conda_store_hub.core.protocol import ArtifactType
from conda_store_hub.demo.channel import DEFAULT_REQUIREMENTS, serve_channel
from tests.support.builder import Workshop
from tests.support.channel import sample_channel_dir
from tests.support.service_twin import TOKEN, ServiceTwin, make_build, make_environment, run_twin

ADDED = 0.15  # seconds
SILENCE = 0.55  # seconds: half of one, and what threads take to change
RATIO = 1.5
ROUNDS, INSTALLS = 15, 5
_MAIN = "from conda_store_hub.client.cli import main; main()"
_BARE = """
import asyncio, os, sys
from pathlib import Path
from rattler import PackageCache, PackageCacheLayer, install
from conda_store_hub.core.engine import make_record
from conda_store_hub.core.lockfiles import parse_lock
lock, prefix, packages = map(Path, sys.argv[1:])
records = [make_record(each) for each in parse_lock(lock.read_text()).list_packages("linux-64")]
cache = PackageCache.from_layers([PackageCacheLayer(packages)])
asyncio.run(install(records, prefix, package_cache=cache, show_progress=False, execute_link_scripts=False))
os._exit(0)  # the engine may fail on its way out
"""


def take(command: list[str], variables: Mapping[str, str]) -> float:
    """Return how long a process takes."""
    began = time.perf_counter()
    subprocess.run(command, env=variables, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - began


def measure_second(scratch: Path) -> Iterator[Figure]:
    """Run a command in a cached build, and directly in its activated prefix; with scripts of packages, and without."""
    cache, place = make_local(scratch)
    prefix = place.prefix
    variables = {**os.environ, "CONDA_STORE_URL": URL, "CONDA_STORE_CACHE": str(cache.root)}
    activated = {
        **os.environ,
        "PATH": f"{prefix}/bin:{os.environ['PATH']}",
        "CONDA_PREFIX": str(prefix),
        "CONDA_DEFAULT_ENV": "alice/ml",
    }
    command = ["python", "-c", "0"]
    yield _measure_added("of a cached build", command, variables, [f"{prefix}/bin/python", *command[1:]], activated)
    script = prefix / "etc" / "conda" / "activate.d" / "tool.sh"
    script.parent.mkdir(parents=True)
    script.write_text('export TOOL_HOME="$CONDA_PREFIX/tool"\n')
    sourced = ["bash", "--norc", "-c", f'. "{script}"; exec python -c 0']
    yield _measure_added("of one that is activated by scripts", command, variables, sourced, activated)


def _measure_added(
    what: str, command: list[str], variables: Mapping[str, str], direct: list[str], activated: Mapping[str, str]
) -> Figure:
    ours = [sys.executable, "-c", _MAIN, "run", "alice/ml:1", "--", *command]
    by_run, directly = in_turn(
        ROUNDS, lambda: processor_seconds(ours, variables), lambda: processor_seconds(direct, activated)
    )
    return Figure(
        what=f"added by the second run {what}, of a processor",
        value=median(by_run) - median(directly),
        goal=ADDED,
        unit="s",
        reference=f"run {spread(by_run)}, directly {spread(directly)}",
    )


def measure_silence(scratch: Path) -> Figure:
    """Run in what is active in an environment, with a service that says so at once, and with one that says nothing."""
    with run_twin() as twin, socket.create_server(("127.0.0.1", 0)) as silent:
        silent_url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        cache = make_local(scratch / "a", twin.url)[0]
        make_local(scratch / "b", silent_url)
        offer(twin, b"", 1, prefix=ELSEWHERE)
        known = KnownBuild(namespace="alice", environment="ml", build_id=1, prefix=ELSEWHERE, etag='"1"')
        variables = {**os.environ, "CONDA_STORE_TOKEN": TOKEN}
        answered = variables | {"CONDA_STORE_URL": twin.url, "CONDA_STORE_CACHE": str(cache.root)}
        other = EnvironmentCache(scratch / "b" / "cache")
        KnownBuilds(other, silent_url).keep(known)
        alone = variables | {"CONDA_STORE_URL": silent_url, "CONDA_STORE_CACHE": str(other.root)}
        command = [sys.executable, "-c", _MAIN, "run", "alice/ml", "--", "python", "-c", "0"]
        quick, late = in_turn(ROUNDS, lambda: take(command, answered), lambda: take(command, alone))
    return Figure(
        what="lost to a service that says nothing, by a run without a number",
        value=min(late) - min(quick),  # what a busy machine adds comes by chance
        goal=SILENCE,
        unit="s",
        reference=f"silent {spread(late)}, answered {spread(quick)}",
    )


def make_lock(scratch: Path, url: str) -> Path:
    """Return the lock of a build of all forty packages of the sample channel."""
    outcome = Workshop(scratch / "w", [url]).build(*DEFAULT_REQUIREMENTS, artifacts=(ArtifactType.LOCKFILE,))
    return Path(outcome.artifacts[ArtifactType.LOCKFILE].path or "")


def offer(twin: ServiceTwin, lock: bytes, build_id: int, prefix: str = "") -> None:
    """Have the service tell of a build."""
    build = make_build(build_id, prefix=prefix or f"/nowhere/b/{build_id:022}")
    with twin.changing() as state:
        state.builds[build_id] = build
        state.environments = [make_environment("ml") | {"current_build_id": build_id, "current_build": build}]
        state.artifacts = {"lockfile": lock}


def measure_first(scratch: Path) -> Figure:
    """Make a build of forty packages by a first run, and install them with nothing around it."""
    with serve_channel(sample_channel_dir()) as url, run_twin() as twin:
        lock = make_lock(scratch, url)
        root = scratch / "cache"
        variables = {
            **os.environ,
            "CONDA_STORE_URL": twin.url,
            "CONDA_STORE_TOKEN": TOKEN,
            "CONDA_STORE_CACHE": str(root),
        }
        numbers = iter(range(1, 100))

        def run_first() -> float:
            number = next(numbers)
            offer(twin, lock.read_bytes(), number)
            return take([sys.executable, "-c", _MAIN, "run", f"alice/ml:{number}", "--", "true"], variables)

        def install_bare() -> float:
            prefix = scratch / f"bare{next(numbers)}"
            return take([sys.executable, "-c", _BARE, str(lock), str(prefix), str(root / "pkgs")], os.environ)

        run_first()  # fills the cache of packages
        first, bare = in_turn(INSTALLS, run_first, install_bare)
    return Figure(
        what="the first run of 40 packages with a warm cache",
        value=median(first),
        goal=RATIO * median(bare),
        unit="s",
        reference=f"first run {spread(first)}, bare install {spread(bare)}",
    )


def measure() -> Iterator[Figure]:
    """Measure the second run, the one without an answer, and the first."""
    with tempfile.TemporaryDirectory() as folder:
        yield from measure_second(Path(folder))
    with tempfile.TemporaryDirectory() as folder:
        yield measure_silence(Path(folder))
    with tempfile.TemporaryDirectory() as folder:
        yield measure_first(Path(folder))
