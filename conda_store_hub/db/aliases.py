"""The statements about names that environments had."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import exists, select
from sqlalchemy.orm import Session, aliased

from conda_store_hub.db.tables import Environment, EnvironmentAlias, Namespace

MOST_ALIASES = 20  # of one environment; the oldest go


def keep_name(session: Session, row: Environment, now: datetime) -> None:
    """Keep the present name of an environment as one that it had; whoever had a name last has it as an alias."""
    session.merge(
        EnvironmentAlias(
            namespace_id=row.namespace_id,
            name_key=row.name_key,
            name=row.name,
            environment_id=row.id,
            created_at=now,
        )
    )
    session.flush()
    newest = EnvironmentAlias.created_at.desc(), EnvironmentAlias.name_key
    of_row = select(EnvironmentAlias).where(EnvironmentAlias.environment_id == row.id).order_by(*newest)
    for oldest in session.scalars(of_row.offset(MOST_ALIASES)):
        session.delete(oldest)


def find_new_name(session: Session, namespace: str, name: str) -> str | None:
    """Return the present name of the environment that had this one last; None where there is none any more."""
    return session.scalar(
        select(Environment.name)
        .join(EnvironmentAlias, EnvironmentAlias.environment_id == Environment.id)
        .join(Namespace, EnvironmentAlias.namespace_id == Namespace.id)
        .where(Namespace.name == namespace, Namespace.deleted_at.is_(None))
        .where(EnvironmentAlias.name_key == name.lower(), Environment.deleted_at.is_(None))
    )


def names_that_were(session: Session, environment_ids: Sequence[int]) -> dict[int, list[str]]:
    """Return the earlier names of some environments, by environment; none that another environment has now."""
    holder = aliased(Environment)
    taken = exists().where(
        holder.namespace_id == EnvironmentAlias.namespace_id,
        holder.name_key == EnvironmentAlias.name_key,
        holder.id != EnvironmentAlias.environment_id,
        holder.deleted_at.is_(None),
    )
    statement = (
        select(EnvironmentAlias.environment_id, EnvironmentAlias.name)
        .join(Environment, EnvironmentAlias.environment_id == Environment.id)
        .where(
            EnvironmentAlias.environment_id.in_(environment_ids),
            EnvironmentAlias.name != Environment.name,
            ~taken,
        )
        .order_by(EnvironmentAlias.environment_id, EnvironmentAlias.name_key)
    )
    names: dict[int, list[str]] = {}
    for environment_id, name in session.execute(statement):
        names.setdefault(environment_id, []).append(name)
    return names
