"""API: builds, what they hold, and their logs."""

from __future__ import annotations

from pydantic import Field

from conda_store_hub.core import schemas
from conda_store_hub.core.errors import (
    ConflictError,
    InUseError,
    PolicyRefusedError,
    PreconditionFailedError,
    QuotaExceededError,
    RangeNotSatisfiableError,
)
from conda_store_hub.core.permissions import Permission
from conda_store_hub.services import builds, rebuilds, removals
from conda_store_hub.web import arguments, downloads, events
from conda_store_hub.web.base import ApiHandler
from conda_store_hub.web.operations import Operation
from conda_store_hub.web.query import FileKind, ForceQuery, Id, Number, Packages, PagedQuery, Query, Status, Text
from conda_store_hub.web.wire import show_build


class BuildsQuery(PagedQuery):
    """Which builds are meant."""

    environment_id: Id | None = Field(None, description="Only those of this environment.")
    namespace: Text | None = Field(None, description="Only those of this namespace.")
    name: Text | None = Field(None, description="Only those of environments of this name.")
    status: Status | None = Field(None, description="Only those in this state.")
    after: Id | None = Field(None, description="Only those behind this one, in the order asked for: a cursor.")
    packages: Packages = Field(
        (), description="Only those that have this package, a name with versions or without: `numpy>=2`."
    )
    artifact: FileKind | None = Field(None, description="Only those that have this file.")
    order: Text = Field("desc", description="`asc` lists the oldest first, anything else the newest.")


class PackagesQuery(PagedQuery):
    """Which packages of a build are meant."""

    search: Text | None = Field(None, description="Only those with this text in their name.")
    why: bool = Field(default=False, description="With the packages that need each of them.")


class LogQuery(Query):
    """Which part of a log is meant."""

    offset: Number = Field(0, description="The byte to begin at; one past the end means the end.")


class BuildsHandler(ApiHandler):
    """`GET /api/v1/build/`."""

    @Operation(answer=schemas.Page[schemas.BuildSummary], query=BuildsQuery, shareable=True)
    async def get(self) -> None:
        """List the builds that who asks may see, the newest first."""
        query = self.read_query(BuildsQuery)
        rows, count = await self.services.db.read(
            builds.list_builds,
            self.identity,
            page=query.page,
            size=query.size,
            environment_id=query.environment_id,
            namespace=query.namespace,
            name=query.name,
            status=query.status,
            artifact=query.artifact,
            after=query.after,
            ascending=query.order == "asc",
            packages=query.packages,
        )
        self.write_model(schemas.Page[schemas.BuildSummary](data=rows, page=query.page, size=query.size, count=count))


class BuildHandler(ApiHandler):
    """`GET /api/v1/build/ID/`."""

    @Operation(answer=schemas.Answer[schemas.Build], needs=Permission.ENVIRONMENT_READ)
    async def get(self, build_id: str) -> None:
        """Return one build in full."""
        found = await self.services.db.read(
            builds.get_build, self.identity, arguments.read_id(build_id), data=self.services.data
        )
        self.write_model(schemas.Answer[schemas.Build](data=show_build(found)))

    @Operation(
        answer=schemas.Answer[schemas.BuildId],
        body=schemas.Rebuild,
        needs=Permission.ENVIRONMENT_UPDATE,
        errors=(ConflictError, PolicyRefusedError, QuotaExceededError),
    )
    async def put(self, build_id: str) -> None:
        """Build the same specification once more: with a new solve, or `exact`, from the lock of this build."""
        request = self.read_optional_body(schemas.Rebuild)
        made = await self.services.db.write(
            rebuilds.rebuild,
            self.identity,
            arguments.read_id(build_id),
            self.services.rules,
            exact=request.exact,
            activate=request.activate,
        )
        self.write_model(schemas.Answer[schemas.BuildId](data=schemas.BuildId(build_id=made)))

    @Operation(
        answer=schemas.Answer[None], query=ForceQuery, needs=Permission.BUILD_DELETE, errors=(ConflictError, InUseError)
    )
    async def delete(self, build_id: str) -> None:
        """Delete what a build left on disk, but for the artifacts that are kept; it stays listed."""
        query = self.read_query(ForceQuery)
        await self.services.db.write(
            removals.delete_build,
            self.identity,
            arguments.read_id(build_id),
            self.services.rules.kept_artifacts,
            force=query.force,
        )
        self.write_model(schemas.Answer[None](data=None, message="The build was deleted."))


class PackagesHandler(ApiHandler):
    """`GET /api/v1/build/ID/packages/`."""

    @Operation(answer=schemas.Page[schemas.Package], query=PackagesQuery, needs=Permission.ENVIRONMENT_READ)
    async def get(self, build_id: str) -> None:
        """List a build's packages, conda's and pip's, and why it has each of them."""
        query = self.read_query(PackagesQuery)
        rows, count = await self.services.db.read(
            builds.list_packages,
            self.identity,
            arguments.read_id(build_id),
            page=query.page,
            size=query.size,
            search=query.search,
            why=query.why,
        )
        self.write_model(schemas.Page[schemas.Package](data=rows, page=query.page, size=query.size, count=count))


class CancelHandler(ApiHandler):
    """`PUT /api/v1/build/ID/cancel/`."""

    @Operation(answer=schemas.Answer[None], needs=Permission.BUILD_CANCEL, errors=(ConflictError,))
    async def put(self, build_id: str) -> None:
        """Ask for the end of a build."""
        await self.services.db.write(builds.cancel, self.identity, arguments.read_id(build_id))
        self.write_model(schemas.Answer[None](data=None, message="The build is being cancelled."))


class LogHandler(ApiHandler):
    """`GET /api/v1/build/ID/logs/`: as text, or live as server-sent events."""

    live: events.LiveLog | None = None

    @Operation(
        query=LogQuery,
        needs=Permission.ENVIRONMENT_READ,
        media=("text/plain", "text/event-stream"),
        statuses=(200, 206, 304),
        errors=(RangeNotSatisfiableError, PreconditionFailedError),
    )
    async def get(self, build_id: str) -> None:
        """Send the log of a build from byte `offset` on.

        `X-Log-Offset` is the byte to go on from, `X-Log-Complete` says whether more will come; one that has all is sent
        with an ETag, and in ranges. With `Accept: text/event-stream` it is sent live, as events `log`, `state`,
        `phases`, `progress` and `end`; `Last-Event-ID` goes on where the reader was cut off.
        """
        number = arguments.read_id(build_id)
        offset = self.read_query(LogQuery).offset
        self.set_header("Vary", "Accept")
        if events.are_asked_for(self) and self.request.method == "GET":
            self.live = events.LiveLog(self, number)
            await self.live.send(events.find_last_event_id(self) or offset)
        else:
            await downloads.send_log(self, number, offset)

    def on_connection_close(self) -> None:
        """Stop reading the log for somebody who has left."""
        if self.live is not None:
            self.live.leave()
