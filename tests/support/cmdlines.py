"""What the process list shows to everybody while something runs: a program of its own, so that it looks often."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager

_LOOK = """\
import os, sys, threading
go_on = threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), go_on.set()), daemon=True).start()
seen = set()
print("looking", flush=True)
while not go_on.is_set():
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                seen.add(file.read())
        except OSError:
            pass
print(*(line.replace(b"\\0", b" ") for line in seen), sep="\\n")
"""


@contextmanager
def watch_process_list(start: Sequence[str] = (), interpreter: str = sys.executable) -> Generator[list[str]]:
    """Collect every command line that is seen while the block runs; `start` are words before the command."""
    seen: list[str] = []
    command = [*start, interpreter, "-I", "-S", "-c", _LOOK]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd="/", env={"PATH": "/usr/bin:/bin"}
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "looking\n"
        try:
            yield seen
        finally:
            seen.extend(process.communicate("")[0].splitlines())
