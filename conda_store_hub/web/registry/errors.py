"""Errors as clients of registries read them (distribution specification, "Error Codes")."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from conda_store_hub.core import errors
from conda_store_hub.core.errors import CondaStoreHubError

UNKNOWN_NAME = "NAME_UNKNOWN"
UNKNOWN_MANIFEST = "MANIFEST_UNKNOWN"
UNKNOWN_BLOB = "BLOB_UNKNOWN"
_NOT_FOUND = 404

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
    (errors.TooManyDownloadsError, 429, "TOOMANYREQUESTS"),
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

    Those of the specification are for what clients can do something about; others it does not know.
    """
    for kind, status, code in _CODES:
        if isinstance(error, kind):
            return status or error.status, code
    if isinstance(error, _ABSENT):
        return _NOT_FOUND, unknown
    return error.status, "UNAVAILABLE" if isinstance(error, errors.UnavailableError) else "UNKNOWN"
