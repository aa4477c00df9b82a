"""Rebuild the errors of the service from their stable codes."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import ValidationError

from conda_store_hub.core import errors
from conda_store_hub.core.errors import CondaStoreHubError
from conda_store_hub.core.schemas import ErrorAnswer, Wire

_BY_STATUS = {
    kind.status: kind
    for kind in (
        errors.InvalidRequestError,
        errors.NotAuthenticatedError,
        errors.ForbiddenError,
        errors.NotFoundError,
        errors.ConflictError,
        errors.GoneError,
        errors.RangeNotSatisfiableError,
        errors.BuildError,
        errors.UnavailableError,
    )
}


class _PlainError(Wire):
    """An error of conda-store's own servers, which tell no code."""

    message: str


def find_error(status: int, body: bytes) -> CondaStoreHubError | None:
    """Return the error that the service told, or None when the body is not one of its answers."""
    try:
        told = ErrorAnswer.model_validate_json(body)
    except ValidationError:
        return _find_plain_error(status, body)
    error = _class_of(told.code, status)(told.message, line=told.line, column=told.column)
    # The message on the wire names the place, for clients that show nothing else; the error names it by itself.
    place = error.public_message.removeprefix(told.message)
    plain = told.message.removesuffix(place)
    return type(error)(plain, line=told.line, column=told.column)


def find_error_class(code: str | None) -> type[CondaStoreHubError] | None:
    """Return the class with a stable code, or None for a code that this version does not know."""
    return next((kind for kind in _all_classes() if kind.code == code), None)


def _find_plain_error(status: int, body: bytes) -> CondaStoreHubError | None:
    try:
        message = _PlainError.model_validate_json(body).message
    except ValidationError:
        return None
    return _BY_STATUS.get(status, CondaStoreHubError)(message)


def _class_of(code: str, status: int) -> type[CondaStoreHubError]:
    # `disk-full` is told both of a build and of the service: the status tells which.
    same_code = [kind for kind in _all_classes() if kind.code == code]
    same_both = [kind for kind in same_code if kind.status == status]
    return next(iter(same_both or same_code), _BY_STATUS.get(status, CondaStoreHubError))


def _all_classes() -> Iterator[type[CondaStoreHubError]]:
    waiting: list[type[CondaStoreHubError]] = [CondaStoreHubError]
    while waiting:
        kind = waiting.pop()
        yield kind
        waiting.extend(kind.__subclasses__())
