"""The name of each package that a build has, in the order in which it is looked up; sizes of what is stored by key."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.drop_index("ix_build_package_package_id", "build_package")
    if op.get_bind().dialect.name != "sqlite":  # where names of constraints count in all tables
        op.drop_constraint("pk_build_package", "build_package", type_="primary")
    op.rename_table("build_package", "build_package_before")
    op.create_table(
        "build_package",
        sa.Column("build_id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("package_id", sa.Integer(), nullable=False),
        sa.Column("reason", sa.String(length=32), nullable=True),
        sa.ForeignKeyConstraint(["build_id"], ["build.id"], name=op.f("fk_build_package_build_id"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(
            ["package_id"], ["package.id"], name=op.f("fk_build_package_package_id"), ondelete="RESTRICT"
        ),
        sa.PrimaryKeyConstraint("build_id", "name", "package_id", name=op.f("pk_build_package")),
        sqlite_with_rowid=False,
    )
    # In the order of the key, so that each page is written once.
    op.execute(
        "INSERT INTO build_package (build_id, name, package_id, reason)"
        " SELECT held.build_id, package.name, held.package_id, held.reason"
        " FROM build_package_before AS held JOIN package ON package.id = held.package_id ORDER BY 1, 2, 3"
    )
    op.drop_table("build_package_before")
    op.create_index("ix_build_package_package_id", "build_package", ["package_id"])
    op.drop_index("ix_artifact_key", "artifact")
    op.create_index("ix_artifact_key", "artifact", ["key", "state", "size"])
