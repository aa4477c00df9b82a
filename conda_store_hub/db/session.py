"""The one bridge from async to SQL: an engine a dialect, one transaction a call, commit, announce, upgrade."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import threading
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Concatenate, ParamSpec, TypeVar, cast

from sqlalchemy import Connection, Engine, FromClause, create_engine, event, inspect, text
from sqlalchemy.dialects.sqlite.base import SQLiteCompiler
from sqlalchemy.exc import DataError, IntegrityError, OperationalError
from sqlalchemy.orm import Session

from conda_store_hub.core.errors import (
    ConfigurationError,
    ConflictError,
    InvalidRequestError,
    StorageFullError,
    UnavailableError,
)

P = ParamSpec("P")
R = TypeVar("R")

HEAD = "0019"  # the newest revision under migrations/versions; a test compares

_READERS = 4
_BUSY_SECONDS = 10
#: How many bytes of SQLite's file are read in place: what a connection has in its own cache goes with each write.
_MAPPED = 256 << 20


def announce(session: Session, topic: str) -> None:
    """Tell whoever waits for `topic`, once the session's transaction is on disk; never if it failed."""
    cast("set[str]", session.info.setdefault("topics", set())).add(topic)


def leave_lists(session: Session) -> None:
    """Say that the transaction writes nothing that lists show; for what is a transaction of its own."""
    session.info["leaves_lists"] = True


def describe(session: Session) -> str:
    """Return which database that is, and at which revision its schema is."""
    dialect = session.connection().dialect
    found = dialect.server_version_info or ()
    name = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}.get(dialect.name, dialect.name)
    return f"{name} {'.'.join(str(part) for part in found)}, schema {HEAD}"


