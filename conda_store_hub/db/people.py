"""The statements about people: whom the Hub calls what, what was granted to them, their tokens, what they did."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Select, and_, delete, func, or_, select, true, update
from sqlalchemy.orm import Session, contains_eager, joinedload, selectinload
from sqlalchemy.sql.elements import ColumnElement

from conda_store_hub.core.audit import AuditAction
from conda_store_hub.core.permissions import Identity, Permission
from conda_store_hub.db.tables import (
    AuditEntry,
    AuthorizationCode,
    Environment,
    Grant,
    HubUser,
    Namespace,
    Token,
    TokenLimit,
)
from conda_store_hub.db.visibility import allows_on_environment, has_single_grants, is_singled_out

# Users


def find_user(session: Session, name: str) -> HubUser | None:
    """Find the person whom the Hub calls `name` now."""
    return session.scalar(select(HubUser).where(HubUser.name == name, HubUser.replaced_at.is_(None)))


def mark_seen(session: Session, user_id: int, now: datetime) -> None:
    """Record that the Hub lets a user in."""
    session.execute(update(HubUser).where(HubUser.id == user_id).values(seen_at=now, denied_at=None))


def keep_scopes(session: Session, user_id: int, scopes: list[list[str | None]]) -> None:
    """Record what the Hub's scopes give a user."""
    session.execute(update(HubUser).where(HubUser.id == user_id).values(scopes=scopes))


# Grants


def find_grant(session: Session, namespace_id: int, environment_id: int | None, subject: str) -> Grant | None:
    """Find what was granted to a subject on a namespace, or on an environment of it."""
    return session.scalar(_grants(namespace_id, environment_id).where(Grant.subject == subject))


def get_grant(session: Session, namespace_id: int, environment_id: int | None, grant_id: int) -> Grant | None:
    """Find a grant on a namespace, or on an environment of it, by its number."""
    return session.scalar(_grants(namespace_id, environment_id).where(Grant.id == grant_id))


def select_grants(namespace_id: int, environment_id: int | None) -> Select[Grant]:
    """Select the grants on a namespace, or on an environment of it, the oldest first."""
    return _grants(namespace_id, environment_id).order_by(Grant.id)


def list_grants(
    session: Session, namespace_id: int, environment_id: int | None, limit: int, *, offset: int = 0, after: int = -1
) -> Sequence[Grant]:
    """Return grants on a namespace, or on an environment of it, the oldest first, and those alone behind `after`."""
    found = select_grants(namespace_id, environment_id).where(Grant.id > after)
    return session.scalars(found.limit(limit).offset(offset)).all()


def subjects_of(session: Session, namespace_id: int) -> Sequence[str]:
    """Return to whom something was granted in a namespace, or on environments of it."""
    return session.scalars(select(Grant.subject).where(Grant.namespace_id == namespace_id).distinct()).all()


def count_grants(session: Session, namespace_id: int, environment_id: int | None, *, after: int = -1) -> int:
    """Count the grants on a namespace, or on an environment of it, behind `after`."""
    found = _grants(namespace_id, environment_id).where(Grant.id > after)
    inner = found.with_only_columns(Grant.id).subquery()
    return session.scalar(select(func.count()).select_from(inner)) or 0


def _grants(namespace_id: int, environment_id: int | None) -> Select[Grant]:
    statement = select(Grant).options(selectinload(Grant.user)).where(Grant.namespace_id == namespace_id)
    level = Grant.environment_id.is_(None) if environment_id is None else Grant.environment_id == environment_id
    return statement.where(level)


def single_environments(session: Session, identity: Identity, limit: int) -> Sequence[Environment]:
    """Return environments that `identity` sees one by one, by a grant or a token on each, by namespace and name."""
    single = has_single_grants(session, identity)
    return session.scalars(
        select(Environment)
        .join(Environment.namespace)
        .options(contains_eager(Environment.namespace))
        .where(
            is_singled_out(identity, Permission.ENVIRONMENT_READ),
            Environment.deleted_at.is_(None),
            allows_on_environment(identity, Permission.ENVIRONMENT_READ, single=single),
        )
        .order_by(Namespace.name, Environment.name_key)
        .limit(limit)
    ).all()


def remove_grant(session: Session, grant_id: int) -> None:
    """Take a grant back."""
    session.execute(delete(Grant).where(Grant.id == grant_id))


# Tokens


def find_token(session: Session, digest: str) -> Token | None:
    """Find a token by its digest, with its owner and what it is limited to."""
    return session.scalar(
        select(Token).options(joinedload(Token.user), selectinload(Token.limits)).where(Token.digest == digest)
    )


