"""Who asks: a session or a token of the Hub, a token of ours, or one of the configuration, as an Identity."""

from __future__ import annotations

import asyncio
import base64
import binascii
import os
import re
import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from typing import Any

from tornado.httputil import HTTPServerRequest
from tornado.web import RequestHandler
from traitlets import Bool, Int, default
from traitlets.config import LoggingConfigurable

from conda_store_hub.core.errors import CondaStoreHubError, ForbiddenError, NotAuthenticatedError, UnavailableError
from conda_store_hub.core.names import NamespaceKind
from conda_store_hub.core.permissions import ANONYMOUS, Claim, Identity, IdentityKind, administers, read_scopes
from conda_store_hub.db.session import Database
from conda_store_hub.services import tokens, users
from conda_store_hub.services.tokens import TokenOwner
from conda_store_hub.web.hub import Hub, HubEnvironment, HubUser
from conda_store_hub.web.predefined import AuthenticationBackend

SESSION = "session"
_MOST_KNOWN = 10_000
_TOUCH_SECONDS = 60.0
_SCHEME = re.compile(r"(bearer|token|basic)[ \t]+(\S+)[ \t]*", re.IGNORECASE)


class HubAuthenticator(LoggingConfigurable):
    """Recognises who asks: through the Hub's OAuth for browsers, through its tokens and ours for programs."""

    cache_max_age = Int(
        55,
        min=1,
        help="""Seconds for which the Hub's answer about a token or a user is kept: as long may a revoked one still
        read. Before something is deleted, shared or administered the Hub is always asked.""",
    ).tag(config=True)

    hub_seconds = Int(20, min=1, help="Seconds that the Hub may take to answer.").tag(config=True)

    allow_anonymous = Bool(
        default_value=False,
        help="Whether what was shared with everybody is shown to people who are not logged in.",
    ).tag(config=True)

    authenticate_metrics = Bool(
        default_value=True,
        help="""Whether `/metrics` asks who wants to know: then it is for who administers everything, and for tokens of
        the configuration with `metrics`. Without it, whoever reaches the service sees how many builds there are and how
        they end, which routes are used how often, how full the disk is, and what the process takes; no names.""",
    ).tag(config=True)

    token_rest_days = Int(
        90,
        min=0,
        help="""Days after which a token of ours rests if its owner has not been here as the Hub's user: the Hub tells
        what it takes from somebody only when they come. 0 means never.""",
    ).tag(config=True)

    use_scopes = Bool(
        help="""Whether the Hub's custom scopes `custom:NAME:environments:{read,write,admin}` say what people may do in
        the namespaces of users and groups, instead of the rule that everybody has their own and their groups'.
        `configure` turns it on where the Hub's configuration defines such scopes.""",
    ).tag(config=True)

    @default("use_scopes")
    def _default_use_scopes(self) -> bool:
        return os.environ.get("CONDA_STORE_HUB_SCOPES") == "1"

    def __init__(self, environment: Mapping[str, str] | None = None, *, pepper: bytes = b"", **values: Any) -> None:
        """Read what the Hub told; `pepper` is the secret under which tokens of ours are digested."""
        super().__init__(**values)
        self.environment = HubEnvironment.read(os.environ if environment is None else environment)
        self.pepper = pepper
        self.hub = Hub(
            self.environment, cache_seconds=self.cache_max_age, answer_seconds=self.hub_seconds, log=self.log
        )
        self.backend = AuthenticationBackend(parent=self.parent)
        self._met: dict[tuple[str, str], int] = {}
        self._known: dict[Identity, float] = {}
        self._touched: dict[int, float] = {}
        self._touching: set[asyncio.Task[None]] = set()
        self._receiving: dict[Identity, asyncio.Task[Identity]] = {}

    async def identify(
        self, handler: RequestHandler, db: Database, *, fresh: bool = False, again: bool = False
    ) -> Identity:
        """Return who sent a request; ANONYMOUS if nobody who is known, or a cookie without its XSRF token.

        `fresh`: what the Hub said a moment ago does not count. `again`: nor what was found out for this request.
        Raises ForbiddenError for who may not use this service, HubUnavailableError when the Hub does not answer.
        """
        token = find_token(handler)
        found = None if token is None else await self._find_own(token, db, fresh=fresh)
        if found is None and (token is None or not token.startswith(tokens.PREFIX)):
            found = await self._find_hub_user(handler, db, fresh=fresh, again=again)
        return replace(found or ANONYMOUS, anyone=self.allow_anonymous, source=find_source(handler.request))

    # Tokens of ours

    async def _find_own(self, token: str, db: Database, *, fresh: bool) -> Identity | None:
        predefined = self.backend.find(token)
        if predefined is not None or not token.startswith(tokens.PREFIX):
            return predefined
        owner = await db.read(tokens.find_owner, tokens.make_digest(token, self.pepper))
        return None if owner is None else await self._speak_for(owner, fresh=fresh)

    async def _speak_for(self, owner: TokenOwner, *, fresh: bool) -> Identity | None:
        """Return the owner of a token as the Hub knows them now, with what the token leaves of their rights."""
        person = await self.hub.find_person(owner.name, fresh=fresh)
        if person is None or (owner.hub_created is not None and person.created not in (None, owner.hub_created)):
            return None
        if self._is_resting(owner):
            raise NotAuthenticatedError(
                f"The owner of this token has not logged in here for {self.token_rest_days} days: then it rests."
            )
        groups = frozenset(person.groups)
        return Identity(
            name=owner.name,
            user_id=owner.user_id,
            groups=groups,
            admin=person.admin,
            scopes=_still(owner.scopes or (), groups) if self.use_scopes else None,
            limit=owner.limit,
            expires=owner.expires,
            token_id=owner.token_id,
            via=f"token {owner.token_id}",
        )

    def note_use(self, db: Database, identity: Identity) -> None:
        """Write down, at most once a minute and without holding anybody up, that a token of ours was used."""
        now = time.monotonic()
        if identity.token_id is None or now - self._touched.get(identity.token_id, -_TOUCH_SECONDS) < _TOUCH_SECONDS:
            return
        _make_room(self._touched)
        self._touched[identity.token_id] = now
        task = asyncio.create_task(self._touch(db, identity.token_id, identity.source))
        self._touching.add(task)
        task.add_done_callback(self._touching.discard)

    async def _touch(self, db: Database, token_id: int, source: str) -> None:
        try:
            await db.write(tokens.touch, token_id, source)
        except CondaStoreHubError as exc:
            self.log.warning("the use of token %d was not written down: %s", token_id, exc.detail or exc.message)

    # Users and services of the Hub

    async def _find_hub_user(
        self, handler: RequestHandler, db: Database, *, fresh: bool, again: bool
    ) -> Identity | None:
        user = await self.hub.find_user(handler, fresh=fresh, again=again)
        if user is None:
            return None
        if not self.hub.lets_in(user):
            if user.kind == "user" and user.session_id:
                await db.write(users.keep_out, user.name)  # not for a token that was made for something else
            wanted = max(self.environment.access_scopes, key=len)
            raise ForbiddenError(
                "You may not use this service: your Hub's administrator has not let you, or your token lacks the scope"
                f" {wanted}."
            )
        return self._as_user(user, handler) if user.kind == "user" else self._as_service(user)

    def _as_user(self, user: HubUser, handler: RequestHandler) -> Identity:
        scopes = read_scopes(self.environment.service, user.scopes) if self.use_scopes else None
        return Identity(
            name=user.name,
            user_id=self._met.get((user.token_digest, user.name)),
            groups=frozenset(user.groups),
            admin=user.admin or administers(scopes or ()),
            scopes=scopes,
            credential=user.token_digest,
            via="Hub token" if getattr(handler, "_token_authenticated", False) else SESSION,
        )

    def _as_service(self, user: HubUser) -> Identity:
        """Return a service of the Hub: nobody's name, so it has no namespace, and only what scopes give it."""
        held = read_scopes(self.environment.service, user.scopes) if self.use_scopes else ()
        admin = user.admin or administers(held)
        if not admin and not held:
            raise ForbiddenError("This is a token of a service of the Hub; use one of a user.")
        name = f"service {user.name}"
        return Identity(name=name, kind=IdentityKind.SERVICE, admin=admin, bindings=held, via="Hub token")

    def _is_resting(self, owner: TokenOwner) -> bool:
        """Tell whether the Hub has not let the owner of a token in for long: what it took from them may be unknown."""
        if not self.token_rest_days:
            return False
        return owner.owner_seen is None or datetime.now(UTC) - owner.owner_seen > timedelta(days=self.token_rest_days)

    async def welcome(self, db: Database, identity: Identity) -> Identity:
        """Return a user with this service's number of them, once their namespaces are there.

        Each token of the Hub is looked into once: one that goes on to be good goes on to be the same person's, and
        one that is new may be of somebody to whom the Hub has given a former user's name.
        """
        if not identity.is_user or identity.name is None or self._is_known(identity):
            return identity
        # Whoever comes while somebody is being received waits for the same answer, or the same failure.
        receiving = self._receiving.get(identity)
        if receiving is None:
            receiving = asyncio.create_task(self._receive(db, identity))
            self._receiving[identity] = receiving
            receiving.add_done_callback(lambda task: self._received(identity, task))
        found = await asyncio.shield(receiving)
        return replace(identity, user_id=found.user_id)

    def _received(self, identity: Identity, task: asyncio.Task[Identity]) -> None:
        self._receiving.pop(identity, None)
        if not task.cancelled() and task.exception() is not None:
            self.log.debug("%s could not be received", identity.name)  # whoever waits is told; they may have left

    async def _receive(self, db: Database, identity: Identity) -> Identity:
        user_id = identity.user_id
        if user_id is None:
            user_id = await self._meet(db, identity.name or "", identity.credential)
        identity = replace(identity, user_id=user_id)
        if not self._is_known(identity):
            await db.write(users.ensure_namespaces, identity)
            _make_room(self._known)
            self._known[identity] = time.monotonic()
            if identity.token_id is None:
                await db.write(users.let_in, user_id, self._news_of_scopes(user_id, identity))
        return identity

    def _news_of_scopes(self, user_id: int, identity: Identity) -> tuple[Claim, ...] | None:
        """Return what the Hub's scopes give a user, if that is not known: a session has all that they have."""
        if identity.scopes is None or identity.via != SESSION:
            return None
        return identity.scopes

    def _is_known(self, identity: Identity) -> bool:
        return time.monotonic() - self._known.get(identity, -self.cache_max_age) < self.cache_max_age

    async def find_user_id(self, db: Database, name: str) -> int | None:
        """Return this service's number of the user whom the Hub calls `name`; None if it has none of that name."""
        person = await self.hub.find_person(name, fresh=True)
        return None if person is None else await db.write(users.meet, person.name, person.created)

    async def _meet(self, db: Database, name: str, credential: str) -> int:
        known = self._met.get((credential, name))
        if known is not None:
            return known
        created = None
        try:
            person = await self.hub.find_person(name, fresh=True)
            created = person.created if person else None
            if created is None:
                self.log.warning("The Hub does not tell when it made its users: a name given away cannot be noticed.")
        except UnavailableError as exc:
            if exc.code != UnavailableError.code:
                raise  # the Hub is away; where it only says no, a name that was given away cannot be noticed
            self.log.warning("%s Until then a former user's namespace cannot be told from a new one's.", exc.message)
        user_id = await db.write(users.meet, name, created)
        _make_room(self._met)
        self._met[credential, name] = user_id
        return user_id

    def forget_namespaces(self) -> None:
        """Look again at everybody's next contact whether their namespaces are there: some were deleted."""
        self._known.clear()

    async def close(self) -> None:
        """Wait for what is being written down, and close the connections to the Hub."""
        await asyncio.gather(*self._touching)
        await self.hub.close()


