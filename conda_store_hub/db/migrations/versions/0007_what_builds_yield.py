"""What artifacts lack, what packages need and why a build has them, and the files that are watched."""

import sqlalchemy as sa
from alembic import op

from conda_store_hub.db.tables import UtcDateTime

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("artifact", sa.Column("note", sa.Text(), nullable=True))
    op.add_column("package", sa.Column("depends", sa.JSON(), nullable=False, server_default="[]"))
    op.add_column("build_package", sa.Column("reason", sa.String(length=32), nullable=True))
    op.create_table(
        "watched_folder",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("identity", sa.String(length=40), nullable=False),
        sa.Column("problem", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_watched_folder")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "watched_file",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("folder_id", sa.Integer(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("environment_id", sa.Integer(), nullable=True),
        sa.Column("text_sha256", sa.String(length=64), nullable=False),
        sa.Column("problem", sa.Text(), nullable=True),
        sa.Column("seen_at", UtcDateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["folder_id"], ["watched_folder.id"], name=op.f("fk_watched_file_folder_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["environment_id"], ["environment.id"], name=op.f("fk_watched_file_environment_id"), ondelete="SET NULL"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_watched_file")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_watched_file_environment_id"), "watched_file", ["environment_id"])
    op.create_index("uq_watched_file_path", "watched_file", ["folder_id", "path"], unique=True)
