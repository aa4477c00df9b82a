"""Run all benchmarks but the long ones, or those that are named: `python -m benchmarks builds idle`."""

from __future__ import annotations

import importlib
import sys

from benchmarks.figures import show

ALL = (
    *("idle", "builds", "health", "waiting_kernels", "kernels_listing", "permissions", "lists", "contains"),
    *("live_log", "search", "archive", "downloads", "watched", "kernel_start", "panel", "pages", "images"),
    *("image_memory", "pulls", "ondemand", "cli", "run"),
)

LONG = ("held_pulls",)
"""Those that take minutes and are run only when they are named."""


def main() -> int:
    """Measure and print; exit 1 when a goal is missed."""
    names = sys.argv[1:] or ALL
    unknown = [name for name in names if name not in ALL + LONG]
    if unknown:
        print(f"there is no benchmark {', '.join(unknown)}; there are: {', '.join(ALL + LONG)}", file=sys.stderr)
        return 2
    good = True
    for name in names:
        print(f"# {name}", flush=True)
        good = show(importlib.import_module(f"benchmarks.{name}").measure()) and good
    return 0 if good else 1


sys.exit(main())
