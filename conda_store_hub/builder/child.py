"""Children of the builder that end with it, however it ends."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, cast

# Linux: ask for KILL when the parent dies; look whether it died before; become the program. Asked between fork and
# exec instead, this would run Python in a copy of a process whose other threads are gone.
_LEASH = """\
import ctypes, os, sys
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, 9)
if os.getppid() != int(sys.argv[1]):
    os._exit(1)
os.execv(sys.argv[2], sys.argv[2:])
"""


def start(
    command: Sequence[str | Path],
    *,
    stdout: IO[str] | None = None,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> subprocess.Popen[str]:
    """Start a program with its standard error piped; the thread that calls this must outlive it.

    Environment and directory are the builder's own unless given; without `stdout`, what it prints goes nowhere.
    """
    leash = [sys.executable, "-I", "-S", "-c", _LEASH, str(os.getpid())]
    return subprocess.Popen(
        [*leash, *map(str, command)],
        env=env,
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL if stdout is None else stdout,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
    )


def follow(process: subprocess.Popen[str], tell: Callable[[str], None]) -> int:
    """Pass on each line of the child's standard error until it ends; return its exit code."""
    for line in cast("IO[str]", process.stderr):
        tell(line.rstrip())
    return process.wait()
