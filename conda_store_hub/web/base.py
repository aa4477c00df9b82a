"""What every handler stands on: the services, readiness, who asks, one way to fail."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, cast

from pydantic import BaseModel, ValidationError
from tornado.web import RequestHandler

from conda_store_hub.core import schemas
from conda_store_hub.core.errors import (
    BeingMadeError,
    CondaStoreHubError,
    InvalidRequestError,
    MethodNotAllowedError,
    NotAuthenticatedError,
    RangeNotSatisfiableError,
    SolveError,
    UnavailableError,
)
from conda_store_hub.core.names import DataDirectory
from conda_store_hub.core.permissions import ANONYMOUS, Identity
from conda_store_hub.core.waiting import Waiting
from conda_store_hub.db.session import Database
from conda_store_hub.services.changes import Changes
from conda_store_hub.services.metrics import Metrics
from conda_store_hub.services.rules import BuildRules
from conda_store_hub.services.search import Searcher
from conda_store_hub.services.solves import Solver
from conda_store_hub.storage.base import ArtifactStore
from conda_store_hub.web.appearance import Pages
from conda_store_hub.web.failures import as_error, say_what_is_wrong
from conda_store_hub.web.held import HeldSolves
from conda_store_hub.web.operations import JSON, Operation, Route, find_operation, list_methods
from conda_store_hub.web.query import Query, read_query
from conda_store_hub.web.registry.place import Registry
from conda_store_hub.web.shown import ShownLists

if TYPE_CHECKING:
    from types import TracebackType

    from conda_store_hub.web.auth import HubAuthenticator

M = TypeVar("M", bound=BaseModel)
Q = TypeVar("Q", bound=Query)

MAX_BODY = 1_500_000
MAX_LOCK_BODY = 6_000_000
"""Bytes of a request that may hold a lock file."""
MOST_PULLS, MOST_PULLS_OF_ALL = 200, 1000
"""Pulls that wait for images that are being made, of one person and of all: each holds a connection for minutes."""
_STAY_SECONDS = 1.0
SERVER_FAULT = 500
_ALLOWED = {"GET": ("GET", "HEAD")}


@dataclass(kw_only=True)
class Readiness:
    """Whether the database may be asked; until then `message` says what people wait for."""

    ready: bool = False
    message: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Services:
    """Everything that handlers use."""

    db: Database
    store: ArtifactStore
    changes: Changes
    data: DataDirectory
    rules: BuildRules
    solver: Solver
    searcher: Searcher
    auth: HubAuthenticator
    readiness: Readiness
    builds_at_once: int = 1
    pages: Pages = field(default_factory=Pages)
    registry: Registry = field(default_factory=Registry)
    metrics: Metrics = field(default_factory=Metrics)
    downloading: Counter[str] = field(default_factory=Counter[str])
    """How many files are being sent to each person, or address of the anonymous, and how many of images."""
    pulling: Waiting = field(default_factory=lambda: Waiting("images", of_one=MOST_PULLS, of_all=MOST_PULLS_OF_ALL))
    """Who waits for images that are being made."""
    held: HeldSolves = field(default_factory=HeldSolves)
    """Previews that go on while nobody waits."""
    shown: ShownLists = field(default_factory=ShownLists)
    """How lists looked that pages ask for again."""
    reading: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Who has it reads a large text: it takes the processor from whoever else is answered."""


