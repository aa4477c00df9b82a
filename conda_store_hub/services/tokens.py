"""Tokens that users make for their programs: shown once, kept as digests, worth at most what their owner may."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy.orm import Session

from conda_store_hub.core import schemas
from conda_store_hub.core.audit import AuditAction
from conda_store_hub.core.errors import (
    ConflictError,
    ForbiddenError,
    FormUsedError,
    InvalidRequestError,
    NotAuthenticatedError,
    NotFoundError,
    TokenTooStrongError,
)
from conda_store_hub.core.names import NamespaceKind, shorten
from conda_store_hub.core.permissions import Claim, Identity, Permission, Reach, Role, strongest
from conda_store_hub.db import lists, people, queries
from conda_store_hub.db.session import announce, leave_lists
from conda_store_hub.db.tables import Token, TokenLimit
from conda_store_hub.services import audit, rights, views
from conda_store_hub.services.changes import ALL_KERNELS, rights_topic

PREFIX = "csh_"
MOST_TOKENS = 200
_SECRET_BYTES = 32
_HINT = 4
_EVERYTHING = "*/*"


@dataclass(frozen=True, kw_only=True, slots=True)
class TokenOwner:
    """Whose a token is and what it is worth: `limit` narrows what they may, `scopes` is what the Hub's gave them."""

    token_id: int
    label: str
    user_id: int
    name: str
    hub_created: datetime | None
    limit: tuple[Claim, ...]
    scopes: tuple[Claim, ...] | None
    expires: datetime | None
    owner_seen: datetime | None


def make_digest(token: str, pepper: bytes) -> str:
    """Return what is kept of a token: HMAC-SHA-256 under a secret that is not in the database, in hex."""
    return hmac.new(pepper, token.encode(errors="surrogatepass"), hashlib.sha256).hexdigest()


def find_owner(session: Session, digest: str) -> TokenOwner | None:
    """Return whose a token is; None if it is unknown, has ended, or its owner's name is somebody else's now."""
    row = people.find_token(session, digest)
    now = datetime.now(UTC)
    if row is None or row.revoked_at is not None or row.user.replaced_at is not None or row.user.denied_at is not None:
        return None
    if row.expires_at is not None and row.expires_at <= now:
        return None
    return TokenOwner(
        token_id=row.id,
        label=row.label,
        user_id=row.user_id,
        name=row.user.name,
        hub_created=row.user.hub_created,
        limit=tuple(_claim(limit) for limit in row.limits),
        scopes=_still_given(row),
        expires=row.expires_at,
        owner_seen=row.user.seen_at,
    )


def _still_given(row: Token) -> tuple[Claim, ...] | None:
    """Return what the Hub's scopes gave the maker of a token, as far as they give it to them still."""
    if row.scopes is None:
        return None
    now = row.scopes if row.user.scopes is None else row.user.scopes
    return tuple(Claim.from_words(*item) for item in row.scopes if item in now)


def _claim(limit: TokenLimit) -> Claim:
    reach = Reach(namespace_id=limit.namespace_id, environment_id=limit.environment_id)
    return Claim(role=limit.role, reach=reach)


def touch(session: Session, token_id: int, source: str) -> None:
    """Record that a token is used."""
    leave_lists(session)
    people.touch_token(session, token_id, datetime.now(UTC), source)


def require_live(session: Session, identity: Identity) -> None:
    """Raise when the token that somebody came with has ended since: for who stays connected."""
    if identity.token_id is not None and not people.is_live(session, identity.token_id, datetime.now(UTC)):
        raise NotAuthenticatedError("The token has expired or was revoked.")


def rights_topics(identity: Identity) -> list[str]:
    """Return the topics whose announcement may change what somebody may do."""
    token = [] if identity.token_id is None else [token_topic(identity.token_id)]
    return [rights_topic(subject) for subject in (*identity.subjects, *token)]


# Making


