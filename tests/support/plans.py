"""How a database goes about statements, as it says itself: SQLite's EXPLAIN QUERY PLAN, PostgreSQL's EXPLAIN."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import event
from sqlalchemy.orm import Session

from conda_store_hub.db.session import Database


def explain(db: Database, work: Callable[[Session], object], *, write: bool = False) -> list[str]:
    """Return the plan of each statement that `work` makes, one line a step."""
    plans: list[str] = []

    def run(session: Session) -> None:
        connection = session.connection()

        def look(_: Any, __: Any, statement: str, parameters: Any, *___: Any) -> None:
            if statement.startswith("SET "):
                return  # has no plan
            raw = connection.connection.dbapi_connection
            assert raw is not None
            cursor = raw.cursor()
            explain = "EXPLAIN QUERY PLAN" if connection.dialect.name == "sqlite" else "EXPLAIN"
            cursor.execute(f"{explain} {statement}", parameters)
            plans.append("\n".join(row[-1] for row in cursor.fetchall()))

        event.listen(connection, "before_cursor_execute", look)
        work(session)

    (db.write_sync if write else db.read_sync)(run)
    return plans
