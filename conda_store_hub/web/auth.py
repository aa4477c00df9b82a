"""Who asks: the Hub's answer about a token or a session, as an Identity."""

from __future__ import annotations

import asyncio
import json
import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from pydantic import BaseModel, ConfigDict
from tornado.web import RequestHandler
from traitlets import Int
from traitlets.config import LoggingConfigurable

from conda_store_hub.core.errors import ConfigurationError, ForbiddenError, HubUnavailableError
from conda_store_hub.core.permissions import ANONYMOUS, Identity
from conda_store_hub.db.session import Database
from conda_store_hub.services import namespaces

if TYPE_CHECKING:
    from conda_store_hub.web.oauth import HubOAuth

_MOST_KNOWN = 10_000


@dataclass(frozen=True, kw_only=True, slots=True)
class HubEnvironment:
    """What a Hub tells a service that it starts (JupyterHub, "Launching a Hub-Managed Service")."""

    api_url: str
    api_token: str
    client_id: str
    callback_url: str
    access_scopes: frozenset[str]
    prefix: str
    base_url: str
    host: str
    cookie_options: dict[str, Any]
    cookie_host_prefix: bool
    keyfile: str
    certfile: str
    client_ca: str

    @classmethod
    def read(cls, variables: Mapping[str, str]) -> HubEnvironment:
        """Read JUPYTERHUB_*; raise ConfigurationError when no Hub can be asked."""
        for name in ("JUPYTERHUB_API_TOKEN", "JUPYTERHUB_API_URL"):
            if not variables.get(name):
                raise ConfigurationError(
                    f"{name} is not set. JupyterHub sets it for the services that it starts;"
                    " for one that is started elsewhere, set it by hand."
                )
        service = variables.get("JUPYTERHUB_SERVICE_NAME") or "conda-store-hub"
        prefix = variables.get("JUPYTERHUB_SERVICE_PREFIX") or "/"
        scopes = variables.get("JUPYTERHUB_OAUTH_ACCESS_SCOPES")
        return cls(
            api_url=variables["JUPYTERHUB_API_URL"],
            api_token=variables["JUPYTERHUB_API_TOKEN"],
            client_id=variables.get("JUPYTERHUB_CLIENT_ID") or f"service-{service}",
            callback_url=variables.get("JUPYTERHUB_OAUTH_CALLBACK_URL") or f"{prefix}oauth_callback",
            access_scopes=frozenset(json.loads(scopes) if scopes else [f"access:services!service={service}"]),
            prefix=prefix,
            base_url=variables.get("JUPYTERHUB_BASE_URL") or "/",
            host=variables.get("JUPYTERHUB_HOST") or "",
            cookie_options=json.loads(variables.get("JUPYTERHUB_COOKIE_OPTIONS") or "{}"),
            cookie_host_prefix=variables.get("JUPYTERHUB_COOKIE_HOST_PREFIX_ENABLED", "").lower() in {"1", "true"},
            keyfile=variables.get("JUPYTERHUB_SSL_KEYFILE", ""),
            certfile=variables.get("JUPYTERHUB_SSL_CERTFILE", ""),
            client_ca=variables.get("JUPYTERHUB_SSL_CLIENT_CA", ""),
        )

    def hub_page(self, path: str) -> str:
        """Return the address of a page of the Hub, as a browser must ask for it."""
        return f"{self.host}{self.base_url}hub/{path}"


class HubUser(BaseModel):
    """As much as we need of what `GET /hub/api/user` answers, and whether its scopes let one in here."""

    model_config = ConfigDict(frozen=True)

    name: str
    kind: str = "user"
    admin: bool = False
    groups: list[str] = []
    scopes: list[str] = []
    scopes_suffice: bool = False


