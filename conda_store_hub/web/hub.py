"""The Hub as this service asks it: who a request is from, and who a user or a group is."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, TypeVar, cast
from urllib.parse import quote

from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError, field_validator
from tornado.web import RequestHandler

from conda_store_hub.core.errors import ConfigurationError, HubUnavailableError, LoginFailedError, UnavailableError

if TYPE_CHECKING:
    import logging

    from conda_store_hub.web.oauth import HubOAuth

_MOST_PEOPLE = 10_000
_LONGEST_NAME = 255


@dataclass(frozen=True, kw_only=True, slots=True)
class HubEnvironment:
    """What a Hub tells a service that it starts (JupyterHub, "Launching a Hub-Managed Service")."""

    api_url: str
    api_token: str
    service: str
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
    public_url: str
    """Where people find the service's pages, if the Hub knows (`c.JupyterHub.public_url`); it ends with a slash."""

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
            service=service,
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
            public_url=_end_with_slash(variables.get("JUPYTERHUB_PUBLIC_URL") or ""),
        )

    @property
    def cookie_name(self) -> str:
        """The cookie of a session, as the Hub's library names it."""
        return f"__Host-{self.client_id}" if self.cookie_host_prefix else self.client_id

    def hub_page(self, path: str) -> str:
        """Return the address of a page of the Hub, as a browser must ask for it."""
        return f"{self.host}{self.base_url}hub/{path}"


def _end_with_slash(url: str) -> str:
    return f"{url.rstrip('/')}/" if url else ""


def _refuse_surrogates(value: str | list[str]) -> str | list[str]:
    """Take no name that is no text (UnicodeEncodeError is a ValueError): it could not be kept."""
    for name in [value] if isinstance(value, str) else value:
        name.encode()
    return value


class HubUser(BaseModel):
    """As much as we need of what `GET /hub/api/user` answers about a token, and which token that was."""

    model_config = ConfigDict(frozen=True)

    name: str
    kind: str = "user"
    admin: bool = False
    groups: list[str] = []
    scopes: list[str] = []
    session_id: str | None = None
    token_digest: str = ""

    _check_name = field_validator("name", "groups")(_refuse_surrogates)


class HubPerson(BaseModel):
    """As much as we need of what `GET /hub/api/users/NAME` answers; `created` is missing without `read:users`."""

    model_config = ConfigDict(frozen=True)

    name: str
    kind: str
    admin: bool = False
    groups: list[str] = []
    created: AwareDatetime | None = None

    _check_name = field_validator("name", "groups")(_refuse_surrogates)


class HubGroup(BaseModel):
    """As much as we need of what `GET /hub/api/groups/NAME` answers."""

    model_config = ConfigDict(frozen=True)

    name: str


class HubVersion(BaseModel):
    """What `GET /hub/api/` answers."""

    model_config = ConfigDict(frozen=True)

    version: str


_M = TypeVar("_M", HubPerson, HubGroup)


