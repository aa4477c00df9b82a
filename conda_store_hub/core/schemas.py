"""The REST wire: conda-store's API v1 shapes, and ours in the same manner."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Generic, Literal, Self, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    RootModel,
    model_validator,
)

from conda_store_hub.core.audit import AuditAction
from conda_store_hub.core.permissions import IdentityKind, Permission, Role, SubjectKind
from conda_store_hub.core.policy import Merge, Scope
from conda_store_hub.core.protocol import ArtifactState, ArtifactType, BuildStatus, Phase

T = TypeVar("T")


class Wire(BaseModel):
    """A frozen value of the wire."""

    model_config = ConfigDict(frozen=True)


#: A value of JSON.
Json = JsonValue


def _require_zone(when: datetime) -> datetime:
    """Take a time without a zone for UTC, as conda-store's clients mean it."""
    try:
        return when.replace(tzinfo=UTC) if when.tzinfo is None else when.astimezone(UTC)
    except OverflowError as exc:
        raise ValueError("no calendar has this time in UTC") from exc


Moment = Annotated[datetime, AfterValidator(_require_zone)]


def _editor_is_developer(role: object) -> object:
    """Take conda-store's newer name of the role for the older one."""
    return Role.DEVELOPER if role == "editor" else role


RoleName = Annotated[Role, BeforeValidator(_editor_is_developer)]


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


class Usage(Wire):
    """What a namespace holds; the keys are conda-store's. `storage` is bytes that would be free if all of it went."""

    num_environments: int
    num_builds: int
    storage: int


class UsagePage(Answer[dict[str, Usage]]):
    """`GET /api/v1/usage/`: by namespace, a page of namespaces at a time."""

    page: int
    size: int
    count: int


class NamespaceSummary(Namespace):
    """A namespace in lists."""

    environments: int
    """How many environments it has."""


class NamespaceDetails(Namespace):
    """A namespace in full, and what who asks may do in it."""

    metadata_: dict[str, Json]
    created_on: datetime
    sealed: bool
    """Whether its owner's Hub name is somebody else's now: then it is the administrators' alone."""
    role: Role | None
    permissions: list[Permission]
    usage: Usage


class ChangeNamespace(Wire):
    """`PUT /api/v1/namespace/{ns}/`."""

    metadata: dict[str, Json] | None = None
    role_mappings: dict[str, list[str]] | None = None
    """conda-store's first way to share; refused, with the address of the members."""


class Notes(RootModel[dict[str, Json]]):
    """`PUT /api/v1/namespace/{ns}/metadata`: anything, as an object."""

    model_config = ConfigDict(frozen=True)


class RestoreNamespace(Wire):
    """`PUT /api/v1/namespace/{ns}/restore/`; `name` where the old one is taken."""

    name: str | None = None


# Who may


class Member(Wire):
    """Who has a role on a namespace or an environment; `id` is None where that follows from whose it is."""

    id: int | None = None
    subject: SubjectKind
    name: str | None = None
    """The Hub's name of the user or the group."""
    role: Role
    expires_on: datetime | None = None
    granted_by: str | None = None
    created_on: datetime | None = None


class GrantRole(Wire):
    """`PUT …/member/`: give a role, or change it."""

    subject: SubjectKind
    name: str | None = Field(default=None, min_length=1, max_length=255)
    """The Hub's name of the user or the group, to the letter."""
    role: Role
    expires_on: Moment | None = None

    @model_validator(mode="after")
    def _check_name(self) -> Self:
        if (self.name is None) is (self.subject in (SubjectKind.USER, SubjectKind.GROUP)):
            raise ValueError("`name` belongs to the subjects `user` and `group`, and to no other")
        return self


class RoleMapping(Wire):
    """conda-store's second way to share: a role for those whose namespace `other_namespace` is."""

    other_namespace: str
    role: RoleName


class RoleMappingOf(Wire):
    """Which of them is meant."""

    other_namespace: str


class RoleMappingView(Wire):
    """One of them."""

    id: int
    namespace: str
    other_namespace: str
    role: Role


MAX_LABEL = 100
MAX_TOKEN_NAMESPACES = 100


class MakeToken(Wire):
    """`POST /api/v1/token/`: conda-store's fields, and ours: a label, and namespaces with a role."""

    label: str = Field(default="", max_length=MAX_LABEL)
    namespaces: list[str] | None = Field(default=None, min_length=1, max_length=MAX_TOKEN_NAMESPACES)
    """What it is for; None is everything that its owner has."""
    role: RoleName = Role.VIEWER
    expiration: Moment | None = None
    exp: Moment | None = None
    """The same, as conda-store's released client says it."""
    primary_namespace: str | None = None
    """conda-store's; a token's is its owner's."""
    role_bindings: dict[str, list[RoleName]] | None = Field(default=None, min_length=1, max_length=MAX_TOKEN_NAMESPACES)
    """`NAMESPACE/*` or `NAMESPACE/ENVIRONMENT`, each with its roles; instead of `namespaces` and `role`."""


class NewToken(Wire):
    """A token that was just made: its text is shown this once."""

    token: str
    id: int


class TokenScope(Wire):
    """What a token is limited to: `*/*`, `NAMESPACE/*` or `NAMESPACE/ENVIRONMENT`, and with which role at most."""

    on: str
    role: Role


class TokenView(Wire):
    """A token without its text; `hint` is how that ends."""

    id: int
    label: str
    user: str
    hint: str
    scopes: list[TokenScope]
    created_on: datetime
    expires_on: datetime | None = None
    last_used_on: datetime | None = None
    last_used_from: str | None = None
    expired: bool = False


