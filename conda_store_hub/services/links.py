"""Links on disk as they should be: which of them do not show the active build yet, and what nobody owns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.orm import Session

from conda_store_hub.db import claims, queries
from conda_store_hub.db.tables import Environment


@dataclass(frozen=True, kw_only=True, slots=True)
class Link:
    """A link on disk that must show the prefix of a build; None when nothing is active, or nothing is left.

    `shown` is the prefix that it shows now, as far as is known: who removes a link removes that one, and not what
    another environment has put under the same name since.
    """

    environment_id: int
    build_id: int | None
    namespace: str
    environment: str
    prefix_name: str | None
    shown: str | None
    shown_as: str
    """The name under which it is there now."""


def list_behind(session: Session, after: int, limit: int) -> list[Link]:
    """Return the links on disk, of environments above the id `after`, that do not show the active build yet."""
    rows = queries.unlinked_environments(session, after, limit)
    shown = queries.prefix_names(session, [row.linked_build_id for row in rows if row.linked_build_id is not None])
    return [_link(row, shown.get(row.linked_build_id or 0)) for row in rows]


def _link(row: Environment, shown: str | None) -> Link:
    build = row.current_build if row.deleted_at is None else None
    return Link(
        environment_id=row.id,
        build_id=build.id if build else None,
        namespace=row.namespace.name,
        environment=row.name,
        prefix_name=build.prefix_name if build else None,
        shown=shown,
        shown_as=row.linked_name or row.name,
    )


def record(session: Session, link: Link) -> None:
    """Record what the link on disk shows now."""
    queries.set_linked(session, link.environment_id, link.build_id, link.environment)


def list_unknown_prefixes(session: Session, names: Sequence[str]) -> set[str]:
    """Return those of `names` on disk that no build owns."""
    return set(names) - claims.known_prefixes(session, names)
