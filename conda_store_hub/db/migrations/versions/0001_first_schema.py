"""First schema."""

import sqlalchemy as sa
from alembic import op

from conda_store_hub.db.tables import UtcDateTime  # noqa: F401

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "namespace",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=63), nullable=False),
        sa.Column(
            "kind",
            sa.Enum("user", "group", "shared", "system", name="namespacekind", native_enum=False, length=32),
            nullable=False,
        ),
        sa.Column("hub_name", sa.Text(), nullable=True),
        sa.Column("created_at", UtcDateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_namespace")),
        sa.UniqueConstraint("name", name=op.f("uq_namespace_name")),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("namespace") as batch_op:
        batch_op.create_index(
            "uq_namespace_hub",
            ["kind", "hub_name"],
            unique=True,
            sqlite_where=sa.text("hub_name IS NOT NULL"),
            postgresql_where=sa.text("hub_name IS NOT NULL"),
        )

    op.create_table(
        "package",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("manager", sa.String(length=8), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("version", sa.String(length=255), nullable=False),
        sa.Column("build", sa.String(length=255), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("subdir", sa.String(length=64), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("md5", sa.String(length=32), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("license", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_package")),
        sa.UniqueConstraint("digest", name=op.f("uq_package_digest")),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("package") as batch_op:
        batch_op.create_index(batch_op.f("ix_package_name"), ["name"], unique=False)

    op.create_table(
        "specification",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("text_sha256", sa.String(length=64), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("parsed", sa.JSON(), nullable=False),
        sa.Column("created_at", UtcDateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_specification")),
        sa.UniqueConstraint("text_sha256", name=op.f("uq_specification_text_sha256")),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("specification") as batch_op:
        batch_op.create_index(batch_op.f("ix_specification_sha256"), ["sha256"], unique=False)

    op.create_table(
        "environment",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("namespace_id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("name_key", sa.String(length=64), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("current_build_id", sa.Integer(), nullable=True),
        sa.Column("latest_build_id", sa.Integer(), nullable=True),
        sa.Column("linked_build_id", sa.Integer(), nullable=True),
        sa.Column("activation_seq", sa.Integer(), nullable=False),
        sa.Column("created_at", UtcDateTime(timezone=True), nullable=False),
        sa.Column("updated_at", UtcDateTime(timezone=True), nullable=False),
        sa.Column("deleted_at", UtcDateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["current_build_id"],
            ["build.id"],
            name=op.f("fk_environment_current_build_id"),
            ondelete="RESTRICT",
            use_alter=True,
        ),
        sa.ForeignKeyConstraint(
            ["latest_build_id"],
            ["build.id"],
            name=op.f("fk_environment_latest_build_id"),
            ondelete="RESTRICT",
            use_alter=True,
        ),
        sa.ForeignKeyConstraint(
            ["namespace_id"], ["namespace.id"], name=op.f("fk_environment_namespace_id"), ondelete="RESTRICT"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_environment")),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("environment") as batch_op:
        batch_op.create_index("ix_environment_current_build_id", ["current_build_id"], unique=False)
        batch_op.create_index(
            "ix_environment_link",
            ["id"],
            unique=False,
            sqlite_where=sa.text("linked_build_id IS NOT current_build_id"),
            postgresql_where=sa.text("linked_build_id IS DISTINCT FROM current_build_id"),
        )
        batch_op.create_index(
            "uq_environment_name",
            ["namespace_id", "name_key"],
            unique=True,
            sqlite_where=sa.text("deleted_at IS NULL"),
            postgresql_where=sa.text("deleted_at IS NULL"),
        )

    op.create_table(
        "build",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("environment_id", sa.Integer(), nullable=False),
        sa.Column("specification_id", sa.Integer(), nullable=False),
        sa.Column("key", sa.String(length=255), nullable=False),
        sa.Column(
            "status",
            sa.Enum(
                "QUEUED",
                "BUILDING",
                "COMPLETED",
                "FAILED",
                "CANCELED",
                name="buildstatus",
                native_enum=False,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("status_info", sa.Text(), nullable=True),
        sa.Column("error_code", sa.String(length=32), nullable=True),
        sa.Column("requested_by", sa.Text(), nullable=True),
        sa.Column("scheduled_on", UtcDateTime(timezone=True), nullable=False),
        sa.Column("started_on", UtcDateTime(timezone=True), nullable=True),
        sa.Column("ended_on", UtcDateTime(timezone=True), nullable=True),
        sa.Column("cancel_requested", sa.Boolean(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("turn", sa.Integer(), nullable=False),
        sa.Column("worker", sa.String(length=128), nullable=True),
        sa.Column("heartbeat_at", UtcDateTime(timezone=True), nullable=True),
        sa.Column("prefix_name", sa.String(length=22), nullable=True),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("shared_size", sa.BigInteger(), nullable=False),
        sa.Column("progress", sa.JSON(), nullable=True),
        sa.Column("kernels", sa.JSON(), nullable=False),
        sa.Column("log_size", sa.BigInteger(), nullable=False),
        sa.Column("log_complete", sa.Boolean(), nullable=False),
        sa.CheckConstraint(
            "status IN ('QUEUED', 'BUILDING', 'COMPLETED', 'FAILED', 'CANCELED')", name=op.f("ck_build_status")
        ),
        sa.ForeignKeyConstraint(
            ["environment_id"], ["environment.id"], name=op.f("fk_build_environment_id"), ondelete="RESTRICT"
        ),
        sa.ForeignKeyConstraint(
            ["specification_id"], ["specification.id"], name=op.f("fk_build_specification_id"), ondelete="RESTRICT"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_build")),
        sa.UniqueConstraint("prefix_name", name=op.f("uq_build_prefix_name")),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("build") as batch_op:
        batch_op.create_index("ix_build_environment", ["environment_id", "id"], unique=False)
        batch_op.create_index(
            "ix_build_live",
            ["status", "id"],
            unique=False,
            sqlite_where=sa.text("status IN ('QUEUED', 'BUILDING')"),
            postgresql_where=sa.text("status IN ('QUEUED', 'BUILDING')"),
        )
        batch_op.create_index("ix_build_specification_id", ["specification_id"], unique=False)

    op.create_table(
        "artifact",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("build_id", sa.Integer(), nullable=False),
        sa.Column(
            "artifact_type",
            sa.Enum(
                "LOGS", "LOCKFILE", "YAML", "CONDA_PACK", "RECORDS", name="artifacttype", native_enum=False, length=32
            ),
            nullable=False,
        ),
        sa.Column(
            "state",
            sa.Enum("PENDING", "READY", "FAILED", name="artifactstate", native_enum=False, length=32),
            nullable=False,
        ),
        sa.Column("key", sa.String(length=255), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=True),
        sa.Column("size", sa.BigInteger(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["build_id"], ["build.id"], name=op.f("fk_artifact_build_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_artifact")),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("artifact") as batch_op:
        batch_op.create_index("ix_artifact_key", ["key"], unique=False)
        batch_op.create_index(
            "ix_artifact_pending",
            ["build_id"],
            unique=False,
            sqlite_where=sa.text("state = 'PENDING'"),
            postgresql_where=sa.text("state = 'PENDING'"),
        )
        batch_op.create_index("uq_artifact_type", ["build_id", "artifact_type"], unique=True)

    op.create_table(
        "build_package",
        sa.Column("build_id", sa.Integer(), nullable=False),
        sa.Column("package_id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["build_id"], ["build.id"], name=op.f("fk_build_package_build_id"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(
            ["package_id"], ["package.id"], name=op.f("fk_build_package_package_id"), ondelete="RESTRICT"
        ),
        sa.PrimaryKeyConstraint("build_id", "package_id", name=op.f("pk_build_package")),
    )
    with op.batch_alter_table("build_package") as batch_op:
        batch_op.create_index(batch_op.f("ix_build_package_package_id"), ["package_id"], unique=False)

    op.create_table(
        "build_phase",
        sa.Column("build_id", sa.Integer(), nullable=False),
        sa.Column(
            "phase",
            sa.Enum(
                "solve",
                "install",
                "bytecode",
                "pip",
                "activate",
                "yaml",
                "lockfile",
                "archive",
                name="phase",
                native_enum=False,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("started_at", UtcDateTime(timezone=True), nullable=False),
        sa.Column("seconds", sa.Double(), nullable=True),
        sa.ForeignKeyConstraint(["build_id"], ["build.id"], name=op.f("fk_build_phase_build_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("build_id", "phase", name=op.f("pk_build_phase")),
    )
    op.create_table(
        "log_chunk",
        sa.Column("build_id", sa.Integer(), nullable=False),
        sa.Column("start", sa.BigInteger(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["build_id"], ["build.id"], name=op.f("fk_log_chunk_build_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("build_id", "start", name=op.f("pk_log_chunk")),
    )
