"""The REST wire: what one asks to be done with environments and their builds, and what is answered to that."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from conda_store_hub.core.schemas.wire import Wire
from conda_store_hub.core.states import ArtifactType


class Rebuild(Wire):
    """`PUT /api/v1/build/{id}/`."""

    exact: bool = False
    """From the lock of that build; else with a new solve of its specification."""
    activate: bool = True
    """Whether the build becomes active by itself."""


class MakeArtifact(Wire):
    """`POST /api/v1/build/{id}/artifact/`."""

    artifact_type: ArtifactType
    """One of those that are made of an environment's files; not its log, and not the lock that it was built from."""


class PinBuild(Wire):
    """`PUT /api/v1/build/{id}/pin/`."""

    pinned: bool = True


class TagBuild(Wire):
    """`PUT /api/v1/build/{id}/tag/{tag}/`."""

    move: bool = False
    """Whether it is taken from another build of the environment that has it."""


class Tag(Wire):
    """A tag that somebody gave to a build."""

    name: str
    build_id: int
    given_on: datetime


class TakeLease(Wire):
    """`PUT /api/v1/build/{id}/lease/`."""

    holder: str = Field(min_length=1, max_length=80)
    """What uses the build, by a name of one's own choice."""
    seconds: int = Field(default=3600, ge=1, le=10**6)
    """For how long; more than an hour is taken for an hour. Asked for again before that is over."""


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


class BuildId(Wire):
    """The answer to a submission."""

    build_id: int


class ActivateBuild(Wire):
    """`PUT /api/v1/environment/{ns}/{name}/`."""

    build_id: int | None = None
    """The build to make the active one: a completed one of this environment."""
    description: str | None = None
    """A new description, at most 4000 characters."""
