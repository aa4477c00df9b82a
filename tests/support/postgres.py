"""A real PostgreSQL for tests: a cluster of its own in a folder, on a socket only, with an account that is not root."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.exc import OperationalError

from conda_store_hub.db.session import Database

_TEMPLATE = "migrated"
_numbers = count(1)


class Postgres:
    """A server that runs; databases in it are copies of one that was migrated."""

    def __init__(self, socket: Path) -> None:
        self.socket = socket
        self._engine = create_engine(self.url("postgres"), isolation_level="AUTOCOMMIT")

    def url(self, database: str) -> str:
        return f"postgresql+psycopg://postgres@/{database}?host={self.socket}"

    def run(self, statement: str) -> None:
        with self._engine.connect() as connection:
            connection.execute(text(statement))

    def close(self) -> None:
        """Let go of the server, which does not end before."""
        self._engine.dispose()

    @contextmanager
    def new_url(self) -> Generator[str]:
        """Give the address of a migrated database that is removed afterwards."""
        name = f"t{next(_numbers)}"
        self.run(f"CREATE DATABASE {name} TEMPLATE {_TEMPLATE}")
        try:
            yield self.url(name)
        finally:
            self.run(f"DROP DATABASE {name}")

    @contextmanager
    def database(self) -> Generator[Database]:
        """Give a migrated database that is removed afterwards."""
        with self.new_url() as url:
            database = Database(url)
            try:
                yield database
            finally:
                database.close()


def _find_programs() -> Path:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    which = shutil.which("initdb")
    if not found and which is None:
        if os.environ.get("CI"):
            raise AssertionError("PostgreSQL is not installed, and in CI nothing is skipped")
        pytest.skip("PostgreSQL is not installed")
    return (found[-1] if found else Path(str(which))).parent


def _as_another(folder: Path) -> dict[str, int]:
    """Return whom to run it as: the server refuses root."""
    if os.geteuid() != 0:
        return {}
    account = pwd.getpwnam("nobody")
    os.chown(folder, account.pw_uid, account.pw_gid)
    return {"user": account.pw_uid, "group": account.pw_gid}


@pytest.fixture(scope="session")
def postgres() -> Generator[Postgres]:
    """One server for the whole session."""
    programs = _find_programs()
    with tempfile.TemporaryDirectory(prefix="pg", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        account = _as_another(folder)
        data = folder / "data"
        make = [programs / "initdb", "--pgdata", data, "--username=postgres", "--auth=trust", "--no-sync"]
        make += ["--no-locale", "--encoding=UTF8"]
        subprocess.run(make, check=True, capture_output=True, cwd=folder, **account)  # type: ignore[call-overload]
        command = [programs / "postgres", "-D", data, "-k", folder, "-c", "listen_addresses=", "-c", "fsync=off"]
        log = (folder / "log").open("wb")
        server = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder, **account)  # type: ignore[call-overload]
        running = Postgres(folder)
        try:
            yield _prepare(running, server, folder / "log")
        finally:
            running.close()
            server.terminate()
            server.wait(30)
            log.close()


def _creates(running: Postgres) -> bool:
    """Make the database that the others are copies of, once the server lets anybody in."""
    try:
        running.run(f"CREATE DATABASE {_TEMPLATE}")
    except OperationalError:
        return False
    return True


def _prepare(running: Postgres, server: subprocess.Popen[bytes], log: Path) -> Postgres:
    until = time.monotonic() + 30
    while not _creates(running):
        assert server.poll() is None, log.read_text()
        assert time.monotonic() < until, "PostgreSQL did not start"
        time.sleep(0.02)
    database = Database(running.url(_TEMPLATE))
    database.upgrade()
    database.close()
    return running
