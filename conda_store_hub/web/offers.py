"""What a page offers of a build to take away: its files, what each is for, and how one comes by it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from conda_store_hub.core import schemas
from conda_store_hub.core.artifacts import FILES
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
    ArtifactType.CONDA_PACK: Kind(
        label="Archive", purpose="The environment itself, for a machine without conda", part="archive"
    ),
}
_LOG: Final = Kind(label="Log", purpose="All that was said while it was built", part="log")


def say_kind(name: ArtifactType) -> str:
    """Return how people call a kind of file, within a sentence."""
    label = _LOG.label if name is ArtifactType.LOGS else _KINDS[name].label
    return label[0].lower() + label[1:]


@dataclass(frozen=True, kw_only=True, slots=True)
class Offer:
    """One file of a build. `url` is empty where it cannot be had; `size` in bytes is None where it is not made yet."""

    artifact_type: ArtifactType
    kind: Kind
    url: str
    size: int | None = None
    note: str = ""
    failed: bool = False


def list_offers(build: schemas.Build, prefix: str, *, may_ask: bool) -> tuple[Offer, ...]:
    """Return what can be taken away of a build, and what cannot and why; `prefix` is the service's.

    `may_ask`: whether what is not there is made for who looks.
    """
    if build.status in LIVE:
        return ()
    log = Offer(artifact_type=ArtifactType.LOGS, kind=_LOG, url=f"{prefix}api/v1/build/{build.id}/logs/")
    if build.status is not BuildStatus.COMPLETED:
        return (log,)
    rows = {item.artifact_type: item for item in (*build.build_artifacts, *build.unfinished_artifacts)}
    further = {item.artifact_type: prefix + item.address for item in build.further_artifacts}
    offers = (
        _offer_further(name, further[name], may_ask=may_ask) if name in further else _offer(rows[name], prefix)
        for name in FILES
        if name in rows or name in further
    )
    return (*(offer for offer in offers if offer is not None), log)


def _offer_further(name: ArtifactType, url: str, *, may_ask: bool) -> Offer:
    if not may_ask:
        return Offer(artifact_type=name, kind=_KINDS[name], url="", note="It is made for who is logged in.")
    return Offer(artifact_type=name, kind=_KINDS[name], url=url, note="It is made when somebody first asks for it.")


def _offer(artifact: schemas.Artifact, prefix: str) -> Offer | None:
    name = artifact.artifact_type
    kind = _KINDS[name]
    match artifact.state:
        case ArtifactState.READY:
            url = f"{prefix}{artifact.address}"
            return Offer(artifact_type=name, kind=kind, url=url, size=artifact.size, note=artifact.note or "")
        case ArtifactState.PENDING:
            return Offer(artifact_type=name, kind=kind, url="", note="It is being made.")
        case ArtifactState.FAILED:
            why = artifact.error or "It could not be made."
            return Offer(artifact_type=name, kind=kind, url="", note=why, failed=True)
        case ArtifactState.DELETED:
            return None
