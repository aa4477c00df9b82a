"""Namespaces, environments, builds, and what builds have."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    Text,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column, relationship

from conda_store_hub.core.names import NamespaceKind
from conda_store_hub.core.protocol import ArtifactState, ArtifactType, BuildStatus, PackageReason, Phase
from conda_store_hub.db.tables.columns import KEEP_IDS, Base

_OPEN = "hub_name IS NOT NULL AND sealed_at IS NULL AND deleted_at IS NULL"
#: When the link on disk does not show what it has to, or has another name.
_BEHIND = (
    "linked_build_id {differs} CASE WHEN deleted_at IS NULL THEN current_build_id END"
    " OR linked_build_id IS NOT NULL AND linked_name {differs} name"
)
#: What the janitor looks for: a deleted build that has its prefix, a deleted artifact that has its bytes.
_GONE = "deleted_at IS NOT NULL AND prefix_name IS NOT NULL"
_HAS_BYTES = "state = 'DELETED' AND key != ''"
#: The index by which lists are walked in the order of namespaces.
NAMESPACE_NAMES = "uq_namespace_name"
_STATUSES = ", ".join(f"'{status}'" for status in BuildStatus)


class Namespace(Base):
    """Who owns environments. Rights follow `kind` and `hub_name`, never `name`.

    A sealed one belonged to somebody whose Hub name is somebody else's now. One that was deleted keeps its row and
    its environments until the undo period is over, and its name is free.
    """

    __tablename__ = "namespace"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(63))
    kind: Mapped[NamespaceKind]
    hub_name: Mapped[str | None] = mapped_column(Text)
    about: Mapped[dict[str, Any]] = mapped_column(default=dict)
    created_at: Mapped[datetime]
    sealed_at: Mapped[datetime | None]
    deleted_at: Mapped[datetime | None]

    __table_args__ = (
        Index(
            NAMESPACE_NAMES,
            "name",
            unique=True,
            sqlite_where=text("deleted_at IS NULL"),
            postgresql_where=text("deleted_at IS NULL"),
        ),
        Index(
            "uq_namespace_hub",
            "kind",
            "hub_name",
            unique=True,
            sqlite_where=text(_OPEN),
            postgresql_where=text(_OPEN),
        ),
        Index("ix_namespace_kind", "kind", "name"),
        KEEP_IDS,
    )


class Environment(Base):
    """A name with builds, one of which is active.

    A finished build activates itself only if its id is above `activation_seq`: the id of the last build that did,
    or the id of the newest build there was when somebody activated one by hand. `linked_build_id` is what the link
    on disk shows under `linked_name`: it follows `current_build_id`, and is None once the environment is deleted.
    """

    __tablename__ = "environment"

    id: Mapped[int] = mapped_column(primary_key=True)
    namespace_id: Mapped[int] = mapped_column(ForeignKey("namespace.id", ondelete="RESTRICT"))
    name: Mapped[str] = mapped_column(String(64))
    name_key: Mapped[str] = mapped_column(String(64))
    description: Mapped[str] = mapped_column(Text, default="")
    current_build_id: Mapped[int | None] = mapped_column(ForeignKey("build.id", ondelete="RESTRICT", use_alter=True))
    latest_build_id: Mapped[int | None] = mapped_column(ForeignKey("build.id", ondelete="RESTRICT", use_alter=True))
    linked_build_id: Mapped[int | None] = mapped_column(Integer)
    linked_name: Mapped[str | None] = mapped_column(String(64))
    activation_seq: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    deleted_at: Mapped[datetime | None]

    namespace: Mapped[Namespace] = relationship(lazy="raise")
    current_build: Mapped[Build | None] = relationship(foreign_keys=[current_build_id], lazy="raise")
    latest_build: Mapped[Build | None] = relationship(foreign_keys=[latest_build_id], lazy="raise")

    __table_args__ = (
        Index(
            "uq_environment_name",
            "namespace_id",
            "name_key",
            unique=True,
            sqlite_where=text("deleted_at IS NULL"),
            postgresql_where=text("deleted_at IS NULL"),
        ),
        Index(
            "ix_environment_link",
            "id",
            sqlite_where=text(_BEHIND.format(differs="IS NOT")),
            postgresql_where=text(_BEHIND.format(differs="IS DISTINCT FROM")),
        ),
        Index(
            "ix_environment_deleted_at",
            "deleted_at",
            sqlite_where=text("deleted_at IS NOT NULL"),
            postgresql_where=text("deleted_at IS NOT NULL"),
        ),
        Index("ix_environment_name_key", "name_key"),
        Index("ix_environment_current_build_id", "current_build_id"),
        KEEP_IDS,
    )


class EnvironmentAlias(Base):
    """A name that an environment had: kernels are still started by it, unless another environment has it now."""

    __tablename__ = "environment_alias"

    namespace_id: Mapped[int] = mapped_column(ForeignKey("namespace.id", ondelete="CASCADE"), primary_key=True)
    name_key: Mapped[str] = mapped_column(String(64), primary_key=True)
    name: Mapped[str] = mapped_column(String(64))
    environment_id: Mapped[int] = mapped_column(ForeignKey("environment.id", ondelete="CASCADE"), index=True)
    created_at: Mapped[datetime]


class Specification(Base):
    """A specification as it was typed; `sha256` is of its normalised form, `text_sha256` of the text."""

    __tablename__ = "specification"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(64))
    sha256: Mapped[str] = mapped_column(String(64), index=True)
    text_sha256: Mapped[str] = mapped_column(String(64), unique=True)
    text: Mapped[str] = mapped_column(Text)
    parsed: Mapped[dict[str, Any]]
    created_at: Mapped[datetime]

    __table_args__ = (KEEP_IDS,)


class Build(Base):
    """One build of a specification: the row is the queue entry, the record, and the owner of a prefix.

    `attempt` counts tries that came to no end; `turn` grows whenever the work changes hands, so that whoever had it
    before can write nothing more. `lock_key` is a digest of all that a solve depends on but the channels' content, of
    which `channel_state` is one; `lock_build_id` is the build whose lock this one was made from without a solve.
    `fresh`: somebody asked for a new solve, so the lock of an earlier build is not reused. `activates`: it becomes
    active by itself. A deleted one has no prefix, and stays listed.
    """

    __tablename__ = "build"

    id: Mapped[int] = mapped_column(primary_key=True)
    environment_id: Mapped[int] = mapped_column(ForeignKey("environment.id", ondelete="RESTRICT"))
    specification_id: Mapped[int] = mapped_column(ForeignKey("specification.id", ondelete="RESTRICT"))
    key: Mapped[str] = mapped_column(String(255), default="")
    status: Mapped[BuildStatus]
    status_info: Mapped[str | None] = mapped_column(Text)
    error_code: Mapped[str | None] = mapped_column(String(32))
    requested_by: Mapped[str | None] = mapped_column(Text)
    scheduled_on: Mapped[datetime]
    started_on: Mapped[datetime | None]
    ended_on: Mapped[datetime | None]
    cancel_requested: Mapped[bool] = mapped_column(Boolean, default=False)
    attempt: Mapped[int] = mapped_column(default=0)
    turn: Mapped[int] = mapped_column(default=0)
    worker: Mapped[str | None] = mapped_column(String(128))
    heartbeat_at: Mapped[datetime | None]
    prefix_name: Mapped[str | None] = mapped_column(String(22), unique=True)
    size: Mapped[int] = mapped_column(BigInteger, default=0)
    shared_size: Mapped[int] = mapped_column(BigInteger, default=0)
    progress: Mapped[dict[str, Any] | None]
    kernels: Mapped[list[Any]] = mapped_column(default=list)
    log_size: Mapped[int] = mapped_column(BigInteger, default=0)
    log_complete: Mapped[bool] = mapped_column(default=False)
    activates: Mapped[bool] = mapped_column(Boolean, default=True)
    pinned: Mapped[bool] = mapped_column(Boolean, default=False)
    deleted_at: Mapped[datetime | None]
    fresh: Mapped[bool] = mapped_column(Boolean, default=False)
    lock_key: Mapped[str | None] = mapped_column(String(64))
    channel_state: Mapped[str | None] = mapped_column(String(64))
    lock_build_id: Mapped[int | None] = mapped_column(ForeignKey("build.id", ondelete="SET NULL"))

    environment: Mapped[Environment] = relationship(foreign_keys=[environment_id], lazy="raise")
    specification: Mapped[Specification] = relationship(lazy="raise")

    __table_args__ = (
        CheckConstraint(f"status IN ({_STATUSES})", name="status"),
        Index("ix_build_environment", "environment_id", "id"),
        Index(
            "ix_build_live",
            "status",
            "id",
            sqlite_where=text("status IN ('QUEUED', 'BUILDING')"),
            postgresql_where=text("status IN ('QUEUED', 'BUILDING')"),
        ),
        Index("ix_build_status", "status", "id"),
        Index("ix_build_specification_id", "specification_id"),
        Index(
            "ix_build_gone",
            "id",
            sqlite_where=text(_GONE),
            postgresql_where=text(_GONE),
        ),
        Index(
            "ix_build_prefix",
            "environment_id",
            "size",
            "prefix_name",  # that is all it takes to add up what environments have on disk
            sqlite_where=text("prefix_name IS NOT NULL"),
            postgresql_where=text("prefix_name IS NOT NULL"),
        ),
        Index("ix_build_ended_on", "ended_on", "status", "error_code"),
        Index("ix_build_lock_key", "lock_key", "id"),
        Index("ix_build_lock_build_id", "lock_build_id"),
        KEEP_IDS,
    )


class BuildPhase(Base):
    """When a phase began and how many seconds it took."""

    __tablename__ = "build_phase"

    build_id: Mapped[int] = mapped_column(ForeignKey("build.id", ondelete="CASCADE"), primary_key=True)
    phase: Mapped[Phase] = mapped_column(primary_key=True)
    started_at: Mapped[datetime]
    seconds: Mapped[float | None]


class LogChunk(Base):
    """A piece of a build's log; `start` is its byte offset, and a character is never split."""

    __tablename__ = "log_chunk"

    build_id: Mapped[int] = mapped_column(ForeignKey("build.id", ondelete="CASCADE"), primary_key=True)
    start: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    data: Mapped[bytes] = mapped_column(LargeBinary)


