"""What the service keeps of itself; indexes for what administrators look at: how builds end, and what is on disk."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "note",
        sa.Column("key", sa.String(length=32), nullable=False),
        sa.Column("value", sa.JSON(), nullable=False),
        sa.Column("set_by", sa.Text(), nullable=True),
        sa.Column("set_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_note")),
    )
    there = sa.text("prefix_name IS NOT NULL")
    op.drop_index("ix_build_prefix", "build")
    op.create_index(
        "ix_build_prefix", "build", ["environment_id", "size", "prefix_name"], sqlite_where=there, postgresql_where=there
    )
    op.create_index("ix_build_ended_on", "build", ["ended_on", "status", "error_code"])
    op.create_index("ix_audit_environment", "audit", ["environment", "id"])
