"""Databases in files: copies of one that was migrated, for migrating takes longer than most tests."""

from __future__ import annotations

import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from conda_store_hub.core.names import DataDirectory
from conda_store_hub.db.session import Database


@contextmanager
def open_database(data: DataDirectory) -> Generator[Database]:
    """Give the migrated database of a data directory."""
    put_database(data)
    database = Database(_url(data.database))
    try:
        yield database
    finally:
        database.close()


def put_database(data: DataDirectory) -> None:
    """Put a migrated database into a data directory, unless it has one."""
    if not data.database.exists():
        data.database.write_bytes(_migrate())


@cache
def _migrate() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "db.sqlite"
        database = Database(_url(file))
        database.upgrade()
        database.close()  # nothing stays beside the file
        return file.read_bytes()


def _url(file: Path) -> str:
    return f"sqlite:///{file}"
