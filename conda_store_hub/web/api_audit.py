"""API: the audit trail."""

from __future__ import annotations

from pydantic import Field

from conda_store_hub.core import schemas
from conda_store_hub.core.audit import AuditAction
from conda_store_hub.core.errors import NotFoundError
from conda_store_hub.services import audit
from conda_store_hub.web.base import ApiHandler
from conda_store_hub.web.operations import Operation
from conda_store_hub.web.query import MAX_SIZE, Id, Query, Size, Text, Time


class AuditQuery(Query):
    """Which entries are meant."""

    namespace: Text | None = Field(None, description="Only those about this namespace; by default one's own.")
    environment: Text | None = Field(None, description="Only those about environments of this name.")
    actor: Text | None = Field(None, description="Only what this user did.")
    action: AuditAction | None = Field(None, description="Only deeds of this kind.")
    since: Time | None = Field(None, description="Only what was done at this time (RFC 3339) or after it.")
    until: Time | None = Field(None, description="Only what was done before this time.")
    before: Id | None = Field(None, description="Only entries with a lower number: what the last page gave.")
    size: Size = Field(MAX_SIZE, description=f"How many entries a page has; more than {MAX_SIZE} means {MAX_SIZE}.")


class AuditHandler(ApiHandler):
    """`GET /api/v1/audit/`."""

    @Operation(answer=schemas.AuditPage, query=AuditQuery, fresh=True, errors=(NotFoundError,))
    async def get(self) -> None:
        """Tell who did what when, to what, from where, the newest first.

        For who administers the namespace that is named; who administers the Hub need not name one.
        """
        query = self.read_query(AuditQuery)
        rows = await self.services.db.read(
            audit.list_entries,
            self.identity,
            namespace=query.namespace,
            environment=query.environment,
            actor=query.actor,
            action=query.action,
            since=query.since,
            until=query.until,
            before=query.before,
            size=query.size,
        )
        self.write_model(schemas.AuditPage(data=rows, before=rows[-1].id if rows else None))
