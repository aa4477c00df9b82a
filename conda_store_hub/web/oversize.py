"""Bodies that are too large: refused before they are read, and then let pass by, so that the refusal arrives."""

from __future__ import annotations

import contextlib

from tornado.iostream import StreamClosedError
from tornado.web import stream_request_body

from conda_store_hub.core.errors import RequestTooLargeError
from conda_store_hub.web.base import ApiHandler, BaseHandler
from conda_store_hub.web.page import PageHandler

MOST_DRAINED = 64_000_000  # who sends more has the connection closed in their face


class _Refusal(BaseHandler):
    """Answers at once, and ends when the body has come: a connection closed earlier can take the answer with it."""

    async def prepare(self) -> None:
        """Refuse."""
        error = RequestTooLargeError()
        self.set_status(error.status)
        body = self.describe_error(error).encode()
        self.set_header("Content-Length", str(len(body)))
        self.set_header("Connection", "close")
        self.write(body)
        with contextlib.suppress(StreamClosedError):
            await self.flush()

    def data_received(self, chunk: bytes) -> None:
        """Keep nothing."""

    def get(self) -> None:
        """End."""
        self.finish()

    post = put = delete = patch = get


@stream_request_body
class ApiRefusal(_Refusal, ApiHandler):
    """Refuses in JSON."""


@stream_request_body
class PageRefusal(_Refusal, PageHandler):
    """Refuses with a page."""
