"""API: the service itself, what one may do, namespaces."""

from __future__ import annotations

from conda_store_hub import __version__
from conda_store_hub.core import schemas
from conda_store_hub.services import namespaces, users
from conda_store_hub.web.arguments import read_page
from conda_store_hub.web.base import ApiHandler


class VersionHandler(ApiHandler):
    """`GET /api/v1/`: for everybody; clients ask it to see whether the service is there."""

    async def prepare(self) -> None:
        """Ask nobody."""

    def get(self) -> None:
        """Tell the version."""
        self.write_model(schemas.Answer[schemas.Version](data=schemas.Version(version=__version__)))


class PermissionHandler(ApiHandler):
    """`GET /api/v1/permission/`."""

    anonymous_allowed = True

    async def get(self) -> None:
        """Tell who asks what they may do."""
        summary = await self.services.db.read(users.summarise, self.identity)
        self.write_model(schemas.Answer[schemas.PermissionSummary](data=summary))


class NamespacesHandler(ApiHandler):
    """`GET /api/v1/namespace/`."""

    async def get(self) -> None:
        """List the namespaces that who asks may see."""
        which = read_page(self)
        rows, count = await self.services.db.read(
            namespaces.list_namespaces, self.identity, page=which.page, size=which.size
        )
        self.write_model(
            schemas.Page[schemas.NamespaceSummary](data=rows, page=which.page, size=which.size, count=count)
        )
