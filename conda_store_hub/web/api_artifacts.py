"""API: the files that builds yield; one that is not there is made for who asks first, and then kept."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import ClassVar, NoReturn

from pydantic import Field
from tornado.iostream import StreamClosedError

from conda_store_hub.core import schemas
from conda_store_hub.core.artifacts import FILES, artifact_address
from conda_store_hub.core.errors import (
    BeingMadeError,
    ConflictError,
    DamagedError,
    GoneError,
    NotFoundError,
    PolicyRefusedError,
    PreconditionFailedError,
    RangeNotSatisfiableError,
    TooManyDownloadsError,
)
from conda_store_hub.core.permissions import Permission
from conda_store_hub.core.protocol import ArtifactType
from conda_store_hub.services import artifacts, changes
from conda_store_hub.services.artifacts import Location, Missing
from conda_store_hub.services.changes import artifacts_topic
from conda_store_hub.web import arguments, downloads
from conda_store_hub.web.base import ApiHandler
from conda_store_hub.web.operations import Operation
from conda_store_hub.web.query import Query

LONGEST_SECONDS = 50.0
_CHECK_SECONDS = 5.0  # for who does not wait: most files are checked in less


class FileQuery(Query):
    """How long to wait for a file that is being made."""

    wait: float = Field(
        LONGEST_SECONDS,
        ge=0,
        description=f"Seconds to wait for a file to be made or checked; more than {LONGEST_SECONDS:g} means as many.",
    )


class FileHandler(ApiHandler):
    """A file of a build, as a whole or in part; made first if it has to be."""

    kind: ClassVar[ArtifactType]
    location: Location | None = None
    left = False
    news: asyncio.Event | None = None
    checking: asyncio.Future[None] | None = None

    async def send(self, build_id: int) -> None:
        """Send the file of a build, once it is there."""
        seconds = min(self.read_query(FileQuery).wait, LONGEST_SECONDS)
        with downloads.counted(self):
            with self.services.changes.watch(artifacts_topic(build_id)) as self.news:
                self.location = await self._wait_for_location(build_id, time.monotonic() + seconds)
            if self.location is not None:
                with contextlib.suppress(StreamClosedError):
                    await downloads.send_artifact(self, self.location)

    async def _wait_for_location(self, build_id: int, until: float) -> Location | None:
        """Return where the file is once its bytes are known to be whole; None for who has left.

        Nothing is read while nothing happens: whatever is written of a build's files is announced.
        """
        db = self.services.db
        while True:
            found = await db.read(artifacts.find, self.identity, build_id, self.kind)
            if self.request.method == "HEAD":
                return await self._find_bytes(found) if isinstance(found, Location) else self._refuse(build_id, found)
            if isinstance(found, Location) and await self._is_whole(found, until):
                return found
            if found is Missing.UNASKED:
                await db.write(artifacts.request, self.identity, build_id, self.kind, self.services.rules)
            if not await self._hear_of_change(until):
                return None if self.left else self._refuse(build_id, Missing.PENDING)
            await self.stay()

    async def _find_bytes(self, location: Location) -> Location:
        """Return where the file is if there are bytes at all; they are not read for who wants none."""
        try:
            await self.services.store.head(location.key)
        except NotFoundError:
            self._refuse(location.build_id, Missing.UNASKED)
        return location

    def _refuse(self, build_id: int, found: Missing) -> NoReturn:
        what = f"The {self.kind} of build {build_id}"
        if found is Missing.UNASKED:
            raise NotFoundError(f"{what} is not there: GET has it made.")
        raise BeingMadeError(f"{what} is being made; ask again in a moment.")

    async def _is_whole(self, location: Location, until: float) -> bool:
        """Tell whether the bytes are those that were stored; if not, have the file made again, or raise GoneError.

        Raises BeingMadeError when that takes longer; whoever asks again finds it further.
        """
        try:
            await self._check(location, max(_CHECK_SECONDS, until - time.monotonic()))
        except (NotFoundError, DamagedError) as exc:
            words = "was removed on disk" if isinstance(exc, NotFoundError) else "was changed on disk"
            self.log.warning("the %s of build %s %s", self.kind, location.build_id, words)
            await self.services.db.write(artifacts.replace_damaged, location, words, self.services.rules)
            return False
        return not self.left

    async def _check(self, location: Location, seconds: float) -> None:
        self.checking = asyncio.ensure_future(self.services.store.check(location.key, location.size))
        done, _ = await asyncio.wait([self.checking], timeout=seconds)
        if done and not self.checking.cancelled():
            return self.checking.result()
        self.checking.cancel()
        if not self.left:
            raise BeingMadeError(
                f"The {self.kind} of build {location.build_id} is being checked; ask again in a moment."
            )
        return None

    async def _hear_of_change(self, until: float) -> bool:
        """Wait for news at most until then; tell whether there are any for somebody who is still there."""
        if self.news is None or self.left:
            return False
        heard = await changes.wait(self.news, max(0.0, until - time.monotonic()))
        self.news.clear()
        return heard and not self.left

    def on_connection_close(self) -> None:
        """Wait no longer for somebody who has left."""
        self.left = True
        if self.checking is not None:
            self.checking.cancel()
        if self.news is not None:
            self.news.set()


class ActiveFileHandler(FileHandler):
    """A file of whichever build of an environment is the active one, at an address that stays."""

    async def send_active(self, namespace: str, name: str) -> None:
        """Send the file of the active build, and say at which address this one stays."""
        where = arguments.read_names(namespace, name)
        build_id = await self.services.db.read(artifacts.find_active_build, self.identity, *where)
        self.set_header("Content-Location", self.prefix + artifact_address(build_id, self.kind))
        await self.send(build_id)


def _yields(kind: ArtifactType) -> Operation:
    return Operation(
        query=FileQuery,
        needs=Permission.ENVIRONMENT_READ,
        media=(FILES[kind].media_type,),
        statuses=(200, 206, 304),
        errors=(
            ConflictError,
            GoneError,
            PolicyRefusedError,
            PreconditionFailedError,
            RangeNotSatisfiableError,
            BeingMadeError,
            TooManyDownloadsError,
        ),
    )


class YamlHandler(FileHandler):
    """`GET /api/v1/build/ID/yaml/`, `…/environment.yaml`."""

    kind = ArtifactType.YAML

    @_yields(kind)
    async def get(self, build_id: str) -> None:
        """Send the pinned YAML of a build."""
        await self.send(arguments.read_id(build_id))


class LockfileHandler(FileHandler):
    """`GET /api/v1/build/ID/lockfile/`, `…/conda-lock.yml`, and at conda-store's other addresses of it."""

    kind = ArtifactType.LOCKFILE

    @_yields(kind)
    async def get(self, build_id: str) -> None:
        """Send the lockfile of a build (conda-lock, version 1)."""
        await self.send(arguments.read_id(build_id))


