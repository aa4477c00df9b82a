"""The Hub's own OAuth library, set up from values; slow to load, so only `auth` imports it, when it is needed."""

from __future__ import annotations

import json
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, cast

import aiohttp
from jupyterhub.httpclient import JupyterHubHTTPClient, fetch
from jupyterhub.services.auth import HubOAuth, HubOAuthCallbackHandler, _ExpiringDict  # pyright: ignore[reportPrivateUsage]
from jupyterhub.utils import make_ssl_context
from tornado.httputil import url_concat
from tornado.web import HTTPError, RequestHandler

if TYPE_CHECKING:
    from conda_store_hub.web.hub import HubEnvironment

# What asking the Hub can end in; a time-out is an OSError, an answer that is not what it should be a ValueError.
FAILURES: tuple[type[Exception], ...] = (HTTPError, aiohttp.ClientError, OSError, ValueError)
_REFUSED_SECONDS = 5
_REMEMBERED = "_cached_hub_user"  # the attribute by which the library asks once a request


_anew: ContextVar[bool] = ContextVar("_anew", default=False)


@contextmanager
def asked_anew(*, wanted: bool) -> Generator[None]:
    """Have the Hub asked in this block, if `wanted`, even where it answered a moment ago."""
    before = _anew.set(wanted)
    try:
        yield
    finally:
        _anew.reset(before)


def forget_user(handler: RequestHandler) -> None:
    """Have the library look again who sent a request."""
    if hasattr(handler, _REMEMBERED):
        delattr(handler, _REMEMBERED)


class _Answers(_ExpiringDict):
    """The Hub's answers; a refusal is kept for a few seconds only: a token may be known a moment later.

    Each says which token it is about, by the digest that ends the library's key for it.
    """

    def __getitem__(self, key: str) -> object:
        if _anew.get():
            raise KeyError(key)
        return super().__getitem__(key)

    def __setitem__(self, key: str, value: dict[str, Any] | None) -> None:
        if value is not None:
            value["token_digest"] = key.rpartition(":")[2]
        super().__setitem__(key, value)
        if value is None:
            self.timestamps[key] -= max(0, self.max_age - _REFUSED_SECONDS)


def make_oauth(environment: HubEnvironment, cache_max_age: int) -> HubOAuth:
    """Return an OAuth client with these values; the library's own reading of the environment is not used."""
    return HubOAuth(
        api_url=environment.api_url,
        api_token=environment.api_token,
        base_url=environment.prefix,
        hub_host=environment.host,
        hub_prefix=f"{environment.base_url}hub/",
        oauth_client_id=environment.client_id,
        oauth_redirect_uri=environment.callback_url,
        access_scopes=set(environment.access_scopes),
        cookie_options=environment.cookie_options,
        cookie_host_prefix_enabled=environment.cookie_host_prefix,
        keyfile=environment.keyfile,
        certfile=environment.certfile,
        client_ca=environment.client_ca,
        cache_max_age=cache_max_age,
        cache=_Answers(cache_max_age),
    )


def make_login_url(oauth: HubOAuth, handler: RequestHandler) -> str:
    """Do what the library's mixin does for handlers that have it: a state cookie, and PKCE (RFC 7636)."""
    verifier, challenge, method = oauth.generate_pkce_code_challenge()
    state = oauth.set_state_cookie(handler, next_url=handler.request.uri, code_verifier=verifier)
    asked: dict[str, Any] = {"code_challenge": challenge, "code_challenge_method": method, "state": state}
    return url_concat(oauth.login_url, asked)


def find_status(failure: Exception) -> int:
    """Return the status that the library gives a failure."""
    return failure.status_code if isinstance(failure, HTTPError) else HTTPStatus.BAD_GATEWAY


async def finish_login(oauth: HubOAuth, handler: RequestHandler) -> None:
    """Do what the library's handler does where the Hub sends a browser that has logged in; raise HTTPError as it does.

    Of a handler it needs `hub_auth`, and `current_user` for who was logged in before.
    """
    library = cast("HubOAuthCallbackHandler", handler)
    library.hub_auth = oauth
    await HubOAuthCallbackHandler.get(library)


async def fetch_json(oauth: HubOAuth, address: str) -> tuple[int, object]:
    """Ask the Hub's API as the service itself; the status, and the body where it is JSON."""
    answer = await _fetch(oauth, address, headers={"Authorization": f"token {oauth.api_token}"})
    text = await answer.text()
    return answer.status, json.loads(text) if answer.status == HTTPStatus.OK else None


async def fetch_file(oauth: HubOAuth, address: str) -> bytes:
    """Return a file that the Hub has for everybody; empty where it has none."""
    answer = await _fetch(oauth, address)
    data = await answer.read()
    return data if answer.status == HTTPStatus.OK else b""


async def _fetch(oauth: HubOAuth, address: str, **options: Any) -> aiohttp.ClientResponse:
    if oauth.certfile or oauth.keyfile:
        options["ssl"] = make_ssl_context(oauth.keyfile, oauth.certfile, cafile=oauth.client_ca)
    return await fetch(address, method="GET", raise_for_status=False, **options)


async def close_connections() -> None:
    """Close the library's connections to the Hub that this event loop opened."""
    await JupyterHubHTTPClient.loop_instance().close()
