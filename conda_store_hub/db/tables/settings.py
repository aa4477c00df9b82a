"""What is set and kept beside environments: policies, the files that they follow, and what the service notes."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import (
    JSON,
    ForeignKey,
    Index,
    String,
    Text,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column, relationship

from conda_store_hub.db.tables.builds import Environment
from conda_store_hub.db.tables.columns import KEEP_IDS, Base


class Policy(Base):
    """A rule that somebody set, for the service, a namespace or an environment: `core.policy` knows the keys."""

    __tablename__ = "policy"

    id: Mapped[int] = mapped_column(primary_key=True)
    namespace_id: Mapped[int | None] = mapped_column(ForeignKey("namespace.id", ondelete="CASCADE"))
    environment_id: Mapped[int | None] = mapped_column(ForeignKey("environment.id", ondelete="CASCADE"))
    key: Mapped[str] = mapped_column(String(64))
    value: Mapped[Any] = mapped_column(JSON, nullable=False)
    set_by: Mapped[str | None] = mapped_column(Text)
    set_at: Mapped[datetime]

    __table_args__ = (
        Index(
            "uq_policy_service",
            "key",
            unique=True,
            sqlite_where=text("namespace_id IS NULL"),
            postgresql_where=text("namespace_id IS NULL"),
        ),
        Index(
            "uq_policy_namespace",
            "namespace_id",
            "key",
            unique=True,
            sqlite_where=text("namespace_id IS NOT NULL AND environment_id IS NULL"),
            postgresql_where=text("namespace_id IS NOT NULL AND environment_id IS NULL"),
        ),
        Index(
            "uq_policy_environment",
            "environment_id",
            "key",
            unique=True,
            sqlite_where=text("environment_id IS NOT NULL"),
            postgresql_where=text("environment_id IS NOT NULL"),
        ),
        KEEP_IDS,
    )


class Note(Base):
    """What the service keeps of itself, one value a key: `services.notes` knows the keys."""

    __tablename__ = "note"

    key: Mapped[str] = mapped_column(String(32), primary_key=True)
    value: Mapped[Any] = mapped_column(JSON, nullable=False)
    set_by: Mapped[str | None] = mapped_column(Text)
    set_at: Mapped[datetime]


class OnDemand(Base):
    """A wish for an image, by the key of its order, and the environment that was made of it last.

    `pulled_at` is when an image of it was asked for last, or up to an hour before. `asked_by` is who had it built last
    by asking; what is built anew because it is old is still theirs.
    """

    __tablename__ = "on_demand"

    key: Mapped[str] = mapped_column(String(64), primary_key=True)
    wish: Mapped[str] = mapped_column(Text)
    environment_id: Mapped[int | None] = mapped_column(ForeignKey("environment.id", ondelete="SET NULL"), index=True)
    pulled_at: Mapped[datetime]
    asked_by: Mapped[str | None] = mapped_column(Text, index=True)


class WatchedFolder(Base):
    """A folder of files that are watched, or the folder of a single one.

    `identity` is of the folder that was read last: another one that is empty is where something is mounted.
    `problem` says why it cannot be read now.
    """

    __tablename__ = "watched_folder"

    id: Mapped[int] = mapped_column(primary_key=True)
    path: Mapped[str] = mapped_column(Text)
    identity: Mapped[str] = mapped_column(String(40), default="")
    problem: Mapped[str | None] = mapped_column(Text)

    __table_args__ = (KEEP_IDS,)


class WatchedFile(Base):
    """A file that is watched, by its path in its folder, and the environment that it describes.

    `text_sha256` is of what was read last, empty for what could not be read; `problem` says why that is not what the
    environment is. `seen_at` is when one of these changed.
    """

    __tablename__ = "watched_file"

    id: Mapped[int] = mapped_column(primary_key=True)
    folder_id: Mapped[int] = mapped_column(ForeignKey("watched_folder.id", ondelete="CASCADE"))
    path: Mapped[str] = mapped_column(Text)
    environment_id: Mapped[int | None] = mapped_column(ForeignKey("environment.id", ondelete="SET NULL"), index=True)
    text_sha256: Mapped[str] = mapped_column(String(64))
    problem: Mapped[str | None] = mapped_column(Text)
    seen_at: Mapped[datetime]

    folder: Mapped[WatchedFolder] = relationship(lazy="raise")
    environment: Mapped[Environment | None] = relationship(lazy="raise")

    __table_args__ = (Index("uq_watched_file_path", "folder_id", "path", unique=True), KEEP_IDS)
