"""How much of the disk a package takes once, however many builds link its files; unknown (0) of those before."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("package", sa.Column("installed_size", sa.BigInteger(), nullable=False, server_default="0"))
