"""What went wrong, as an error of the domain: one that was raised, a refusal of the HTTP server, or a fault of ours."""

from __future__ import annotations

from pydantic import ValidationError
from tornado.web import HTTPError

from conda_store_hub.core.errors import (
    CondaStoreHubError,
    ForbiddenError,
    InvalidRequestError,
    LengthRequiredError,
    MethodNotAllowedError,
    NotAuthenticatedError,
    NotFoundError,
    RequestTooLargeError,
    UnavailableError,
)
from conda_store_hub.core.names import shorten

_BY_STATUS: dict[int, type[CondaStoreHubError]] = {
    kind.status: kind
    for kind in (
        InvalidRequestError,
        NotAuthenticatedError,
        ForbiddenError,
        NotFoundError,
        MethodNotAllowedError,
        LengthRequiredError,
        RequestTooLargeError,
        UnavailableError,
    )
}


def as_error(status: int, exc: BaseException | None) -> CondaStoreHubError:
    """Return the error to answer with; what nobody foresaw becomes one that says nothing of our insides."""
    if isinstance(exc, CondaStoreHubError):
        return exc
    kind = _BY_STATUS.get(exc.status_code if isinstance(exc, HTTPError) else status, CondaStoreHubError)
    if kind is CondaStoreHubError:
        return CondaStoreHubError("Something went wrong in the service; its log has the details.")
    return kind("There is nothing at this address.") if kind is NotFoundError else kind()


def say_what_is_wrong(exc: ValidationError) -> str:
    """Return the first fault of a JSON body in words."""
    fault = exc.errors(include_url=False, include_context=False, include_input=False)[0]
    where = shorten(".".join(str(part) for part in fault["loc"]))
    if fault["type"] == "json_invalid":
        return f"The body is not JSON: {fault['msg'].removeprefix('Invalid JSON: ')}."
    if not where:
        return "The body must be a JSON object."
    if fault["type"] == "missing":
        return f"`{where}` is missing in the body."
    return f"`{where}` in the body: {fault['msg']}."
