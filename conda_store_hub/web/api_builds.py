"""API: builds, what they hold, and what they yield."""

from __future__ import annotations

import contextlib
from typing import Any

from tornado.iostream import StreamClosedError

from conda_store_hub.core import schemas
from conda_store_hub.core.errors import RangeNotSatisfiableError
from conda_store_hub.core.protocol import ArtifactType
from conda_store_hub.services import artifacts, builds
from conda_store_hub.web import arguments, downloads, events
from conda_store_hub.web.base import ApiHandler
from conda_store_hub.web.wire import show_build


class BuildsHandler(ApiHandler):
    """`GET /api/v1/build/`."""

    async def get(self) -> None:
        """List the builds that who asks may see, the newest first, or the oldest with `order=asc`."""
        arguments.refuse_filters(self, "packages", "artifact")
        which = arguments.read_page(self)
        rows, count = await self.services.db.read(
            builds.list_builds,
            self.identity,
            page=which.page,
            size=which.size,
            environment_id=arguments.find_integer(self, "environment_id"),
            namespace=arguments.find_text(self, "namespace"),
            name=arguments.find_text(self, "name"),
            status=arguments.find_status(self),
            ascending=arguments.find_text(self, "order") == "asc",
        )
        self.write_model(schemas.Page[schemas.BuildSummary](data=rows, page=which.page, size=which.size, count=count))


class BuildHandler(ApiHandler):
    """`GET /api/v1/build/ID/`."""

    async def get(self, build_id: str) -> None:
        """Return one build in full."""
        found = await self.services.db.read(
            builds.get_build, self.identity, arguments.read_id(build_id), data=self.services.data
        )
        self.write_model(schemas.Answer[schemas.Build](data=show_build(found)))


class PackagesHandler(ApiHandler):
    """`GET /api/v1/build/ID/packages/`."""

    async def get(self, build_id: str) -> None:
        """List a build's packages, conda's and pip's."""
        which = arguments.read_page(self)
        rows, count = await self.services.db.read(
            builds.list_packages,
            self.identity,
            arguments.read_id(build_id),
            page=which.page,
            size=which.size,
            search=arguments.find_text(self, "search"),
        )
        self.write_model(schemas.Page[schemas.Package](data=rows, page=which.page, size=which.size, count=count))


class CancelHandler(ApiHandler):
    """`PUT /api/v1/build/ID/cancel/`."""

    async def put(self, build_id: str) -> None:
        """Ask for the end of a build."""
        await self.services.db.write(builds.cancel, self.identity, arguments.read_id(build_id))
        self.write_model(schemas.Answer[None](data=None, message="The build is being cancelled."))


class LogHandler(ApiHandler):
    """`GET /api/v1/build/ID/logs/`: as text, or live as server-sent events."""

    live: events.LiveLog | None = None

    async def get(self, build_id: str) -> None:
        """Answer with the log from byte `offset` on."""
        number = arguments.read_id(build_id)
        offset = arguments.find_integer(self, "offset") or 0
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


class ArtifactHandler(ApiHandler):
    """`GET /api/v1/build/ID/{yaml,lockfile,archive}/`: the bytes from storage."""

    location: artifacts.Location | None = None

    def initialize(self, artifact: ArtifactType) -> None:
        """Serve this kind of artifact."""
        self.artifact = artifact

    async def get(self, build_id: str) -> None:
        """Send the artifact, or the range of it that is asked for."""
        self.location = await self.services.db.read(
            artifacts.locate, self.identity, arguments.read_id(build_id), self.artifact
        )
        with contextlib.suppress(StreamClosedError):
            await downloads.send_artifact(self, self.location)

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Tell how much there is to who asked for what is behind it (RFC 9110, 15.5.17)."""
        if status_code == RangeNotSatisfiableError.status and self.location is not None:
            self.set_header("Content-Range", f"bytes */{self.location.size}")
        super().write_error(status_code, **kwargs)
