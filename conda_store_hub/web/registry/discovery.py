"""What there is: tags, referrers and repositories (distribution specification, "Content Discovery")."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from urllib.parse import urlencode

from pydantic import BaseModel, ConfigDict, Field

from conda_store_hub.core.errors import InvalidDigestError, NotFoundError, UnknownRepositoryError
from conda_store_hub.core.oci import INDEX_TYPE, Index
from conda_store_hub.core.repositories import read_name
from conda_store_hub.services import images
from conda_store_hub.web.query import Number, Query, Text
from conda_store_hub.web.registry.base import RegistryHandler
from conda_store_hub.web.registry.content import read_digest

_MOST = 1000
"""Entries of one answer; the next ones are behind a link."""


class ListQuery(Query):
    """How much of a list, and behind which entry."""

    n: Number | None = Field(None, description=f"How many entries; at most {_MOST}.")
    last: Text = Field("", description="The entry behind which the list goes on.")

    @property
    def count(self) -> int:
        """How many entries are answered with."""
        return _MOST if self.n is None else min(self.n, _MOST)


class TagList(BaseModel):
    """The tags of a repository."""

    model_config = ConfigDict(frozen=True)

    name: str
    tags: tuple[str, ...]


class RepositoryList(BaseModel):
    """Repositories."""

    model_config = ConfigDict(frozen=True)

    repositories: tuple[str, ...]


class _ListHandler(RegistryHandler):
    def link_next(self, query: ListQuery, found: Sequence[str]) -> tuple[str, ...]:
        """Return what is answered of what was found, one more than asked for; say where the rest is (RFC 8288)."""
        shown = tuple(found[: query.count])
        if shown and len(found) > len(shown):
            rest = urlencode({"n": query.count, "last": shown[-1]})
            self.set_header("Link", f'<{self.request.path}?{rest}>; rel="next"')
        return shown


class TagsHandler(_ListHandler):
    """`GET /v2/NAME/tags/list`."""

    async def get(self, name: str) -> None:
        """List tags: `latest`, those that people gave, and number and key of each build whose image is there."""
        where, query = await self.find_repository(name), self.read_query(ListQuery)
        tags = await self.services.db.read(images.list_tags, self.identity, where, query.last, query.count + 1)
        self.write_json(TagList(name=name, tags=self.link_next(query, tags)))


class CatalogHandler(_ListHandler):
    """`GET /v2/_catalog`: not of the specification, and asked for by many."""

    async def get(self) -> None:
        """List the repositories that who asks may pull from."""
        query = self.read_query(ListQuery)
        found = await self.services.db.read(images.list_repositories, self.identity, query.last, query.count + 1)
        self.write_json(RepositoryList(repositories=self.link_next(query, [str(each) for each in found])))


class ReferrersHandler(RegistryHandler):
    """`GET /v2/NAME/referrers/DIGEST`."""

    def get(self, name: str, digest: str) -> None:
        """Say that nothing refers to an image: nothing can be pushed.

        Not even a repository that is not there is a 404, which would say that nobody answers this (specification,
        "Listing Referrers"). So it tells nobody which there are.
        """
        with contextlib.suppress(UnknownRepositoryError):
            read_name(name)
        if ":" not in digest:
            raise InvalidDigestError
        self._require_digest(digest)
        if self.get_query_argument("artifactType", ""):
            self.set_header("OCI-Filters-Applied", "artifactType")
        self.write_json(Index(manifests=()), INDEX_TYPE)

    def _require_digest(self, digest: str) -> None:
        try:
            read_digest(digest)
        except NotFoundError:
            return  # one of another algorithm has no referrers either
