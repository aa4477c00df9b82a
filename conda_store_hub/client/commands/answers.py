"""What commands answer with where the service has no such value."""

from __future__ import annotations

from datetime import datetime

from conda_store_hub.client.connection import Source
from conda_store_hub.client.wanted import Step
from conda_store_hub.core.schemas import SolvedSpecification, Wire
from conda_store_hub.core.states import ArtifactType


class ServiceInfo(Wire):
    """`conda-store info`."""

    service: str
    version: str
    authenticated: bool
    namespace: str | None
    address_from: Source
    credentials_from: Source
    expires_on: datetime | None
    roles: dict[str, list[str]]


class LoggedIn(Wire):
    """`conda-store login`; `kept_in` is a file, or `keyring`."""

    service: str
    namespace: str
    kept_in: str


class PlannedChange(Wire):
    """`conda-store apply --dry-run`: what would be done, and what that comes to where something would be built."""

    environment: str
    step: Step
    build_id: int | None
    """What the environment is, or is about to become."""
    description: str | None
    """The one that would be set; null where it stays."""
    diff: str
    solved: SolvedSpecification | None


class Downloaded(Wire):
    """A file that `conda-store download` has written; `size` in bytes. Both are null for a pipe or a device."""

    path: str
    build_id: int
    artifact: ArtifactType
    size: int | None
    sha256: str | None


class Removed(Wire):
    """What is gone; null where there was nothing."""

    removed: str | None


class ExportedKernel(Wire):
    """A kernel that `conda-store kernels export` has written."""

    name: str
    display_name: str
