"""What every handler stands on: the services, readiness, who asks, one way to fail."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar, cast

from pydantic import BaseModel, ValidationError
from tornado.web import RequestHandler

from conda_store_hub.core import schemas
from conda_store_hub.core.errors import (
    CondaStoreHubError,
    InvalidRequestError,
    MethodNotAllowedError,
    NotAuthenticatedError,
    UnavailableError,
)
from conda_store_hub.core.names import DataDirectory
from conda_store_hub.core.permissions import ANONYMOUS, Identity
from conda_store_hub.db.session import Database
from conda_store_hub.services.changes import Changes
from conda_store_hub.services.rules import BuildRules
from conda_store_hub.storage.base import ArtifactStore
from conda_store_hub.web.failures import as_error, say_what_is_wrong

if TYPE_CHECKING:
    from types import TracebackType

    from conda_store_hub.web.auth import HubAuthenticator

M = TypeVar("M", bound=BaseModel)

MAX_BODY = 1_500_000
_RETRY_SECONDS = 5
SERVER_FAULT = 500
_METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH")


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
    auth: HubAuthenticator
    readiness: Readiness


class BaseHandler(RequestHandler):
    """A handler; how it says that something went wrong is its kind's."""

    identity: Identity = ANONYMOUS

    @property
    def services(self) -> Services:
        """What the application was made with."""
        return cast("Services", self.settings["services"])

    @property
    def prefix(self) -> str:
        """The path that everything stands under; it ends with a slash."""
        return cast("str", self.settings["prefix"])

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

    @property
    def log(self) -> logging.Logger:
        """Where the service writes what its administrators should know."""
        return self.services.auth.log

    async def identify(self, *, fresh: bool = False) -> Identity:
        """Find out who sent this, and remember it; `fresh`: by the Hub's word of now."""
        self.identity = await self.services.auth.identify(self, self.services.db, fresh=fresh)
        return self.identity

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
        elif error.status >= SERVER_FAULT:
            self.log.warning("%s: %s", self.request.path, error.detail or error.message)

    def send_error(self, status_code: int = 500, **kwargs: Any) -> None:
        """Answer with the status that the error stands for."""
        info = kwargs.get("exc_info")
        error = as_error(status_code, info[1] if info else None)
        super().send_error(error.status, error=error, **kwargs)

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Write what everybody may know of the error."""
        error = cast("CondaStoreHubError", kwargs["error"])
        if status_code == UnavailableError.status:
            self.set_header("Retry-After", str(_RETRY_SECONDS))
        if status_code == NotAuthenticatedError.status:
            self.set_header("WWW-Authenticate", 'Bearer realm="conda-store-hub"')
        if status_code == MethodNotAllowedError.status:
            self.set_header("Allow", ", ".join(self._allowed()))
        self.finish(self.describe_error(error))

    def describe_error(self, error: CondaStoreHubError) -> str:
        """Return the body of an error, and set the header that says what it is."""
        raise NotImplementedError

    def _allowed(self) -> list[str]:
        own = [
            name for name in _METHODS if getattr(type(self), name.lower()) is not getattr(RequestHandler, name.lower())
        ]
        return [name for name in own if name != "HEAD" or "GET" in own]


class ApiHandler(BaseHandler):
    """A handler of the API: JSON in, JSON out, never a redirect."""

    anonymous_allowed = False

    async def prepare(self) -> None:
        """Let nobody pass who is not known."""
        self.require_ready()
        identity = await self.identify()
        if not identity.authenticated and not await self._may_stay_anonymous():
            raise NotAuthenticatedError(await self._how_to_log_in())
        await self.welcome()

    async def _may_stay_anonymous(self) -> bool:
        """Tell whether this is for everybody, and no token or cookie was tried that is worth nothing."""
        tried = "Authorization" in self.request.headers or await self.services.auth.hub.has_session_cookie(self)
        return self.anonymous_allowed and not tried

    async def _how_to_log_in(self) -> str | None:
        if "Authorization" in self.request.headers:
            return "This token is not known here: it may have expired or been revoked, or its end may be missing."
        if await self.services.auth.hub.has_session_cookie(self):
            return (
                "The session has ended, or the request lacks its X-XSRFToken header (the value of the cookie `_xsrf`);"
                " load the page again."
            )
        return None

    def write_model(self, model: BaseModel) -> None:
        """Answer with a value of the wire."""
        self.set_header("Content-Type", "application/json")
        self.finish(model.model_dump_json())

    def read_body(self, model: type[M]) -> M:
        """Return the body as a value; raise InvalidRequestError in words when it is none."""
        try:
            return model.model_validate_json(self.request.body)
        except ValidationError as exc:
            raise InvalidRequestError(say_what_is_wrong(exc)) from exc

    def describe_error(self, error: CondaStoreHubError) -> str:
        """Return the one shape of errors."""
        self.set_header("Content-Type", "application/json")
        return schemas.ErrorAnswer(
            message=error.public_message, code=error.code, line=error.line, column=error.column
        ).model_dump_json()


class ApiNotFoundHandler(ApiHandler):
    """An address of the API that is none."""

    async def prepare(self) -> None:
        """Say so to everybody."""
        raise as_error(404, None)
