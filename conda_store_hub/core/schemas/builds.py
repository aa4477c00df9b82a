"""The REST wire: environments and their builds."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from conda_store_hub.core.schemas.wire import Wire
from conda_store_hub.core.states import ArtifactState, ArtifactType, BuildStatus, PackageReason, Phase


class SpecificationView(Wire):
    """A specification: `spec` as conda-store's clients expect it, `text` as it was typed."""

    id: int
    name: str
    sha256: str
    created_on: datetime
    spec: dict[str, Any]
    text: str


class Artifact(Wire):
    """One artifact of a build; `size` in bytes."""

    id: int
    build_id: int
    artifact_type: ArtifactType
    state: ArtifactState
    key: str
    size: int | None = None
    sha256: str | None = None
    error: str | None = None
    note: str | None = None
    """What it lacks of what was asked for."""
    address: str | None = None
    """Where it is served, below the service's address; null for what is not."""


class FurtherArtifact(Wire):
    """What a build does not have, and could: it is made when somebody first asks for it at its address."""

    artifact_type: ArtifactType
    address: str


class PhaseTime(Wire):
    """How long a phase took, in seconds; None while it runs."""

    phase: Phase
    seconds: float | None = None


class MatchingPackage(Wire):
    """A package that was searched for."""

    manager: Literal["conda", "pip"]
    name: str
    version: str
    build: str


class BuildSummary(Wire):
    """A build in lists. `size` is in bytes that go when it goes, `shared_size` what it shares."""

    id: int
    environment_id: int
    specification_id: int
    status: BuildStatus
    status_info: str | None = None
    error_code: str | None = None
    size: int = 0
    shared_size: int = 0
    scheduled_on: datetime
    started_on: datetime | None = None
    ended_on: datetime | None = None
    requested_by: str | None = None
    build_key: str
    namespace: str
    environment: str
    active: bool = False
    position: int | None = None
    """Place in the queue, from 1, while QUEUED."""
    pinned: bool = False
    """Whether it is protected from being deleted."""
    deleted_on: datetime | None = None
    """When what it left on disk was deleted; it stays listed."""
    lock_build_id: int | None = None
    """The build from whose lock it was made, without a solve."""
    matching: list[MatchingPackage] | None = None
    """In a list that is filtered by `packages`: what it has of them."""


class Build(BuildSummary):
    """A build in full."""

    specification: SpecificationView
    build_artifacts: list[Artifact]
    """On the wire, those that are there: conda-store's clients take an artifact that is listed for one they can get."""
    unfinished_artifacts: list[Artifact] = Field(default_factory=list[Artifact])
    """On the wire, those that are pending or could not be made."""
    further_artifacts: list[FurtherArtifact] = Field(default_factory=list[FurtherArtifact])
    """Those that can be asked for beyond these."""
    phases: list[PhaseTime]
    prefix: str | None = None
    """Path of the prefix, told only to whom may read the environment."""
    tags: list[str] = Field(default_factory=list[str])
    """What people call it; its image is pulled by each."""


class Namespace(Wire):
    """A namespace; `hub_name` is the raw name of the Hub's user or group."""

    id: int
    name: str
    kind: str
    hub_name: str | None = None


class Environment(Wire):
    """An environment; `current_build` only when one is asked for."""

    id: int
    namespace: Namespace
    name: str
    description: str = ""
    current_build_id: int | None
    current_build: Build | None = None
    current_size: int | None = None
    """Bytes of the active build on the disk, with those that it shares with others."""
    latest_build_id: int | None = None
    latest_status: BuildStatus | None = None
    updated_on: datetime | None = None
    matching: list[MatchingPackage] | None = None
    """In a list that is filtered by `packages`: what the active build has of them."""
    watched_file: str | None = None
    """The file that it follows, below the directory that is watched; only when one environment is asked for."""


class Package(Wire):
    """A package of a build."""

    id: int
    manager: Literal["conda", "pip"]
    name: str
    version: str
    build: str
    channel: dict[str, Any]
    license: str | None = None
    summary: str | None = None
    size: int = 0
    reason: PackageReason | None = None
    """Somebody asked for it, a policy adds it, or another package needs it; null in builds of older versions."""
    needed_by: list[str] | None = None
    """With `why`: the first 20 packages of the build that need it, by name."""
    needed_by_count: int | None = None
    """With `why`: how many they are."""