def make(
    session: Session, identity: Identity, request: schemas.MakeToken, *, pepper: bytes, form: str = ""
) -> schemas.NewToken:
    """Make a token for oneself; its text is in the answer and nowhere else.

    `form`: the mark of the form that it was asked for with. A second time, nothing is made of it.
    """
    owner = require_maker(identity)
    people.hold_user(session, owner)
    token = _derive_text(owner, form, pepper) if form else make_text()
    _require_unmade(session, token, pepper)
    now = datetime.now(UTC)
    expires = _expiry(request, now)
    limits = _limits(session, identity, request)
    require_room(session, owner, now)
    scopes = None if identity.scopes is None else [list(claim.as_words()) for claim in identity.scopes]
    row = Token(
        user_id=owner,
        label=request.label or "made by a program",
        scopes=scopes,
        created_at=now,
        expires_at=expires,
        limits=limits,
    )
    return add(session, identity, row, token, pepper=pepper)


def _derive_text(owner: int, form: str, pepper: bytes) -> str:
    """Return the text that belongs to a form: as unknown as a random one to who does not know the pepper."""
    secret = hmac.digest(pepper, f"form of {owner}: {form}".encode(errors="surrogatepass"), hashlib.sha256)
    return PREFIX + base64.urlsafe_b64encode(secret).rstrip(b"=").decode()


def _require_unmade(session: Session, token: str, pepper: bytes) -> None:
    made = people.find_token(session, make_digest(token, pepper))
    if made is not None:
        raise FormUsedError(
            f"The token “{made.label}” was made of this form already, and its text was shown then. If you do not have"
            " it, revoke that token and make another one."
        )


def make_text() -> str:
    """Return the text of a new token."""
    return PREFIX + secrets.token_urlsafe(_SECRET_BYTES)


def add(session: Session, identity: Identity, row: Token, text: str, *, pepper: bytes) -> schemas.NewToken:
    """Keep a token of a user's under the digest of its text."""
    row.digest = make_digest(text, pepper)
    row.hint = text[-_HINT:]
    session.add(row)
    session.flush()
    _record(session, identity, AuditAction.TOKEN_CREATE, row, identity.name or "")
    return schemas.NewToken(token=text, id=row.id)


def require_room(session: Session, owner: int, now: datetime) -> None:
    """Raise ConflictError for who has as many tokens as one may; the user is held."""
    if people.count_tokens(session, owner, now) >= MOST_TOKENS:
        raise ConflictError(f"You have {MOST_TOKENS} tokens; revoke those that you do not need.")


def _require_user(identity: Identity) -> int:
    if not identity.authenticated:
        raise NotAuthenticatedError
    if identity.user_id is None:
        raise ForbiddenError("Tokens belong to users of the Hub, and you are none.")
    return identity.user_id


def require_maker(identity: Identity) -> int:
    """Return whose a new token is; a token of ours makes none: what it made would outlive it."""
    owner = _require_user(identity)
    if identity.token_id is not None:
        raise TokenTooStrongError("A token cannot make tokens: log in, or use a token of the Hub.")
    return owner


def _expiry(request: schemas.MakeToken, now: datetime) -> datetime | None:
    asked = request.expiration or request.exp
    if asked is not None and asked <= now:
        raise InvalidRequestError("`expiration` lies in the past.")
    return asked


def _limits(session: Session, identity: Identity, request: schemas.MakeToken) -> list[TokenLimit]:
    """Return what the token is limited to, each held by who asks: nobody can give more than they have."""
    if request.role_bindings is not None:
        wanted = ((key, strongest(roles)) for key, roles in request.role_bindings.items())
        return [_limit(session, identity, key, role) for key, role in wanted if role is not None]
    if request.namespaces is not None:
        names = dict.fromkeys(request.namespaces)
        return [_limit_to_namespace(session, identity, name, request.role) for name in names]
    return [TokenLimit(role=request.role)]


def _limit(session: Session, identity: Identity, key: str, role: Role) -> TokenLimit:
    if key == _EVERYTHING:
        return TokenLimit(role=role)
    namespace, _, environment = key.partition("/")
    if environment == "*":
        return _limit_to_namespace(session, identity, namespace, role)
    found = rights.require_environment(session, identity, namespace, environment, Permission.ENVIRONMENT_READ)
    _require_held(rights.find_role(session, identity, found.namespace, found), role, key)
    return TokenLimit(namespace_id=found.namespace_id, environment_id=found.id, role=role)


