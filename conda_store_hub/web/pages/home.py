"""`/`: the environments that one may see."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import ClassVar

from conda_store_hub.core import schemas
from conda_store_hub.core.protocol import LIVE
from conda_store_hub.services import environments
from conda_store_hub.web.contexts import Context, Pager
from conda_store_hub.web.page import PageHandler
from conda_store_hub.web.query import PagedQuery, Text


@dataclass(frozen=True, kw_only=True, slots=True)
class NamespaceGroup:
    """The environments of one namespace on the home page."""

    namespace: schemas.Namespace
    environments: tuple[schemas.Environment, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class HomeContext(Context):
    """The environments one may see; `busy` while one of them has a build to wait for."""

    template: ClassVar[str] = "home.html"
    groups: tuple[NamespaceGroup, ...]
    pager: Pager
    search: str
    busy: bool


class HomeQuery(PagedQuery):
    """Which environments are shown."""

    search: Text | None = None


class HomeHandler(PageHandler):
    """`/`: the environments, by namespace."""

    help = "pages/#home"
    shareable = True

    async def get(self) -> None:
        """Show a page of them."""
        query = self.read_query(HomeQuery)
        rows, count = await self.look_up(
            environments.list_environments, page=query.page, size=query.size, search=query.search
        )
        groups = groupby(rows, key=lambda row: row.namespace)
        self.show(
            HomeContext(
                layout=self.lay_out("Environments", "home"),
                groups=tuple(
                    NamespaceGroup(namespace=namespace, environments=tuple(group)) for namespace, group in groups
                ),
                pager=Pager(page=query.page, size=query.size, count=count),
                search=query.search or "",
                busy=any(row.latest_status in LIVE for row in rows),
            )
        )
