"""A database of an earlier version comes along with all that is in it."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, create_engine, text

from conda_store_hub.core.names import DataDirectory
from conda_store_hub.db import images, lists, queries
from conda_store_hub.db.session import Database
from conda_store_hub.services import builds, rights, users
from tests.support import make
from tests.support.make import ALICE
from tests.support.postgres import Postgres, postgres

__all__ = ["postgres"]

ROWS = """
INSERT INTO namespace (id, name, kind, hub_name, created_at) VALUES (7, 'alice', 'user', 'alice', '2026-01-01');
INSERT INTO specification (id, name, sha256, text_sha256, text, parsed, created_at)
VALUES (1, 'ml', 'a', 'b', 'name: ml', '{}', '2026-01-01');
INSERT INTO environment (id, namespace_id, name, name_key, description, activation_seq, created_at, updated_at)
VALUES (3, 7, 'ml', 'ml', '', 0, '2026-01-01', '2026-01-01');
INSERT INTO build (id, environment_id, specification_id, key, status, scheduled_on, cancel_requested, attempt, turn,
size, shared_size, kernels, log_size, log_complete)
VALUES (9, 3, 1, 'k', 'QUEUED', '2026-01-01', FALSE, 0, 0, 0, 0, '[]', 0, FALSE);
UPDATE environment SET latest_build_id = 9
"""


NAMED = """
INSERT INTO package (digest, manager, name, version, build, channel, subdir, url, sha256, md5, size, license)
VALUES ('a', 'conda', 'zlib', '1', '', '', '', '', '', '', 0, ''),
('b', 'pip', 'attrs', '2', '', '', '', '', '', '', 0, '');
INSERT INTO build_package (build_id, package_id, reason) VALUES (9, 1, 'needed'), (9, 2, NULL)
"""


BLOB = "INSERT INTO image_blob (build_id, key, size, layer_key, diff_id) VALUES"
LAYER = 30


@contextmanager
def at_revision(url: str, revision: str) -> Generator[Connection]:
    engine = create_engine(url)
    config = Config()
    config.set_main_option("script_location", "conda_store_hub:db/migrations")
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
        yield connection
    engine.dispose()


def run(connection: Connection, statements: str) -> None:
    for statement in statements.split(";"):
        connection.execute(text(statement))


def test_what_the_first_version_wrote_is_there_after_the_upgrade(data: DataDirectory) -> None:
    url = f"sqlite:///{data.database}"
    with at_revision(url, "0001") as connection:
        run(connection, ROWS)

    db = Database(url)
    db.upgrade()
    assert db.read_sync(builds.get_build, ALICE, 9, data=data).namespace == "alice"
    db.write_sync(users.ensure_namespaces, ALICE)
    assert db.read_sync(rights.find_own_namespace, ALICE) == "alice"
    row = db.read_sync(queries.find_namespace, "alice")
    assert row is not None
    assert (row.id, row.about, row.deleted_at) == (7, {}, None)
    assert make.submit(db) == 10
    db.close()


@pytest.mark.parametrize("dialect", ["sqlite", "postgresql"])
def test_what_builds_had_is_still_what_they_have(
    dialect: str, data: DataDirectory, request: pytest.FixtureRequest
) -> None:
    url = f"sqlite:///{data.database}"
    if dialect == "postgresql":
        server: Postgres = request.getfixturevalue("postgres")
        server.run("CREATE DATABASE earlier")
        url = server.url("earlier")
    with at_revision(url, "0001") as connection:
        run(connection, ROWS)
    with at_revision(url, "0007") as connection:
        run(connection, NAMED)
    with at_revision(url, "0013") as connection:
        run(connection, f"{BLOB} (9, 'sha256/cd/cde', {LAYER}, '', '')")
    db = Database(url)
    db.upgrade()
    rows, _ = db.read_sync(lists.list_packages, 9, page=1, size=9)
    kept = [(row.name, row.manager, row.reason) for row in rows]
    assert kept == [("attrs", "pip", None), ("zlib", "conda", "needed")]
    assert db.read_sync(images.find_blob, 3, "sha256/ab/abc") is None
    db.write_sync(images.add_blob, 9, "sha256/ab/abc", 7, layer_key="k", diff_id="sha256:abc")
    assert db.read_sync(images.sizes_of_namespaces, [7]) == {7: 7 + LAYER}
    assert db.read_sync(images.find_blob, 3, "sha256/ab/abc") == (9, "sha256/ab/abc", 7)
    db.close()
