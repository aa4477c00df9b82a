"""What a page offers of a build to take away: its files, what each is for, and how one comes by it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from conda_store_hub.core import schemas
from conda_store_hub.core.protocol import ArtifactState, ArtifactType, BuildStatus


@dataclass(frozen=True, kw_only=True, slots=True)
class Kind:
    """A kind of file: its path below the build's address, its name at the environment's, and its part of the guide."""

    label: str
    path: str
    lasting: str
    purpose: str
    part: str


KINDS: Final = {
    ArtifactType.YAML: Kind(
        label="Pinned YAML",
        path="yaml/",
        lasting="environment.yaml",
        purpose="Every version, for conda and for reading",
        part="pinned-yaml",
    ),
    ArtifactType.LOCKFILE: Kind(
        label="Lockfile",
        path="lockfile/",
        lasting="conda-lock.yml",
        purpose="The address and hash of every file, for every platform asked for",
        part="lockfile",
    ),
    ArtifactType.EXPLICIT: Kind(
        label="Explicit list",
        path="explicit/",
        lasting="explicit.txt",
        purpose="Conda's packages as addresses, installed without a solve",
        part="explicit-list",
    ),
    ArtifactType.PIXI_LOCK: Kind(
        label="pixi.lock", path="pixi/", lasting="pixi.lock", purpose="All of this for pixi", part="pixi-lock"
    ),
    ArtifactType.CONDA_PACK: Kind(
        label="Archive",
        path="archive/",
        lasting="archive.tar.gz",
        purpose="The environment itself, for a machine without conda",
        part="archive",
    ),
}
"""In the order in which people look for them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Offer:
    """One file of a build. `url` is empty where it cannot be had; `size` in bytes is None where it is not made yet."""

    kind: Kind
    url: str
    size: int | None = None
    note: str = ""
    wait: bool = False
    """It is being made, or begins to be when somebody asks for it."""


def list_offers(build: schemas.Build, prefix: str) -> tuple[Offer, ...]:
    """Return what can be taken away of a build, and what cannot and why; `prefix` is the service's."""
    if build.status is not BuildStatus.COMPLETED:
        return ()
    rows = {item.artifact_type: item for item in (*build.build_artifacts, *build.unfinished_artifacts)}
    address = f"{prefix}api/v1/build/{build.id}/"
    offers = (_offer(kind, rows.get(name), build, address) for name, kind in KINDS.items())
    return tuple(offer for offer in offers if offer is not None)


def _offer(kind: Kind, artifact: schemas.Artifact | None, build: schemas.Build, address: str) -> Offer | None:
    url = f"{address}{kind.path}"
    state = artifact.state if artifact else None
    if artifact and state is ArtifactState.READY:
        return Offer(kind=kind, url=url, size=artifact.size, note=artifact.note or "")
    if build.prefix is None or build.deleted_on is not None:
        return None
    if artifact and state is ArtifactState.FAILED:
        return Offer(kind=kind, url=url, note=artifact.error or "It could not be made.", wait=True)
    if state is ArtifactState.PENDING:
        return Offer(kind=kind, url="", note="It is being made.", wait=True)
    return Offer(kind=kind, url=url, note="It is made when somebody first asks for it.", wait=True)
