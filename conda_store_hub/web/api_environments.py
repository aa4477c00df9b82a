"""API: environments, and the specifications that make them."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from conda_store_hub.core import schemas
from conda_store_hub.core.errors import (
    ConflictError,
    InUseError,
    InvalidRequestError,
    NotFoundError,
)
from conda_store_hub.core.permissions import Permission
from conda_store_hub.services import environments, removals
from conda_store_hub.web import arguments
from conda_store_hub.web.base import ApiHandler
from conda_store_hub.web.cursor import make_cursor, read_cursor
from conda_store_hub.web.operations import Operation
from conda_store_hub.web.query import (
    MAX_ID,
    MAX_SIZE,
    FileKind,
    ForceQuery,
    Packages,
    PagedQuery,
    Query,
    Size,
    Status,
    Text,
)
from conda_store_hub.web.wire import show_environment

# conda-store's released client never asks for a second page of environments: with more than one it asks for the
# first again and again, for ever. It gets all that a service of usual size has at once.
_UNASKED_SIZE = 1000


class EnvironmentFilters(Query):
    """Which environments are meant."""

    unsupported: ClassVar[tuple[str, ...]] = ("jwt",)

    namespace: Text | None = Field(None, description="Only those of this namespace.")
    name: Text | None = Field(None, description="Only those of this name.")
    search: Text | None = Field(None, description="Only those with this text in `NAMESPACE/NAME`.")
    status: Status | None = Field(None, description="Only those whose latest build is in this state.")
    artifact: FileKind | None = Field(None, description="Only those whose active build has this file.")
    packages: Packages = Field(
        (), description="Only those whose active build has this package, a name with versions or without: `numpy>=2`."
    )


class EnvironmentsQuery(EnvironmentFilters, PagedQuery):
    """Which environments, and which page of them."""


class CursorQuery(EnvironmentFilters):
    """Which environments, and from where on."""

    cursor: str | None = Field(None, description="What the last page gave as its `cursor`.")
    limit: Size = Field(MAX_SIZE, description=f"How many entries a page has; more than {MAX_SIZE} means {MAX_SIZE}.")


class EnvironmentsHandler(ApiHandler):
    """`GET /api/v1/environment/`."""

    @Operation(answer=schemas.Page[schemas.Environment], query=EnvironmentsQuery, shareable=True)
    async def get(self) -> None:
        """List the environments that who asks may see, by namespace and name.

        Without `page` and `size`, the first thousand. `sort_by` and `order` are tolerated and do nothing.
        """
        query = self.read_query(EnvironmentsQuery)
        size = query.size if query.model_fields_set & {"page", "size"} else _UNASKED_SIZE
        rows, count = await self.services.db.read(
            environments.list_environments,
            self.identity,
            page=query.page,
            size=size,
            namespace=query.namespace,
            name=query.name,
            search=query.search,
            status=query.status,
            artifact=query.artifact,
            packages=query.packages,
        )
        self.write_model(schemas.Page[schemas.Environment](data=rows, page=query.page, size=size, count=count))


class EnvironmentsByCursorHandler(ApiHandler):
    """`GET /api/v2/environment/`: conda-store's only v2 route."""

    @Operation(answer=schemas.CursorPage[schemas.Environment], query=CursorQuery, shareable=True)
    async def get(self) -> None:
        """List the environments that who asks may see, from where the last page ended; the end is an empty page."""
        query = self.read_query(CursorQuery)
        after = read_cursor(query.cursor) if query.cursor else None
        rows, count = await self.services.db.read(
            environments.list_environments,
            self.identity,
            after=after,
            page=1,
            size=query.limit,
            namespace=query.namespace,
            name=query.name,
            search=query.search,
            status=query.status,
            artifact=query.artifact,
            packages=query.packages,
        )
        last = rows[-1] if rows else None
        cursor = make_cursor(last.id, last.namespace.name, last.name) if last else None
        self.write_model(
            schemas.CursorPage[schemas.Environment](data=rows, cursor=cursor, count=None if after else count)
        )


class EnvironmentHandler(ApiHandler):
    """`/api/v1/environment/NAMESPACE/NAME/`."""

    @Operation(answer=schemas.Answer[schemas.Environment], needs=Permission.ENVIRONMENT_READ, statuses=(200, 304))
    async def get(self, namespace: str, name: str) -> None:
        """Return one environment with its active build; with `If-None-Match`, if it is no longer that one."""
        where = arguments.read_names(namespace, name)
        found = await self.services.db.read(
            environments.get_environment, self.identity, *where, data=self.services.data
        )
        self.write_news(schemas.Answer[schemas.Environment](data=show_environment(found)))

    @Operation(
        answer=schemas.Answer[None],
        body=schemas.ActivateBuild,
        needs=Permission.ENVIRONMENT_UPDATE,
        errors=(ConflictError,),
    )
    async def put(self, namespace: str, name: str) -> None:
        """Activate a build, or change the description."""
        where = arguments.read_names(namespace, name)
        change = self.read_body(schemas.ActivateBuild)
        if change.build_id is None and change.description is None:
            raise InvalidRequestError("There is nothing to change: give `build_id` or `description`.")
        if change.build_id is not None and not 0 < change.build_id <= MAX_ID:
            raise NotFoundError(f"The environment “{name}” has no such build.")
        await self.services.db.write(environments.update, self.identity, *where, change)
        self.write_model(schemas.Answer[None](data=None, message="The environment was changed."))

    @Operation(
        answer=schemas.Answer[None],
        query=ForceQuery,
        needs=Permission.ENVIRONMENT_DELETE,
        errors=(InUseError,),
    )
    async def delete(self, namespace: str, name: str) -> None:
        """Delete an environment; its name is free at once, and for seven days it can be brought back."""
        where, query = arguments.read_names(namespace, name), self.read_query(ForceQuery)
        await self.services.db.write(removals.delete_environment, self.identity, *where, force=query.force)
        self.write_model(schemas.Answer[None](data=None, message="The environment was deleted."))
