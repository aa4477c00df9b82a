"""API: the files that builds yield; one that is not there is made for who asks first, and then kept."""

from __future__ import annotations

import contextlib

from pydantic import Field
from tornado.iostream import StreamClosedError

from conda_store_hub.core import schemas
from conda_store_hub.core.artifacts import FILES, artifact_address
from conda_store_hub.core.errors import (
    BeingMadeError,
    ConflictError,
    GoneError,
    PolicyRefusedError,
    PreconditionFailedError,
    RangeNotSatisfiableError,
    TooManyDownloadsError,
)
from conda_store_hub.core.permissions import Permission
from conda_store_hub.core.protocol import ArtifactType
from conda_store_hub.services import artifacts
from conda_store_hub.web import arguments, downloads
from conda_store_hub.web.base import ApiHandler
from conda_store_hub.web.making import FileMaker
from conda_store_hub.web.operations import Operation
from conda_store_hub.web.query import Query

LONGEST_SECONDS = 50.0


class FileQuery(Query):
    """How long to wait for a file that is being made."""

    wait: float = Field(
        LONGEST_SECONDS,
        ge=0,
        description=f"Seconds to wait for a file to be made or checked; more than {LONGEST_SECONDS:g} means as many.",
    )


class FileHandler(FileMaker, ApiHandler):
    """A file of a build, as a whole or in part; made first if it has to be."""

    async def send(self, build_id: int) -> None:
        """Send the file of a build, once it is there."""
        seconds = min(self.read_query(FileQuery).wait, LONGEST_SECONDS)
        with downloads.counted(self):
            location = await self.find_file(build_id, seconds, makes=self.request.method != "HEAD")
            if location is not None:
                with contextlib.suppress(StreamClosedError):
                    await downloads.send_artifact(self, location)


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


class SbomHandler(FileHandler):
    """`GET /api/v1/build/ID/sbom/`, `…/sbom.cdx.json`."""

    kind = ArtifactType.SBOM

    @_yields(kind)
    async def get(self, build_id: str) -> None:
        """Send the software bill of materials of a build (CycloneDX 1.6, JSON)."""
        await self.send(arguments.read_id(build_id))


class ArchiveHandler(FileHandler):
    """`GET /api/v1/build/ID/archive/`, `…/environment.tar.gz`."""

    kind = ArtifactType.CONDA_PACK

    @_yields(kind)
    async def get(self, build_id: str) -> None:
        """Send the archive of a build (conda-pack)."""
        await self.send(arguments.read_id(build_id))


class ImageHandler(FileHandler):
    """`GET /api/v1/build/ID/image/`, `…/image.tar`."""

    kind = ArtifactType.OCI_ARCHIVE

    @_yields(kind)
    async def get(self, build_id: str) -> None:
        """Send the container image of a build, as an OCI archive that is one of `docker save` too."""
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


class ActiveSbomHandler(ActiveFileHandler):
    """`GET /api/v1/environment/NAMESPACE/NAME/sbom.cdx.json`."""

    kind = ArtifactType.SBOM

    @_yields(kind)
    async def get(self, namespace: str, name: str) -> None:
        """Send the software bill of materials of the active build (CycloneDX 1.6, JSON)."""
        await self.send_active(namespace, name)


class ActiveArchiveHandler(ActiveFileHandler):
    """`GET /api/v1/environment/NAMESPACE/NAME/environment.tar.gz`."""

    kind = ArtifactType.CONDA_PACK

    @_yields(kind)
    async def get(self, namespace: str, name: str) -> None:
        """Send the archive of the active build (conda-pack)."""
        await self.send_active(namespace, name)


class ActiveImageHandler(ActiveFileHandler):
    """`GET /api/v1/environment/NAMESPACE/NAME/image.tar`."""

    kind = ArtifactType.OCI_ARCHIVE

    @_yields(kind)
    async def get(self, namespace: str, name: str) -> None:
        """Send the container image of the active build, as an OCI archive that is one of `docker save` too."""
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
