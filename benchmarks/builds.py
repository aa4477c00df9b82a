"""From POST to usable, and to all artifacts, beside the bare engine; and the first import in what was built."""

from __future__ import annotations

import itertools
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.figures import Figure, in_turn, median, spread
from benchmarks.stack import Stack, bare, running

RUNS = 5
COLD_RUNS = 3
IMPORT_RUNS = 21  # of half a second each: five are mostly noise
_names = (f"env{number}" for number in itertools.count())


def measure() -> Iterator[Figure]:
    """Measure the build figures."""
    with running() as stack:
        stack.wait_until_whole(stack.submit(next(_names)))  # fills the caches
        resident = stack.service.memory_info().rss / (1 << 20)
        yield Figure(what="idle after a login and a build, resident", value=resident, goal=150, unit="MB")
        yield from _warm(stack)
        yield from _first_import(stack)
        yield from _cold(stack)


def _warm(stack: Stack) -> Iterator[Figure]:
    cache = stack.scratch / "bare"
    bare(stack.channel, cache, _fresh(stack))
    whole: list[float] = []

    def ours() -> float:
        build_id, seconds = _post_to_usable(stack, fresh=True)
        whole.append(seconds + stack.wait_until_whole(build_id))
        return seconds

    def again() -> float:
        build_id, seconds = _post_to_usable(stack)
        stack.wait_until_whole(build_id)
        return seconds

    def engine() -> float:
        return bare(stack.channel, cache, _fresh(stack))

    def pack() -> float:
        return _conda_pack(stack)

    usable, reused, reference, packed = in_turn(RUNS, ours, again, engine, pack)
    goal = 1.5 * median(reference) + 0.5
    yield Figure(
        what="POST to usable, warm",
        value=median(usable),
        goal=goal,
        unit="s",
        reference=f"ours {spread(usable)}, bare engine {spread(reference)}",
    )
    yield Figure(
        what="POST to usable, with the lock of an identical build",
        value=median(reused),
        goal=0.8,
        unit="s",
        reference=f"ours {spread(reused)}, bare engine {spread(reference)}",
    )
    yield Figure(
        what="POST to all artifacts, warm",
        value=median(whole),
        goal=1.2 * median(packed) + goal,
        unit="s",
        reference=f"ours {spread(whole)}, threaded conda-pack {spread(packed)}",
    )


def _cold(stack: Stack) -> Iterator[Figure]:
    def ours() -> float:
        stack.forget_packages()
        build_id, seconds = _post_to_usable(stack)
        stack.wait_until_whole(build_id)
        return seconds

    def engine() -> float:
        cache, prefix = stack.scratch / "cold", _fresh(stack)
        shutil.rmtree(cache, ignore_errors=True)
        seconds = bare(stack.channel, cache, prefix)
        started = time.perf_counter()
        python = [str(prefix / "bin" / "python"), "-I", "-m", "compileall", "-q", "-j2", str(prefix / "lib")]
        subprocess.run(python, check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return seconds + time.perf_counter() - started

    usable, reference = in_turn(COLD_RUNS, ours, engine)
    yield Figure(
        what="POST to usable, cold",
        value=median(usable),
        goal=1.5 * median(reference) + 0.5,
        unit="s",
        reference=f"ours {spread(usable)}, bare engine and compileall -j2 {spread(reference)}",
    )


def _first_import(stack: Stack) -> Iterator[Figure]:
    """Measure the first start in a prefix whose user can write no bytecode into it."""
    build_id = stack.submit(next(_names))
    stack.wait_until_whole(build_id)
    python = Path(str(stack.build(build_id)["prefix"])) / "bin" / "python"
    copy = _fresh(stack)
    bare(stack.channel, stack.scratch / "bare", copy)
    _import(copy / "bin" / "python")  # writes its bytecode
    first, later = in_turn(IMPORT_RUNS, lambda: _import(python), lambda: _import(copy / "bin" / "python"))
    yield Figure(
        what="first import pandas, ipykernel",
        value=median(first),
        goal=1.1 * median(later),
        unit="s",
        reference=f"ours {spread(first)}, a prefix with its own bytecode {spread(later)}",
    )


def _import(python: Path) -> float:
    started = time.perf_counter()
    subprocess.run([str(python), "-I", "-c", "import pandas, ipykernel"], check=True)
    return time.perf_counter() - started


def _post_to_usable(stack: Stack, *, fresh: bool = False) -> tuple[int, float]:
    """Return the build, and the seconds until the link on disk shows its prefix."""
    name = next(_names)
    link = stack.data.link("alice", name)
    started = time.perf_counter()
    build_id = stack.submit(name, fresh=fresh)
    while not link.is_symlink():
        if time.perf_counter() - started > 120:
            raise RuntimeError(f"build {build_id}: {stack.build(build_id)['status_info']}")
        time.sleep(0.002)
    return build_id, time.perf_counter() - started


def _conda_pack(stack: Stack) -> float:
    """Pack the newest prefix as a user would, with all threads."""
    prefix = max(stack.data.prefixes.iterdir(), key=lambda path: path.stat().st_mtime)
    target = stack.scratch / "packed.tar.gz"
    script = (
        f"import conda_pack; conda_pack.pack(prefix={str(prefix)!r}, output={str(target)!r}, n_threads=-1, force=True)"
    )
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", script], check=True)
    return time.perf_counter() - started


def _fresh(stack: Stack) -> Path:
    prefix = stack.scratch / "p"
    shutil.rmtree(prefix, ignore_errors=True)
    return prefix
