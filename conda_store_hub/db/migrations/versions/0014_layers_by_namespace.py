"""Which namespace each blob of an image is of, so that an index tells what a namespace has, and has alone."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

_OF_BUILD = """
UPDATE image_blob SET namespace_id = (
    SELECT environment.namespace_id FROM build JOIN environment ON environment.id = build.environment_id
    WHERE build.id = image_blob.build_id
)
"""


def upgrade() -> None:
    op.add_column("image_blob", sa.Column("namespace_id", sa.Integer(), nullable=False, server_default="0"))
    op.execute(_OF_BUILD)
    op.drop_index("ix_image_blob_key", "image_blob")
    op.create_index("ix_image_blob_stored", "image_blob", ["key", "namespace_id", "size"])
    op.create_index("ix_image_blob_namespace", "image_blob", ["namespace_id", "key", "size"])
