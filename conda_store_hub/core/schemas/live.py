"""The REST wire: kernels, and the events of a live log."""

from __future__ import annotations

from typing import Any

from conda_store_hub.core.protocol import Download
from conda_store_hub.core.schemas.builds import PhaseTime
from conda_store_hub.core.schemas.wire import Wire
from conda_store_hub.core.states import BuildStatus, Phase


class KernelView(Wire):
    """A kernel of a build, ready for a kernel spec manager; `aliases` are names that start it too."""

    name: str
    namespace: str
    environment: str
    build_id: int
    raw: str
    prefix: str
    spec: dict[str, Any]
    aliases: tuple[str, ...] = ()
    python: str | None = None
    """The version of conda's Python in the build, such as `3.12.1`."""


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
    downloads: tuple[Download, ...] = ()
    """The largest of what is fetched at this moment."""


class LogPhases(Wire):
    """The `phases` event of a live log: the steps that have begun, in their order."""

    phases: tuple[PhaseTime, ...]
