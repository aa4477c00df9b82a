"""Errors as clients of registries read them (distribution specification, "Error Codes")."""

from __future__ import annotations

import re

from pydantic import BaseModel, ConfigDict

from conda_store_hub.core import errors
from conda_store_hub.core.errors import CondaStoreHubError

UNKNOWN_NAME = "NAME_UNKNOWN"
UNKNOWN_MANIFEST = "MANIFEST_UNKNOWN"
UNKNOWN_BLOB = "BLOB_UNKNOWN"
_NOT_FOUND = 404
_ITS_FAULT = 500
_MOST_WARNED = 1000  # characters: it is one line in a terminal, and all headers together have a limit in proxies
_PLAIN = str.maketrans({"“": '"', "”": '"', "…": "..."})

# The first that fits counts. A status of None is the error's own.
_CODES: tuple[tuple[type[CondaStoreHubError], int | None, str], ...] = (
    (errors.UnknownRepositoryError, None, UNKNOWN_NAME),
    (errors.InvalidNameError, None, "NAME_INVALID"),
    (errors.InvalidDigestError, None, "DIGEST_INVALID"),
    (errors.NotAuthenticatedError, None, "UNAUTHORIZED"),
    (errors.ForbiddenError, 403, "DENIED"),
    (errors.PolicyRefusedError, 403, "DENIED"),
    (errors.QuotaExceededError, 403, "DENIED"),
    (errors.MethodNotAllowedError, None, "UNSUPPORTED"),
    (errors.RangeNotSatisfiableError, None, "SIZE_INVALID"),
    (errors.BeingMadeError, 429, "TOOMANYREQUESTS"),
    (errors.FailedForNowError, 429, "TOOMANYREQUESTS"),
    (errors.TooManyDownloadsError, 429, "TOOMANYREQUESTS"),
    (errors.TooManyRequestsError, 429, "TOOMANYREQUESTS"),
    (errors.SolveError, 404, UNKNOWN_NAME),
    (errors.BuildError, 404, UNKNOWN_MANIFEST),
    (errors.InvalidRequestError, None, "UNSUPPORTED"),
)
#: What is not there, or not yet, or not any more.
_ABSENT = (errors.NotFoundError, errors.ConflictError, errors.GoneError)


class RegistryError(BaseModel):
    """One fault: `code` is of the specification, `message` for people."""

    model_config = ConfigDict(frozen=True)

    code: str
    message: str


class RegistryErrors(BaseModel):
    """The body of an answer that refuses."""

    model_config = ConfigDict(frozen=True)

    errors: tuple[RegistryError, ...]


def find_code(error: CondaStoreHubError, unknown: str) -> tuple[int, str]:
    """Return status and code for an error; `unknown` is the code for what is not there where it was raised.

    Those of the specification are for what clients can do something about; for the service's own faults it has none.
    """
    for kind, status, code in _CODES:
        if isinstance(error, kind):
            return status or error.status, code
    if isinstance(error, _ABSENT):
        return _NOT_FOUND, unknown
    if error.status < _ITS_FAULT:
        return error.status, "UNSUPPORTED"
    return error.status, "UNAVAILABLE" if isinstance(error, errors.UnavailableError) else "UNKNOWN"


def format_warning(message: str) -> str:
    """Return a message as the header `Warning` has it (specification, "Warnings"), where an answer has no body."""
    line = " ".join(message.translate(_PLAIN).split())[:_MOST_WARNED]
    plain = re.sub(r"[^ -~]", "?", line)
    return '299 - "' + re.sub(r'(["\\])', r"\\\1", plain) + '"'
