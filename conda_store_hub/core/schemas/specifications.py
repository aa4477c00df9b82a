"""The REST wire: what is to be built, what may be, and what a solve comes to."""

from __future__ import annotations

from typing import Literal

from pydantic import ConfigDict, Field

from conda_store_hub.core.policy import Merge, Scope
from conda_store_hub.core.schemas.wire import Json, Wire
from conda_store_hub.core.search import Platform
from conda_store_hub.core.states import PackageReason


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

    platform: Platform | None = None
    """For which platform, such as `osx-arm64`; the service's without one."""


class SubmitSpecification(ReadSpecification):
    """`POST /api/v1/specification/`; the keys are the released client's."""

    environment_description: str | None = None
    """Instead of the specification's `description:`; at most 4000 characters."""
    activate: bool = True
    """Whether the build becomes active by itself."""
    latest_build_id: int | None = Field(default=None, ge=0, lt=10**18)
    """The newest build that the environment had when one began to edit, 0 if the environment has to be new.

    If its newest is of another specification now, nothing is submitted.
    """


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
    reason: PackageReason | None = None
    """Somebody asked for it, a policy adds it, or another package needs it."""
    needed_by: tuple[str, ...] = ()
    """The first 20 of these packages that need it, by name."""
    needed_by_count: int = 0
    """How many they are."""


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
