"""The API's routes: what each takes, gives and needs is declared at the method that answers, and read from there."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import groupby
from typing import TYPE_CHECKING, Any, TypeVar

from tornado.web import RequestHandler

from conda_store_hub.core.errors import (
    CondaStoreHubError,
    ForbiddenError,
    HubUnavailableError,
    InvalidRequestError,
    LengthRequiredError,
    NotAuthenticatedError,
    NotFoundError,
    RequestTooLargeError,
    StorageFullError,
    UnavailableError,
)
from conda_store_hub.core.permissions import PERMISSIONS, Permission, Role
from conda_store_hub.web.arguments import PARTS

if TYPE_CHECKING:
    from pydantic import BaseModel

    from conda_store_hub.web.query import Query

F = TypeVar("F", bound=Callable[..., Any])

JSON = "application/json"
_ATTRIBUTE = "operation"
_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
_PART = re.compile(r"\{(\w+)\}")
_ALWAYS = (CondaStoreHubError, InvalidRequestError)  # a Content-Type alone can be one that cannot be read
_OF_WHO_ASKS = (NotAuthenticatedError, ForbiddenError, UnavailableError, HubUnavailableError)
_OF_WRITING = (LengthRequiredError, RequestTooLargeError, StorageFullError)


@dataclass(frozen=True, kw_only=True, slots=True)
class Operation:
    """What a method of a handler takes, gives and needs; decorates it.

    The summary is the first line of its docstring, the description what follows. `needs` is a permission on what
    the path names; None where one is only shown what one may see. `public`: who asks is not even asked for.
    `anonymous`: who is not logged in may ask too. `shareable`: they may where `allow_anonymous` is set, and are shown
    what was shared with everybody. `logged_in`: only who is, whatever was shared. `fresh`: the Hub is asked anew.
    `media` is what it answers with, `error_media` what it says errors with: the one shape of them, or text.
    `statuses` are those of success; `errors` are those that do not follow from the rest.
    """

    answer: type[BaseModel] | None = None
    query: type[Query] | None = None
    body: type[BaseModel] | None = None
    needs: Permission | None = None
    public: bool = False
    anonymous: bool = False
    shareable: bool = False
    logged_in: bool = False
    fresh: bool = False
    media: tuple[str, ...] = (JSON,)
    error_media: str = JSON
    statuses: tuple[int, ...] = (200,)
    errors: tuple[type[CondaStoreHubError], ...] = ()
    summary: str = ""
    description: str = ""

    @property
    def is_shareable(self) -> bool:
        """Whether who is not logged in may be shown what was shared with everybody, where the site allows that."""
        if self.logged_in:
            return False
        return self.shareable or (self.needs is not None and self.needs in PERMISSIONS[Role.VIEWER])

    @property
    def asks_anew(self) -> bool:
        """Whether the Hub's word of a moment ago is not enough: for what takes more than a developer it never is."""
        return self.fresh or (self.needs is not None and self.needs not in PERMISSIONS[Role.DEVELOPER])

    def __call__(self, method: F) -> F:
        """Declare this of a method."""
        summary, _, rest = (inspect.getdoc(method) or "").partition("\n")
        setattr(method, _ATTRIBUTE, replace(self, summary=summary, description=rest.strip()))
        return method


def find_operation(handler: type[RequestHandler], method: str) -> Operation | None:
    """Return what a handler declares of a method; HEAD is GET without the body."""
    name = "get" if method == "HEAD" else method.lower()
    found = getattr(getattr(handler, name, None), _ATTRIBUTE, None)
    return found if isinstance(found, Operation) else None


def list_methods(handler: type[RequestHandler]) -> tuple[str, ...]:
    """Return the methods that a handler answers, without HEAD."""
    return tuple(
        name for name in _METHODS if getattr(handler, name.lower()) is not getattr(RequestHandler, name.lower())
    )


@dataclass(frozen=True, slots=True)
class Route:
    """An address of the API below our prefix, with `{parts}`, and who answers there.

    Raises TypeError for a handler that does not say what it does. `name`: for a handler that has several routes.
    """

    template: str
    handler: type[RequestHandler]
    name: str = ""

    def __post_init__(self) -> None:
        if unknown := [part for part in self.parts if part not in PARTS]:
            raise TypeError(f"{self.template}: say in web/arguments.py what {', '.join(unknown)} can be.")
        for method in list_methods(self.handler):
            taken = tuple(inspect.signature(getattr(self.handler, method.lower())).parameters)[1:]
            if find_operation(self.handler, method) is None:
                raise TypeError(f"{self.handler.__name__}.{method.lower()} has no @Operation.")
            if taken != self.parts:
                raise TypeError(f"{self.handler.__name__}.{method.lower()} does not take {self.parts}.")

    @property
    def parts(self) -> tuple[str, ...]:
        """The names in braces."""
        return tuple(_PART.findall(self.template))

    @property
    def pattern(self) -> str:
        """The regular expression of what follows our prefix; the last slash may be missing, or be one too many."""
        pieces = _PART.split(self.template.rstrip("/"))
        return "".join(f"(?P<{piece}>[^/]+)" if at % 2 else re.escape(piece) for at, piece in enumerate(pieces)) + "/?"

    @property
    def tag(self) -> str:
        """The resource it belongs to; `service` for what belongs to none."""
        resource = re.fullmatch(r"api/v\d+/([a-z]+)/.*", self.template)
        return resource[1] if resource else "service"

    @property
    def operations(self) -> Iterator[tuple[str, Operation]]:
        """What can be done here, by method."""
        for method in list_methods(self.handler):
            found = find_operation(self.handler, method)
            if found is not None:
                yield method, found

    def list_errors(self, method: str) -> dict[int, list[type[CondaStoreHubError]]]:
        """Return what can go wrong, by status: what is declared, and what follows from what is asked for."""
        operation = dict(self.operations)[method]
        kinds = [*_ALWAYS, *operation.errors, *(() if operation.public else _OF_WHO_ASKS)]
        if self.parts:
            kinds.append(NotFoundError)
        if method != "GET":
            kinds.extend(_OF_WRITING)
        ordered = sorted(dict.fromkeys(kinds), key=lambda kind: kind.status)
        return {status: list(same) for status, same in groupby(ordered, key=lambda kind: kind.status)}
