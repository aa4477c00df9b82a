from __future__ import annotations

from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import create_engine

from conda_store_hub.db.tables import Base
from tests.support.postgres import Postgres, postgres

__all__ = ["postgres"]


def test_the_migrations_make_exactly_the_tables_in_postgresql_too(postgres: Postgres) -> None:
    engine = create_engine(postgres.url("migrated"))
    with engine.connect() as connection:
        missing = compare_metadata(MigrationContext.configure(connection), Base.metadata)
    engine.dispose()
    assert missing == []
