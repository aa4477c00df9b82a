"""${message}."""

import sqlalchemy as sa
from alembic import op

from conda_store_hub.db.tables import UtcDateTime  # noqa: F401

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
branch_labels = None
depends_on = None


def upgrade() -> None:
    ${upgrades if upgrades else "pass"}