class Artifact(Base):
    """What a build yields. `key` names bytes that are there when `state` is READY; `note` says what they lack.

    `attempt` counts how often a builder was given it to make; 0 is one that none knows of yet.
    `requested_by` and `requested_at` tell of an image who had it made without being able to change the environment.
    `base` is the digest of what an image was last put on, empty for nothing.
    `again_at` says of one that failed from when on it is made again for who asks; None of one that stays as it is.
    """

    __tablename__ = "artifact"

    id: Mapped[int] = mapped_column(primary_key=True)
    build_id: Mapped[int] = mapped_column(ForeignKey("build.id", ondelete="CASCADE"))
    artifact_type: Mapped[ArtifactType]
    state: Mapped[ArtifactState]
    key: Mapped[str] = mapped_column(String(255), default="")
    sha256: Mapped[str | None] = mapped_column(String(64))
    size: Mapped[int | None] = mapped_column(BigInteger)
    error: Mapped[str | None] = mapped_column(Text)
    note: Mapped[str | None] = mapped_column(Text)
    attempt: Mapped[int] = mapped_column(default=0)
    requested_by: Mapped[str | None] = mapped_column(Text)
    requested_at: Mapped[datetime | None]
    base: Mapped[str | None] = mapped_column(String(71))
    again_at: Mapped[datetime | None]

    __table_args__ = (
        Index("uq_artifact_type", "build_id", "artifact_type", unique=True),
        Index("ix_artifact_key", "key", "state", "size"),  # all that it takes to add up what is stored
        Index(
            "ix_artifact_pending",
            "build_id",
            sqlite_where=text("state = 'PENDING'"),
            postgresql_where=text("state = 'PENDING'"),
        ),
        Index("ix_artifact_requested", "requested_by", "requested_at"),
        Index("ix_artifact_deleted", "id", sqlite_where=text(_HAS_BYTES), postgresql_where=text(_HAS_BYTES)),
        KEEP_IDS,
    )


