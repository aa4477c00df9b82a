"""Bytecode of the sample channel's packages, compiled once for a checkout: it is most of a first build's work."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from functools import cache, partial
from hashlib import sha256
from pathlib import Path

from conda_store_hub.builder import bytecode, bytecode_worker, compiler
from conda_store_hub.core.names import DataDirectory
from conda_store_hub.demo.channel import DEFAULT_REQUIREMENTS, get_channel_key, serve_channel
from tests.support.builder import Workshop
from tests.support.channel import sample_channel_dir

_CACHE = Path(__file__).resolve().parents[2] / ".cache" / "bytecode"
_PACKAGES = ("python", "ipykernel", "numpy", "pandas", "flask", "pip")


def link_bytecode(data: DataDirectory) -> None:
    """Give a new data directory the bytecode that its first builds would compile."""
    if not data.bytecode.exists():
        data.packages.mkdir(parents=True, exist_ok=True)
        shutil.copytree(_compile(), data.bytecode, copy_function=partial(_link, {}))


def _link(told: dict[str, bool], source: str, target: str) -> None:
    """Link where that can be done; another file system has to have a copy."""
    if told.get("copies"):
        shutil.copy2(source, target)
        return
    try:
        os.link(source, target)
    except OSError:
        told["copies"] = True
        shutil.copy2(source, target)


@cache
def _compile() -> Path:
    """Compile it by a build, unless another run of this checkout did; whoever comes meanwhile waits."""
    folder = _CACHE / _key()
    _CACHE.mkdir(parents=True, exist_ok=True)
    with (_CACHE / ".lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            with tempfile.TemporaryDirectory() as place, serve_channel(sample_channel_dir()) as channel:
                workshop = Workshop(Path(place), [channel])
                outcome = workshop.build(*_PACKAGES, artifacts=())
                assert outcome.succeeded, outcome.log
                shutil.rmtree(_CACHE / "new", ignore_errors=True)
                without_locks = shutil.ignore_patterns(".lock")
                shutil.copytree(workshop.data.bytecode, _CACHE / "new", ignore=without_locks)
                (_CACHE / "new").rename(folder)
    return folder


def _key() -> str:
    """What it depends on: the packages, and how they are compiled."""
    sources = (Path(str(module.__file__)).read_bytes() for module in (bytecode, bytecode_worker, compiler))
    return sha256(b"".join((get_channel_key(DEFAULT_REQUIREMENTS, ()).encode(), *sources))).hexdigest()[:16]