class Hub:
    """Asks the Hub, through its own library, which is loaded at the first question: it takes half a second.

    Every method raises HubUnavailableError when the Hub does not answer.
    """

    def __init__(
        self, environment: HubEnvironment, *, cache_seconds: int, answer_seconds: int, log: logging.Logger
    ) -> None:
        self.environment = environment
        self._cache_seconds = cache_seconds
        self._answer_seconds = answer_seconds
        self._log = log
        self._oauth: HubOAuth | None = None
        self._loading = threading.Lock()
        self._people: dict[str, tuple[float, HubPerson | None]] = {}
        self.has_own_logo = False
        """Whether the Hub is known to show its own logo, and none that somebody has configured."""

    async def get_oauth(self) -> HubOAuth:
        """Return the Hub's OAuth, loaded when it is first needed."""
        return self._oauth or await asyncio.to_thread(self.load_oauth)

    def load_oauth(self) -> HubOAuth:
        """Do what `get_oauth` does, in the calling thread."""
        from conda_store_hub.web.oauth import make_oauth  # 0.4 s

        with self._loading:
            if self._oauth is None:
                self._oauth = make_oauth(self.environment, self._cache_seconds)
        return self._oauth

    async def find_user(self, handler: RequestHandler, *, fresh: bool, again: bool) -> HubUser | None:
        """Return who sent a request; None if nobody the Hub knows, or a cookie without its XSRF token.

        `fresh`: the Hub is asked even if it answered about this token a moment ago. `again`: what the library remembers
        of this request does not count.
        """
        oauth = await self.get_oauth()
        from conda_store_hub.web.oauth import FAILURES, asked_anew, forget_user

        if again:
            forget_user(handler)
        if handler.request.headers.get("Sec-Fetch-Mode") == "websocket":
            # The library lets websockets pass without an XSRF token, and takes tokens from their address.
            handler.request.headers["Sec-Fetch-Mode"] = "cors"

        try:
            with asked_anew(wanted=fresh):
                async with asyncio.timeout(self._answer_seconds):
                    model = cast("dict[str, Any] | None", await oauth.get_user(handler, sync=False))
            return None if model is None else HubUser.model_validate(model)
        except FAILURES as exc:
            self._log.warning("the Hub could not be asked who sends a request: %s", exc)
            raise HubUnavailableError from exc

    def lets_in(self, user: HubUser) -> bool:
        """Tell whether the scopes of a token give access to this service."""
        if self._oauth is None or not self._oauth.access_scopes:
            return True
        return bool(self._oauth.check_scopes(self._oauth.access_scopes, {"scopes": user.scopes}))

    async def find_person(self, name: str, *, fresh: bool = False) -> HubPerson | None:
        """Return the user whom the Hub calls `name` to the letter, None if there is none."""
        known = self._people.get(name)
        if known is not None and not fresh and time.monotonic() - known[0] < self._cache_seconds:
            return known[1]
        found = await self._get(HubPerson, "users", name)
        person = found if found is not None and found.name == name and found.kind == "user" else None
        if len(self._people) >= _MOST_PEOPLE:
            del self._people[next(iter(self._people))]
        self._people[name] = (time.monotonic(), person)
        return person

    async def has_group(self, name: str) -> bool:
        """Tell whether the Hub has a group of that name, to the letter."""
        found = await self._get(HubGroup, "groups", name)
        return found is not None and found.name == name

    async def find_version(self) -> str:
        """Return the version of the Hub."""
        oauth = await self.get_oauth()
        from conda_store_hub.web.oauth import FAILURES, fetch_json

        try:
            async with asyncio.timeout(self._answer_seconds):
                _, body = await fetch_json(oauth, f"{self.environment.api_url}/")
            return HubVersion.model_validate(body).version
        except (*FAILURES, ValidationError) as exc:
            self._log.warning("the Hub could not be asked for its version: %s", exc)
            raise HubUnavailableError from exc

    async def look_at_logo(self, own: bytes) -> None:
        """Find out whether the Hub shows its `own` logo; where it does not answer, that stays unknown."""
        oauth = await self.get_oauth()
        from conda_store_hub.web.oauth import FAILURES, fetch_file

        try:
            async with asyncio.timeout(self._answer_seconds):
                shown = await fetch_file(oauth, f"{self.environment.api_url.removesuffix('/api')}/logo")
            self.has_own_logo = shown == own
        except FAILURES as exc:
            self._log.warning("the Hub could not be asked for its logo, which pages show as it is: %s", exc)

    async def _get(self, model: type[_M], kind: str, name: str) -> _M | None:
        """Ask about something by its name; one that would change the address is nobody's."""
        if name in ("", ".", "..") or len(name) > _LONGEST_NAME:
            return None
        oauth = await self.get_oauth()
        from conda_store_hub.web.oauth import FAILURES, fetch_json

        try:
            async with asyncio.timeout(self._answer_seconds):
                address = f"{self.environment.api_url}/{kind}/{quote(name, safe='', errors='replace')}"
                status, body = await fetch_json(oauth, address)
            if status == HTTPStatus.NOT_FOUND:
                return None
            if status == HTTPStatus.OK:
                return model.model_validate(body)
        except (*FAILURES, ValidationError) as exc:
            self._log.warning("the Hub could not be asked about one of its %s: %s", kind, exc)
            raise HubUnavailableError from exc
        return self._refuse(kind, status)

    def _refuse(self, kind: str, status: int) -> None:
        if status == HTTPStatus.FORBIDDEN:
            raise UnavailableError(
                f"The Hub does not let this service read its {kind}: an administrator has to give the service's role"
                f" the scope read:{kind}."
            )
        self._log.warning("the Hub answered %d to a question about one of its %s", status, kind)
        raise HubUnavailableError

    async def make_login_url(self, handler: RequestHandler) -> str:
        """Return where a browser logs in; it comes back to where it was going. Sets a cookie."""
        oauth = await self.get_oauth()
        from conda_store_hub.web.oauth import make_login_url

        return make_login_url(oauth, handler)

    async def finish_login(self, handler: RequestHandler) -> None:
        """Have a browser that comes back from the Hub logged in, and go on to where it was going.

        Raises LoginFailedError where it did not begin here, or was refused.
        """
        oauth = await self.get_oauth()
        from conda_store_hub.web.oauth import FAILURES, find_status, finish_login

        try:
            async with asyncio.timeout(self._answer_seconds):
                await finish_login(oauth, handler)
        except FAILURES as exc:
            self._log.warning("a login was not finished: %s", exc)
            if find_status(exc) < HTTPStatus.INTERNAL_SERVER_ERROR:
                raise LoginFailedError from exc
            raise HubUnavailableError("The Hub did not confirm that you logged in.") from exc

    async def close(self) -> None:
        """Close the connections to the Hub."""
        if self._oauth is not None:
            from conda_store_hub.web.oauth import close_connections

            await close_connections()
