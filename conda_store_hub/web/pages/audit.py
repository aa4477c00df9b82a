"""`/admin/audit/`: who did what when, to what, from where."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar
from urllib.parse import urlencode

from pydantic import Field

from conda_store_hub.core import schemas
from conda_store_hub.core.audit import AuditAction
from conda_store_hub.services import audit
from conda_store_hub.web.api_audit import AuditQuery
from conda_store_hub.web.pages.admin import AdminContext, AdminHandler
from conda_store_hub.web.query import Size

_ENTRIES = 50


@dataclass(frozen=True, kw_only=True, slots=True)
class AuditContext(AdminContext):
    """A page of the audit trail; `older` is the query of the next one, empty on the last.

    `since` and `until` are what stands in their fields.
    """

    template: ClassVar[str] = "admin_audit.html"
    query: AuditPageQuery
    since: str
    until: str
    actions: tuple[AuditAction, ...]
    entries: tuple[schemas.AuditEntry, ...]
    older: str


class AuditPageQuery(AuditQuery):
    """Which entries are shown."""

    size: Size = Field(_ENTRIES)


class AuditHandler(AdminHandler):
    """`/admin/audit/`."""

    asks_anew_for = frozenset({"GET", "HEAD", "POST"})

    async def get(self) -> None:
        """Show a page of it, the newest first."""
        query = self.read_query(AuditPageQuery)
        found = await self.look_up(
            audit.list_entries,
            namespace=query.namespace,
            environment=query.environment,
            actor=query.actor,
            action=query.action,
            since=query.since,
            until=query.until,
            before=query.before,
            size=query.size + 1,
        )
        shown = found[: query.size]
        self.show(
            AuditContext(
                layout=self.lay_out("Audit trail", "admin"),
                tab="audit",
                query=query,
                since=_write(query.since),
                until=_write(query.until),
                actions=tuple(AuditAction),
                entries=tuple(shown),
                older=_ask_for_older(query, shown[-1].id) if len(found) > len(shown) else "",
            )
        )


def _write(when: datetime | None) -> str:
    """Return a time as its field has it, in UTC (HTML, local date and time strings)."""
    return f"{when:%Y-%m-%dT%H:%M}" if when else ""


def _ask_for_older(query: AuditPageQuery, before: int) -> str:
    given = query.model_dump(mode="json", exclude_none=True, exclude_defaults=True)
    return urlencode(given | {"before": before})
