"""Tools for containers, as the tests of images call them; none of them needs a daemon or privileges."""

from __future__ import annotations

import subprocess
from pathlib import Path

from conda_store_hub.core.oci import ImageConfig


def run(*command: str | Path) -> str:
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def run_inside(root: Path, config: ImageConfig, *command: str) -> str:
    """Run a command where the image's environment is at its place; the C library is that of this machine."""
    execution = config.config
    assert execution is not None
    settings = [part for pair in execution.env or () for part in ("--setenv", *pair.split("=", 1))]
    system = [
        part for name in ("usr", "lib", "lib64", "bin", "etc") for part in ("--ro-bind-try", f"/{name}", f"/{name}")
    ]
    return run(
        *("bwrap", "--clearenv", *system, "--ro-bind", root / "opt", "/opt", "--proc", "/proc", "--dev", "/dev"),
        *(*settings, "--tmpfs", "/tmp", *(execution.entrypoint or ()), *command),
    )