class HubAuthenticator(LoggingConfigurable):
    """Recognises who asks, through the Hub's OAuth for browsers and its tokens for programs.

    The Hub's own library is loaded at the first question, in a thread: it takes as long as all the rest of the start.
    """

    cache_max_age = Int(
        60, min=1, help="Seconds for which the Hub's answer about a token is kept: as long may a revoked one still do."
    ).tag(config=True)

    hub_seconds = Int(20, min=1, help="Seconds that the Hub may take to answer.").tag(config=True)

    def __init__(self, environment: Mapping[str, str] | None = None, **values: Any) -> None:
        super().__init__(**values)
        self.environment = HubEnvironment.read(os.environ if environment is None else environment)
        self._oauth: HubOAuth | None = None
        self._loading = threading.Lock()
        self._meeting = asyncio.Lock()
        self._known: dict[Identity, None] = {}

    async def get_oauth(self) -> HubOAuth:
        """Return the Hub's OAuth, loaded when it is first needed."""
        return self._oauth or await asyncio.to_thread(self.load_oauth)

    def load_oauth(self) -> HubOAuth:
        """Do what `get_oauth` does, in the calling thread."""
        from conda_store_hub.web.oauth import make_oauth  # 0.4 s

        with self._loading:
            if self._oauth is None:
                self._oauth = make_oauth(self.environment, self.cache_max_age)
        return self._oauth

    async def identify(self, handler: RequestHandler) -> Identity:
        """Return who sent a request; ANONYMOUS if nobody the Hub knows, or a cookie without its XSRF token.

        Raises ForbiddenError for who may not use this service, HubUnavailableError when the Hub does not answer.
        """
        oauth = await self.get_oauth()
        user = await self._ask(oauth, handler)
        if user is None:
            return ANONYMOUS
        if not user.scopes_suffice:
            raise ForbiddenError(
                "You may not use this service: your Hub's administrator has not let you, or your token lacks the scope"
                f" {max(oauth.access_scopes, key=len)}."
            )
        return self._identity(user)

    async def _ask(self, oauth: HubOAuth, handler: RequestHandler) -> HubUser | None:
        from conda_store_hub.web.oauth import FAILURES

        try:
            async with asyncio.timeout(self.hub_seconds):
                model = cast("dict[str, Any] | None", await oauth.get_user(handler, sync=False))
            if model is None:
                return None
            user = HubUser.model_validate(model)
            suffice = not oauth.access_scopes or oauth.check_scopes(oauth.access_scopes, {"scopes": user.scopes})
            return user.model_copy(update={"scopes_suffice": bool(suffice)})
        except FAILURES as exc:
            self.log.warning("the Hub could not be asked who sends a request: %s", exc)
            raise HubUnavailableError from exc

    def _identity(self, user: HubUser) -> Identity:
        if user.kind == "user":
            return Identity(name=user.name, groups=frozenset(user.groups), admin=user.admin)
        if not user.admin:
            raise ForbiddenError("This is a token of a service of the Hub; use one of a user.")
        identity = Identity(name=f"service:{user.name}", admin=True)
        self._remember(identity)  # a service is nobody's name: it gets no namespace
        return identity

    async def welcome(self, db: Database, identity: Identity) -> None:
        """Make the namespaces that somebody has by their Hub name and groups, at the first contact with each."""
        if not identity.authenticated or identity in self._known:
            return
        async with self._meeting:
            if identity not in self._known:
                await db.write(namespaces.ensure_for, identity)
                self._remember(identity)

    def _remember(self, identity: Identity) -> None:
        if len(self._known) >= _MOST_KNOWN:
            del self._known[next(iter(self._known))]
        self._known[identity] = None

    async def make_login_url(self, handler: RequestHandler) -> str:
        """Return where a browser logs in; it comes back to where it was going. Sets a cookie."""
        from conda_store_hub.web.oauth import make_login_url

        return make_login_url(await self.get_oauth(), handler)

    async def has_session_cookie(self, handler: RequestHandler) -> bool:
        """Tell whether a browser that was logged in sent this, whatever its cookie is worth now."""
        return handler.get_cookie((await self.get_oauth()).cookie_name) is not None

    async def close(self) -> None:
        """Close the connections to the Hub."""
        if self._oauth is not None:
            from conda_store_hub.web.oauth import close_connections

            await close_connections()
