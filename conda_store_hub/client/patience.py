"""How long something is waited for that cannot be told to end."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

from conda_store_hub.core.errors import UnavailableError

T = TypeVar("T")


def answer_within(seconds: float, work: Callable[[], T], who: str = "The service") -> T:
    """Return what `work` does; raise UnavailableError after so many seconds, whatever it hangs in.

    What looks up names of hosts, or asks a keyring, cannot be told to end.
    """
    outcome: list[T | BaseException] = []

    def run() -> None:
        try:
            outcome.append(work())
        except BaseException as exc:  # noqa: BLE001 it is raised where it is waited for
            outcome.append(exc)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    if not outcome:
        raise UnavailableError(f"{who} did not answer within {seconds:g} s.")
    if isinstance(outcome[0], BaseException):
        raise outcome[0]
    return outcome[0]
