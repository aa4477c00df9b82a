"""How a builder's failure is told: what it said of it itself, or what its end says."""

from __future__ import annotations

import signal

from conda_store_hub.core import errors
from conda_store_hub.core.errors import BuilderDiedError, BuildError, CondaStoreHubError
from conda_store_hub.core.protocol import ErrorEvent


def rebuild_error(event: ErrorEvent) -> CondaStoreHubError:
    """Return the error that a builder told of."""
    known = {
        value.code: value
        for value in vars(errors).values()
        if isinstance(value, type) and issubclass(value, (BuildError, errors.InvalidRequestError))
    }
    return known.get(event.code, BuildError)(event.message, detail=event.detail, line=event.line, column=event.column)


def explain_death(code: int) -> BuilderDiedError:
    """Return the error for a builder that ended without a word; `code` is negative for a signal."""
    if code == -signal.SIGKILL:
        return BuilderDiedError(
            "The builder was killed, most often because the machine ran out of memory;"
            " try again, or ask an administrator."
        )
    how = f"by signal {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"
    return BuilderDiedError(f"The builder ended {how} without a result; its last lines are in the log.")
