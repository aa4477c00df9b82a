"""API: the service itself, what one may do, namespaces and what they hold."""

from __future__ import annotations

from pydantic import Field

from conda_store_hub import __version__
from conda_store_hub.core import schemas
from conda_store_hub.core.errors import (
    ConflictError,
    InUseError,
    InvalidNameError,
    InvalidRequestError,
    PolicyRefusedError,
)
from conda_store_hub.core.permissions import Permission
from conda_store_hub.services import namespaces, users
from conda_store_hub.web import arguments
from conda_store_hub.web.base import ApiHandler
from conda_store_hub.web.operations import Operation
from conda_store_hub.web.query import PagedQuery, Query, Text


class DeleteQuery(Query):
    """How a namespace is deleted."""

    force: bool = Field(default=False, description="Also when something in it is being built; that is cancelled.")


class NamespacesQuery(PagedQuery):
    """Which page of namespaces."""

    after: Text | None = Field(None, description="Only those behind this name: a cursor.")


class VersionHandler(ApiHandler):
    """`GET /api/v1/`."""

    @Operation(answer=schemas.Answer[schemas.Version], public=True)
    def get(self) -> None:
        """Tell the version; clients ask it to see whether the service is there."""
        version = schemas.Version(version=__version__, registry=self.services.registry.describe())
        self.write_model(schemas.Answer[schemas.Version](data=version))


class PermissionHandler(ApiHandler):
    """`GET /api/v1/permission/`."""

    @Operation(answer=schemas.Answer[schemas.PermissionSummary], anonymous=True)
    async def get(self) -> None:
        """Tell who asks what they may do."""
        summary = await self.services.db.read(users.summarise, self.identity)
        self.write_model(schemas.Answer[schemas.PermissionSummary](data=summary))


class UsageHandler(ApiHandler):
    """`GET /api/v1/usage/`."""

    @Operation(answer=schemas.UsagePage, query=PagedQuery, shareable=True)
    async def get(self) -> None:
        """Tell how many environments, builds and bytes the namespaces have that who asks may see."""
        query = self.read_query(PagedQuery)
        held, count = await self.services.db.read(
            namespaces.list_usage, self.identity, page=query.page, size=query.size
        )
        self.write_model(schemas.UsagePage(data=held, page=query.page, size=query.size, count=count))


class NamespacesHandler(ApiHandler):
    """`GET /api/v1/namespace/`."""

    @Operation(answer=schemas.Page[schemas.NamespaceSummary], query=NamespacesQuery, shareable=True)
    async def get(self) -> None:
        """List the namespaces that who asks may see, by name."""
        query = self.read_query(NamespacesQuery)
        rows, count = await self.services.db.read(
            namespaces.list_namespaces, self.identity, page=query.page, size=query.size, after=query.after
        )
        self.write_model(
            schemas.Page[schemas.NamespaceSummary](data=rows, page=query.page, size=query.size, count=count)
        )


class NamespaceHandler(ApiHandler):
    """`/api/v1/namespace/NAMESPACE/`."""

    @Operation(answer=schemas.Answer[schemas.NamespaceDetails], needs=Permission.NAMESPACE_READ)
    async def get(self, namespace: str) -> None:
        """Return one namespace, what it holds, and what who asks may do in it."""
        name = arguments.read_namespace(namespace)
        found = await self.services.db.read(namespaces.describe, self.identity, name)
        self.write_model(schemas.Answer[schemas.NamespaceDetails](data=found))

    @Operation(
        answer=schemas.Answer[schemas.Namespace],
        needs=Permission.NAMESPACE_CREATE,
        errors=(InvalidNameError, ConflictError),
    )
    async def post(self, namespace: str) -> None:
        """Make a namespace that everybody who is logged in may read; for administrators of the Hub."""
        made = await self.services.db.write(namespaces.create, self.identity, namespace)
        self.write_model(schemas.Answer[schemas.Namespace](data=made))

    @Operation(
        answer=schemas.Answer[None],
        body=schemas.ChangeNamespace,
        needs=Permission.NAMESPACE_UPDATE,
        errors=(PolicyRefusedError,),
    )
    async def put(self, namespace: str) -> None:
        """Replace what is noted about a namespace."""
        name = arguments.read_namespace(namespace)
        change = self.read_body(schemas.ChangeNamespace)
        if change.role_mappings is not None:
            raise PolicyRefusedError("Role mappings by pattern are not known here: share with PUT …/member/ instead.")
        if change.metadata is None:
            raise InvalidRequestError("There is nothing to change: give `metadata`.")
        await self.services.db.write(namespaces.change, self.identity, name, change.metadata)
        self.write_model(schemas.Answer[None](data=None, message="The namespace was changed."))

    @Operation(
        answer=schemas.Answer[schemas.Usage],
        query=DeleteQuery,
        needs=Permission.NAMESPACE_DELETE,
        errors=(InUseError,),
    )
    async def delete(self, namespace: str) -> None:
        """Delete a namespace with all that is in it, and tell what that was; for seven days it can be brought back."""
        name = arguments.read_namespace(namespace)
        query = self.read_query(DeleteQuery)
        held = await self.services.db.write(namespaces.delete, self.identity, name, force=query.force)
        self.services.auth.forget_namespaces()
        self.write_model(schemas.Answer[schemas.Usage](data=held, message="The namespace was deleted."))


class MetadataHandler(ApiHandler):
    """`PUT /api/v1/namespace/NAMESPACE/metadata`."""

    @Operation(answer=schemas.Answer[None], body=schemas.Notes, needs=Permission.NAMESPACE_UPDATE)
    async def put(self, namespace: str) -> None:
        """Replace what is noted about a namespace."""
        name = arguments.read_namespace(namespace)
        notes = self.read_body(schemas.Notes)
        await self.services.db.write(namespaces.change, self.identity, name, notes.root)
        self.write_model(schemas.Answer[None](data=None, message="The namespace was changed."))


class RestoreHandler(ApiHandler):
    """`PUT /api/v1/namespace/NAMESPACE/restore/`."""

    @Operation(
        answer=schemas.Answer[schemas.Namespace],
        body=schemas.RestoreNamespace,
        needs=Permission.NAMESPACE_DELETE,
        errors=(InvalidNameError, ConflictError),
    )
    async def put(self, namespace: str) -> None:
        """Bring back the namespace of this name that was deleted last, with all that was deleted with it."""
        name = arguments.read_namespace(namespace)
        request = self.read_body(schemas.RestoreNamespace)
        found = await self.services.db.write(namespaces.restore, self.identity, name, request.name)
        self.write_model(schemas.Answer[schemas.Namespace](data=found))
