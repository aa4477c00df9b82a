"""Pulls of images on demand, and letting go of those that nobody pulls."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from sqlalchemy.orm import Session

from conda_store_hub.core.errors import InUseError
from conda_store_hub.core.ondemand import NAMESPACE
from conda_store_hub.db import ondemand as rows
from conda_store_hub.db import queries
from conda_store_hub.services import removals
from conda_store_hub.services.ondemand import WRITER
from conda_store_hub.services.rules import BuildRules

_NOTED_FOR = timedelta(hours=1)
_MOST_EXPIRED = 100


def is_noted(session: Session, build_id: int) -> bool:
    """Tell whether it was noted a while ago at most that an image of this environment was pulled."""
    return rows.is_noted(session, build_id, datetime.now(UTC) - _NOTED_FOR)


def note_pull(session: Session, build_id: int) -> None:
    """Note that an image was pulled: its environment stays."""
    rows.note_pull(session, build_id, datetime.now(UTC))


def find_unused(session: Session, rules: BuildRules, after: int) -> list[int]:
    """Return some environments above the id `after` of which nobody has pulled an image for too long."""
    namespace = queries.find_namespace(session, NAMESPACE)
    if namespace is None:
        return []
    return list(rows.unused_environments(session, namespace.id, _expired(rules), after, _MOST_EXPIRED))


def _expired(rules: BuildRules) -> datetime:
    return datetime.now(UTC) - timedelta(days=rules.on_demand.kept_days)


def forget_wishes(session: Session) -> None:
    """Forget wishes of whose environments nothing is left; who wishes for the same makes it anew."""
    rows.drop_without_environment(session)


def expire(session: Session, environment_id: int, rules: BuildRules) -> bool:
    """Delete an environment unless somebody has pulled an image of it meanwhile or uses it; tell whether it was."""
    row = rows.find_unused(session, environment_id, _expired(rules))
    if row is None:
        return False
    try:
        removals.delete_environment(session, WRITER, NAMESPACE, row.name, force=False)
    except InUseError:
        return False
    return True
