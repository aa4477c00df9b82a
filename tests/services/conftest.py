"""The rules hold on both kinds of database."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from conda_store_hub.core.names import DataDirectory
from conda_store_hub.db.session import Database
from tests.support.postgres import postgres

__all__ = ["postgres"]


@pytest.fixture(params=["sqlite", "postgresql"])
def db(request: pytest.FixtureRequest, data: DataDirectory) -> Iterator[Database]:
    """A migrated database of its own, in SQLite and in PostgreSQL."""
    if request.param == "postgresql":
        with request.getfixturevalue("postgres").database() as database:
            yield database
        return
    database = Database(f"sqlite:///{data.database}")
    database.upgrade()
    yield database
    database.close()
