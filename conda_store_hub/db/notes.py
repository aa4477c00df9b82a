"""The statements about what the service keeps of itself."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from conda_store_hub.db.tables import Note


def find(session: Session, key: str) -> Note | None:
    """Find what was noted under a key."""
    return session.scalar(select(Note).where(Note.key == key))


def put(session: Session, key: str, value: Any, *, by: str | None, now: datetime) -> None:
    """Note a value under a key, in place of the one that is there."""
    session.merge(Note(key=key, value=value, set_by=by, set_at=now))


def remove(session: Session, key: str) -> None:
    """Forget what was noted under a key."""
    session.execute(delete(Note).where(Note.key == key))
