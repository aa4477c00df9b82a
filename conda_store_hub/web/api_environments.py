"""API: environments, and the specifications that make them."""

from __future__ import annotations

import asyncio

from conda_store_hub.core import schemas
from conda_store_hub.core.errors import InvalidRequestError, NotFoundError
from conda_store_hub.services import builds, environments
from conda_store_hub.web import arguments
from conda_store_hub.web.base import ApiHandler
from conda_store_hub.web.wire import show_environment

# conda-store's released client never asks for a second page of environments: with more than one it asks for the
# first again and again, for ever. It gets all that a service of usual size has at once.
_UNASKED_SIZE = 1000


class EnvironmentsHandler(ApiHandler):
    """`GET /api/v1/environment/`."""

    async def get(self) -> None:
        """List the environments that who asks may see; `sort_by` and `order` are tolerated."""
        arguments.refuse_filters(self, "packages", "artifact", "jwt")
        which = arguments.read_page(self, size=_UNASKED_SIZE if not self.get_query_argument("page", "") else 100)
        rows, count = await self.services.db.read(
            environments.list_environments,
            self.identity,
            page=which.page,
            size=which.size,
            namespace=arguments.find_text(self, "namespace"),
            name=arguments.find_text(self, "name"),
            search=arguments.find_text(self, "search"),
            status=arguments.find_status(self),
        )
        self.write_model(schemas.Page[schemas.Environment](data=rows, page=which.page, size=which.size, count=count))


class EnvironmentsByCursorHandler(ApiHandler):
    """`GET /api/v2/environment/`: conda-store's only v2 route."""

    async def get(self) -> None:
        """List from where the last page ended; the end is an empty page."""
        arguments.refuse_filters(self, "packages", "artifact", "jwt")
        after = arguments.find_cursor(self)
        limit = arguments.find_integer(self, "limit") or arguments.MAX_SIZE
        rows, count = await self.services.db.read(
            environments.list_after,
            self.identity,
            after=after,
            size=min(limit, arguments.MAX_SIZE),
            namespace=arguments.find_text(self, "namespace"),
            name=arguments.find_text(self, "name"),
            search=arguments.find_text(self, "search"),
            status=arguments.find_status(self),
        )
        last = rows[-1] if rows else None
        cursor = arguments.make_cursor(last.id, last.namespace.name, last.name) if last else None
        self.write_model(
            schemas.CursorPage[schemas.Environment](data=rows, cursor=cursor, count=None if after else count)
        )


class EnvironmentHandler(ApiHandler):
    """`/api/v1/environment/NAMESPACE/NAME/`."""

    async def get(self, namespace: str, name: str) -> None:
        """Return one environment with its active build."""
        where = arguments.read_names(namespace, name)
        found = await self.services.db.read(
            environments.get_environment, self.identity, *where, data=self.services.data
        )
        self.write_model(schemas.Answer[schemas.Environment](data=show_environment(found)))

    async def put(self, namespace: str, name: str) -> None:
        """Activate a build, or change the description."""
        where = arguments.read_names(namespace, name)
        change = self.read_body(schemas.ActivateBuild)
        if change.build_id is None and change.description is None:
            raise InvalidRequestError("There is nothing to change: give `build_id` or `description`.")
        if change.build_id is not None and not 0 < change.build_id < 1 << 63:
            raise NotFoundError(f"The environment “{name}” has no such build.")
        await self.services.db.write(environments.update, self.identity, *where, change)
        self.write_model(schemas.Answer[None](data=None, message="The environment was changed."))


class SpecificationHandler(ApiHandler):
    """`POST /api/v1/specification/`."""

    async def post(self) -> None:
        """Queue a build of a specification."""
        request = self.read_body(schemas.SubmitSpecification)
        rules = self.services.rules
        prepared = await asyncio.to_thread(builds.prepare, request, rules)
        build_id = await self.services.db.write(builds.submit, self.identity, request.namespace, prepared, rules)
        self.write_model(schemas.Answer[schemas.BuildId](data=schemas.BuildId(build_id=build_id)))
