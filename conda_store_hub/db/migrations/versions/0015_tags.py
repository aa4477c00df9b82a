"""Tags that people give to builds."""

import sqlalchemy as sa
from alembic import op

from conda_store_hub.db.tables import UtcDateTime

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "build_tag",
        sa.Column("environment_id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("build_id", sa.Integer(), nullable=False),
        sa.Column("given_at", UtcDateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["environment_id"], ["environment.id"], name=op.f("fk_build_tag_environment_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["build_id"], ["build.id"], name=op.f("fk_build_tag_build_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("environment_id", "name", name=op.f("pk_build_tag")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_build_tag_build_id"), "build_tag", ["build_id"])
