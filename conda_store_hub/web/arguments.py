"""What a request asks for in its path and query, as values: bad ones are refused in words.

Values may end with a slash: conda-store's released client appends one to the whole address, query and all.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
import re
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, ValidationError
from tornado.web import RequestHandler

from conda_store_hub.core.errors import InvalidNameError, InvalidRequestError, NotFoundError
from conda_store_hub.core.names import check_environment_name, check_namespace_name, shorten
from conda_store_hub.core.protocol import BuildStatus

MAX_SIZE = 100
_MAX_PAGE = 1_000_000_000
_MAX_TEXT = 200
_ID = re.compile(r"[0-9]{1,18}")


@dataclass(frozen=True, kw_only=True, slots=True)
class PageOf:
    """Which page of a list, counting from 1, and how many entries it has."""

    page: int
    size: int


def find_text(handler: RequestHandler, name: str) -> str | None:
    """Return a value of the query, or None when it is absent or empty."""
    value = handler.get_query_argument(name, "").removesuffix("/")
    if len(value) > _MAX_TEXT:
        raise InvalidRequestError(f"`{name}` is longer than {_MAX_TEXT} characters.")
    return value or None


def find_integer(handler: RequestHandler, name: str, *, most: int = 10**18) -> int | None:
    """Return a whole number of the query from 0 to `most`, or None when it is absent."""
    text = find_text(handler, name)
    if text is None:
        return None
    if not re.fullmatch(r"[0-9]{1,30}", text) or int(text) > most:
        raise InvalidRequestError(f"`{name}` must be a whole number from 0 to {most}, not “{text}”.")
    return int(text)


def find_seconds(handler: RequestHandler, name: str, *, most: float) -> float | None:
    """Return a number of seconds of the query, cut to `most`, or None when it is absent."""
    text = find_text(handler, name)
    if text is None:
        return None
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not seconds >= 0:
        raise InvalidRequestError(f"`{name}` must be a number of seconds, not “{text}”.")
    return min(seconds, most)


def find_status(handler: RequestHandler) -> BuildStatus | None:
    """Return the status that a list is filtered by, or None."""
    text = find_text(handler, "status")
    if text is None:
        return None
    try:
        return BuildStatus(text.upper())
    except ValueError as exc:
        raise InvalidRequestError(f"`status` must be one of {', '.join(BuildStatus)}, not “{text}”.") from exc


def read_page(handler: RequestHandler, *, size: int = MAX_SIZE) -> PageOf:
    """Return which page is asked for; `size` is how many entries it has when the request does not say."""
    page = find_integer(handler, "page", most=_MAX_PAGE)
    asked = find_integer(handler, "size")
    if page == 0 or asked == 0:
        raise InvalidRequestError("`page` and `size` count from 1.")
    return PageOf(page=page or 1, size=min(asked, MAX_SIZE) if asked else size)


def refuse_filters(handler: RequestHandler, *names: str) -> None:
    """Refuse filters of conda-store's that are not there yet: a list that is not filtered would look as if it were."""
    for name in names:
        if handler.get_query_argument(name, ""):
            raise InvalidRequestError(f"Lists cannot be filtered by `{name}` yet.")


def read_id(text: str) -> int:
    """Return a build's id from a path; what cannot be one is not found."""
    if not _ID.fullmatch(text):
        raise NotFoundError(f"There is no build “{shorten(text)}”.")
    return int(text)


def read_names(namespace: str, environment: str) -> tuple[str, str]:
    """Return the names of a path; what cannot be a name is not found."""
    try:
        return check_namespace_name(namespace), check_environment_name(environment)
    except InvalidNameError as exc:
        raise NotFoundError(
            f"There is no environment “{shorten(namespace)}/{shorten(environment)}”, or you may not see it."
        ) from exc


class _Last(BaseModel):
    model_config = ConfigDict(frozen=True)

    namespace: str
    name: str


class _Cursor(BaseModel):
    """conda-store's cursor: where the page before ended."""

    model_config = ConfigDict(frozen=True)

    last_id: int
    last_value: _Last


def find_cursor(handler: RequestHandler) -> tuple[str, str] | None:
    """Return the namespace and environment that the last page ended with, or None for the first page."""
    text = handler.get_query_argument("cursor", "").removesuffix("/")
    if not text:
        return None
    try:
        last = _Cursor.model_validate_json(base64.b64decode(text, altchars=b"-_", validate=True)).last_value
    except (ValidationError, binascii.Error, ValueError) as exc:
        raise InvalidRequestError("`cursor` is none that this service gave.") from exc
    if "\0" in last.namespace + last.name:
        raise InvalidRequestError("`cursor` is none that this service gave.")
    return last.namespace, last.name


def make_cursor(environment_id: int, namespace: str, name: str) -> str:
    """Return the cursor of a page that ends with this environment."""
    content = {"last_id": environment_id, "last_value": {"namespace": namespace, "name": name}}
    return base64.urlsafe_b64encode(json.dumps(content).encode()).decode()
