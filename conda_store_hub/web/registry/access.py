"""`/v2/` and `/v2/token`: whether there is a registry, and tokens for who logs in."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from conda_store_hub.core.errors import NotAuthenticatedError, NotFoundError
from conda_store_hub.web.auth import find_token
from conda_store_hub.web.registry.base import ANONYMOUS_TOKEN, SERVICE, RegistryHandler

_SECONDS = 300


class Nothing(BaseModel):
    """An empty object."""

    model_config = ConfigDict(frozen=True)


class PullToken(BaseModel):
    """What clients send as Bearer; both names are read by some."""

    model_config = ConfigDict(frozen=True)

    token: str
    access_token: str
    expires_in: int = _SECONDS


class SupportHandler(RegistryHandler):
    """`GET /v2/` (distribution specification, "Determining Support")."""

    async def get(self) -> None:
        """Say that there is a registry, once the client has tried to log in: else it would not later."""
        if not self.identity.authenticated and not self.is_declared_anonymous:
            raise NotAuthenticatedError
        self.write_json(Nothing())


class TokenHandler(RegistryHandler):
    """`GET /v2/token`: the token service that Bearer challenges name.

    The token is the one that the caller came with: it says what may be read already, and can be revoked. A client
    that tries POST first falls back to this when it is refused.
    """

    async def prepare(self) -> None:
        """Look at who asks later: no token at all is fine where something is for everybody."""
        if self.request.method != "GET":
            await super().prepare()
        self.require_ready()

    async def get(self) -> None:
        """Give a token to who is known, and to who does not say who they are where policy allows."""
        if "Authorization" not in self.request.headers:
            if not self.services.auth.allow_anonymous:
                raise NotAuthenticatedError
            self._give(ANONYMOUS_TOKEN)
            return
        token = find_token(self)
        identity = await self.identify()
        if token is None or not identity.authenticated:
            raise NotAuthenticatedError("This token is not known here: it may have expired or been revoked.")
        self._give(token)

    def _give(self, token: str) -> None:
        self.write_json(PullToken(token=token, access_token=token))

    def challenge(self) -> None:
        """Ask for what is taken here."""
        self.set_header("WWW-Authenticate", f'Basic realm="{SERVICE}"')


class NothingHandler(RegistryHandler):
    """An address of the registry that is none."""

    async def get(self) -> None:
        """Say so."""
        raise NotFoundError("There is nothing at this address.")


class UploadHandler(RegistryHandler):
    """Where images would be pushed to."""
