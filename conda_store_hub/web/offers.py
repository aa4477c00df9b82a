"""What a page offers of a build to take away: its files, what each is for, and how one comes by it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from conda_store_hub.core import schemas
from conda_store_hub.core.artifacts import FILES, artifact_address
from conda_store_hub.core.errors import InvalidRequestError
from conda_store_hub.core.names import shorten
from conda_store_hub.core.protocol import LIVE, ArtifactState, ArtifactType, BuildStatus


@dataclass(frozen=True, kw_only=True, slots=True)
class Kind:
    """How people call a kind of file, what they take it for, and which part of the guide tells more."""

    label: str
    purpose: str
    part: str


_KINDS: Final = {
    ArtifactType.YAML: Kind(
        label="Pinned YAML", purpose="Every version, for conda and for reading", part="pinned-yaml"
    ),
    ArtifactType.LOCKFILE: Kind(
        label="Lockfile",
        purpose="The address and hash of every file, for every platform asked for",
        part="conda-lockyml",
    ),
    ArtifactType.EXPLICIT: Kind(
        label="Explicit list",
        purpose="Conda's packages as addresses, installed without a solve",
        part="explicit-list",
    ),
    ArtifactType.PIXI_LOCK: Kind(label="pixi.lock", purpose="What the lockfile has, for pixi", part="pixilock"),
    ArtifactType.SBOM: Kind(label="SBOM", purpose="What is in it, for security scanners", part="sbom"),
    ArtifactType.CONDA_PACK: Kind(
        label="Archive", purpose="The environment itself, for a machine without conda", part="archive"
    ),
    ArtifactType.OCI_ARCHIVE: Kind(
        label="Image", purpose="The container image as one file, for podman load and docker load", part="image"
    ),
}
_IMAGE: Final = Kind(label="Container image", purpose="The environment for Docker, Podman and Kubernetes", part="")
_LATER: Final = "Not there yet."
_LOG: Final = Kind(label="Log", purpose="All that was said while it was built", part="log")


def say_kind(name: ArtifactType) -> str:
    """Return how people call a kind of file, within a sentence."""
    others = {ArtifactType.LOGS: _LOG, ArtifactType.DOCKER_MANIFEST: _IMAGE}
    label = (others.get(name) or _KINDS[name]).label
    return label if label.isupper() else label[0].lower() + label[1:]


def read_kind(text: str) -> ArtifactType:
    """Return the kind of file that a form names; raise InvalidRequestError when there is none."""
    try:
        return ArtifactType(text)
    except ValueError as exc:
        raise InvalidRequestError(f"“{shorten(text)}” is no kind of file that builds have.") from exc


@dataclass(frozen=True, kw_only=True, slots=True)
class Offer:
    """One file of a build. `url` is empty where it is not there; `size` in bytes is None where it is not known.

    `makeable`: who looks can have it made; `pending`: it is being made.
    """

    artifact_type: ArtifactType
    kind: Kind
    url: str
    size: int | None = None
    note: str = ""
    failed: bool = False
    makeable: bool = False
    pending: bool = False


#: What a list of environments has of each active build.
SHORTCUTS: Final = (ArtifactType.LOCKFILE, ArtifactType.YAML, ArtifactType.CONDA_PACK)


def list_shortcuts(
    build_id: int, states: Mapping[ArtifactType, ArtifactState], prefix: str, *, may_ask: bool
) -> tuple[Offer, ...]:
    """Return what is offered of an active build in a line; `states` says what there is of it."""
    return tuple(_shorten(build_id, name, states.get(name), prefix, may_ask=may_ask) for name in SHORTCUTS)


def _shorten(build_id: int, name: ArtifactType, state: ArtifactState | None, prefix: str, *, may_ask: bool) -> Offer:
    return Offer(
        artifact_type=name,
        kind=_KINDS[name],
        url=prefix + artifact_address(build_id, name) if state is ArtifactState.READY else "",
        failed=state is ArtifactState.FAILED,
        pending=state is ArtifactState.PENDING,
        makeable=state is None and may_ask,
    )


def list_offers(build: schemas.Build, prefix: str, *, may_ask: bool) -> tuple[Offer, ...]:
    """Return what can be taken away of a build, and what cannot and why; `prefix` is the service's.

    `may_ask`: whether what is not there is made for who looks.
    """
    log = Offer(artifact_type=ArtifactType.LOGS, kind=_LOG, url=f"{prefix}api/v1/build/{build.id}/logs/")
    if build.status in LIVE:
        return (*(Offer(artifact_type=name, kind=_KINDS[name], url="", note=_LATER) for name in FILES), log)
    if build.status is not BuildStatus.COMPLETED:
        return (log,)
    rows = {item.artifact_type: item for item in (*build.build_artifacts, *build.unfinished_artifacts)}
    further = {item.artifact_type for item in build.further_artifacts}
    offers = (
        _offer_further(name, may_ask=may_ask) if name in further else _offer(rows[name], prefix)
        for name in FILES
        if name in rows or name in further
    )
    return (*(offer for offer in offers if offer is not None), log)


def find_image(build: schemas.Build, size: int, *, may_ask: bool) -> Offer | None:
    """Return what there is of a build's container image, of `size` bytes; None where there is none and can be none."""
    rows = (*build.build_artifacts, *build.unfinished_artifacts)
    row = next((one for one in rows if one.artifact_type is ArtifactType.DOCKER_MANIFEST), None)
    kind = ArtifactType.DOCKER_MANIFEST
    match None if row is None else row.state:
        case ArtifactState.READY:
            return Offer(artifact_type=kind, kind=_IMAGE, url="", size=size, note="It is there.")
        case ArtifactState.PENDING:
            return Offer(artifact_type=kind, kind=_IMAGE, url="", note="It is being made.", pending=True)
        case ArtifactState.FAILED:
            why = (row.error if row else None) or "It could not be made."
            return Offer(artifact_type=kind, kind=_IMAGE, url="", note=why, failed=True)
        case None if build.status is BuildStatus.COMPLETED and build.prefix is not None:
            note = "It is made when somebody who is logged in first pulls it, which then waits for it."
            return Offer(artifact_type=kind, kind=_IMAGE, url="", note=note, makeable=may_ask)
        case _:
            return None


def _offer_further(name: ArtifactType, *, may_ask: bool) -> Offer:
    note = "Not made yet." if may_ask else "It is made for who is logged in."
    return Offer(artifact_type=name, kind=_KINDS[name], url="", note=note, makeable=may_ask)


def _offer(artifact: schemas.Artifact, prefix: str) -> Offer | None:
    name = artifact.artifact_type
    kind = _KINDS[name]
    match artifact.state:
        case ArtifactState.READY:
            url = f"{prefix}{artifact.address}"
            return Offer(artifact_type=name, kind=kind, url=url, size=artifact.size, note=artifact.note or "")
        case ArtifactState.PENDING:
            return Offer(artifact_type=name, kind=kind, url="", note="It is being made.", pending=True)
        case ArtifactState.FAILED:
            why = artifact.error or "It could not be made."
            return Offer(artifact_type=name, kind=kind, url="", note=why, failed=True)
        case ArtifactState.DELETED:
            return None
