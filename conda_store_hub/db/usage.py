"""The statements that add up: how much there is in namespaces."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from conda_store_hub.db import images
from conda_store_hub.db.tables import Build, Environment


class Usage(NamedTuple):
    """What a namespace holds; `storage` is bytes that would be free if all of it went, with layers of its images alone.

    Images of deleted environments count until they are freed.
    """

    environments: int = 0
    builds: int = 0
    storage: int = 0


def count_environments(session: Session, namespace_ids: Sequence[int]) -> dict[int, int]:
    """Count the living environments of some namespaces; those without any are left out."""
    rows = session.execute(
        select(Environment.namespace_id, func.count())
        .where(Environment.namespace_id.in_(namespace_ids), Environment.deleted_at.is_(None))
        .group_by(Environment.namespace_id)
    )
    return {namespace_id: count for namespace_id, count in rows}  # noqa: C416 - a row is no pair to the checker


def usage_of(session: Session, namespace_ids: Sequence[int]) -> dict[int, Usage]:
    """Add up some namespaces."""
    rows = session.execute(
        select(Environment.namespace_id, func.count(Build.id), func.coalesce(func.sum(Build.size), 0))
        .join(Build, Build.environment_id == Environment.id)
        .where(Environment.namespace_id.in_(namespace_ids), Environment.deleted_at.is_(None))
        .group_by(Environment.namespace_id)
    )
    built = {namespace_id: (builds, int(size)) for namespace_id, builds, size in rows}
    living = count_environments(session, namespace_ids)
    of_images = images.sizes_of_namespaces(session, namespace_ids)
    return {
        number: Usage(living.get(number, 0), builds, size + of_images.get(number, 0))
        for number in namespace_ids
        for builds, size in (built.get(number, (0, 0)),)
    }


def usage_of_environment(session: Session, environment_id: int) -> Usage:
    """Add up one environment."""
    statement = select(func.count(Build.id), func.coalesce(func.sum(Build.size), 0))
    builds, size = session.execute(statement.where(Build.environment_id == environment_id)).one()
    return Usage(1, builds, int(size) + images.size_of_environment(session, environment_id))
