"""Run a command that ends when its parent does: `python -m conda_store_hub.demo.leash COMMAND ...`.

A Hub that is killed leaves its proxy and its users' servers running, and the ports they hold.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def tie_to_parent() -> None:
    """Ask Linux to end this process with its parent's thread; kept across exec. Elsewhere nothing happens."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def reset_signals() -> None:
    """Make Ctrl-C arrive again: a job started with `&` ignores it, and so does all that it starts."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def main() -> None:
    """Become the command."""
    tie_to_parent()
    reset_signals()
    os.execvp(sys.argv[1], sys.argv[1:])  # noqa: S606


if __name__ == "__main__":
    main()