class BaseHandler(RequestHandler):
    """A handler; how it says that something went wrong is its kind's."""

    max_body: ClassVar[int] = MAX_BODY
    identity: Identity = ANONYMOUS
    _identified = 0.0

    @property
    def services(self) -> Services:
        """What the application was made with."""
        return cast("Services", self.settings["services"])

    @property
    def prefix(self) -> str:
        """The path that everything stands under; it ends with a slash."""
        return cast("str", self.settings["prefix"])

    @property
    def routes(self) -> tuple[Route, ...]:
        """Every route of the API."""
        return cast("tuple[Route, ...]", self.settings["routes"])

    def set_default_headers(self) -> None:
        """Send what keeps browsers from guessing, framing and keeping."""
        self.clear_header("Server")
        self.set_header("X-Content-Type-Options", "nosniff")
        self.set_header("Referrer-Policy", "same-origin")
        self.set_header("Cross-Origin-Opener-Policy", "same-origin")
        self.set_header("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
        self.set_header("Cache-Control", "no-store")

    def head(self, *args: str, **kwargs: str) -> Any:
        """Answer as GET does; the body is left out on the way."""
        return self.get(*args, **kwargs)

    def compute_etag(self) -> str | None:
        """Give an ETag only to what says it has one."""
        return None

    def require_ready(self) -> None:
        """Raise UnavailableError while the database is being upgraded."""
        readiness = self.services.readiness
        if not readiness.ready:
            raise UnavailableError(readiness.message or "The service is starting; try again in a moment.")

    def write_model(self, model: BaseModel) -> None:
        """Answer with a value of the wire."""
        self.set_header("Content-Type", JSON)
        self.finish(model.model_dump_json())

    def read_query(self, model: type[Q]) -> Q:
        """Return what the query asks for; raise InvalidRequestError in words when it makes no sense."""
        return read_query(model, self)

    @property
    def log(self) -> logging.Logger:
        """Where the service writes what its administrators should know."""
        return self.services.auth.log

    async def identify(self, *, fresh: bool = False, again: bool = False) -> Identity:
        """Find out who sent this, and remember it; `fresh`: by the Hub's word of now, `again`: once more."""
        self.identity = await self.services.auth.identify(self, self.services.db, fresh=fresh, again=again)
        self._identified = time.monotonic()
        return self.identity

    @property
    def has_session_cookie(self) -> bool:
        """Whether a browser that was logged in sent this, whatever its cookie is worth now."""
        return self.get_cookie(self.services.auth.environment.cookie_name) is not None

    @property
    def tried_to_log_in(self) -> bool:
        """Whether there is a token or a cookie, which is worth nothing when nobody is known by it."""
        return "Authorization" in self.request.headers or self.has_session_cookie

    async def stay(self) -> None:
        """Find out once more who asks, on behalf of somebody who stays connected, at most once a second.

        Raises NotAuthenticatedError when nobody is known any more by what they came with.
        """
        if time.monotonic() - self._identified < _STAY_SECONDS:
            return
        before, after = self.identity, await self.identify(again=True)
        if before.authenticated and not after.authenticated:
            raise NotAuthenticatedError
        await self.welcome()

    async def welcome(self) -> None:
        """See to it that who asks has their namespaces; the database has to be ready."""
        services = self.services
        self.identity = await services.auth.welcome(services.db, self.identity)
        services.auth.note_use(services.db, self.identity)

    def log_exception(
        self,
        typ: type[BaseException] | None,
        value: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        """Keep tracebacks for what nobody foresaw."""
        error = as_error(500, value)
        if type(error) is CondaStoreHubError and typ is not None and value is not None:
            self.log.error("%s failed", self.request.path, exc_info=(typ, value, tb))
        elif error.status >= SERVER_FAULT and not isinstance(error, BeingMadeError):
            self.log.warning("%s: %s", self.request.path, error.detail or error.message)

    def send_error(self, status_code: int = 500, **kwargs: Any) -> None:
        """Answer with the status that the error stands for."""
        info = kwargs.get("exc_info")
        error = as_error(status_code, info[1] if info else None)
        super().send_error(error.status, error=error, **kwargs)

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Write what everybody may know of the error."""
        error = cast("CondaStoreHubError", kwargs["error"])
        if isinstance(error, UnavailableError):
            self.set_header("Retry-After", str(error.seconds))
        if status_code == NotAuthenticatedError.status:
            self.set_header("WWW-Authenticate", 'Bearer realm="conda-store-hub"')
        if status_code == MethodNotAllowedError.status:
            self.set_header("Allow", ", ".join(self._allowed()))
        self.finish(self.describe_error(error))

    def describe_error(self, error: CondaStoreHubError) -> str:
        """Return the body of an error, and set the header that says what it is."""
        raise NotImplementedError

    def _allowed(self) -> list[str]:
        return [name for method in list_methods(type(self)) for name in _ALLOWED.get(method, (method,))]


class ApiHandler(BaseHandler):
    """A handler of the API: JSON in, JSON out, never a redirect."""

    @property
    def operation(self) -> Operation:
        """What the method that is asked for declares of itself."""
        found = find_operation(type(self), self.request.method or "")
        if found is None:
            raise MethodNotAllowedError
        return found

    async def prepare(self) -> None:
        """Let nobody pass who is not known, unless this is for everybody."""
        operation = self.operation
        if operation.public:
            return
        self.require_ready()
        identity = await self.identify(fresh=operation.asks_anew)
        if not identity.authenticated and (not self._is_for_everybody(operation) or self.tried_to_log_in):
            raise NotAuthenticatedError(self._how_to_log_in())
        await self.welcome()

    def _is_for_everybody(self, operation: Operation) -> bool:
        return operation.anonymous or (operation.is_shareable and self.services.auth.allow_anonymous)

    def _how_to_log_in(self) -> str | None:
        if "Authorization" in self.request.headers:
            return "This token is not known here: it may have expired or been revoked, or its end may be missing."
        if self.has_session_cookie:
            return (
                "The session has ended, or the request lacks its X-XSRFToken header (the value of the cookie `_xsrf`);"
                " load the page again."
            )
        return None

    def write_news(self, model: BaseModel) -> None:
        """Answer with a value of the wire, or with 304 to who says that they have it (`If-None-Match`)."""
        text = model.model_dump_json()
        self.set_header("ETag", f'"{hashlib.sha256(text.encode()).hexdigest()[:32]}"')
        if self.check_etag_header():
            self.set_status(304)
            self.finish()
        else:
            self.set_header("Content-Type", JSON)
            self.finish(text)

    def read_body(self, model: type[M]) -> M:
        """Return the body as a value; raise InvalidRequestError in words when it is none."""
        try:
            return model.model_validate_json(self.request.body)
        except ValidationError as exc:
            raise InvalidRequestError(say_what_is_wrong(exc)) from exc

    def read_optional_body(self, model: type[M]) -> M:
        """Return the body as a value; none at all is an empty one."""
        return self.read_body(model) if self.request.body else model()

    def describe_error(self, error: CondaStoreHubError) -> str:
        """Return the one shape of errors; who asked for what is behind the end is told where that is."""
        if isinstance(error, RangeNotSatisfiableError) and error.size is not None:
            self.set_header("Content-Range", f"bytes */{error.size}")  # RFC 9110, 15.5.17
        self.set_header("Content-Type", JSON)
        # What a builder or the system says may be of other people; what the solver says is of the text that was sent.
        detail = error.detail if isinstance(error, SolveError) else None
        answer = schemas.ErrorAnswer(
            message=error.public_message, code=error.code, line=error.line, column=error.column, detail=detail
        )
        return answer.model_dump_json(exclude={"detail"} if detail is None else None)


class ApiNotFoundHandler(ApiHandler):
    """An address of the API that is none."""

    async def prepare(self) -> None:
        """Say so to everybody."""
        raise as_error(404, None)
