"""Artifacts: where the bytes of one are, for those who may have them."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy.orm import Session

from conda_store_hub.core.errors import ConflictError, GoneError, NotFoundError
from conda_store_hub.core.permissions import Identity, Permission
from conda_store_hub.core.protocol import ArtifactState, ArtifactType, BuildStatus
from conda_store_hub.db import records
from conda_store_hub.services import builds

_NAMES = {
    ArtifactType.YAML: ("environment.yaml", "application/yaml"),
    ArtifactType.LOCKFILE: ("conda-lock.yml", "application/yaml"),
    ArtifactType.CONDA_PACK: ("{name}-{id}.tar.gz", "application/gzip"),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Location:
    """Bytes in storage: `size` in bytes, `sha256` in hex, and how a browser should name and take them."""

    key: str
    size: int
    sha256: str
    filename: str
    media_type: str


def locate(session: Session, identity: Identity, build_id: int, artifact_type: ArtifactType) -> Location:
    """Return where an artifact is; raise ConflictError while it is made, NotFoundError when there is none."""
    build = builds.require(session, identity, build_id, Permission.ENVIRONMENT_READ)
    row = records.find_artifact(session, build_id, artifact_type)
    if row is None or artifact_type not in _NAMES:
        raise NotFoundError(f"Build {build_id} has no {artifact_type}.")
    if row.state is ArtifactState.DELETED:
        raise GoneError(f"The {artifact_type} of build {build_id} was deleted with it.")
    if row.state is ArtifactState.FAILED:
        raise NotFoundError(f"The {artifact_type} of build {build_id} could not be made: {row.error}")
    if row.state is ArtifactState.PENDING or row.size is None or row.sha256 is None:
        raise _not_yet(build_id, artifact_type, build.status)
    name, media_type = _NAMES[artifact_type]
    return Location(
        key=row.key,
        size=row.size,
        sha256=row.sha256,
        filename=name.format(name=build.environment.name, id=build_id),
        media_type=media_type,
    )


def _not_yet(build_id: int, artifact_type: ArtifactType, status: BuildStatus) -> ConflictError | NotFoundError:
    if status in (BuildStatus.FAILED, BuildStatus.CANCELED):
        return NotFoundError(f"Build {build_id} is {status} and has no {artifact_type}.")
    return ConflictError(f"The {artifact_type} of build {build_id} is being made; try again in a moment.")
