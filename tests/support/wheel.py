"""The project as whoever installs it gets it: a wheel of what is in the repository, in an environment of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]
UV = [sys.executable, "-m", "uv"]


#: What is built of `labextension/`, with the note of what it was built of; no part of a clean clone.
BUILT = ("conda_store_hub/labextension", "conda_store_hub/web/static/built", ".cache/labextension-built")


def run(command: Sequence[str | Path], cwd: Path, **variables: str) -> str:
    """Run something without this environment's own variables; return what it printed."""
    environment = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "VIRTUAL_ENV")}
    environment |= variables
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}:\n{done.stdout}\n{done.stderr}"
    return done.stdout


def build_wheel(scratch: Path) -> Path:
    """Build a wheel as from a clean clone: with nothing built before."""
    clone, made = copy_clone(scratch / "clone"), scratch / "dist"
    run([*UV, "build", "--quiet", "--wheel", "--out-dir", made, clone], scratch)
    (path,) = made.glob("*.whl")
    return path


def copy_clone(clone: Path) -> Path:
    """Copy what is in the repository."""
    listed = run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], ROOT)
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (clone / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, clone / name)
    return clone


def copy_built(clone: Path) -> None:
    """Copy what was built of it too."""
    for built in BUILT:
        (clone / built).parent.mkdir(parents=True, exist_ok=True)
        (shutil.copytree if (ROOT / built).is_dir() else shutil.copy)(ROOT / built, clone / built)


def install(home: Path, *requirements: str | Path) -> Path:
    """Install into an empty environment; returns where that is."""
    environment = home / "venv"
    run([*UV, "venv", "--quiet", "--python", sys.executable, environment], home)
    run([*UV, "pip", "install", "--quiet", "--python", environment / "bin" / "python", *requirements], home)
    return environment
