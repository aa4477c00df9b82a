"""`python -m conda_store_hub.builder < request.json`: one build, by the runner or by hand.

Nothing heavy is imported here: a builder whose parent is killed early has to notice before that.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from conda_store_hub.builder.leash import end_with_parent


def main() -> None:
    """Read a request from standard input, carry it out, and end with what `exit_code` of its error says."""
    arguments = _parse_arguments()
    end_with_parent(arguments.parent)
    from conda_store_hub.builder.program import run

    run(arguments)


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m conda_store_hub.builder",
        description="Carry out the BuildRequest that is on standard input. The log goes to standard output.",
    )
    parser.add_argument("--events-fd", type=int, default=3, help="where events go, as JSON lines [%(default)s]")
    parser.add_argument("--events-file", type=Path, help="write events to this file instead")
    parser.add_argument("--parent", type=int, metavar="PID", help="end at once if another process is the parent")
    return parser.parse_args()


if __name__ == "__main__":
    main()
