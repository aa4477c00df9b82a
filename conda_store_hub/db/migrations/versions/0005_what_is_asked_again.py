"""Indexes for what is looked for each minute, of which there is little among very many builds, and for filters."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_INDEXES = {
    "ix_build_gone": ("build", "id", "deleted_at IS NOT NULL AND prefix_name IS NOT NULL"),
    "ix_build_prefix": ("build", "environment_id", "prefix_name IS NOT NULL"),
    "ix_environment_deleted_at": ("environment", "deleted_at", "deleted_at IS NOT NULL"),
    "ix_artifact_deleted": ("artifact", "id", "state = 'DELETED' AND key != ''"),
}


def upgrade() -> None:
    for name, (table, column, condition) in _INDEXES.items():
        where = sa.text(condition)
        op.create_index(name, table, [column], sqlite_where=where, postgresql_where=where)
    op.create_index("ix_build_status", "build", ["status", "id"])
    op.create_index("ix_environment_name_key", "environment", ["name_key"])
