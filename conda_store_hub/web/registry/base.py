"""What every handler of the registry stands on: who asks, challenges for who is not known, errors by the book."""

from __future__ import annotations

import re
from typing import Any, ClassVar, cast

from pydantic import BaseModel
from tornado.httputil import HTTPServerRequest

from conda_store_hub.core.errors import (
    CondaStoreHubError,
    MethodNotAllowedError,
    NotAuthenticatedError,
    RangeNotSatisfiableError,
    UnavailableError,
)
from conda_store_hub.core.repositories import Repository, read_name
from conda_store_hub.services import ondemand
from conda_store_hub.web.base import BaseHandler
from conda_store_hub.web.operations import JSON
from conda_store_hub.web.registry.errors import (
    UNKNOWN_NAME,
    RegistryError,
    RegistryErrors,
    find_code,
    format_warning,
)

ROOT = "/v2/"
"""Where clients look for a registry: at the root of the host (distribution specification, "Endpoints")."""
ANONYMOUS_TOKEN = "anonymous"  # noqa: S105 - clients need one where nobody is logged in
SERVICE = "conda-store-hub"
OWN_PORT = "is_own_port"
"""The setting of the application that listens on a port of the registry's own."""
_READS = ("GET", "HEAD")
_HOST = re.compile(r"[A-Za-z0-9.:\[\]_-]+")
_UNAUTHORIZED = 401
_NOT_ALLOWED = 405


class RegistryHandler(BaseHandler):
    """A handler of what can be read; all else, pushing above all, is refused."""

    unknown: ClassVar[str] = UNKNOWN_NAME
    """The code for what is not there."""

    def set_default_headers(self) -> None:
        """Say which protocol this is, as clients before the specification ask for it."""
        super().set_default_headers()
        self.set_header("Docker-Distribution-Api-Version", "registry/2.0")

    async def prepare(self) -> None:
        """Let nobody pass who is not known, but to what is for everybody."""
        if self.request.method not in _READS:
            raise MethodNotAllowedError("This registry can be pulled from only: images are made of environments.")
        self.require_ready()
        self._forget_anonymous_token()
        identity = await self.identify()
        if not identity.authenticated and (self.tried_to_log_in or not self.services.auth.allow_anonymous):
            raise NotAuthenticatedError(
                "This token is not known here: it may have expired or been revoked." if self.tried_to_log_in else None
            )
        await self.welcome()

    async def find_repository(self, name: str) -> Repository:
        """Return the repository of that name; of one that names packages, where its images are or would be."""
        found = read_name(name)
        if isinstance(found, Repository):
            return found
        return await self.services.db.read(ondemand.find_repository, found, self.services.rules)

    def _forget_anonymous_token(self) -> None:
        """Take who says that they are nobody for that."""
        scheme, _, token = self.request.headers.get("Authorization", "").partition(" ")
        self.is_declared_anonymous = scheme.lower() == "bearer" and token.strip() == ANONYMOUS_TOKEN
        if self.is_declared_anonymous:
            del self.request.headers["Authorization"]

    is_declared_anonymous = False

    def write_json(self, value: BaseModel, media_type: str = JSON) -> None:
        """Answer with a value."""
        self.set_header("Content-Type", media_type)
        self.finish(value.model_dump_json(by_alias=True, exclude_none=True))

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Answer with status, headers and body as the specification has them."""
        error = cast("CondaStoreHubError", kwargs["error"])
        status, _ = find_code(error, self.unknown)
        self.set_status(status)
        if isinstance(error, UnavailableError):
            self.set_header("Retry-After", str(error.seconds))
        if isinstance(error, RangeNotSatisfiableError) and error.size is not None:
            self.set_header("Content-Range", f"bytes */{error.size}")
        if status == _UNAUTHORIZED:
            self.challenge()
        elif self.request.method == "HEAD":  # whose answers have no body to say it
            self.set_header("Warning", format_warning(error.public_message))
        if status == _NOT_ALLOWED:
            self.set_header("Allow", ", ".join(_READS))
        self.finish(self.describe_error(error))

    def challenge(self) -> None:
        """Say how to log in: with a token of the token service. A password alone is taken, but rarely asked for.

        Of two challenges, which proxies join to one header, some clients take the words for those of a single one.
        """
        origin = self._find_own_origin()
        bearer = f'Bearer realm="{origin}{ROOT}token",service="{SERVICE}"'
        self.set_header("WWW-Authenticate", f'Basic realm="{SERVICE}"' if origin is None else bearer)

    def _find_own_origin(self) -> str | None:
        """Return where the registry is for clients: as it was configured, or else as they came."""
        registry = self.services.registry
        if not registry.address:
            return find_origin(self.request, registry.scheme if self.settings.get(OWN_PORT) else None)
        return f"{registry.scheme or find_scheme(self.request)}://{registry.address}"

    def describe_error(self, error: CondaStoreHubError) -> str:
        """Return the body of an error."""
        _, code = find_code(error, self.unknown)
        self.set_header("Content-Type", JSON)
        return RegistryErrors(errors=(RegistryError(code=code, message=error.public_message),)).model_dump_json()


def find_origin(request: HTTPServerRequest, scheme: str | None = None) -> str | None:
    """Return scheme and host at which a client reached us; None where its host cannot stand in a header.

    `scheme`: the one that is known to be spoken.
    """
    return f"{scheme or find_scheme(request)}://{request.host}" if _HOST.fullmatch(request.host) else None


def find_scheme(request: HTTPServerRequest) -> str:
    """Return `http` or `https`, as a client came.

    Of several proxies the first one knows whether the client's connection is encrypted. A client that lies about that
    is told where to send its own token to, and nobody else is.
    """
    first = request.headers.get("X-Forwarded-Proto", "").partition(",")[0].strip().lower()
    return first if first in ("http", "https") else request.protocol
