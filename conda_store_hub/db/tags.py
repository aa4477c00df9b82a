"""The statements about tags that people gave to builds."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import exists, func, select
from sqlalchemy.orm import Session
from sqlalchemy.sql.elements import ColumnElement

from conda_store_hub.db.tables import Build, BuildTag


def find_tag(session: Session, environment_id: int, name: str) -> BuildTag | None:
    """Find a tag of an environment."""
    return session.get(BuildTag, (environment_id, name))


def tags_of_build(session: Session, build_id: int) -> Sequence[str]:
    """Return the tags of a build, in the order of their bytes, which not every database knows."""
    return sorted(session.scalars(select(BuildTag.name).where(BuildTag.build_id == build_id)))


def tags_of_environment(session: Session, environment_id: int) -> Sequence[BuildTag]:
    """Return the tags of an environment, in the same order."""
    found = session.scalars(select(BuildTag).where(BuildTag.environment_id == environment_id))
    return sorted(found, key=lambda row: row.name)


def count_tags(session: Session, environment_id: int) -> int:
    """Count the tags of an environment."""
    statement = select(func.count()).select_from(BuildTag).where(BuildTag.environment_id == environment_id)
    return session.scalar(statement) or 0


def is_tagged() -> ColumnElement[bool]:
    """Whether a build has a tag."""
    return exists().where(BuildTag.build_id == Build.id)
