"""The blobs that the images of builds have."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "image_blob",
        sa.Column("build_id", sa.Integer(), nullable=False),
        sa.Column("key", sa.String(length=255), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("layer_key", sa.String(length=80), nullable=False),
        sa.Column("diff_id", sa.String(length=71), nullable=False),
        sa.ForeignKeyConstraint(["build_id"], ["build.id"], name=op.f("fk_image_blob_build_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("build_id", "key", name=op.f("pk_image_blob")),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_image_blob_key", "image_blob", ["key"])
    op.create_index("ix_image_blob_layer_key", "image_blob", ["layer_key"])