def _limit_to_namespace(session: Session, identity: Identity, name: str, role: Role) -> TokenLimit:
    row = rights.require_namespace(session, identity, name, Permission.NAMESPACE_READ)
    _require_held(rights.find_role(session, identity, row), role, name)
    return TokenLimit(namespace_id=row.id, role=role)


def _require_held(held: Role | None, role: Role, place: str) -> None:
    if held is None or role.rank > held.rank:
        raise TokenTooStrongError(f"A token cannot have the role {role} on “{shorten(place)}”: yours there is {held}.")


# Listing and revoking


def list_tokens(
    session: Session, identity: Identity, *, user: str | None, page: int, size: int, after: int | None = None
) -> tuple[list[schemas.TokenView], int]:
    """Return a page of one's own tokens that were not revoked, older than `after`; administrators may name a `user`.

    Who came with a token of ours sees that one.
    """
    owner = _require_user(identity) if user is None else _find_user(session, identity, user)
    only = None if identity.administers_all else identity.token_id
    rows, count = lists.list_of_rows(people.select_tokens(owner, only, after=after)).page(session, page=page, size=size)
    seen = _seen(session, identity, rows)
    return [views.token(row, seen) for row in rows], count


def _seen(session: Session, identity: Identity, rows: Sequence[Token]) -> frozenset[int]:
    """Return the namespaces whose names one may be told: a token may be for one that one has lost since."""
    limits = [limit for row in rows for limit in row.limits if limit.namespace is not None]
    places = [(limit.namespace, limit.environment) for limit in limits if limit.namespace is not None]
    roles = rights.find_roles(session, identity, places) if places else []
    return frozenset(limit.id for limit, role in zip(limits, roles, strict=True) if role is not None)


def _find_user(session: Session, identity: Identity, name: str) -> int:
    if not identity.administers_all and name != identity.name:
        raise ForbiddenError("Only administrators of the Hub see the tokens of others.")
    row = people.find_user(session, name)
    if row is None:
        raise NotFoundError(f"No user “{shorten(name)}” has been here.")
    return row.id


def describe(session: Session, identity: Identity, token_id: int) -> schemas.TokenView:
    """Return a token that one may revoke."""
    owner = _require(session, identity, token_id).user_id
    rows, _ = lists.list_of_rows(people.select_tokens(owner, token_id)).page(session, page=1, size=1)
    return views.token(rows[0], _seen(session, identity, rows))


def _require(session: Session, identity: Identity, token_id: int) -> Token:
    row = people.get_token(session, token_id)
    mine = row is not None and row.user_id == identity.user_id and identity.token_id in (None, row.id)
    if row is None or row.revoked_at is not None or not (mine or identity.administers_all):
        raise rights.hidden(identity, f"You have no token {token_id}.")
    return row


def revoke(session: Session, identity: Identity, token_id: int) -> None:
    """End a token, at once: one's own, or anybody's for who administers all."""
    _end(session, identity, _require(session, identity, token_id))


def revoke_for(session: Session, identity: Identity, row: Token) -> None:
    """End a token in the name of whose it is; a second time does nothing."""
    if row.revoked_at is None:
        _end(session, identity, row)


def _end(session: Session, identity: Identity, row: Token) -> None:
    row.revoked_at = datetime.now(UTC)
    _record(session, identity, AuditAction.TOKEN_REVOKE, row, row.user.name)
    announce(session, rights_topic(token_topic(row.id)))
    announce(session, ALL_KERNELS)


def token_topic(token_id: int) -> str:
    """Return what stands for a token among the subjects of rights."""
    return f"token:{token_id}"


def _record(session: Session, identity: Identity, action: AuditAction, row: Token, owner: str) -> None:
    own = queries.find_hub_namespace(session, NamespaceKind.USER, owner)
    audit.record(session, identity, action, namespace=own, detail=f"{row.id} “{shorten(row.label)}” of {owner}")