class AuditEntry(Wire):
    """Who did what when, to what, from where."""

    model_config = ConfigDict(frozen=True, from_attributes=True)

    id: int
    at: datetime
    action: AuditAction
    actor: str | None
    actor_kind: IdentityKind
    """Whether that is a user of the Hub, a service of the Hub or this one, or a token of the configuration."""
    user_id: int | None = None
    """This service's number of the user: a Hub name can be given to somebody else."""
    via: str
    source: str
    namespace: str | None = None
    environment: str | None = None
    build_id: int | None = None
    detail: str = ""


class AuditPage(Answer[list[AuditEntry]]):
    """A page of the audit trail, the newest first; ask again with `before` until `data` is empty."""

    before: int | None = None


# What builds may be


class GivenSetting(Wire):
    """A value as it was set in one place."""

    source: Scope
    value: Json


class Setting(Wire):
    """What counts for a key, and why."""

    value: Json
    source: Scope
    """The innermost place that made a difference."""
    given: list[GivenSetting]
    """What was set, from the outermost place to the innermost."""
    description: str
    takes: str
    """What it can be set to."""
    merge: Merge
    """How what is set further in bears on what counts further out."""
    settable: bool
    """Whether it can be set for this kind of place."""


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
    pinned: bool = False
    """Whether it is protected from being deleted."""
    deleted_on: datetime | None = None
    """When what it left on disk was deleted; it stays listed."""
    lock_build_id: int | None = None
    """The build from whose lock it was made, without a solve."""


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


class ReadSpecification(Wire):
    """A specification or a lock file, and where it is for."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    specification: str
    """An `environment.yaml` of at most 1 MB, or a lock file of at most 4 MB: conda-lock's, or an `@EXPLICIT` list."""
    namespace: str | None = None
    """Where the environment is or will be; without it, in the namespace of who asks."""
    is_lockfile: bool = False
    """Refuse what is no lock file; one is known by itself, too."""
    environment_name: str | None = None
    """For a text without `name:`, which a lock file is; it must not have another one."""
    fresh: bool = False
    """With a new solve, even if nothing changed since the same was solved for."""


class SolveSpecification(ReadSpecification):
    """`POST /api/v1/specification/solve/`."""


class SubmitSpecification(ReadSpecification):
    """`POST /api/v1/specification/`; the keys are the released client's."""

    environment_description: str | None = None
    """Instead of the specification's `description:`; at most 4000 characters."""
    activate: bool = True
    """Whether the build becomes active by itself."""
    latest_build_id: int | None = Field(default=None, ge=0, lt=10**18)
    """The newest build that the environment had when one began to edit; if it has another now, nothing is submitted."""


class Rebuild(Wire):
    """`PUT /api/v1/build/{id}/`."""

    exact: bool = False
    """From the lock of that build; else with a new solve of its specification."""
    activate: bool = True
    """Whether the build becomes active by itself."""


class PinBuild(Wire):
    """`PUT /api/v1/build/{id}/pin/`."""

    pinned: bool = True


class TakeLease(Wire):
    """`PUT /api/v1/build/{id}/lease/`."""

    holder: str = Field(min_length=1, max_length=80)
    """What uses the build, by a name of one's own choice."""
    seconds: int = Field(default=3600, ge=1)
    """For how long, at most an hour; asked for again before that is over."""


class EndLease(Wire):
    """`DELETE /api/v1/build/{id}/lease/`."""

    holder: str = Field(min_length=1, max_length=80)


class Lease(Wire):
    """Who uses a build until when."""

    build_id: int
    holder: str
    expires_on: datetime


class NewName(Wire):
    """`PUT …/rename/`, and `PUT …/restore/` where the old name is taken."""

    name: str | None = None


class CloneEnvironment(Wire):
    """`POST …/clone/`: where to, and under which name."""

    namespace: str
    name: str


class PackageVersion(Wire):
    """A package as one build has it."""

    manager: Literal["conda", "pip"]
    name: str
    version: str
    build: str = ""
    channel: str = ""


class SolvedPackage(PackageVersion):
    """A package that a solve picked; `size` is in bytes as downloaded, hashes are hex."""

    subdir: str = ""
    url: str = ""
    sha256: str = ""
    size: int = 0
    license: str = ""


class PackageChange(Wire):
    """A package that two builds have differently."""

    old: PackageVersion
    new: PackageVersion


class PackageDiff(Wire):
    """What changed from one build to another."""

    added: list[PackageVersion]
    removed: list[PackageVersion]
    changed: list[PackageChange]
    unchanged: int


class SolvedSpecification(Wire):
    """`POST /api/v1/specification/solve/`: what would be built; lines of pip are not part of a solve."""

    packages: list[SolvedPackage]
    active_build_id: int | None = None
    """The active build of the environment, if it is there and may be seen."""
    diff: PackageDiff | None = None
    """What changes from that build's conda packages to these."""
    reused: bool
    """Whether an earlier solve still holds, so that there was none."""
    seconds: float


class ListedPackage(SolvedPackage):
    """The same with a key more, under which conda-store's released client looks for the channel."""

    channel_id: str


class SolvedList(Wire):
    """`GET /api/v1/specification/`, as conda-store's clients ask."""

    status: Literal["ok"] = "ok"
    solve: list[ListedPackage]


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
    """A kernel of an active build, ready for a kernel spec manager; `aliases` are names that start it too."""

    name: str
    namespace: str
    environment: str
    build_id: int
    raw: str
    prefix: str
    spec: dict[str, Any]
    aliases: tuple[str, ...] = ()


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
