"""Where `conda-store` begins: while the command is loaded, Ctrl-C ends it as it does later, without a word."""

from __future__ import annotations

import os
import signal
import sys

INTERRUPTED = 130  # as shells tell of a process that SIGINT ended


def main() -> None:
    """Run the command line."""
    open_what_is_closed()
    # Python would raise in whatever is being imported; ignored, as in a shell's background, it stays.
    is_raised = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if is_raised:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from conda_store_hub.client.cli import main as run

    try:
        if is_raised:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        run()
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    finally:
        if is_raised:  # Python's own end
            signal.signal(signal.SIGINT, signal.SIG_DFL)


def open_what_is_closed() -> None:
    """Have nothing stand where a shell's `>&-` closed a stream, else the next file that is opened takes its number.

    What a program is executed as has them closed again: Python opens files for itself alone.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            descriptor = os.open(os.devnull, os.O_RDWR)
            setattr(sys, name, open(descriptor, "w" if number else "r", encoding="utf-8"))  # noqa: SIM115, PTH123