class ImageBlob(Base):
    """A blob that the image of a build has: a layer, or its configuration. `key` names its bytes, as of an artifact.

    `layer_key` is what a layer is known by before it is made, `diff_id` the digest of what it unpacks to.
    `namespace_id` is the build's, which never changes: with it, indexes alone tell what a namespace has, and has alone.
    """

    __tablename__ = "image_blob"

    build_id: Mapped[int] = mapped_column(ForeignKey("build.id", ondelete="CASCADE"), primary_key=True)
    key: Mapped[str] = mapped_column(String(255), primary_key=True)
    size: Mapped[int] = mapped_column(BigInteger)
    namespace_id: Mapped[int] = mapped_column(Integer, server_default="0")
    layer_key: Mapped[str] = mapped_column(String(80), default="", index=True)
    diff_id: Mapped[str] = mapped_column(String(71), default="")

    __table_args__ = (
        Index("ix_image_blob_stored", "key", "namespace_id", "size"),
        Index("ix_image_blob_namespace", "namespace_id", "key", "size"),
        {"sqlite_with_rowid": False},
    )


class BuildTag(Base):
    """A tag that somebody gave to a build; an environment has each once, and capitals count."""

    __tablename__ = "build_tag"

    environment_id: Mapped[int] = mapped_column(ForeignKey("environment.id", ondelete="CASCADE"), primary_key=True)
    name: Mapped[str] = mapped_column(String(128), primary_key=True)
    build_id: Mapped[int] = mapped_column(ForeignKey("build.id", ondelete="CASCADE"), index=True)
    given_at: Mapped[datetime]

    __table_args__ = ({"sqlite_with_rowid": False},)


