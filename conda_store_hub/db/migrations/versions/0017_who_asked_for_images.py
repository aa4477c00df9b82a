"""Who had images made, of builds and on demand; of the latter, what is known of it."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

_FILL = """
UPDATE on_demand SET asked_by = (
    SELECT build.requested_by FROM build
    WHERE build.environment_id = on_demand.environment_id AND build.requested_by <> 'conda-store-hub'
    ORDER BY build.id DESC LIMIT 1
)
"""


def upgrade() -> None:
    op.add_column("artifact", sa.Column("requested_by", sa.Text(), nullable=True))
    op.add_column("artifact", sa.Column("requested_at", sa.DateTime(timezone=True), nullable=True))
    op.create_index("ix_artifact_requested", "artifact", ["requested_by", "requested_at"])
    op.add_column("on_demand", sa.Column("asked_by", sa.Text(), nullable=True))
    op.create_index("ix_on_demand_asked_by", "on_demand", ["asked_by"])
    op.execute(_FILL)
