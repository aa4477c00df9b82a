"""The REST wire: files on the service's machine that are watched."""

from __future__ import annotations

from datetime import datetime

from conda_store_hub.core.schemas.wire import Page, Wire


class WatchedFolder(Wire):
    """A watched directory; `problem` says why it cannot be read now, and then its environments stay as they are."""

    id: int
    path: str | None = None
    """Where it is: for administrators of the Hub."""
    problem: str | None = None


class WatchedFile(Wire):
    """A watched file; `path` is below its directory."""

    folder_id: int
    path: str
    environment: str | None = None
    """The environment that it describes; None if it never could be taken, or somebody deleted it by hand."""
    problem: str | None = None
    """Why its text was not taken; the environment is what the last good text said."""
    seen_on: datetime
    """When a change of it was last noticed."""


class WatchedFiles(Page[WatchedFile]):
    """`GET /api/v1/watched-file/`."""

    folders: list[WatchedFolder]