def find_token(handler: RequestHandler) -> str | None:
    """Return the token that a request came with, as Bearer, or as the password of Basic with any user name.

    The Hub's library does not know Basic: a password becomes a token for it.
    """
    match = _SCHEME.fullmatch(handler.request.headers.get("Authorization", ""))
    if match is None:
        return None
    if match[1].lower() != "basic":
        return match[2]
    try:
        _, _, password = base64.b64decode(match[2], validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        return None
    handler.request.headers["Authorization"] = f"token {password}"
    return password


def find_source(request: HTTPServerRequest) -> str:
    """Return from which address a request came: what the proxy in front of us added last, or the peer itself.

    What stands before that in X-Forwarded-For, and X-Real-Ip as a whole, is whatever the sender wrote.
    """
    forwarded = ",".join(request.headers.get_list("X-Forwarded-For")).rpartition(",")[2].strip()
    try:
        return str(ip_address(forwarded))
    except ValueError:
        return str(getattr(getattr(request.connection, "context", None), "_orig_remote_ip", "") or "")


def _still(held: tuple[Claim, ...], groups: frozenset[str]) -> tuple[Claim, ...]:
    """Return what a token's scopes still give: what is about a group only while its owner is in it."""
    return tuple(
        claim for claim in held if claim.reach.kind is not NamespaceKind.GROUP or claim.reach.hub_name in groups
    )


def _make_room(known: dict[Any, Any]) -> None:
    if len(known) >= _MOST_KNOWN:
        del known[next(iter(known))]
