"""API: the files that are watched."""

from __future__ import annotations

from conda_store_hub.core import schemas
from conda_store_hub.core.errors import NotFoundError
from conda_store_hub.core.permissions import Permission
from conda_store_hub.services import watched
from conda_store_hub.web.base import ApiHandler
from conda_store_hub.web.operations import Operation
from conda_store_hub.web.query import PagedQuery


class WatchedFilesHandler(ApiHandler):
    """`GET /api/v1/watched-file/`."""

    @Operation(
        answer=schemas.WatchedFiles,
        query=PagedQuery,
        needs=Permission.SETTING_READ,
        fresh=True,
        errors=(NotFoundError,),
    )
    async def get(self) -> None:
        """List the files that describe environments of `filesystem`, with what is wrong with them, and their folders.

        For who may read the settings of that namespace. There is none before the configuration watches something.
        """
        query = self.read_query(PagedQuery)
        files, count, folders = await self.services.db.read(
            watched.list_files, self.identity, page=query.page, size=query.size
        )
        self.write_model(
            schemas.WatchedFiles(data=files, page=query.page, size=query.size, count=count, folders=folders)
        )