class Database:
    """Services are ordinary functions `f(session, ...)`; this runs each in a thread, one transaction a call.

    SQLite has one writer thread: writes queue here instead of waiting for each other's lock. Services must not
    call the database again from inside, nor do what a second try would do twice.
    """

    def __init__(self, url: str, *, listener: Callable[[set[str]], None] | None = None) -> None:
        """Open `url`; `listener` gets the topics announced by each committed write, in the writing thread."""
        self._listener = listener
        self._version = 0
        self._counting = threading.Lock()
        self._engine = _make_engine(url)
        self._reader = self._engine.execution_options(sqlite_begin="DEFERRED")
        writers = 1 if self._engine.dialect.name == "sqlite" else _READERS
        self._writers = ThreadPoolExecutor(writers, thread_name_prefix="db-write")
        self._readers = ThreadPoolExecutor(_READERS, thread_name_prefix="db-read")

    async def read(self, f: Callable[Concatenate[Session, P], R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run `f` in a transaction that changes nothing."""
        call = functools.partial(self.read_sync, f, *args, **kwargs)
        return await asyncio.get_running_loop().run_in_executor(self._readers, call)

    async def write(self, f: Callable[Concatenate[Session, P], R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run `f` in a transaction; what it returned is on disk when this returns."""
        call = functools.partial(self.write_sync, f, *args, **kwargs)
        return await asyncio.get_running_loop().run_in_executor(self._writers, call)

    def read_sync(self, f: Callable[Concatenate[Session, P], R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Do what `read` does, in the calling thread."""
        with _translated(), Session(self._reader, expire_on_commit=False) as session:
            return f(session, *args, **kwargs)

    def write_sync(self, f: Callable[Concatenate[Session, P], R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Do what `write` does, in the calling thread."""
        with _translated():
            try:
                result, topics = self._transact(f, *args, **kwargs)
            except (IntegrityError, OperationalError) as exc:
                if not _lost_to_another(exc):
                    raise
                # What the other wrote is there now: the service sees it, and says in words what follows.
                result, topics = self._transact(f, *args, **kwargs)
        if topics and self._listener is not None:
            self._listener(topics)
        return result

    @property
    def version(self) -> int:
        """How many transactions of this process may have changed what lists show.

        Who reads it before a list knows by the same number later that the list is as it was.
        """
        return self._version

    def _transact(
        self, f: Callable[Concatenate[Session, P], R], *args: P.args, **kwargs: P.kwargs
    ) -> tuple[R, set[str]]:
        with Session(self._engine, expire_on_commit=False) as session:
            result = f(session, *args, **kwargs)
            session.commit()
            if not session.info.get("leaves_lists"):
                with self._counting:
                    self._version += 1
            return result, cast("set[str]", session.info.pop("topics", set()))

    def upgrade(self) -> None:
        """Bring the schema to this version's, in one transaction; raise when the database is from the future."""
        with _translated(), self._engine.connect() as connection, _unchecked(connection), connection.begin():
            if _revision(connection) != HEAD:
                _upgrade(connection)

    def close(self) -> None:
        """Wait for running calls and close the connections."""
        self._readers.shutdown()
        self._writers.shutdown()
        self._engine.dispose()


@contextlib.contextmanager
def _unchecked(connection: Connection) -> Generator[None]:
    """Let a migration make a table anew under others that refer to it; outside of a transaction, or it has no effect.

    As in SQLite's "Making Other Kinds Of Table Schema Changes".
    """
    if connection.dialect.name != "sqlite":
        yield
        return
    driver: Any = connection.connection.dbapi_connection
    driver.execute("PRAGMA foreign_keys=OFF")
    try:
        yield
    finally:
        driver.execute("PRAGMA foreign_keys=ON")


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def _upgrade(connection: Connection) -> None:
    # 40 MB and most of a second, needed once a release: only a database that is behind pays for it.
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", "conda_store_hub:db/migrations")
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    current = _revision(connection)
    if current is not None and current not in known:
        raise ConfigurationError(
            f"The database is at revision {current}, which this version does not know."
            " Install the version that made it, or restore a backup."
        )
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
    if connection.dialect.name == "sqlite" and connection.execute(text("PRAGMA foreign_key_check")).first():
        raise ConfigurationError("The upgraded database refers to what is not there; nothing was changed.")


def _make_engine(url: str) -> Engine:
    # The connection that was used last knows the statements and has the pages; taken in turn, all are half warm.
    pool = {"pool_size": 2 * _READERS, "pool_use_lifo": True}
    if not url.startswith("sqlite"):
        return create_engine(url, pool_pre_ping=True, **pool)
    engine = create_engine(url, connect_args={"timeout": _BUSY_SECONDS}, **pool)
    engine.dialect.statement_compiler = _Compiler
    event.listen(engine, "connect", _set_pragmas)
    event.listen(engine, "begin", _begin)
    return engine


class _Compiler(SQLiteCompiler):
    """Writes hints on tables (`INDEXED BY`), which SQLAlchemy leaves out for SQLite."""

    def get_from_hint_text(self, table: FromClause, text: str | None) -> str | None:
        return text


def _set_pragmas(connection: Any, _record: object) -> None:
    # The driver's own transactions lose updates without an error: BEGIN is ours, below.
    connection.isolation_level = None
    cursor = connection.cursor()
    pragmas = ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON", "temp_store=MEMORY")
    for pragma in (*pragmas, f"mmap_size={_MAPPED}"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin(connection: Connection) -> None:
    # IMMEDIATE for writers, so that two never start from one state; DEFERRED for readers, who then never wait.
    mode = connection.get_execution_options().get("sqlite_begin", "IMMEDIATE")
    connection.exec_driver_sql(f"BEGIN {mode}")


_DEADLOCK, _SERIALIZATION = "40P01", "40001"  # PostgreSQL's SQLSTATEs for a transaction that is to be tried again


def _lost_to_another(exc: IntegrityError | OperationalError) -> bool:
    """Tell whether another transaction of this moment was in the way, and a second try meets what it wrote."""
    state = getattr(exc.orig, "sqlstate", None)
    return isinstance(exc, IntegrityError) or state in (_DEADLOCK, _SERIALIZATION)


class _translated:  # noqa: N801 - reads as a statement
    """Turn the driver's operational errors into ours, once."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, _type: object, exc: BaseException | None, _traceback: object) -> None:
        if isinstance(exc, DataError):
            raise InvalidRequestError(
                "This holds a character or a number that cannot be kept.", detail=str(exc.orig)
            ) from exc
        if isinstance(exc, IntegrityError):
            raise ConflictError(
                "Somebody else changed the same at this moment; look at what is there now, and try again.",
                detail=str(exc.orig),
            ) from exc
        if not isinstance(exc, OperationalError):
            return
        text = str(exc.orig)
        if "disk is full" in text or "disk I/O error" in text or "No space left" in text:
            raise StorageFullError(detail=text) from exc
        raise UnavailableError("The database does not answer; try again in a moment.", detail=text) from exc
