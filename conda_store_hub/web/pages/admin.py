"""`/admin/`: for who administers the Hub, what the service does now, how it went lately, and what takes the disk."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import ClassVar

from conda_store_hub.core import errors
from conda_store_hub.core.errors import CondaStoreHubError, StorageError
from conda_store_hub.core.permissions import Permission
from conda_store_hub.core.protocol import BuildStatus
from conda_store_hub.db.overview import HeldByNamespace
from conda_store_hub.services import notes, overview, rights
from conda_store_hub.services.overview import Overview
from conda_store_hub.web.charts import Bars, stack_bars
from conda_store_hub.web.contexts import Context, Pager
from conda_store_hub.web.page import PageHandler
from conda_store_hub.web.query import PagedQuery, Size, Text

_NAMESPACES = 50
_NO_REASON = "no reason was written down"


@dataclass(frozen=True, kw_only=True, slots=True)
class AdminContext(Context):
    """What all pages of administrators know; `tab` is the one that is shown."""

    tab: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Disk:
    """The file system of the data directory, in bytes."""

    total: int
    free: int


@dataclass(frozen=True, kw_only=True, slots=True)
class FailureEntry:
    """A reason for which builds failed, in words, and how often."""

    code: str
    words: str
    count: int


@dataclass(frozen=True, kw_only=True, slots=True)
class OverviewContext(AdminContext):
    """All that is looked at each day; `busy` while something is going on that will be over."""

    template: ClassVar[str] = "admin.html"
    now: Overview
    at_once: int
    """How many builds are made at once."""
    hours: Bars
    failures: tuple[FailureEntry, ...]
    disk: Disk
    refusal: str | None
    busy: bool
    error: str = ""
    """Why the janitor could not be asked."""


@dataclass(frozen=True, kw_only=True, slots=True)
class NamespacesContext(AdminContext):
    """All namespaces, those with the most on disk first."""

    template: ClassVar[str] = "admin_namespaces.html"
    namespaces: tuple[HeldByNamespace, ...]
    search: str
    pager: Pager


class AdminHandler(PageHandler):
    """A page for who administers the Hub; others are told so."""

    help = "pages/#admin"

    async def prepare(self) -> None:
        """Let nobody else pass, whatever the page would show."""
        await super().prepare()
        if not self._finished:
            rights.require_service(self.identity, Permission.METRICS_READ)

    async def look_at_disk(self) -> Disk:
        """Return how full the file system of the data directory is; raise StorageError when that cannot be told."""
        try:
            disk = await asyncio.to_thread(shutil.disk_usage, self.services.data.root)
        except OSError as exc:
            raise StorageError(f"The data directory cannot be looked at: {exc.strerror}.") from exc
        return Disk(total=disk.total, free=disk.free)


class OverviewHandler(AdminHandler):
    """`/admin/`."""

    async def get(self) -> None:
        """Show what runs and waits, how builds went, and what takes the disk."""
        await self.show_overview()

    async def show_overview(self, error: CondaStoreHubError | None = None) -> None:
        """Show it, with what could not be done."""
        now = await self.look_up(overview.read, datetime.now(UTC))
        running = now.live[BuildStatus.QUEUED] + now.live[BuildStatus.BUILDING] > 0
        cleaning = now.janitor is not None and now.janitor.ended_on is None
        self.show(
            OverviewContext(
                layout=self.lay_out("Administration", "admin"),
                tab="overview",
                now=now,
                at_once=self.services.builds_at_once,
                hours=stack_bars([(hour.completed, hour.failed, hour.cancelled) for hour in now.hours]),
                failures=tuple(_name_failure(row.code, row.builds) for row in now.failures),
                disk=await self.look_at_disk(),
                refusal=self.services.rules.refusal,
                busy=running or cleaning,
                error=error.public_message if error else "",
            )
        )


class JanitorHandler(OverviewHandler):
    """`/admin/janitor/`."""

    deed = "Have the janitor go round"

    async def post(self) -> None:
        """Have the janitor go round now."""
        await self.take_form(self._clean(), self.show_overview)

    async def _clean(self) -> str:
        await self.services.db.write(notes.ask_to_clean, self.identity)
        return "admin/#janitor"


class NamespacesQuery(PagedQuery):
    """Which of the namespaces are shown."""

    size: Size = _NAMESPACES
    search: Text = ""


class AllNamespacesHandler(AdminHandler):
    """`/admin/namespaces/`."""

    async def get(self) -> None:
        """Show a page of all of them."""
        query = self.read_query(NamespacesQuery)
        found, count = await self.look_up(
            overview.list_namespaces, page=query.page, size=query.size, search=query.search.strip()
        )
        self.show(
            NamespacesContext(
                layout=self.lay_out("All namespaces", "admin"),
                tab="namespaces",
                namespaces=tuple(found),
                search=query.search,
                pager=Pager(page=query.page, size=query.size, count=count),
            )
        )


def _name_failure(code: str | None, count: int) -> FailureEntry:
    return FailureEntry(code=code or "", words=_find_words(code), count=count)


def _find_words(code: str | None) -> str:
    """Return what an error of this code says when it says nothing else."""
    for kind in _list_kinds(errors.BuildError):
        if kind.code == code:
            return kind().message
    return code or _NO_REASON


def _list_kinds(base: type[errors.CondaStoreHubError]) -> Sequence[type[errors.CondaStoreHubError]]:
    return [base, *(kind for child in base.__subclasses__() for kind in _list_kinds(child))]