def get_token(session: Session, token_id: int) -> Token | None:
    """Find a token by its number, with its owner."""
    return session.scalar(select(Token).options(joinedload(Token.user)).where(Token.id == token_id))


def is_live(session: Session, token_id: int, now: datetime) -> bool:
    """Tell whether a token is neither revoked nor expired."""
    statement = select(Token.id).where(Token.id == token_id, _living(now))
    return session.scalar(statement) is not None


def hold_user(session: Session, user_id: int) -> None:
    """Let others who change what belongs to a user wait until the transaction ends."""
    session.execute(select(HubUser.id).where(HubUser.id == user_id).with_for_update())


def select_tokens(user_id: int, only: int | None = None, *, after: int | None = None) -> Select[Token]:
    """Select a user's tokens that are not revoked, the newest first, with the names of what they are limited to.

    `only`: that one of them; `after`: those older than this one.
    """
    limits = selectinload(Token.limits)
    which = and_(true() if only is None else Token.id == only, true() if after is None else Token.id < after)
    return (
        select(Token)
        .options(
            joinedload(Token.user),
            limits.joinedload(TokenLimit.namespace),
            limits.joinedload(TokenLimit.environment),
        )
        .where(Token.user_id == user_id, Token.revoked_at.is_(None), which)
        .order_by(Token.id.desc())
    )


def count_tokens(session: Session, user_id: int, now: datetime) -> int:
    """Count the tokens of a user that work."""
    return session.scalar(select(func.count(Token.id)).where(Token.user_id == user_id, _living(now))) or 0


def touch_token(session: Session, token_id: int, now: datetime, source: str) -> None:
    """Record that a token was used."""
    session.execute(update(Token).where(Token.id == token_id).values(last_used_at=now, last_used_from=source))


def revoke_tokens(session: Session, user_id: int, now: datetime) -> None:
    """End all tokens of a user."""
    session.execute(update(Token).where(Token.user_id == user_id, Token.revoked_at.is_(None)).values(revoked_at=now))


def _living(now: datetime) -> ColumnElement[bool]:
    return and_(Token.revoked_at.is_(None), or_(Token.expires_at.is_(None), Token.expires_at > now))


# Codes for which programs get tokens


def find_code(session: Session, digest: str) -> AuthorizationCode | None:
    """Find a code by its digest, with its user; whoever else comes with it waits until the transaction ends."""
    return session.scalar(
        select(AuthorizationCode)
        .options(joinedload(AuthorizationCode.user, innerjoin=True))
        .where(AuthorizationCode.digest == digest)
        .with_for_update(of=AuthorizationCode)
    )


def drop_codes(session: Session, before: datetime) -> None:
    """Forget codes that ended before that."""
    session.execute(delete(AuthorizationCode).where(AuthorizationCode.expires_at < before))


# The audit trail


def audit_entries(
    session: Session,
    *,
    namespace_id: int | None,
    namespace: str | None,
    environment: str | None,
    actor: str | None,
    action: AuditAction | None,
    since: datetime | None = None,
    until: datetime | None = None,
    before: int | None,
    size: int,
) -> Sequence[AuditEntry]:
    """Return the newest entries below the number `before`; of a span of time they are in the order of their times."""
    statement = select(AuditEntry).limit(size)
    if since is None and until is None:
        statement = statement.order_by(AuditEntry.id.desc())
        if before is not None:
            statement = statement.where(AuditEntry.id < before)
    else:
        statement = statement.order_by(AuditEntry.at.desc(), AuditEntry.id.desc())
        statement = statement.where(*_within(session, since, until, before))
    if namespace_id is not None:
        statement = statement.where(AuditEntry.namespace_id == namespace_id)
    if namespace is not None:
        statement = statement.where(AuditEntry.namespace == namespace)
    if environment is not None:
        statement = statement.where(AuditEntry.environment == environment)
    if actor is not None:
        statement = statement.where(AuditEntry.actor == actor)
    if action is not None:
        statement = statement.where(AuditEntry.action == action)
    return session.scalars(statement).all()


def _within(
    session: Session, since: datetime | None, until: datetime | None, before: int | None
) -> list[ColumnElement[bool]]:
    """Return what entries of a span of time have to be, and those that come after an entry in their order."""
    wanted: list[ColumnElement[bool]] = []
    if since is not None:
        wanted.append(AuditEntry.at >= since)
    if until is not None:
        wanted.append(AuditEntry.at < until)
    if before is not None:
        at = session.scalar(select(AuditEntry.at).where(AuditEntry.id == before))
        wanted.append(AuditEntry.id < before if at is None else AuditEntry.at <= at)
        if at is not None:
            wanted.append(or_(AuditEntry.at < at, AuditEntry.id < before))
    return wanted
