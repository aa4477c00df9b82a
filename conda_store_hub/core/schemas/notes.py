"""What the service notes of itself, as it is kept: the banner on all pages, and how the janitor's round went."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from conda_store_hub.core.schemas.wire import Wire

MAX_BANNER = 500
"""Characters of a banner."""


class BannerLevel(StrEnum):
    """How a banner looks."""

    INFO = "info"
    WARNING = "warning"


class Banner(Wire):
    """What all pages say on top, as plain text; without a message there is none."""

    message: str
    level: BannerLevel = BannerLevel.INFO


class JobDone(Wire):
    """A job of the janitor: what it frees, and how much of it, or why it could not be done."""

    job: str
    said: str
    failed: bool = False


class JanitorRun(Wire):
    """A round of the janitor; one that has not ended has been asked for, or goes on."""

    began_on: datetime
    ended_on: datetime | None = None
    asked_by: str | None = None
    jobs: tuple[JobDone, ...] = ()

    @property
    def failed(self) -> bool:
        """Whether a part of it could not be done."""
        return any(job.failed for job in self.jobs)
