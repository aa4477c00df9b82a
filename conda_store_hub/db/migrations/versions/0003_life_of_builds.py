"""Policies, leases, and what a build can be: pinned, deleted, made from a lock, not activating."""

from typing import Any

import sqlalchemy as sa
from alembic import op

from conda_store_hub.db.tables import UtcDateTime

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_BEHIND = (
    "linked_build_id {differs} CASE WHEN deleted_at IS NULL THEN current_build_id END"
    " OR linked_build_id IS NOT NULL AND linked_name {differs} name"
)
_SCOPES = {
    "service": (["key"], "namespace_id IS NULL"),
    "namespace": (["namespace_id", "key"], "namespace_id IS NOT NULL AND environment_id IS NULL"),
    "environment": (["environment_id", "key"], "environment_id IS NOT NULL"),
}


def _reference(table: str, column: str, to: str) -> sa.ForeignKeyConstraint:
    name = op.f(f"fk_{table}_{column}")
    return sa.ForeignKeyConstraint([column], [f"{to}.id"], name=name, ondelete="CASCADE")


def _time(name: str, *, nullable: bool = True) -> sa.Column[Any]:
    return sa.Column(name, UtcDateTime(timezone=True), nullable=nullable)


def upgrade() -> None:
    with op.batch_alter_table("build", table_kwargs={"sqlite_autoincrement": True}) as batch_op:
        batch_op.add_column(sa.Column("activates", sa.Boolean(), nullable=False, server_default=sa.true()))
        batch_op.add_column(sa.Column("pinned", sa.Boolean(), nullable=False, server_default=sa.false()))
        batch_op.add_column(_time("deleted_at"))
        batch_op.add_column(sa.Column("lock_key", sa.String(length=64), nullable=True))
        batch_op.add_column(sa.Column("channel_state", sa.String(length=64), nullable=True))
        batch_op.add_column(sa.Column("lock_build_id", sa.Integer(), nullable=True))
        batch_op.create_foreign_key(
            op.f("fk_build_lock_build_id"), "build", ["lock_build_id"], ["id"], ondelete="SET NULL"
        )
        batch_op.create_index("ix_build_lock_key", ["lock_key", "id"])
        batch_op.create_index("ix_build_lock_build_id", ["lock_build_id"])

    op.drop_index("ix_environment_link", "environment")
    op.add_column("environment", sa.Column("linked_name", sa.String(length=64), nullable=True))
    op.execute("UPDATE environment SET linked_name = name WHERE linked_build_id IS NOT NULL")
    op.create_index(
        "ix_environment_link",
        "environment",
        ["id"],
        sqlite_where=sa.text(_BEHIND.format(differs="IS NOT")),
        postgresql_where=sa.text(_BEHIND.format(differs="IS DISTINCT FROM")),
    )

    op.create_table(
        "policy",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("namespace_id", sa.Integer(), nullable=True),
        sa.Column("environment_id", sa.Integer(), nullable=True),
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("value", sa.JSON(), nullable=False),
        sa.Column("set_by", sa.Text(), nullable=True),
        _time("set_at", nullable=False),
        _reference("policy", "namespace_id", "namespace"),
        _reference("policy", "environment_id", "environment"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_policy")),
        sqlite_autoincrement=True,
    )
    for scope, (columns, condition) in _SCOPES.items():
        where = sa.text(condition)
        op.create_index(
            f"uq_policy_{scope}", "policy", columns, unique=True, sqlite_where=where, postgresql_where=where
        )

    op.create_table(
        "lease",
        sa.Column("build_id", sa.Integer(), nullable=False),
        sa.Column("holder", sa.String(length=100), nullable=False),
        sa.Column("user", sa.Text(), nullable=False),
        _time("expires_at", nullable=False),
        _reference("lease", "build_id", "build"),
        sa.PrimaryKeyConstraint("build_id", "holder", name=op.f("pk_lease")),
    )
    op.create_index("ix_lease_expires_at", "lease", ["expires_at"])
