"""Build the lab extension, and scripts of pages, for the environment that runs this, unless they are built.

`node_modules` is kept in `.cache` by the digest of the lock file: it is 430 MB, and takes a minute or two to fetch.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import sources

from conda_store_hub.demo.node import Node, ensure_node

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "labextension"
BUILT = ROOT / "conda_store_hub" / "labextension"
CACHE = ROOT / ".cache"


def ensure_built() -> None:
    """Build if something has changed, and have the environment's JupyterLab find it."""
    if not sources.is_current():
        node = ensure_modules()
        shutil.rmtree(BUILT, ignore_errors=True)
        # What an earlier version compiled would be taken for a module that has become a folder.
        shutil.rmtree(SOURCE / "lib", ignore_errors=True)
        (SOURCE / "tsconfig.tsbuildinfo").unlink(missing_ok=True)
        _run([node.node, "node_modules/typescript/bin/tsc"], node)
        _run([Path(sys.prefix) / "bin" / "jupyter-builder", "build", "."], node)
        _run([node.node, "scripts/pages.mjs"], node)
        sources.note_built()
    _link(Path(sys.prefix) / "share" / "jupyter" / "labextensions" / "conda-store-hub")


def ensure_modules() -> Node:
    """Return a Node, with `labextension/node_modules` as the lock file says; what somebody installed there stays."""
    node = ensure_node(CACHE / "proxy")
    here = SOURCE / "node_modules"
    if here.is_dir() and not here.is_symlink():
        return node
    home = CACHE / f"labextension-{sources.digest_sources(sources.LOCK)[:16]}"
    if not home.is_dir():
        _install(node, home)
    here.unlink(missing_ok=True)
    here.symlink_to(os.path.relpath(home / "node_modules", SOURCE))
    return node


def _install(node: Node, home: Path) -> None:
    CACHE.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE, prefix=".labextension-") as staging:
        made = Path(staging) / "made"
        made.mkdir()
        for name in sources.LOCK:
            shutil.copy(SOURCE / name, made)
        sys.stderr.write("fetching what the lab extension is built with; this takes a minute or two\n")
        _run([Path(sys.prefix) / "bin" / "jlpm", "install", "--immutable"], node, cwd=made)
        if not home.is_dir():
            made.rename(home)


def _link(place: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    if place.is_symlink() and place.readlink() == BUILT:
        return
    if place.is_symlink():
        place.unlink()
    elif place.is_dir():  # a copy that an earlier install left
        shutil.rmtree(place)
    place.symlink_to(BUILT)


def _run(command: Sequence[str | Path], node: Node, *, cwd: Path = SOURCE) -> None:
    path = f"{node.node.parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    environment = os.environ | {"PATH": path, "YARN_ENABLE_TELEMETRY": "0"}
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(map(str, command))}:\n{done.stdout}{done.stderr}")


if __name__ == "__main__":
    ensure_built()
