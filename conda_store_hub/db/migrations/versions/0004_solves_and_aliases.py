"""Builds that are to be solved anew, and names that environments had."""

import sqlalchemy as sa
from alembic import op

from conda_store_hub.db.tables import UtcDateTime

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("build", sa.Column("fresh", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.create_table(
        "environment_alias",
        sa.Column("namespace_id", sa.Integer(), nullable=False),
        sa.Column("name_key", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("environment_id", sa.Integer(), nullable=False),
        sa.Column("created_at", UtcDateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["namespace_id"], ["namespace.id"], name=op.f("fk_environment_alias_namespace_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["environment_id"], ["environment.id"], name=op.f("fk_environment_alias_environment_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("namespace_id", "name_key", name=op.f("pk_environment_alias")),
    )
    op.create_index(op.f("ix_environment_alias_environment_id"), "environment_alias", ["environment_id"])
