"""When what could not be made for a reason that passes is tried again."""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("artifact", sa.Column("again_at", sa.DateTime(timezone=True), nullable=True))
