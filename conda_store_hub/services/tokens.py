"""Tokens that users make for their programs: shown once, kept as digests, worth at most what their owner may."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy.orm import Session

from conda_store_hub.core import schemas
from conda_store_hub.core.audit import AuditAction
from conda_store_hub.core.errors import (
    ConflictError,
    ForbiddenError,
    InvalidRequestError,
    NotAuthenticatedError,
    NotFoundError,
    TokenTooStrongError,
)
from conda_store_hub.core.names import NamespaceKind, shorten
from conda_store_hub.core.permissions import Claim, Identity, Permission, Reach, Role
from conda_store_hub.db import people, queries
from conda_store_hub.db.session import announce
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
    last_used: datetime | None


def make_digest(token: str, pepper: bytes) -> str:
    """Return what is kept of a token: HMAC-SHA-256 under a secret that is not in the database, in hex."""
    return hmac.new(pepper, token.encode(errors="surrogatepass"), hashlib.sha256).hexdigest()


def find_owner(session: Session, digest: str) -> TokenOwner | None:
    """Return whose a token is; None if it is unknown, has ended, or its owner's name is somebody else's now."""
    row = people.find_token(session, digest)
    now = datetime.now(UTC)
    if row is None or row.revoked_at is not None or row.user.replaced_at is not None:
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
        scopes=None if row.scopes is None else tuple(_read_claim(*item) for item in row.scopes),
        expires=row.expires_at,
        last_used=row.last_used_at,
    )


def _claim(limit: TokenLimit) -> Claim:
    reach = Reach(namespace_id=limit.namespace_id, environment_id=limit.environment_id)
    return Claim(role=limit.role, reach=reach)


def touch(session: Session, token_id: int, source: str) -> None:
    """Record that a token is used."""
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


def make(session: Session, identity: Identity, request: schemas.MakeToken, *, pepper: bytes) -> schemas.NewToken:
    """Make a token for oneself; its text is in the answer and nowhere else."""
    owner = _require_user(identity)
    now = datetime.now(UTC)
    expires = _expiry(identity, request, now)
    limits = _limits(session, identity, request)
    if people.count_tokens(session, owner, now) >= MOST_TOKENS:
        raise ConflictError(f"You have {MOST_TOKENS} tokens; revoke those that you do not need.")
    text = PREFIX + secrets.token_urlsafe(_SECRET_BYTES)
    row = Token(
        user_id=owner,
        label=request.label or "made by a program",
        digest=make_digest(text, pepper),
        hint=text[-_HINT:],
        scopes=None if identity.scopes is None else [_store_claim(claim) for claim in identity.scopes],
        created_at=now,
        expires_at=expires,
        limits=limits,
    )
    session.add(row)
    session.flush()
    _record(session, identity, AuditAction.TOKEN_CREATE, row, identity.name or "")
    return schemas.NewToken(token=text, id=row.id)


def _store_claim(claim: Claim) -> list[str | None]:
    return [claim.role, claim.reach.kind, claim.reach.hub_name]


def _read_claim(role: str, kind: str | None, hub_name: str | None) -> Claim:
    return Claim(role=Role(role), reach=Reach(kind=NamespaceKind(kind) if kind else None, hub_name=hub_name))


def _require_user(identity: Identity) -> int:
    if not identity.authenticated:
        raise NotAuthenticatedError
    if identity.user_id is None:
        raise ForbiddenError("Tokens belong to users of the Hub, and you are none.")
    return identity.user_id


def _expiry(identity: Identity, request: schemas.MakeToken, now: datetime) -> datetime | None:
    """Return when the token ends: as asked, but never after the token of ours that it is made with."""
    asked = request.expiration or request.exp
    if asked is not None and asked <= now:
        raise InvalidRequestError("`expiration` lies in the past.")
    if identity.token_id is None or identity.expires is None:
        return asked
    if asked is not None and asked > identity.expires:
        raise TokenTooStrongError("A token cannot be made to last longer than the one that it is made with.")
    return asked or identity.expires


def _limits(session: Session, identity: Identity, request: schemas.MakeToken) -> list[TokenLimit]:
    """Return what the token is limited to, each held by who asks: nobody can give more than they have."""
    if request.role_bindings is not None:
        wanted = [(key, role) for key, role in request.role_bindings.items()]
    else:
        keys = [f"{name}/*" for name in request.namespaces] if request.namespaces is not None else [_EVERYTHING]
        wanted = [(key, [request.role]) for key in keys]
    return [_limit(session, identity, key, max(roles, key=lambda role: role.rank)) for key, roles in wanted if roles]


def _limit(session: Session, identity: Identity, key: str, role: Role) -> TokenLimit:
    if key == _EVERYTHING:
        return _limit_to_everything(identity, role)
    namespace, _, environment = key.partition("/")
    if environment == "*":
        row = rights.require_namespace(session, identity, namespace, Permission.NAMESPACE_READ)
        held = rights.find_role(session, identity, row)
        limit = TokenLimit(namespace_id=row.id, role=role)
    else:
        found = rights.require_environment(session, identity, namespace, environment, Permission.ENVIRONMENT_READ)
        held = rights.find_role(session, identity, found.namespace, found)
        limit = TokenLimit(namespace_id=found.namespace_id, environment_id=found.id, role=role)
    if held is None or role.rank > held.rank:
        place = shorten(key.removesuffix("/*"))
        raise TokenTooStrongError(f"A token cannot have the role {role} on “{place}”: yours there is {held}.")
    return limit


def _limit_to_everything(identity: Identity, role: Role) -> TokenLimit:
    """All that one has, each with at most this role; what a token itself was not given it cannot pass on."""
    general = [claim.role for claim in identity.limit or () if claim.reach == Reach()]
    if identity.limit is not None and role.rank > max((held.rank for held in general), default=-1):
        raise TokenTooStrongError("The token that you use is limited; name the namespaces that the new one is for.")
    return TokenLimit(role=role)


# Listing and revoking


def list_tokens(
    session: Session, identity: Identity, *, user: str | None, page: int, size: int
) -> tuple[list[schemas.TokenView], int]:
    """Return a page of one's own tokens that were not revoked; who administers all may name a `user`."""
    owner = _require_user(identity) if user is None else _find_user(session, identity, user)
    rows, count = queries.page_of(session, people.select_tokens(owner), page=page, size=size)
    return [views.token(row) for row in rows], count


def _find_user(session: Session, identity: Identity, name: str) -> int:
    if not identity.administers_all and name != identity.name:
        raise ForbiddenError("Only administrators of the Hub see the tokens of others.")
    row = people.find_user(session, name)
    if row is None:
        raise NotFoundError(f"No user “{shorten(name)}” has been here.")
    return row.id


def revoke(session: Session, identity: Identity, token_id: int) -> None:
    """End a token, at once: one's own, or anybody's for who administers all."""
    row = people.get_token(session, token_id)
    mine = row is not None and row.user_id == identity.user_id and identity.user_id is not None
    if row is None or row.revoked_at is not None or not (mine or identity.administers_all):
        raise rights.hidden(identity, f"You have no token {token_id}.")
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
