"""`/admin/health/`: the version of every part, and whether it is well."""

from __future__ import annotations

import asyncio
import platform
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib.metadata import PackageNotFoundError, version
from typing import ClassVar

from sqlalchemy.orm import Session

from conda_store_hub import __version__
from conda_store_hub.core.errors import CondaStoreHubError
from conda_store_hub.core.permissions import Identity
from conda_store_hub.core.schemas.notes import JanitorRun
from conda_store_hub.db import session as database
from conda_store_hub.services import notes, overview, watched
from conda_store_hub.web.pages.admin import AdminContext, AdminHandler
from conda_store_hub.web.rendering import show_size

_LIBRARIES = ("jupyterhub", "tornado", "SQLAlchemy", "py-rattler", "conda-lock", "conda-pack", "uv")
_FULL = 0.9
_SILENT = timedelta(hours=3)
_MOST_FOLDERS = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """A part of the service: what it is, and what is wrong with it, if anything."""

    name: str
    words: str
    well: bool = True


@dataclass(frozen=True, kw_only=True, slots=True)
class PartsContext(AdminContext):
    """The parts, and the versions of the libraries that do the work."""

    template: ClassVar[str] = "admin_health.html"
    parts: tuple[Part, ...]
    libraries: tuple[tuple[str, str], ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Kept:
    database: str
    janitor: JanitorRun | None
    problems: list[str]
    running: int
    silent: list[int]


def _read(session: Session, identity: Identity, now: datetime) -> _Kept:
    running, silent = overview.find_silent(session, identity, now)
    _, _, folders = watched.list_files(session, identity, page=1, size=_MOST_FOLDERS)
    return _Kept(
        database=database.describe(session),
        janitor=notes.find_run(session),
        problems=[f"{folder.path}: {folder.problem}" for folder in folders if folder.problem],
        running=running,
        silent=silent,
    )


class PartsHandler(AdminHandler):
    """`/admin/health/`."""

    async def get(self) -> None:
        """Look at every part now."""
        now = datetime.now(UTC)
        kept = await self.look_up(_read, now)
        refusal = self.services.rules.refusal
        parts = (
            Part(name="Service", words=f"conda-store-hub {__version__}, Python {platform.python_version()}"),
            Part(name="Database", words=kept.database),
            await self._ask_hub(),
            Part(name="Builds", words=refusal or f"are made for {self.services.rules.platform}", well=refusal is None),
            _judge_workers(kept.running, kept.silent),
            await self._look_at_disk(),
            _judge_janitor(kept.janitor, now),
            _judge_folders(kept.problems),
        )
        self.show(
            PartsContext(
                layout=self.lay_out("Health", "admin"),
                tab="health",
                parts=parts,
                libraries=tuple((name, _find_version(name)) for name in _LIBRARIES),
            )
        )

    async def _ask_hub(self) -> Part:
        try:
            return Part(name="Hub", words=f"JupyterHub {await self.services.auth.hub.find_version()}, it answers")
        except CondaStoreHubError as exc:
            return Part(name="Hub", words=exc.public_message, well=False)

    async def _look_at_disk(self) -> Part:
        try:
            disk = await asyncio.to_thread(shutil.disk_usage, self.services.data.root)
        except OSError as exc:
            return Part(name="Disk", words=f"The data directory cannot be looked at: {exc.strerror}.", well=False)
        words = f"{show_size(disk.free)} of {show_size(disk.total)} are free in {self.services.data.root}"
        return Part(name="Disk", words=words, well=disk.free > (1 - _FULL) * disk.total)


def _judge_janitor(run: JanitorRun | None, now: datetime) -> Part:
    if run is None:
        return Part(name="Janitor", words="it has not gone round yet")
    if run.failed:
        failed = ", ".join(job.job for job in run.jobs if job.failed)
        return Part(name="Janitor", words=f"in its last round failed: {failed}; the log says why", well=False)
    well = now - run.began_on < _SILENT
    words = "its last round went well" if run.ended_on else "it goes round"
    return Part(name="Janitor", words=words if well else f"{words}, but that was hours ago", well=well)


def _judge_workers(running: int, silent: list[int]) -> Part:
    if not silent:
        return Part(name="Workers", words=f"{running} build{'' if running == 1 else 's'} at this moment")
    numbers = ", ".join(str(number) for number in silent)
    return Part(name="Workers", words=f"nothing was heard for minutes of what builds {numbers}", well=False)


def _judge_folders(problems: list[str]) -> Part:
    words = "; ".join(problems) or "all that are watched can be read"
    return Part(name="Watched folders", words=words, well=not problems)


def _find_version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "is not installed"
