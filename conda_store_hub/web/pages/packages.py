"""`/build/ID/packages/`: what a build has and why, searched by name; its page shows the first of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from sqlalchemy.orm import Session

from conda_store_hub.core import schemas
from conda_store_hub.core.names import DataDirectory
from conda_store_hub.core.permissions import Identity
from conda_store_hub.services import builds
from conda_store_hub.web import arguments
from conda_store_hub.web.contexts import Context, Pager
from conda_store_hub.web.page import PageHandler
from conda_store_hub.web.query import PagedQuery, Text

_PACKAGES = 200


class PackageQuery(PagedQuery):
    """Which of a build's packages are shown; a page always has as many."""

    search: Text | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class PackagesView:
    """A page of a build's packages, those with a text in their name."""

    packages: tuple[schemas.Package, ...]
    pager: Pager
    search: str


@dataclass(frozen=True, kw_only=True, slots=True)
class PackagesContext(Context):
    """The packages of a build."""

    template: ClassVar[str] = "packages.html"
    build: schemas.Build
    found: PackagesView


def find_packages(session: Session, identity: Identity, build_id: int, query: PackageQuery) -> PackagesView:
    """Return a page of a build's packages."""
    search = (query.search or "").strip()
    rows, count = builds.list_packages(
        session, identity, build_id, page=query.page, size=_PACKAGES, search=search or None, why=True
    )
    return PackagesView(packages=tuple(rows), pager=Pager(page=query.page, size=_PACKAGES, count=count), search=search)


@dataclass(frozen=True, kw_only=True, slots=True)
class _View:
    build: schemas.Build
    found: PackagesView


def _read(session: Session, identity: Identity, build_id: int, query: PackageQuery, data: DataDirectory) -> _View:
    build = builds.get_build(session, identity, build_id, data=data)
    return _View(build=build, found=find_packages(session, identity, build_id, query))


class PackagesHandler(PageHandler):
    """`/build/ID/packages/`."""

    help = "pages/#build"

    shareable = True

    async def get(self, build_id: str) -> None:
        """Show the packages that are searched for."""
        number, query = arguments.read_id(build_id), self.read_query(PackageQuery)
        view = await self.look_up(_read, number, query, self.services.data)
        layout = self.lay_out(f"Packages of build {number} of {view.build.namespace}/{view.build.environment}")
        self.show(PackagesContext(layout=layout, build=view.build, found=view.found))
