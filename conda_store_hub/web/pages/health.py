"""`/admin/health/`: the version of every part, and whether it is well."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib.metadata import PackageNotFoundError, version
from typing import ClassVar

from sqlalchemy.orm import Session

from conda_store_hub import __version__
from conda_store_hub.core.errors import CondaStoreHubError
from conda_store_hub.core.permissions import Identity
from conda_store_hub.core.protocol import BuildStatus
from conda_store_hub.core.schemas.notes import JanitorRun
from conda_store_hub.db import session as database
from conda_store_hub.services import notes, overview, watched
from conda_store_hub.services.processes import ProcessState
from conda_store_hub.services.watched import RefusedFile
from conda_store_hub.storage.probe import probe
from conda_store_hub.web.pages.admin import AdminContext, AdminHandler
from conda_store_hub.web.registry.probe import probe as probe_port
from conda_store_hub.web.rendering import show_count, show_size, show_time

_LIBRARIES = ("jupyterhub", "tornado", "SQLAlchemy", "py-rattler", "conda-lock", "conda-pack", "uv")
_FULL = 0.9
_SILENT = timedelta(hours=3)
_SHORT = timedelta(days=7)
"""How long before its end a certificate should have been renewed."""
_MOST_FOLDERS = 1
_MOST_REFUSED = 50


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
    refused: tuple[RefusedFile, ...]
    refused_count: int
    libraries: tuple[tuple[str, str], ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Kept:
    database: str
    janitor: JanitorRun | None
    problems: list[str]
    live: dict[BuildStatus, int]
    silent: list[int]
    refused: list[RefusedFile]
    refused_count: int


def _read(session: Session, identity: Identity, now: datetime) -> _Kept:
    live, silent = overview.find_silent(session, identity, now)
    refused, refused_count = watched.list_refused(session, identity, _MOST_REFUSED)
    _, _, folders = watched.list_files(session, identity, page=1, size=_MOST_FOLDERS)
    return _Kept(
        database=database.describe(session),
        janitor=notes.find_run(session),
        problems=[f"{folder.path}: {folder.problem}" for folder in folders if folder.problem],
        live=live,
        silent=silent,
        refused=refused,
        refused_count=refused_count,
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
            _judge_workers(kept.live, self.services.builds_at_once, kept.silent),
            _judge_process("Search", self.services.searcher.describe()),
            _judge_process("Preview", self.services.solver.describe()),
            await self._try_registry(now),
            await self._try_store(),
            await self._judge_disk(),
            _judge_janitor(kept.janitor, now),
            _judge_folders(kept.problems),
            _judge_files(kept.refused_count),
        )
        self.show(
            PartsContext(
                layout=self.lay_out("Health", "admin"),
                tab="health",
                parts=parts,
                refused=tuple(kept.refused),
                refused_count=kept.refused_count,
                libraries=tuple((name, _find_version(name)) for name in _LIBRARIES),
            )
        )

    async def _ask_hub(self) -> Part:
        try:
            return Part(name="Hub", words=f"JupyterHub {await self.services.auth.hub.find_version()}, it answers")
        except CondaStoreHubError as exc:
            return Part(name="Hub", words=exc.public_message, well=False)

    async def _try_registry(self, now: datetime) -> Part:
        registry = self.services.registry
        if not registry.is_offered:
            return Part(name="Images", words="are not offered")
        if registry.port is None:
            return Part(name="Images", words="are offered at the Hub's own address, with its TLS")
        try:
            ends = await probe_port(registry)
        except CondaStoreHubError as exc:
            return Part(name="Images", words=exc.public_message, well=False)
        words = f"port {registry.port} answers"
        if ends is None:
            return Part(name="Images", words=f"{words}, without TLS")
        words = f"{words}; its certificate ends {show_time(ends)}"
        return Part(name="Images", words=words, well=ends - now > _SHORT)

    async def _try_store(self) -> Part:
        try:
            await probe(self.services.store, self.services.data.work)
        except CondaStoreHubError as exc:
            return Part(name="Artifact store", words=exc.public_message, well=False)
        return Part(name="Artifact store", words="it takes bytes, gives them back as they were, and removes them")

    async def _judge_disk(self) -> Part:
        try:
            disk = await self.look_at_disk()
        except CondaStoreHubError as exc:
            return Part(name="Disk", words=exc.public_message, well=False)
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


def _judge_workers(live: dict[BuildStatus, int], at_once: int, silent: list[int]) -> Part:
    if not silent:
        running, waiting = live[BuildStatus.BUILDING], live[BuildStatus.QUEUED]
        words = f"{show_count(running, 'build')} at this moment, of {at_once} at once; {waiting} waiting"
        return Part(name="Workers", words=words)
    numbers = ", ".join(str(number) for number in silent)
    return Part(name="Workers", words=f"nothing was heard for minutes of what builds {numbers}", well=False)


def _judge_process(name: str, state: ProcessState) -> Part:
    if state.fault:
        return Part(name=name, words=f"the last time: {state.fault}", well=False)
    running = show_count(state.running, "process", "processes")
    return Part(name=name, words=f"{running} at this moment; {state.waiting} waiting for an answer")


def _judge_folders(problems: list[str]) -> Part:
    words = "; ".join(problems) or "all that are watched can be read"
    return Part(name="Watched folders", words=words, well=not problems)


def _judge_files(refused: int) -> Part:
    words = f"{show_count(refused, 'file')} not taken, see below" if refused else "none was refused"
    return Part(name="Watched files", words=words, well=not refused)


def _find_version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "is not installed"
