"""People, what they may do, and what they did."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import (
    ForeignKey,
    Index,
    Integer,
    String,
    Text,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column, relationship

from conda_store_hub.core.audit import AuditAction
from conda_store_hub.core.permissions import IdentityKind, Role
from conda_store_hub.db.tables.builds import Environment, Namespace
from conda_store_hub.db.tables.columns import KEEP_IDS, Base


class HubUser(Base):
    """A person as the Hub knows them.

    A name that the Hub gave to somebody new gets a new row: `replaced_at` is set on the old one, and what refers to it
    is nobody's any more. `hub_created` is None until the Hub has told it. `seen_at` is when the Hub last let them in,
    `denied_at` since when it does not; `scopes` is what its custom scopes gave them at their last session.
    """

    __tablename__ = "hub_user"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(Text)
    hub_created: Mapped[datetime | None]
    first_seen_at: Mapped[datetime]
    replaced_at: Mapped[datetime | None]
    seen_at: Mapped[datetime | None]
    denied_at: Mapped[datetime | None]
    scopes: Mapped[list[Any] | None]

    __table_args__ = (
        Index(
            "uq_hub_user_name",
            "name",
            unique=True,
            sqlite_where=text("replaced_at IS NULL"),
            postgresql_where=text("replaced_at IS NULL"),
        ),
        KEEP_IDS,
    )


class Grant(Base):
    """A role that a subject has on a namespace, or on one environment of it; see `core.permissions.SubjectKind`."""

    __tablename__ = "role_grant"

    id: Mapped[int] = mapped_column(primary_key=True)
    namespace_id: Mapped[int] = mapped_column(ForeignKey("namespace.id", ondelete="CASCADE"))
    environment_id: Mapped[int | None] = mapped_column(ForeignKey("environment.id", ondelete="CASCADE"))
    subject: Mapped[str] = mapped_column(Text)
    user_id: Mapped[int | None] = mapped_column(ForeignKey("hub_user.id", ondelete="CASCADE"))
    role: Mapped[Role]
    expires_at: Mapped[datetime | None]
    granted_by: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime]

    user: Mapped[HubUser | None] = relationship(lazy="raise")

    __table_args__ = (
        Index(
            "uq_role_grant_namespace",
            "namespace_id",
            "subject",
            unique=True,
            sqlite_where=text("environment_id IS NULL"),
            postgresql_where=text("environment_id IS NULL"),
        ),
        Index(
            "uq_role_grant_environment",
            "environment_id",
            "subject",
            unique=True,
            sqlite_where=text("environment_id IS NOT NULL"),
            postgresql_where=text("environment_id IS NOT NULL"),
        ),
        Index("ix_role_grant_subject", "subject"),
        Index("ix_role_grant_user_id", "user_id"),
        KEEP_IDS,
    )


class Token(Base):
    """A token that a user made; only a digest of it is kept. `scopes` is what the Hub's scopes gave its maker then."""

    __tablename__ = "token"

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("hub_user.id", ondelete="CASCADE"), index=True)
    label: Mapped[str] = mapped_column(String(100))
    digest: Mapped[str] = mapped_column(String(64), unique=True)
    hint: Mapped[str] = mapped_column(String(8))
    scopes: Mapped[list[Any] | None]
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime | None]
    last_used_at: Mapped[datetime | None]
    last_used_from: Mapped[str | None] = mapped_column(Text)
    revoked_at: Mapped[datetime | None]

    user: Mapped[HubUser] = relationship(lazy="raise")
    limits: Mapped[list[TokenLimit]] = relationship(order_by="TokenLimit.id", lazy="raise")

    __table_args__ = (KEEP_IDS,)


class TokenLimit(Base):
    """What a token narrows its owner's rights to; without a namespace, all that they have."""

    __tablename__ = "token_limit"

    id: Mapped[int] = mapped_column(primary_key=True)
    token_id: Mapped[int] = mapped_column(ForeignKey("token.id", ondelete="CASCADE"), index=True)
    namespace_id: Mapped[int | None] = mapped_column(ForeignKey("namespace.id", ondelete="CASCADE"))
    environment_id: Mapped[int | None] = mapped_column(ForeignKey("environment.id", ondelete="CASCADE"))
    role: Mapped[Role]

    namespace: Mapped[Namespace | None] = relationship(lazy="raise")
    environment: Mapped[Environment | None] = relationship(lazy="raise")

    __table_args__ = (KEEP_IDS,)


class AuthorizationCode(Base):
    """A user's leave for a program to have a token, until the program comes for it; only a digest of the code is kept.

    `challenge` is of the verifier that the program shows then (RFC 7636, S256). `role`, `scopes` and
    `token_expires_at` are the token's. It stays for a while after its end: who shows it again is found out.
    """

    __tablename__ = "authorization_code"

    id: Mapped[int] = mapped_column(primary_key=True)
    digest: Mapped[str] = mapped_column(String(64), unique=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("hub_user.id", ondelete="CASCADE"), index=True)
    redirect_uri: Mapped[str] = mapped_column(Text)
    challenge: Mapped[str] = mapped_column(String(43))
    label: Mapped[str] = mapped_column(String(100))
    role: Mapped[Role]
    scopes: Mapped[list[Any] | None]
    token_expires_at: Mapped[datetime | None]
    expires_at: Mapped[datetime] = mapped_column(index=True)
    used_at: Mapped[datetime | None]
    token_id: Mapped[int | None] = mapped_column(ForeignKey("token.id", ondelete="SET NULL"), index=True)

    user: Mapped[HubUser] = relationship(lazy="raise")

    __table_args__ = (KEEP_IDS,)


class AuditEntry(Base):
    """Who did what when, to what, from where. Names and numbers, and no reference: it outlives what it describes."""

    __tablename__ = "audit"

    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime]
    action: Mapped[AuditAction]
    actor: Mapped[str | None] = mapped_column(Text)
    actor_kind: Mapped[IdentityKind]
    user_id: Mapped[int | None] = mapped_column(Integer)
    via: Mapped[str] = mapped_column(Text)
    source: Mapped[str] = mapped_column(Text)
    namespace_id: Mapped[int | None] = mapped_column(Integer)
    namespace: Mapped[str | None] = mapped_column(Text)
    environment: Mapped[str | None] = mapped_column(Text)
    build_id: Mapped[int | None] = mapped_column(Integer)
    detail: Mapped[str] = mapped_column(Text)

    __table_args__ = (
        Index("ix_audit_namespace", "namespace_id", "id"),
        Index("ix_audit_namespace_name", "namespace", "id"),
        Index("ix_audit_environment", "environment", "id"),
        Index("ix_audit_actor", "actor", "id"),
        Index("ix_audit_action", "action", "id"),
        Index("ix_audit_at", "at", "id"),
        KEEP_IDS,
    )


# How builds are made and how long they stay.
