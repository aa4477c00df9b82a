"""Log in through a browser: OAuth 2.0 with PKCE, answered at a loopback address, or by a code that is typed in.

The verifier never leaves this process but for the service, so that a code is worth nothing to who sees it on its way.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import html
import secrets
import threading
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, urlencode

from conda_store_hub.client.addresses import Address
from conda_store_hub.core.errors import ForbiddenError, InvalidRequestError, NotAuthenticatedError
from conda_store_hub.core.oauth import (
    AUTHORIZE_PATH,
    CALLBACK_PATH,
    CHALLENGE_METHOD,
    CLIENT_ID,
)

WAIT_SECONDS = 600.0
_LOOK_SECONDS = 0.05
_PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="color-scheme" content="light dark">
</head><body><main><h1>{title}</h1><p>{text}</p></main></body></html>
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class LoginRequest:
    """One attempt. `redirect_uri` is None where the service shows the code."""

    url: str
    role: str
    host: str
    redirect_uri: str | None = None
    state: str = field(default_factory=lambda: secrets.token_urlsafe(24), repr=False)
    verifier: str = field(default_factory=lambda: secrets.token_urlsafe(48), repr=False)

    @property
    def address(self) -> str:
        """Where a browser is sent."""
        digest = hashlib.sha256(self.verifier.encode()).digest()
        asked = {
            "response_type": "code",
            "client_id": CLIENT_ID,
            "scope": self.role,
            "state": self.state,
            "code_challenge": base64.urlsafe_b64encode(digest).rstrip(b"=").decode(),
            "code_challenge_method": CHALLENGE_METHOD,
            "host": self.host,
            **({} if self.redirect_uri is None else {"redirect_uri": self.redirect_uri}),
        }
        return f"{self.url.rstrip('/')}/{AUTHORIZE_PATH}?{urlencode(asked)}"

    def is_answered_by(self, issuer: str) -> bool:
        """Tell whether an answer is of the service that was asked, by what it calls itself (RFC 9207).

        A service that sends its visitors on to another one would be given that one's code for the verifier. Whether a
        connection is encrypted is told wrongly behind some proxies, so the scheme does not count.
        """
        try:
            return Address.parse(issuer).is_place_of(Address.parse(self.url))
        except InvalidRequestError:
            return False

    def read_typed(self, typed: str) -> str:
        """Return the code of `CODE@PLACE`, as the page shows it; raise NotAuthenticatedError for one from elsewhere."""
        code, at, place = typed.partition("@")
        if not at:
            raise NotAuthenticatedError("That is not the whole code: paste all that the page shows.")
        self.require_answer_by(f"https://{place}")
        return code

    def require_answer_by(self, issuer: str) -> None:
        """Raise NotAuthenticatedError for an answer of another service."""
        if not self.is_answered_by(issuer):
            raise NotAuthenticatedError(
                f"Another service than {self.url} answered the login, so that nothing of it was used: log in again, and"
                " look at the address of the page on which you say yes."
            )

    def make_exchange(self, code: str) -> dict[str, str]:
        """Return what is sent for the token."""
        form = {
            "grant_type": "authorization_code",
            "client_id": CLIENT_ID,
            "code": code,
            "code_verifier": self.verifier,
        }
        return form if self.redirect_uri is None else form | {"redirect_uri": self.redirect_uri}


class Listener:
    """Waits on this machine alone for the browser to come back."""

    def __init__(self, request: LoginRequest) -> None:
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self.request = replace(request, redirect_uri=f"http://127.0.0.1:{self._server.server_port}{CALLBACK_PATH}")
        self._server.state = request.state

    def __enter__(self) -> Self:
        """Listen."""
        # A browser opens connections that it says nothing on: each has a thread of its own.
        threading.Thread(target=self._server.serve_forever, args=(_LOOK_SECONDS,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Listen no more."""
        self._server.shutdown()
        self._server.server_close()

    def wait(self, seconds: float = WAIT_SECONDS) -> str:
        """Return the code; who comes without the state of this login is not listened to.

        Raises ForbiddenError when the person says no, NotAuthenticatedError when nobody comes, or from elsewhere.
        """
        if not self._server.answered.wait(seconds):
            raise NotAuthenticatedError("Nobody answered in the browser in time: log in again.")
        answer = self._server.answer
        self.request.require_answer_by(answer.get("iss", ""))
        if answer.get("error") == "access_denied":
            raise ForbiddenError("You said no in the browser: nothing was given.")
        if "code" not in answer:
            why = answer.get("error_description") or answer.get("error")
            raise NotAuthenticatedError(f"The service refused the login: {why}.")
        return answer["code"]


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    state = ""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.answer: dict[str, str] = {}
        self.answered = threading.Event()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of browsers that go away."""


class _Handler(BaseHTTPRequestHandler):
    timeout = WAIT_SECONDS
    server: _Server  # pyright: ignore[reportIncompatibleVariableOverride]

    def do_GET(self) -> None:
        """Take the answer of the service."""
        path, _, query = self.path.partition("?")
        if path != CALLBACK_PATH:
            self._show(HTTPStatus.NOT_FOUND, "Not here", "There is nothing at this address.")
            return
        values = {name: found[-1] for name, found in parse_qs(query).items()}
        if not hmac.compare_digest(values.get("state", "").encode(), self.server.state.encode()):
            self._show(HTTPStatus.BAD_REQUEST, "Not this login", "This answers another login, and was not listened to.")
            return
        title = "Go back to your terminal" if "code" in values else "Not logged in"
        try:
            self._show(HTTPStatus.OK, title, "conda-store goes on there. You can close this page.")
        finally:
            self.server.answer = values
            self.server.answered.set()

    def _show(self, status: HTTPStatus, title: str, text: str) -> None:
        page = _PAGE.format(title=html.escape(title), text=html.escape(text)).encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(page)))
        self.send_header("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'; base-uri 'none'")
        self.send_header("Cache-Control", "no-store")
        self.send_header("Referrer-Policy", "no-referrer")
        self.end_headers()
        self.wfile.write(page)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 the library's name
        """Say nothing: the address holds a code."""
