"""The rules hold on both kinds of database."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from conda_store_hub.core.names import DataDirectory
from conda_store_hub.db.session import Database
from tests.support.postgres import postgres
from tests.support.sqlite import open_database

__all__ = ["postgres"]


@pytest.fixture(params=["sqlite", "postgresql"])
def db(request: pytest.FixtureRequest, data: DataDirectory) -> Iterator[Database]:
    """A migrated database of its own, in SQLite and in PostgreSQL."""
    if request.param == "postgresql":
        with request.getfixturevalue("postgres").database() as database:
            yield database
        return
    with open_database(data) as database:
        yield database
