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
from typing import Any
from weakref import WeakValueDictionary

from tornado.web import RequestHandler
from traitlets import Bool, Int, default
from traitlets.config import LoggingConfigurable

from conda_store_hub.core.errors import CondaStoreHubError, ForbiddenError, UnavailableError
from conda_store_hub.core.permissions import ANONYMOUS, Claim, Identity, IdentityKind, Role, read_scopes
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
        self._meeting = WeakValueDictionary[str, asyncio.Lock]()

    async def identify(
        self, handler: RequestHandler, db: Database, *, fresh: bool = False, again: bool = False
    ) -> Identity:
        """Return who sent a request; ANONYMOUS if nobody who is known, or a cookie without its XSRF token.

        `fresh`: what the Hub said a moment ago does not count. `again`: nor what was found out for this request.
        Raises ForbiddenError for who may not use this service, HubUnavailableError when the Hub does not answer.
        """
        token = _find_token(handler)
        found = None if token is None else await self._find_own(token, db, fresh=fresh)
        if found is None and (token is None or not token.startswith(tokens.PREFIX)):
            found = await self._find_hub_user(handler, fresh=fresh, again=again)
        source = handler.request.remote_ip or ""
        return replace(found or ANONYMOUS, anyone=self.allow_anonymous, source=source)

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

    async def _find_hub_user(self, handler: RequestHandler, *, fresh: bool, again: bool) -> Identity | None:
        user = await self.hub.find_user(handler, fresh=fresh, again=again)
        if user is None:
            return None
        if not self.hub.lets_in(user):
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
            admin=user.admin or Claim(role=Role.ADMIN) in (scopes or ()),
            scopes=scopes,
            credential=user.token_digest,
            via="Hub token" if "Authorization" in handler.request.headers else SESSION,
        )

    def _as_service(self, user: HubUser) -> Identity:
        """Return a service of the Hub: nobody's name, so it has no namespace, and only what scopes give it."""
        held = read_scopes(self.environment.service, user.scopes) if self.use_scopes else ()
        admin = user.admin or Claim(role=Role.ADMIN) in held
        if not admin and not held:
            raise ForbiddenError("This is a token of a service of the Hub; use one of a user.")
        name = f"service {user.name}"
        return Identity(name=name, kind=IdentityKind.SERVICE, admin=admin, bindings=held, via="Hub token")

    async def welcome(self, db: Database, identity: Identity) -> Identity:
        """Return a user with this service's number of them, once their namespaces are there.

        Each token of the Hub is looked into once: one that goes on to be good goes on to be the same person's, and
        one that is new may be of somebody to whom the Hub has given a former user's name.
        """
        if not identity.is_user or identity.name is None or self._is_known(identity):
            return identity
        async with self._meeting.setdefault(identity.name, asyncio.Lock()):
            if identity.user_id is None:
                identity = replace(identity, user_id=await self._meet(db, identity.name, identity.credential))
            if not self._is_known(identity):
                await db.write(users.ensure_namespaces, identity)
                _make_room(self._known)
                self._known[identity] = time.monotonic()
        return identity

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


def _find_token(handler: RequestHandler) -> str | None:
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


def _still(held: tuple[Claim, ...], groups: frozenset[str]) -> tuple[Claim, ...]:
    """Return what a token's scopes still give: what is about a group only while its owner is in it."""
    return tuple(claim for claim in held if claim.reach.kind != "group" or claim.reach.hub_name in groups)


def _make_room(known: dict[Any, Any]) -> None:
    if len(known) >= _MOST_KNOWN:
        del known[next(iter(known))]
