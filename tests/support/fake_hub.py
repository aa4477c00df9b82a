"""As much of a Hub's API as the service asks: who a token is, who a user and a group is, the OAuth of browsers."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import secrets
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, urlencode

from tornado import web
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets

ACCESS = "access:services!service=conda-store-hub"


def user(name: str, *groups: str, admin: bool = False, kind: str = "user", scopes: tuple[str, ...] = (ACCESS,)) -> Any:
    """Return what `GET /hub/api/user` answers."""
    return {"name": name, "kind": kind, "admin": admin, "groups": list(groups), "scopes": list(scopes)}


@dataclass
class FakeHub:
    """Its tokens, by what they are; `seconds` is how long it takes to answer, `status` what it fails with.

    Users are those of the tokens and those in `created`, which says when each was made; groups are those of the users
    and those in `groups`. `readable` is what the service's role lets it read.
    """

    tokens: dict[str, Any] = field(default_factory=dict)
    created: dict[str, str] = field(default_factory=dict)
    groups: set[str] = field(default_factory=set)
    readable: frozenset[str] = frozenset({"users", "groups"})
    seconds: float = 0.0
    slow_people: float = 0.0
    status: int = 200
    api_token: str = "the service's own token"
    logo: bytes = b""
    asked: list[str] = field(default_factory=list)
    port: int = 0
    _codes: dict[str, tuple[str, str]] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Listen; on the running loop."""
        rules = [
            (r"/hub/logo", _LogoHandler, {"hub": self}),
            (r"/hub/api/", _VersionHandler, {"hub": self}),
            (r"/hub/api/user", _UserHandler, {"hub": self}),
            (r"/hub/api/users/([^/]+)", _PersonHandler, {"hub": self}),
            (r"/hub/api/groups/([^/]+)", _GroupHandler, {"hub": self}),
            (r"/hub/api/oauth2/authorize", _AuthorizeHandler, {"hub": self}),
            (r"/hub/api/oauth2/token", _TokenHandler, {"hub": self}),
        ]
        sockets = bind_sockets(0, "127.0.0.1")
        self.port = sockets[0].getsockname()[1]
        self._server = HTTPServer(web.Application(rules, log_function=lambda handler: None))
        self._server.add_sockets(sockets)

    def person(self, name: str) -> dict[str, Any] | None:
        """Return what `GET /hub/api/users/NAME` answers."""
        models = [who for who in self.tokens.values() if who["name"] == name and who["kind"] == "user"]
        if not models and name not in self.created:
            return None
        model = models[-1] if models else user(name)
        created = self.created.get(name, "2026-01-02T03:04:05.678901Z")
        return {key: model[key] for key in ("name", "kind", "admin", "groups")} | {"created": created}

    async def stop(self) -> None:
        """Stop listening."""
        self._server.stop()
        await self._server.close_all_connections()


class _Handler(web.RequestHandler):
    def initialize(self, hub: FakeHub) -> None:
        self.hub = hub

    async def prepare(self) -> None:
        self.hub.asked.append(self.request.path)
        await asyncio.sleep(self.hub.seconds)
        if self.hub.status != 200:
            self.set_status(self.hub.status)
            self.finish("{}")


class _LogoHandler(_Handler):
    def get(self) -> None:
        self.finish(self.hub.logo)


class _VersionHandler(_Handler):
    def get(self) -> None:
        self.finish(json.dumps({"version": "6.1.1"}))


class _UserHandler(_Handler):
    def get(self) -> None:
        found = self.hub.tokens.get(self.request.headers.get("Authorization", "").removeprefix("token "))
        if found is None:
            self.set_status(403)
        self.finish(json.dumps(found or {"status": 403, "message": "Missing or invalid credentials."}))


class _Readable(_Handler):
    kind = ""

    async def prepare(self) -> None:
        await super().prepare()
        own = self.request.headers.get("Authorization") == f"token {self.hub.api_token}"
        if not self._finished and not (own and self.kind in self.hub.readable):
            self.set_status(403)
            self.finish(json.dumps({"status": 403, "message": f"requires any of [read:{self.kind}]"}))

    def answer(self, found: Any) -> None:
        if found is None:
            self.set_status(404)
        self.finish(json.dumps(found or {"status": 404, "message": None}))


class _PersonHandler(_Readable):
    kind = "users"

    async def get(self, name: str) -> None:
        await asyncio.sleep(self.hub.slow_people)
        self.answer(self.hub.person(name))


class _GroupHandler(_Readable):
    kind = "groups"

    def get(self, name: str) -> None:
        known = self.hub.groups.union(*(who["groups"] for who in self.hub.tokens.values()))
        self.answer({"kind": "group", "name": name, "users": [], "properties": {}} if name in known else None)


class _AuthorizeHandler(_Handler):
    def get(self) -> None:
        """Log in whoever the cookie names, who would have typed a password."""
        code = secrets.token_hex(8)
        name = unquote(self.get_cookie("fake-user", ""))
        token = next(token for token, who in self.hub.tokens.items() if who["name"] == name)
        assert self.get_argument("code_challenge_method") == "S256"
        self.hub._codes[code] = (token, self.get_argument("code_challenge"))
        query = urlencode({"code": code, "state": self.get_argument("state")})
        self.redirect(f"{self.get_argument('redirect_uri')}?{query}")


class _TokenHandler(_Handler):
    def check_xsrf_cookie(self) -> None:
        """A program asks this."""

    def post(self) -> None:
        token, challenge = self.hub._codes.pop(self.get_argument("code"))
        digest = hashlib.sha256(self.get_argument("code_verifier").encode()).digest()
        assert base64.urlsafe_b64encode(digest).rstrip(b"=").decode() == challenge
        assert self.get_argument("client_secret") == self.hub.api_token
        self.finish(json.dumps({"access_token": token, "token_type": "Bearer"}))
