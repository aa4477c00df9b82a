"""The line from a user's server to the service: requests with the server's token, which can be broken off."""

from __future__ import annotations

from typing import Any, Literal, cast

from pydantic import BaseModel
from tornado.httpclient import HTTPRequest, HTTPResponse
from tornado.httputil import url_concat
from tornado.iostream import IOStream
from tornado.simple_httpclient import SimpleAsyncHTTPClient
from tornado.tcpclient import TCPClient

CONNECT_SECONDS = 10.0


class Line:
    """A client of the service's REST API; made on the running loop."""

    def __init__(self, url: str, token: str) -> None:
        self._url = url.rstrip("/") + "/api/v1/"
        self._token = token
        self._connector = _Connector()
        # An instance of our own: the server's other clients share a pool that a long poll would fill.
        self._client = cast("SimpleAsyncHTTPClient", SimpleAsyncHTTPClient(force_instance=True))
        self._client.tcp_client = self._connector

    async def ask(
        self,
        method: Literal["GET", "PUT", "DELETE"],
        path: str,
        *,
        query: dict[str, str] | None = None,
        body: BaseModel | None = None,
        seconds: float,
    ) -> HTTPResponse:
        """Return what the service answers, errors too; raises HTTPClientError or OSError when nothing answers."""
        headers = {"Authorization": f"token {self._token}", "Accept": "application/json"}
        return await self._client.fetch(
            HTTPRequest(
                url_concat(self._url + path, query or {}),
                method=method,
                headers=headers if body is None else {**headers, "Content-Type": "application/json"},
                body=None if body is None else body.model_dump_json(),
                allow_nonstandard_methods=body is not None,  # Tornado's word for a DELETE with a body
                connect_timeout=CONNECT_SECONDS,
                request_timeout=seconds,
                follow_redirects=False,
            ),
            raise_error=False,
        )

    def hang_up(self) -> None:
        """Break off what is under way."""
        self._connector.hang_up()

    def close(self) -> None:
        """Ask no more."""
        self._client.close()


class _Connector(TCPClient):
    """Makes connections and remembers them, because a request of Tornado's client cannot be given up."""

    def __init__(self) -> None:
        super().__init__()
        self._streams: set[IOStream] = set()

    async def connect(self, *args: Any, **options: Any) -> IOStream:
        stream = await super().connect(*args, **options)
        self._streams = {one for one in self._streams if not one.closed()} | {stream}
        return stream

    def hang_up(self) -> None:
        for stream in self._streams:
            stream.close()