class ExplicitHandler(FileHandler):
    """`GET /api/v1/build/ID/explicit/`, `…/explicit.txt`."""

    kind = ArtifactType.EXPLICIT

    @_yields(kind)
    async def get(self, build_id: str) -> None:
        """Send the addresses of a build's packages (conda's `@EXPLICIT`)."""
        await self.send(arguments.read_id(build_id))


class PixiLockHandler(FileHandler):
    """`GET /api/v1/build/ID/pixi/`, `…/pixi.lock`."""

    kind = ArtifactType.PIXI_LOCK

    @_yields(kind)
    async def get(self, build_id: str) -> None:
        """Send the `pixi.lock` of a build."""
        await self.send(arguments.read_id(build_id))


class ArchiveHandler(FileHandler):
    """`GET /api/v1/build/ID/archive/`, `…/environment.tar.gz`."""

    kind = ArtifactType.CONDA_PACK

    @_yields(kind)
    async def get(self, build_id: str) -> None:
        """Send the archive of a build (conda-pack)."""
        await self.send(arguments.read_id(build_id))


class ActiveYamlHandler(ActiveFileHandler):
    """`GET /api/v1/environment/NAMESPACE/NAME/environment.yaml`."""

    kind = ArtifactType.YAML

    @_yields(kind)
    async def get(self, namespace: str, name: str) -> None:
        """Send the pinned YAML of the active build."""
        await self.send_active(namespace, name)


class ActiveLockfileHandler(ActiveFileHandler):
    """`GET /api/v1/environment/NAMESPACE/NAME/conda-lock.yml`."""

    kind = ArtifactType.LOCKFILE

    @_yields(kind)
    async def get(self, namespace: str, name: str) -> None:
        """Send the lockfile of the active build (conda-lock, version 1)."""
        await self.send_active(namespace, name)


class ActiveExplicitHandler(ActiveFileHandler):
    """`GET /api/v1/environment/NAMESPACE/NAME/explicit.txt`."""

    kind = ArtifactType.EXPLICIT

    @_yields(kind)
    async def get(self, namespace: str, name: str) -> None:
        """Send the addresses of the active build's packages (conda's `@EXPLICIT`)."""
        await self.send_active(namespace, name)


class ActivePixiLockHandler(ActiveFileHandler):
    """`GET /api/v1/environment/NAMESPACE/NAME/pixi.lock`."""

    kind = ArtifactType.PIXI_LOCK

    @_yields(kind)
    async def get(self, namespace: str, name: str) -> None:
        """Send the `pixi.lock` of the active build."""
        await self.send_active(namespace, name)


class ActiveArchiveHandler(ActiveFileHandler):
    """`GET /api/v1/environment/NAMESPACE/NAME/environment.tar.gz`."""

    kind = ArtifactType.CONDA_PACK

    @_yields(kind)
    async def get(self, namespace: str, name: str) -> None:
        """Send the archive of the active build (conda-pack)."""
        await self.send_active(namespace, name)


class ArtifactHandler(ApiHandler):
    """`POST /api/v1/build/ID/artifact/`."""

    @Operation(
        answer=schemas.Answer[None],
        body=schemas.MakeArtifact,
        needs=Permission.ENVIRONMENT_UPDATE,
        errors=(ConflictError, GoneError, PolicyRefusedError),
    )
    async def post(self, build_id: str) -> None:
        """Have a file of a build made that is not there, also after it could not be made; answers at once."""
        number, body = arguments.read_id(build_id), self.read_body(schemas.MakeArtifact)
        await self.services.db.write(
            artifacts.request_again, self.identity, number, body.artifact_type, self.services.rules
        )
        self.write_model(schemas.Answer[None](data=None, message=f"The {body.artifact_type} is there, or on its way."))
