"""Users of the Hub, grants, tokens, the audit trail; sealed and deleted namespaces."""

from typing import Any

import sqlalchemy as sa
from alembic import op

from conda_store_hub.db.tables import UtcDateTime

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_OPEN = sa.text("hub_name IS NOT NULL AND sealed_at IS NULL AND deleted_at IS NULL")
_SHOWN = "CASE WHEN deleted_at IS NULL THEN current_build_id END"
_ROLE = sa.Enum("viewer", "developer", "admin", name="role", native_enum=False, length=32)


def _time(name: str, *, nullable: bool = True) -> sa.Column[Any]:
    return sa.Column(name, UtcDateTime(timezone=True), nullable=nullable)


def upgrade() -> None:
    op.create_table(
        "hub_user",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        _time("hub_created"),
        _time("first_seen_at", nullable=False),
        _time("replaced_at"),
        _time("seen_at"),
        _time("denied_at"),
        sa.Column("scopes", sa.JSON(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_hub_user")),
        sqlite_autoincrement=True,
    )
    living = sa.text("replaced_at IS NULL")
    op.create_index("uq_hub_user_name", "hub_user", ["name"], unique=True, sqlite_where=living, postgresql_where=living)

    with op.batch_alter_table("namespace", table_kwargs={"sqlite_autoincrement": True}) as batch_op:
        batch_op.drop_index("uq_namespace_hub")
        batch_op.drop_constraint("uq_namespace_name", type_="unique")
        batch_op.add_column(sa.Column("about", sa.JSON(), nullable=False, server_default="{}"))
        batch_op.add_column(_time("sealed_at"))
        batch_op.add_column(_time("deleted_at"))
    living = sa.text("deleted_at IS NULL")
    op.create_index(
        "uq_namespace_name", "namespace", ["name"], unique=True, sqlite_where=living, postgresql_where=living
    )
    op.create_index(
        "uq_namespace_hub",
        "namespace",
        ["kind", "hub_name"],
        unique=True,
        sqlite_where=_OPEN,
        postgresql_where=_OPEN,
    )
    op.create_index("ix_namespace_kind", "namespace", ["kind", "name"])

    if op.get_bind().dialect.name != "sqlite":  # where the first schema could have them only afterwards, and had not
        for column in ("current_build_id", "latest_build_id"):
            name = op.f(f"fk_environment_{column}")
            op.create_foreign_key(name, "environment", "build", [column], ["id"], ondelete="RESTRICT")

    op.drop_index("ix_environment_link", "environment")
    op.create_index(
        "ix_environment_link",
        "environment",
        ["id"],
        sqlite_where=sa.text(f"linked_build_id IS NOT {_SHOWN}"),
        postgresql_where=sa.text(f"linked_build_id IS DISTINCT FROM {_SHOWN}"),
    )

    op.create_table(
        "role_grant",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("namespace_id", sa.Integer(), nullable=False),
        sa.Column("environment_id", sa.Integer(), nullable=True),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=True),
        sa.Column("role", _ROLE, nullable=False),
        _time("expires_at"),
        sa.Column("granted_by", sa.Text(), nullable=True),
        _time("created_at", nullable=False),
        sa.ForeignKeyConstraint(
            ["environment_id"], ["environment.id"], name=op.f("fk_role_grant_environment_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["namespace_id"], ["namespace.id"], name=op.f("fk_role_grant_namespace_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["user_id"], ["hub_user.id"], name=op.f("fk_role_grant_user_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_role_grant")),
        sqlite_autoincrement=True,
    )
    for column, condition in (
        ("namespace_id", "environment_id IS NULL"),
        ("environment_id", "environment_id IS NOT NULL"),
    ):
        op.create_index(
            f"uq_role_grant_{column.removesuffix('_id')}",
            "role_grant",
            [column, "subject"],
            unique=True,
            sqlite_where=sa.text(condition),
            postgresql_where=sa.text(condition),
        )
    op.create_index("ix_role_grant_subject", "role_grant", ["subject"])
    op.create_index("ix_role_grant_user_id", "role_grant", ["user_id"])

    op.create_table(
        "token",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("label", sa.String(length=100), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("hint", sa.String(length=8), nullable=False),
        sa.Column("scopes", sa.JSON(), nullable=True),
        _time("created_at", nullable=False),
        _time("expires_at"),
        _time("last_used_at"),
        sa.Column("last_used_from", sa.Text(), nullable=True),
        _time("revoked_at"),
        sa.ForeignKeyConstraint(["user_id"], ["hub_user.id"], name=op.f("fk_token_user_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_token")),
        sa.UniqueConstraint("digest", name=op.f("uq_token_digest")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_token_user_id"), "token", ["user_id"])
    op.create_table(
        "token_limit",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("token_id", sa.Integer(), nullable=False),
        sa.Column("namespace_id", sa.Integer(), nullable=True),
        sa.Column("environment_id", sa.Integer(), nullable=True),
        sa.Column("role", _ROLE, nullable=False),
        sa.ForeignKeyConstraint(
            ["environment_id"], ["environment.id"], name=op.f("fk_token_limit_environment_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["namespace_id"], ["namespace.id"], name=op.f("fk_token_limit_namespace_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["token_id"], ["token.id"], name=op.f("fk_token_limit_token_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_token_limit")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_token_limit_token_id"), "token_limit", ["token_id"])

    op.create_table(
        "audit",
        sa.Column("id", sa.Integer(), nullable=False),
        _time("at", nullable=False),
        sa.Column("action", sa.String(length=32), nullable=False),
        sa.Column("actor", sa.Text(), nullable=True),
        sa.Column("actor_kind", sa.String(length=32), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=True),
        sa.Column("via", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("namespace_id", sa.Integer(), nullable=True),
        sa.Column("namespace", sa.Text(), nullable=True),
        sa.Column("environment", sa.Text(), nullable=True),
        sa.Column("build_id", sa.Integer(), nullable=True),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit")),
        sqlite_autoincrement=True,
    )
    for name in ("namespace_id", "actor", "action"):
        op.create_index(f"ix_audit_{name.removesuffix('_id')}", "audit", [name, "id"])
    op.create_index("ix_audit_namespace_name", "audit", ["namespace", "id"])
