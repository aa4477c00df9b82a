"""The way from a page to the service: through its own server, which adds the token that the page never sees."""

from __future__ import annotations

import asyncio
import json
import os
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import httpx
from jupyter_server.auth.decorator import authorized
from jupyter_server.base.handlers import APIHandler
from pydantic import ValidationError
from tornado import web
from tornado.httputil import HTTPOutputError
from tornado.iostream import StreamClosedError

from conda_store_hub.core.schemas import ErrorAnswer
from conda_store_hub.lab.allowed import Place, clean_query, find_place

MOST_BODY = 6_000_000  # bytes; a lock file, which is the largest thing that the service takes
CONNECT_SECONDS = 10.0
READ_SECONDS = 60.0  # a live log says every 25 s that it is there
SOLVE_SECONDS = 900.0
GOODBYE = "Kernels that are listed still start, and those that run go on; what changes environments has to wait."
#: What the service is told of a request, and what a page is told of an answer. No cookie is among them.
_SENT = ("Accept", "Content-Type", "If-Match", "If-None-Match", "If-Range", "Last-Event-ID", "Range")
_RETURNED = (
    *("Accept-Ranges", "Cache-Control", "Content-Disposition", "Content-Length", "Content-Range", "Content-Type"),
    *("ETag", "Last-Modified", "Retry-After", "X-Log-Complete", "X-Log-Offset"),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """A change that the service has taken: where, and the number of the build that it began."""

    place: Place
    build_id: int | None


class Upstream:
    """The service as the proxy reaches it: its address, the server's token, and connections."""

    def __init__(self, *, url: str, token: str, on_change: Callable[[Change], None]) -> None:
        self._base = url.rstrip("/") + "/api/v1/"
        self.token = token
        self.on_change = on_change
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=4)
        # The machine's certificates, as for the long poll; to read them takes a moment, and is for https alone.
        verify = ssl.create_default_context() if url.startswith("https:") else False
        self._client = httpx.AsyncClient(trust_env=False, follow_redirects=False, limits=limits, verify=verify)

    async def close(self) -> None:
        """Let go of connections."""
        await self._client.aclose()

    def stream(self, method: str, path: str, query: str, headers: dict[str, str], body: bytes) -> Any:
        """Return a context in which the answer can be read as it comes; raises httpx.TransportError."""
        seconds = SOLVE_SECONDS if path == "specification/solve/" else READ_SECONDS
        return self._client.stream(
            method,
            self._base + path + (f"?{query}" if query else ""),
            headers={**headers, "Accept-Encoding": "identity"},
            content=body or None,
            timeout=httpx.Timeout(seconds, connect=CONNECT_SECONDS),
        )


