"""The REST wire: conda-store's API v1 shapes, and ours in the same manner."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict

from conda_store_hub.core.protocol import ArtifactState, ArtifactType, BuildStatus, Phase

T = TypeVar("T")


class Wire(BaseModel):
    """A frozen value of the wire."""

    model_config = ConfigDict(frozen=True)


class Answer(Wire, Generic[T]):
    """The envelope of a success."""

    status: Literal["ok"] = "ok"
    data: T
    message: str | None = None


class Page(Answer[list[T]], Generic[T]):
    """A page of a list; `count` is exact up to 10,000 and says 10,000 beyond."""

    page: int
    size: int
    count: int


class CursorPage(Answer[list[T]], Generic[T]):
    """A page of a v2 list: ask again with `cursor`, until `data` is empty. Only the first page has a `count`."""

    cursor: str | None = None
    count: int | None = None


class ErrorAnswer(Wire):
    """The envelope of an error: a stable code and a sentence; line and column count from 1."""

    status: Literal["error"] = "error"
    message: str
    code: str
    line: int | None = None
    column: int | None = None


class Version(Wire):
    """`GET /api/v1/`."""

    version: str


class PermissionSummary(Wire):
    """`GET /api/v1/permission/`; keys hold exactly one `/`."""

    authenticated: bool
    primary_namespace: str
    entity_permissions: dict[str, list[str]]
    entity_roles: dict[str, list[str]]
    expiration: datetime | None = None


class Namespace(Wire):
    """A namespace; `hub_name` is the raw name of the Hub's user or group."""

    id: int
    name: str
    kind: str
    hub_name: str | None = None


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


class PhaseTime(Wire):
    """How long a phase took, in seconds; None while it runs."""

    phase: Phase
    seconds: float | None = None


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


class Build(BuildSummary):
    """A build in full."""

    specification: SpecificationView
    build_artifacts: list[Artifact]
    """On the wire, those that are there: conda-store's clients take an artifact that is listed for one they can get."""
    unfinished_artifacts: list[Artifact] = []
    """On the wire, those that are pending or could not be made."""
    phases: list[PhaseTime]
    prefix: str | None = None
    """Path of the prefix, told only to whom may read the environment."""


class Environment(Wire):
    """An environment; `current_build` only when one is asked for."""

    id: int
    namespace: Namespace
    name: str
    description: str = ""
    current_build_id: int | None
    current_build: Build | None = None
    latest_build_id: int | None = None
    latest_status: BuildStatus | None = None
    updated_on: datetime | None = None


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


class SubmitSpecification(Wire):
    """`POST /api/v1/specification/`; the keys are the released client's."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    specification: str
    """An `environment.yaml` as text, at most 1 MB."""
    namespace: str | None = None
    """Where the environment is or will be; without it, in the namespace of who asks."""
    is_lockfile: bool = False
    """conda-store's; lockfiles cannot be submitted yet."""
    environment_name: str | None = None
    """For a specification without `name:`; it must not have another one."""
    environment_description: str | None = None
    """Instead of the specification's `description:`; at most 4000 characters."""


class BuildId(Wire):
    """The answer to a submission."""

    build_id: int


class ActivateBuild(Wire):
    """`PUT /api/v1/environment/{ns}/{name}/`."""

    build_id: int | None = None
    """The build to make the active one: a completed one of this environment."""
    description: str | None = None
    """A new description, at most 4000 characters."""


class KernelView(Wire):
    """A kernel of an active build, ready for a kernel spec manager."""

    name: str
    namespace: str
    environment: str
    build_id: int
    raw: str
    prefix: str
    spec: dict[str, Any]


class KernelList(Wire):
    """`GET /api/v1/kernels/`; `etag` goes into `since` of the next poll."""

    etag: str
    kernels: list[KernelView]


class LogState(Wire):
    """The `state` event of a live log."""

    status: BuildStatus
    status_info: str | None = None


class LogProgress(Wire):
    """The `progress` event of a live log."""

    phase: Phase
    done: int
    total: int
    unit: str


class Health(Wire):
    """`GET /health`."""

    ready: bool
    version: str
    message: str | None = None
