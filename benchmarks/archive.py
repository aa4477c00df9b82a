"""The archive of an environment, beside what conda-pack makes of the same prefix with all its threads."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.figures import Figure, in_turn, median, spread
from benchmarks.stack import bare
from conda_store_hub.demo.channel import serve_channel
from tests.support.channel import sample_channel_dir

RUNS = 5
_OURS = """
import sys
from pathlib import Path
from conda_store_hub.builder.pack import write_archive
write_archive(Path(sys.argv[1]), Path(sys.argv[2]))
"""
_CONDA_PACK = """
import sys
import conda_pack
conda_pack.pack(prefix=sys.argv[1], output=sys.argv[2], n_threads=-1, force=True)
"""


def measure() -> Iterator[Figure]:
    """Pack one prefix in turn with both, each as a process from start to end."""
    with tempfile.TemporaryDirectory(prefix="b") as scratch:
        prefix, ours, theirs = (Path(scratch) / name for name in ("p", "ours.tar.gz", "theirs.tar.gz"))
        with serve_channel(sample_channel_dir()) as channel:
            bare(channel, Path(scratch) / "cache", prefix)
        ours_took, theirs_took = in_turn(
            RUNS, lambda: _pack(_OURS, prefix, ours), lambda: _pack(_CONDA_PACK, prefix, theirs)
        )
        yield Figure(
            what="archive of an environment",
            value=median(ours_took),
            goal=1.2 * median(theirs_took),
            unit="s",
            reference=f"ours {spread(ours_took)}, threaded conda-pack {spread(theirs_took)}",
        )
        sizes = [path.stat().st_size / 1e6 for path in (ours, theirs)]
        yield Figure(
            what="its size",
            value=sizes[0],
            goal=1.2 * sizes[1],
            unit="MB",
            reference=f"ours {sizes[0]:.1f} MB, conda-pack {sizes[1]:.1f} MB",
        )


def _pack(script: str, prefix: Path, target: Path) -> float:
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", script, str(prefix), str(target)], check=True)
    return time.perf_counter() - started
