"""What all tables have in common: how constraints are called, and what kinds of columns there are."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    JSON,
    DateTime,
    Dialect,
    Enum,
    MetaData,
    TypeDecorator,
)
from sqlalchemy.orm import DeclarativeBase

from conda_store_hub.core.audit import AuditAction
from conda_store_hub.core.names import NamespaceKind
from conda_store_hub.core.permissions import IdentityKind, Role
from conda_store_hub.core.protocol import ArtifactState, ArtifactType, BuildStatus, PackageReason, Phase


class UtcDateTime(TypeDecorator[datetime]):
    """An aware time in UTC; SQLite keeps no zone of its own."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Refuse a naive time: nobody knows where it was."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time without a zone")
        return value.astimezone(UTC).replace(tzinfo=None if dialect.name == "sqlite" else UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Give the zone back."""
        return None if value is None else value.replace(tzinfo=UTC)


def _values(states: type[StrEnum]) -> list[str]:
    return [state.value for state in states]


def _words(states: type[StrEnum]) -> Enum:
    """Return a column type that keeps a state as the text of its value."""
    return Enum(states, native_enum=False, length=32, values_callable=_values)


class Base(DeclarativeBase):
    """All tables; constraints have names, so that migrations can change them."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(column_0_label)s",
            "uq": "uq_%(table_name)s_%(column_0_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {  # noqa: RUF012 - SQLAlchemy reads it on the class
        datetime: UtcDateTime,
        dict[str, Any]: JSON,
        list[Any]: JSON,
        NamespaceKind: _words(NamespaceKind),
        BuildStatus: _words(BuildStatus),
        ArtifactType: _words(ArtifactType),
        ArtifactState: _words(ArtifactState),
        Phase: _words(Phase),
        PackageReason: _words(PackageReason),
        Role: _words(Role),
        AuditAction: _words(AuditAction),
        IdentityKind: _words(IdentityKind),
    }


#: Ids are never used again: AUTOINCREMENT on SQLite, sequences elsewhere.
KEEP_IDS = {"sqlite_autoincrement": True}
