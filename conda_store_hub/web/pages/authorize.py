"""Where programs log in: the page on which a user lets one have a token, and what the program asks afterwards."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, ClassVar
from urllib.parse import urlencode

from tornado.httputil import HTTPServerRequest

from conda_store_hub.core.errors import CondaStoreHubError, ForbiddenError, InvalidRequestError
from conda_store_hub.core.oauth import (
    AUTHORIZE_PATH,
    CHALLENGE_METHOD,
    CLIENT_ID,
    MAX_HOST,
    REVOKE_PATH,
    TOKEN_PATH,
)
from conda_store_hub.core.permissions import Role
from conda_store_hub.services.authorization import TYPED_CODE_SECONDS, Leave
from conda_store_hub.web.auth import SESSION, find_source
from conda_store_hub.web.base import SERVER_FAULT, BaseHandler
from conda_store_hub.web.contexts import Context
from conda_store_hub.web.operations import JSON
from conda_store_hub.web.page import PageHandler, make_policy
from conda_store_hub.web.pages.user import ENDS, Choice
from conda_store_hub.web.registry.base import find_scheme

if TYPE_CHECKING:
    from conda_store_hub.web.authorization import Answered, Asked

_ROLES = {
    Role.VIEWER: "only look, download and compute",
    Role.DEVELOPER: "make, change and build environments",
    Role.ADMIN: "do all that you can: delete and share, too",
}
_END = "90"
_MOST_CHOSEN = Role.DEVELOPER
"""What is chosen beforehand for a program that asks for more: who wants to give that says so."""
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")
_FORM = "application/x-www-form-urlencoded"


@dataclass(frozen=True, kw_only=True, slots=True)
class AuthorizeContext(Context):
    """What a program asks for. `machine`: where it says that it runs; `port`: where it listens there, if it does."""

    template: ClassVar[str] = "authorize.html"
    program: str
    machine: str
    port: str
    label: str
    roles: tuple[Choice, ...]
    ends: tuple[Choice, ...]
    action: str
    error: str


@dataclass(frozen=True, kw_only=True, slots=True)
class AuthorizedContext(Context):
    """The answer where the program cannot be called back; `code` is empty for a no."""

    template: ClassVar[str] = "authorized.html"
    code: str
    minutes: int


@dataclass(frozen=True, kw_only=True, slots=True)
class _Chosen:
    """What the form holds."""

    role: str
    end: str = _END


class AuthorizeHandler(PageHandler):
    """`/oauth2/authorize/`: a user's browser comes here from a program, and goes back to it."""

    help = "command-line/#logging-in"

    def set_default_headers(self) -> None:
        """Let nobody frame this, old browsers included."""
        super().set_default_headers()
        self.set_header("X-Frame-Options", "DENY")

    async def get(self) -> None:
        """Say what a program asks for, and ask for leave."""
        asked = self._read_asked()
        if asked is not None:
            self._show_form(asked, _Chosen(role=min(asked.role, _MOST_CHOSEN, key=lambda role: role.rank)))

    async def post(self) -> None:
        """Take the answer to the program: a code, or the no."""
        asked = self._read_asked()
        if asked is None:
            return
        chosen = _Chosen(role=self.get_body_argument("role", ""), end=self.get_body_argument("end", ""))
        answer = self.get_body_argument("answer", "")
        if answer == "no":
            self._finish_refused(asked)
        elif answer != "yes":
            raise InvalidRequestError("Answer with one of the two buttons.")
        elif self.get_body_argument("user", "") != self.identity.name:
            self.set_status(409)
            self._show_form(asked, chosen, error=f"You are {self.identity.name} now, and were not when you were asked.")
        else:
            await self._allow(asked, chosen)

    def _read_asked(self) -> Asked | None:
        """Return what is asked for; None when the program was told already that this cannot be."""
        from conda_store_hub.web import authorization  # 0.1 s

        if self.identity.via != SESSION:
            raise ForbiddenError("Only who is logged in here with a browser can let a program in.")
        asked = authorization.read_request(self.request.uri or "")
        if isinstance(asked, authorization.Refused):
            self._send_back(asked.location)
            return None
        self.set_header("Content-Security-Policy", make_policy(_form_target(asked.redirect_uri)))
        return asked

    async def _allow(self, asked: Asked, chosen: _Chosen) -> None:
        from conda_store_hub.web import authorization

        services = self.services
        try:
            leave = self._make_leave(asked, chosen)
            location = await services.db.write(
                authorization.allow, self.identity, asked, leave, pepper=services.auth.pepper
            )
        except CondaStoreHubError as exc:
            if exc.status >= SERVER_FAULT:
                self.log.warning("a program could not be let in: %s", exc.detail or exc.message)
            self.set_status(exc.status)
            self._show_form(asked, chosen, error=exc.public_message)
            return
        if asked.redirect_uri:
            self._send_back(location)
        else:
            # With the name of who answers, as on the way back of a browser.
            place = _find_issuer(self.request, self.prefix).partition("//")[2]
            self._show_answer("Your code", f"{authorization.read_code(location)}@{place}")

    def _make_leave(self, asked: Asked, chosen: _Chosen) -> Leave:
        if chosen.role not in _offer_roles(asked):
            raise InvalidRequestError("Choose one of the roles.")
        if chosen.end not in ENDS:
            raise InvalidRequestError("Choose one of the ends.")
        end = None if chosen.end == "never" else datetime.now(UTC) + timedelta(days=int(chosen.end))
        return Leave(
            redirect_uri=asked.redirect_uri,
            challenge=asked.challenge,
            label=self._label,
            role=Role(chosen.role),
            token_expires_at=end,
        )

    def _finish_refused(self, asked: Asked) -> None:
        from conda_store_hub.web import authorization

        if asked.redirect_uri:
            self._send_back(authorization.refuse(asked))
        else:
            self._show_answer("Not let in", "")

    def _send_back(self, location: str) -> None:
        """Send the browser to the program, with the name of who answers (RFC 9207)."""
        issuer = urlencode({"iss": _find_issuer(self.request, self.prefix)})
        self.redirect(f"{location}&{issuer}", status=303)

    def _show_answer(self, title: str, code: str) -> None:
        self.show(AuthorizedContext(layout=self.lay_out(title), code=code, minutes=TYPED_CODE_SECONDS // 60))

    def _show_form(self, asked: Asked, chosen: _Chosen, error: str = "") -> None:
        roles = _offer_roles(asked)
        self.show(
            AuthorizeContext(
                layout=self.lay_out(f"Let {CLIENT_ID} in?"),
                program=CLIENT_ID,
                machine=self._machine,
                port=_find_port(asked.redirect_uri),
                label=self._label,
                roles=tuple(_offer(roles, chosen.role)),
                ends=tuple(_offer(ENDS, chosen.end)),
                action=f"{self.prefix}{AUTHORIZE_PATH}?{self.request.query}",
                error=error,
            )
        )

    @property
    def _machine(self) -> str:
        """The name that the program gives of its machine, if it is one; anybody can make it up."""
        name = self.get_query_argument("host", "")
        return name if len(name) <= MAX_HOST and _HOST.fullmatch(name) else ""

    @property
    def _label(self) -> str:
        return f"{CLIENT_ID} on {self._machine}" if self._machine else f"{CLIENT_ID}, logged in"


class _ProgramHandler(BaseHandler):
    """What a program asks by itself: no cookie and no token counts here, only what is in the form."""

    max_body = 10_000

    async def answer(self, function: Callable[..., Answered]) -> None:
        """Have a form answered by the OAuth server."""
        self.require_ready()
        if self.request.headers.get("Content-Type", "").partition(";")[0].strip().lower() != _FORM:
            raise InvalidRequestError(f"The body has to be {_FORM}.")
        from conda_store_hub.web import authorization

        db, pepper, body = self.services.db, self.services.auth.pepper, self.request.body.decode("latin-1")
        # Anybody may ask: who shows nothing that is known takes no turn of those who write, and is answered alike.
        transact = db.write if await db.read(authorization.is_known, body, pepper=pepper) else db.read
        done = await transact(function, self.request.uri or "", body, source=find_source(self.request), pepper=pepper)
        self.set_status(done.status)
        for name, value in done.headers.items():
            self.set_header(name, value)
        self.set_header("Content-Type", JSON)
        self.finish(done.body or "{}")

    def describe_error(self, error: CondaStoreHubError) -> str:
        """Return the shape that OAuth has for errors."""
        self.set_header("Content-Type", JSON)
        code = "temporarily_unavailable" if error.status >= SERVER_FAULT else "invalid_request"
        return json.dumps({"error": code, "error_description": error.public_message})


class ExchangeHandler(_ProgramHandler):
    """`/oauth2/token/`: a program comes with its code."""

    async def post(self) -> None:
        """Give the token that was let, once."""
        from conda_store_hub.web import authorization

        await self.answer(authorization.exchange)


class RevocationHandler(_ProgramHandler):
    """`/oauth2/revoke/`: a program gives its token back (RFC 7009)."""

    async def post(self) -> None:
        """End the token; whether there was one is not told."""
        from conda_store_hub.web import authorization

        await self.answer(authorization.revoke)


class MetadataHandler(BaseHandler):
    """`/.well-known/oauth-authorization-server`: what this server can, as in RFC 8414."""

    def get(self) -> None:
        """Say it; for everybody."""
        issuer = _find_issuer(self.request, self.prefix)
        self.set_header("Content-Type", JSON)
        self.finish(
            json.dumps(
                {
                    "issuer": issuer,
                    "authorization_endpoint": f"{issuer}/{AUTHORIZE_PATH}",
                    "token_endpoint": f"{issuer}/{TOKEN_PATH}",
                    "revocation_endpoint": f"{issuer}/{REVOKE_PATH}",
                    "authorization_response_iss_parameter_supported": True,
                    "response_types_supported": ["code"],
                    "response_modes_supported": ["query"],
                    "grant_types_supported": ["authorization_code"],
                    "code_challenge_methods_supported": [CHALLENGE_METHOD],
                    "token_endpoint_auth_methods_supported": ["none"],
                    "revocation_endpoint_auth_methods_supported": ["none"],
                    "scopes_supported": list(Role),
                }
            )
        )

    def describe_error(self, error: CondaStoreHubError) -> str:
        """Say it in one line."""
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        return f"{error.public_message}\n"


def _find_issuer(request: HTTPServerRequest, prefix: str) -> str:
    """Return what this server calls itself: the address at which it was asked."""
    return f"{find_scheme(request)}://{request.host}{prefix}".rstrip("/")


def _offer_roles(asked: Asked) -> dict[str, str]:
    """Return the roles that a program may have: what it asks for, and less."""
    return {role: note for role, note in _ROLES.items() if role.rank <= asked.role.rank}


def _offer(values: dict[str, str], chosen: str) -> list[Choice]:
    return [Choice(value=value, label=label, chosen=value == chosen) for value, label in values.items()]


def _find_port(redirect_uri: str) -> str:
    return redirect_uri.rpartition("/")[0].rpartition(":")[2]


def _form_target(redirect_uri: str) -> str:
    """Return where the form may end up: browsers hold what answers it against the page's policy too.

    A source cannot be an address of IPv6.
    """
    if not redirect_uri:
        return ""
    return "http:" if "[" in redirect_uri else redirect_uri.rpartition("/")[0]
