"""API: the packages of channels, by name, with their versions and builds."""

from __future__ import annotations

import re
from typing import Annotated, ClassVar, TypeVar

from pydantic import Field

from conda_store_hub.core import schemas
from conda_store_hub.core.errors import InvalidRequestError, NotFoundError, PolicyRefusedError, UnavailableError
from conda_store_hub.core.names import shorten
from conda_store_hub.core.permissions import Permission
from conda_store_hub.core.search import (
    Ask,
    FindDeparted,
    FindNames,
    FoundBuilds,
    FoundDeparted,
    FoundNames,
    ListVersions,
    Paging,
    Place,
    Platform,
)
from conda_store_hub.services import search
from conda_store_hub.web import arguments
from conda_store_hub.web.following import FollowingHandler
from conda_store_hub.web.operations import Operation
from conda_store_hub.web.query import PagedQuery, Text

F = TypeVar("F", FoundNames, FoundBuilds, FoundDeparted)

_MOST_VERSIONS = 10_000
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,200}")


class SearchQuery(PagedQuery):
    """Where packages are searched."""

    channel: Annotated[tuple[Text, ...], Field(max_length=search.MOST_CHANNELS)] = Field(
        (), description="A channel; given as often as there are some. Without one, all that are known to be allowed."
    )
    platform: Annotated[tuple[Platform, ...], Field(max_length=8)] = Field(
        (), description="A platform such as `osx-arm64`; the service's without one. `noarch` is always there."
    )
    namespace: Text | None = Field(None, description="The namespace whose rules hold; without it, the service's.")
    name: Text | None = Field(None, description="The environment in `namespace` whose rules hold.")

    @property
    def paging(self) -> Paging:
        """Which page is meant."""
        return Paging(page=self.page, size=self.size)


class NamesQuery(SearchQuery):
    """Which packages are meant."""

    search: Text = Field("", description="Only those with this text in their name; upper case is lower case.")
    exact: bool = Field(default=False, description="Only the one with that name.")
    distinct_on: tuple[Text, ...] = Field(
        (), description="With `exact`, `version` lists each version; else each package is listed once for a channel."
    )
    sort_by: tuple[Text, ...] = Field((), description="`name` is by name; else names that are most alike come first.")

    unsupported: ClassVar[tuple[str, ...]] = ("build",)


class BuildsQuery(SearchQuery):
    """Which builds of a package are meant."""

    version: Text | None = Field(None, description="Only those of this version.")
    build: Text | None = Field(None, description="Only those with this text in the build string.")


class _SearchHandler(FollowingHandler):
    """Asks channels."""

    async def ask(self, ask: Ask, kind: type[F]) -> F:
        """Ask on behalf of who is here."""
        who = f"{self.identity.kind} {self.identity.user_id or self.identity.name}"
        found = await self.follow(self.services.searcher.ask(ask, who=who))
        if not isinstance(found, kind):
            raise UnavailableError
        return found

    async def find_place(self, query: SearchQuery) -> tuple[Place, tuple[str, ...]]:
        """Return where is searched, and the channels that are too many."""
        if query.name is not None and query.namespace is None:
            raise InvalidRequestError("`name` is an environment of a namespace: say which one with `namespace`.")
        services = self.services
        rules = await services.db.read(search.find_rules, self.identity, query.namespace, query.name, services.rules)
        channels = search.list_channels(query.channel, rules)
        place = Place(channels=channels[: search.MOST_CHANNELS], platforms=query.platform or (rules.platform,))
        return place, channels[search.MOST_CHANNELS :]


class PackageSearchHandler(_SearchHandler):
    """`GET /api/v1/package/`."""

    @Operation(answer=schemas.FoundPackages, query=NamesQuery, errors=(NotFoundError, PolicyRefusedError))
    async def get(self) -> None:
        """Search packages by name in the channels that may be used.

        A text is taken as it stands: nothing in it is a pattern. With `namespace`, needs namespace:read there, with
        `name` environment:read. A channel that cannot be read is named under `problems`.
        """
        query = self.read_query(NamesQuery)
        place, passed = await self.find_place(query)
        if query.exact and query.search and "version" in query.distinct_on:
            everything = Paging(size=_MOST_VERSIONS)
            found = await self.ask(ListVersions(place=place, name=query.search, paging=everything), FoundBuilds)
            self.write_model(search.show_versions(found, query.paging, passed))
            return
        ask = FindNames(
            place=place,
            text=query.search,
            exact=query.exact,
            by_name="name" in query.sort_by,
            paging=query.paging,
        )
        self.write_model(search.show_names(await self.ask(ask, FoundNames), query.paging, passed))


class PackageBuildsHandler(_SearchHandler):
    """`GET /api/v1/package/NAME/`."""

    @Operation(answer=schemas.ChannelPackages, query=BuildsQuery, errors=(PolicyRefusedError,))
    async def get(self, package: str) -> None:
        """List the builds of a package in the channels that may be used, the newest version first."""
        query = self.read_query(BuildsQuery)
        place, passed = await self.find_place(query)
        if not _NAME.fullmatch(package):
            raise NotFoundError(f"“{shorten(package)}” is not the name of a package.")
        ask = ListVersions(place=place, name=package, version=query.version, build=query.build, paging=query.paging)
        found = await self.ask(ask, FoundBuilds)
        self.write_model(search.show_builds(found, package, query.paging, passed))


class DepartedHandler(_SearchHandler):
    """`GET /api/v1/build/ID/departed/`."""

    @Operation(answer=schemas.Answer[schemas.DepartedPackages], needs=Permission.ENVIRONMENT_READ, logged_in=True)
    async def get(self, build_id: str) -> None:
        """List the conda packages of a build that are no longer in their channels as they were."""
        rows = await self.services.db.read(search.list_pinned, self.identity, arguments.read_id(build_id))
        packages = tuple(search.pin(row) for row in rows)
        found = await self.ask(FindDeparted(packages=packages), FoundDeparted) if packages else FoundDeparted(found=())
        self.write_model(schemas.Answer[schemas.DepartedPackages](data=search.show_departed(found, rows)))
