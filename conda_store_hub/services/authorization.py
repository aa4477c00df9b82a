"""Leave for a program to have a token: given by a user in a browser, taken up once by who has the code for it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy.orm import Session

from conda_store_hub.core.permissions import Identity, Role
from conda_store_hub.db import people
from conda_store_hub.db.tables import AuthorizationCode, HubUser, Token, TokenLimit
from conda_store_hub.services import tokens

CODE_SECONDS = 60
TYPED_CODE_SECONDS = 300
"""For a code that somebody carries over by hand."""
_VIA = "login of a program"
_REMEMBERED = timedelta(days=1)


@dataclass(frozen=True, kw_only=True, slots=True)
class Leave:
    """What a user lets a program have. `redirect_uri` is empty where the code is shown to be carried over by hand."""

    redirect_uri: str
    challenge: str
    label: str
    role: Role
    token_expires_at: datetime | None


def give(session: Session, identity: Identity, leave: Leave, code: str, *, pepper: bytes) -> None:
    """Give a program leave to have a token, for as long as the code for it is good."""
    owner = tokens.require_maker(identity)
    people.hold_user(session, owner)
    now = datetime.now(UTC)
    tokens.require_room(session, owner, now)
    people.drop_codes(session, now - _REMEMBERED)
    seconds = CODE_SECONDS if leave.redirect_uri else TYPED_CODE_SECONDS
    session.add(
        AuthorizationCode(
            digest=tokens.make_digest(code, pepper),
            user_id=owner,
            redirect_uri=leave.redirect_uri,
            challenge=leave.challenge,
            label=leave.label,
            role=leave.role,
            scopes=None if identity.scopes is None else [list(claim.as_words()) for claim in identity.scopes],
            token_expires_at=leave.token_expires_at,
            expires_at=now + timedelta(seconds=seconds),
        )
    )


def is_known(session: Session, text: str, *, pepper: bytes) -> bool:
    """Tell whether there is a code or a token of this text, whatever it is worth."""
    digest = tokens.make_digest(text, pepper)
    return people.find_code(session, digest) is not None or people.find_token(session, digest) is not None


def find(session: Session, code: str, *, source: str, pepper: bytes) -> AuthorizationCode | None:
    """Return the leave that a code stands for; None for one that is unknown, has ended or was used.

    Who shows a used one has what somebody else has, too: the token that was made for it ends (RFC 6749, 4.1.2).
    """
    row = people.find_code(session, tokens.make_digest(code, pepper))
    if row is None:
        return None
    if row.used_at is not None:
        token = None if row.token_id is None else people.get_token(session, row.token_id)
        if token is not None:
            tokens.revoke_for(session, _speak_for(row.user, source), token)
        return None
    if row.expires_at <= datetime.now(UTC) or row.user.replaced_at is not None or row.user.denied_at is not None:
        return None
    return row


def take_up(session: Session, row: AuthorizationCode, text: str, *, source: str, pepper: bytes) -> None:
    """Make the token that was let, and have its code be worth nothing more."""
    now = datetime.now(UTC)
    people.hold_user(session, row.user_id)
    tokens.require_room(session, row.user_id, now)
    token = Token(
        user_id=row.user_id,
        label=row.label,
        scopes=row.scopes,
        created_at=now,
        expires_at=row.token_expires_at,
        limits=[TokenLimit(role=row.role)],
    )
    made = tokens.add(session, _speak_for(row.user, source), token, text, pepper=pepper)
    row.used_at, row.token_id = now, made.id


def give_back(session: Session, text: str, *, source: str, pepper: bytes) -> None:
    """End the token that somebody has; one that is unknown or has ended is no error (RFC 7009, 2.2)."""
    row = people.find_token(session, tokens.make_digest(text, pepper))
    if row is not None:
        tokens.revoke_for(session, _speak_for(row.user, source), row)


def _speak_for(user: HubUser, source: str) -> Identity:
    """Return the user in whose name a program comes, for the audit trail."""
    return Identity(name=user.name, user_id=user.id, via=_VIA, source=source)
