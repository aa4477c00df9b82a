"""API: the service itself, what one may do, namespaces."""

from __future__ import annotations

from conda_store_hub import __version__
from conda_store_hub.core import schemas
from conda_store_hub.services import namespaces, users
from conda_store_hub.web.base import ApiHandler
from conda_store_hub.web.operations import Operation
from conda_store_hub.web.query import PagedQuery


class VersionHandler(ApiHandler):
    """`GET /api/v1/`: clients ask it to see whether the service is there."""

    @Operation(answer=schemas.Answer[schemas.Version], public=True)
    def get(self) -> None:
        """Tell the version."""
        self.write_model(schemas.Answer[schemas.Version](data=schemas.Version(version=__version__)))


class PermissionHandler(ApiHandler):
    """`GET /api/v1/permission/`."""

    @Operation(answer=schemas.Answer[schemas.PermissionSummary], anonymous=True)
    async def get(self) -> None:
        """Tell who asks what they may do."""
        summary = await self.services.db.read(users.summarise, self.identity)
        self.write_model(schemas.Answer[schemas.PermissionSummary](data=summary))


class NamespacesHandler(ApiHandler):
    """`GET /api/v1/namespace/`."""

    @Operation(answer=schemas.Page[schemas.Namespace], query=PagedQuery)
    async def get(self) -> None:
        """List the namespaces that who asks may see."""
        query = self.read_query(PagedQuery)
        rows, count = await self.services.db.read(
            namespaces.list_namespaces, self.identity, page=query.page, size=query.size
        )
        self.write_model(
            schemas.Page[schemas.NamespaceSummary](data=rows, page=query.page, size=query.size, count=count)
        )
