"""How often builders were given an artifact to make; what was asked to end has ended where nobody works any more."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("artifact", sa.Column("attempt", sa.Integer(), nullable=False, server_default="0"))
    build = sa.table(
        "build",
        *(sa.column("status", sa.String), sa.column("deleted_at", sa.DateTime), sa.column("worker", sa.String)),
        *(sa.column("log_complete", sa.Boolean), sa.column("cancel_requested", sa.Boolean)),
    )
    # Else what is asked for of such a build from now on would be ended at once.
    over = sa.and_(build.c.status == "COMPLETED", build.c.log_complete, build.c.worker.is_(None))
    op.execute(build.update().where(over, build.c.deleted_at.is_(None)).values(cancel_requested=False))