class Package(Base):
    """A package as some build has it; `digest` identifies all the other columns."""

    __tablename__ = "package"

    id: Mapped[int] = mapped_column(primary_key=True)
    digest: Mapped[str] = mapped_column(String(64), unique=True)
    manager: Mapped[str] = mapped_column(String(8))
    name: Mapped[str] = mapped_column(String(255), index=True)
    version: Mapped[str] = mapped_column(String(255))
    build: Mapped[str] = mapped_column(String(255), default="")
    channel: Mapped[str] = mapped_column(Text, default="")
    subdir: Mapped[str] = mapped_column(String(64), default="")
    url: Mapped[str] = mapped_column(Text, default="")
    sha256: Mapped[str] = mapped_column(String(64), default="")
    md5: Mapped[str] = mapped_column(String(32), default="")
    size: Mapped[int] = mapped_column(BigInteger, default=0)
    installed_size: Mapped[int] = mapped_column(BigInteger, default=0)
    license: Mapped[str] = mapped_column(Text, default="")
    depends: Mapped[list[Any]] = mapped_column(default=list)

    __table_args__ = (KEEP_IDS,)


class BuildPackage(Base):
    """Which packages a build has, and why; None in builds of before it was kept.

    `name` is the package's, here too: whether a build has one of twenty builds of a package is then looked up once.
    """

    __tablename__ = "build_package"

    build_id: Mapped[int] = mapped_column(ForeignKey("build.id", ondelete="CASCADE"), primary_key=True)
    name: Mapped[str] = mapped_column(String(255), primary_key=True)
    package_id: Mapped[int] = mapped_column(ForeignKey("package.id", ondelete="RESTRICT"), primary_key=True, index=True)
    reason: Mapped[PackageReason | None]

    # The rows are their own index: that takes no more room than a table with one beside it took without the names.
    __table_args__ = ({"sqlite_with_rowid": False},)


# Who may do what, beyond what follows from whose a namespace is.


class Lease(Base):
    """Who is using a build, until when: a build with a living lease is never removed."""

    __tablename__ = "lease"

    build_id: Mapped[int] = mapped_column(ForeignKey("build.id", ondelete="CASCADE"), primary_key=True)
    holder: Mapped[str] = mapped_column(String(100), primary_key=True)
    user: Mapped[str] = mapped_column(Text)
    expires_at: Mapped[datetime]

    __table_args__ = (Index("ix_lease_expires_at", "expires_at"),)
