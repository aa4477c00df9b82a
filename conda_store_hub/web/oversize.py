"""Bodies that are or may be too large: refused before they are read, then let pass by, so that the refusal arrives."""

from __future__ import annotations

import contextlib

from tornado.httputil import HTTPHeaders
from tornado.iostream import StreamClosedError
from tornado.web import stream_request_body

from conda_store_hub.core.errors import CondaStoreHubError, LengthRequiredError, RequestTooLargeError
from conda_store_hub.web.base import ApiHandler, BaseHandler
from conda_store_hub.web.page import PageHandler
from conda_store_hub.web.registry.base import RegistryHandler

MOST_DRAINED = 64_000_000  # who sends more has the connection closed in their face
_MOST_DIGITS = 18  # `int` refuses thousands of them


def find_fault(headers: HTTPHeaders, most: int) -> CondaStoreHubError | None:
    """Return why a body is not read: it has more than `most` bytes, or nobody knows before all of it is here."""
    size = headers.get("Content-Length")
    if size is None:
        # Of other encodings, and of both headers at once, the HTTP server itself will have nothing.
        return LengthRequiredError() if headers.get("Transfer-Encoding", "").lower() == "chunked" else None
    if not size.isdecimal() or (len(size) <= _MOST_DIGITS and int(size) <= most):
        return None
    return RequestTooLargeError(f"The request is larger than {most / 1_000_000:.3g} MB.")


class _Refusal(BaseHandler):
    """Answers at once, and ends when the body has come: a connection closed earlier can take the answer with it."""

    def initialize(self, error: CondaStoreHubError) -> None:
        """Refuse with this."""
        self._error = error

    async def prepare(self) -> None:
        """Refuse."""
        self.set_status(self._error.status)
        body = self.describe_error(self._error).encode()
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

    post = put = delete = patch = options = get


@stream_request_body
class ApiRefusal(_Refusal, ApiHandler):
    """Refuses in JSON."""


@stream_request_body
class PageRefusal(_Refusal, PageHandler):
    """Refuses with a page."""


@stream_request_body
class RegistryRefusal(_Refusal, RegistryHandler):
    """Refuses as registries do; only who pushes sends so much."""