class ProxyHandler(APIHandler):
    """`conda-store-hub/api/v1/…`: the service's API, as far as `allowed` lists it.

    Reads are made with the server's token, changes with that of the person who asks; neither is told to the page.
    """

    auth_resource = "conda-store-hub"
    _task: asyncio.Task[None] | None = None

    def initialize(self, find_upstream: Callable[[], Upstream | str]) -> None:
        """Keep what finds the way to the service, or tells why there is none."""
        self._find_upstream = find_upstream
        # What a page reads by itself must not keep a server alive that nobody uses.
        self._track_activity = self.request.method != "GET"

    @web.authenticated
    @authorized
    async def get(self, path: str) -> None:
        """Read."""
        await self._pass_on()

    @web.authenticated
    @authorized
    async def post(self, path: str) -> None:
        """Make."""
        await self._pass_on()

    @web.authenticated
    @authorized
    async def put(self, path: str) -> None:
        """Change."""
        await self._pass_on()

    @web.authenticated
    @authorized
    async def delete(self, path: str) -> None:
        """Delete."""
        await self._pass_on()

    def on_connection_close(self) -> None:
        """Ask no further for somebody who has left; but what was begun to be changed is told to the other pages."""
        if self._task is not None and not self._is_change:
            self._task.cancel()

    async def _pass_on(self) -> None:
        # Not the captured group: that has been unescaped.
        path = self.request.path.partition("/conda-store-hub/api/v1/")[2]
        place = find_place(self.request.method or "", path)
        if place is None:
            return self._refuse(HTTPStatus.NOT_FOUND, "not-found", "JupyterLab does not pass this on to the service.")
        upstream = self._find_upstream()
        if isinstance(upstream, str):
            said = f"This server is not connected to the service of the environments: {upstream}."
            return self._refuse(HTTPStatus.SERVICE_UNAVAILABLE, "disabled", said)
        if len(self.request.body) > MOST_BODY:
            said = f"That is more than {MOST_BODY // 1_000_000} MB, which no specification and no lock file has."
            return self._refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "request-too-large", said)
        token = self._choose_token(upstream)
        if token is None:
            said = "This server does not know you by a token of your own: open it through the Hub, and log in there."
            return self._refuse(HTTPStatus.FORBIDDEN, "forbidden", said)
        self._task = asyncio.create_task(self._answer(upstream, path, place, token))
        with suppress(asyncio.CancelledError, StreamClosedError):
            await self._task
        return None

    def _choose_token(self, upstream: Upstream) -> str | None:
        """Return the token to ask with; None where a change would be made as somebody else."""
        if self.request.method == "GET":
            return upstream.token
        # The second is where a server has it that the Hub starts with JUPYTERHUB_SINGLEUSER_EXTENSION=0.
        hub_auth = getattr(self.identity_provider, "hub_auth", None) or self.settings.get("hub_auth")
        own = None if hub_auth is None else hub_auth.get_token(self)
        if own:
            return own
        owner = os.environ.get("JUPYTERHUB_USER")
        if hub_auth is None and not owner:  # no Hub: whoever may use the server is its owner
            return upstream.token
        return upstream.token if self.current_user.username == owner else None

    async def _answer(self, upstream: Upstream, path: str, place: Place, token: str) -> None:
        request = self.request
        headers = {name: request.headers[name] for name in _SENT if name in request.headers}
        headers["Authorization"] = f"token {token}"
        try:
            query = clean_query(request.query)
            async with upstream.stream(request.method or "", path, query, headers, request.body) as answer:
                await self._relay(upstream, place, answer)
        except httpx.TransportError as exc:
            self.log.warning("conda-store-hub: %s %s: %s", request.method, path, exc or type(exc).__name__)
            if self._headers_written:
                with suppress(HTTPOutputError):  # what was promised is not there: the connection is closed on it
                    await self._finish_as_it_is()
                return
            said = f"The service of the environments cannot be reached. {GOODBYE}"
            self._refuse(HTTPStatus.SERVICE_UNAVAILABLE, "service-unreachable", said)

    async def _relay(self, upstream: Upstream, place: Place, answer: httpx.Response) -> None:
        if _leads_elsewhere(answer) or answer.status_code == HTTPStatus.UNAUTHORIZED:
            self._refuse_for(answer)
            return
        self.set_status(answer.status_code, answer.reason_phrase or None)
        for name in _RETURNED:
            if name in answer.headers:
                self.set_header(name, answer.headers[name])
        if self.request.method == "GET":
            await self._stream(answer.aiter_raw())
            return
        body = await answer.aread()  # of a change: a sentence or a solve, never an artifact
        if answer.status_code == HTTPStatus.NOT_FOUND:
            owner = os.environ.get("JUPYTERHUB_USER")
            body = say_who_asks(body, owner=owner, asks=self.current_user.username)
        if answer.is_success:
            self._tell(upstream, place, body)
        self.clear_header("Content-Length")
        await self._end(answer, body)

    async def _stream(self, chunks: AsyncIterator[bytes]) -> None:
        if "Content-Type" in self._headers and self._headers["Content-Type"].startswith("text/event-stream"):
            self.set_header("X-Accel-Buffering", "no")
            await self.flush()
        async for chunk in chunks:
            self.write(chunk)
            await self.flush()
        await self._finish_as_it_is()

    async def _end(self, answer: httpx.Response, body: bytes) -> None:
        # Not even nothing may be written where there is no content (204).
        await self.finish(body or None, set_content_type=answer.headers.get("Content-Type", "application/json"))

    async def _finish_as_it_is(self) -> None:
        await self.finish(set_content_type=self._headers.get("Content-Type", "application/json"))

    def _tell(self, upstream: Upstream, place: Place, body: bytes) -> None:
        if self._is_change:
            upstream.on_change(Change(place=place, build_id=_find_build_id(body)))

    @property
    def _is_change(self) -> bool:
        return self.request.method != "GET" and not self.request.path.endswith("/solve/")

    def _refuse_for(self, answer: httpx.Response) -> None:
        if _leads_elsewhere(answer):
            said = (
                f"CONDA_STORE_HUB_URL answers with a redirect ({answer.status_code}): it is not the service's address."
            )
            self._refuse(HTTPStatus.BAD_GATEWAY, "not-the-service", said)
            return
        # A 401 of our own would make a page believe that it has to log in here.
        said = (
            "The service does not know this server's token, or yours: stop the server and start it again from the"
            " Hub. If that does not help, the Hub has to be configured with conda_store_hub.configure(c)."
        )
        self._refuse(HTTPStatus.FORBIDDEN, "token-refused", said)

    def _refuse(self, status: HTTPStatus, code: str, message: str) -> None:
        self.set_status(status)
        self.finish(ErrorAnswer(message=message, code=code).model_dump_json())


def say_who_asks(body: bytes, *, owner: str | None, asks: str) -> bytes:
    """Say in a refusal as whom a visitor asks: what it says is not there is shown to them, as its owner sees it."""
    if owner in (None, asks):
        return body
    try:
        said = ErrorAnswer.model_validate_json(body)
    except ValidationError:
        return body
    message = f"{said.message} You are on the server of {owner} and see what {owner} sees, but change it as {asks}."
    return said.model_copy(update={"message": message}).model_dump_json().encode()


def _leads_elsewhere(answer: httpx.Response) -> bool:
    # httpx counts 304 among redirects, which says that what a page has is still right.
    return answer.is_redirect and answer.status_code != HTTPStatus.NOT_MODIFIED


def _find_build_id(body: bytes) -> int | None:
    """Return the number of the build that an answer tells of."""
    try:
        data = json.loads(body)["data"]
        return int(data["build_id"])
    except (ValueError, KeyError, TypeError):
        return None
