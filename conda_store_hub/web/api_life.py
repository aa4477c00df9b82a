"""API: the life of environments and builds: renamed, cloned, rebuilt, pinned, in use, deleted, brought back."""

from __future__ import annotations

from conda_store_hub.core import schemas
from conda_store_hub.core.errors import (
    ConflictError,
    GoneError,
    InvalidNameError,
    InvalidRequestError,
    PolicyRefusedError,
    QuotaExceededError,
)
from conda_store_hub.core.permissions import Permission
from conda_store_hub.services import comparisons, environments, leases, rebuilds, removals, tags
from conda_store_hub.web import arguments
from conda_store_hub.web.base import ApiHandler
from conda_store_hub.web.operations import Operation


class EnvironmentRestoreHandler(ApiHandler):
    """`PUT /api/v1/environment/NAMESPACE/NAME/restore/`."""

    @Operation(
        answer=schemas.Answer[schemas.Environment],
        body=schemas.NewName,
        needs=Permission.ENVIRONMENT_DELETE,
        errors=(InvalidNameError, ConflictError, PolicyRefusedError, QuotaExceededError),
    )
    async def put(self, namespace: str, name: str) -> None:
        """Bring back the environment of this name that was deleted last.

        If its prefix is gone meanwhile, it is built exactly from its lock.
        """
        where, request = arguments.read_names(namespace, name), self.read_optional_body(schemas.NewName)
        found = await self.services.db.write(
            removals.restore_environment, self.identity, *where, request.name, self.services.rules
        )
        self.write_model(schemas.Answer[schemas.Environment](data=found))


class RenameHandler(ApiHandler):
    """`PUT /api/v1/environment/NAMESPACE/NAME/rename/`."""

    @Operation(
        answer=schemas.Answer[None],
        body=schemas.NewName,
        needs=Permission.ENVIRONMENT_UPDATE,
        errors=(InvalidNameError, ConflictError),
    )
    async def put(self, namespace: str, name: str) -> None:
        """Give an environment another name; its builds stay, and nothing is built.

        The name is one in the namespace, where you need `environment:create`.
        """
        where, request = arguments.read_names(namespace, name), self.read_body(schemas.NewName)
        if request.name is None:
            raise InvalidRequestError("`name` is missing in the body.")
        await self.services.db.write(environments.rename, self.identity, *where, request.name)
        self.write_model(schemas.Answer[None](data=None, message="The environment was renamed."))


class CloneHandler(ApiHandler):
    """`POST /api/v1/environment/NAMESPACE/NAME/clone/`."""

    @Operation(
        answer=schemas.Answer[schemas.BuildId],
        body=schemas.CloneEnvironment,
        errors=(InvalidNameError, ConflictError, PolicyRefusedError, QuotaExceededError),
    )
    async def post(self, namespace: str, name: str) -> None:
        """Make an environment elsewhere from the lock of the active build, without a solve.

        Needs environment::read here and environment:create where it goes.
        """
        where, request = arguments.read_names(namespace, name), self.read_body(schemas.CloneEnvironment)
        target = request.namespace, request.name
        build_id = await self.services.db.write(rebuilds.clone, self.identity, where, target, self.services.rules)
        self.write_model(schemas.Answer[schemas.BuildId](data=schemas.BuildId(build_id=build_id)))


class PinHandler(ApiHandler):
    """`PUT /api/v1/build/ID/pin/`."""

    @Operation(
        answer=schemas.Answer[None], body=schemas.PinBuild, needs=Permission.ENVIRONMENT_UPDATE, errors=(ConflictError,)
    )
    async def put(self, build_id: str) -> None:
        """Protect a build from being deleted, retention included, or let it go."""
        request = self.read_optional_body(schemas.PinBuild)
        number = arguments.read_id(build_id)
        await self.services.db.write(removals.pin, self.identity, number, pinned=request.pinned)
        words = "The build is pinned." if request.pinned else "The build is no longer pinned."
        self.write_model(schemas.Answer[None](data=None, message=words))


class TagHandler(ApiHandler):
    """`/api/v1/build/ID/tag/TAG/`."""

    @Operation(
        answer=schemas.Answer[None],
        body=schemas.TagBuild,
        needs=Permission.ENVIRONMENT_UPDATE,
        errors=(ConflictError, InvalidNameError),
    )
    async def put(self, build_id: str, tag: str) -> None:
        """Give a tag to a build, by which its image is pulled; while it has one, the build is not deleted.

        An environment has each tag once: it is taken from another build only if you say so.
        """
        number, request = arguments.read_id(build_id), self.read_optional_body(schemas.TagBuild)
        await self.services.db.write(tags.give, self.identity, number, tag, move=request.move)
        self.write_model(schemas.Answer[None](data=None, message="The build has the tag."))

    @Operation(answer=schemas.Answer[None], needs=Permission.ENVIRONMENT_UPDATE)
    async def delete(self, build_id: str, tag: str) -> None:
        """Take a tag from a build."""
        await self.services.db.write(tags.remove, self.identity, arguments.read_id(build_id), tag)
        self.write_model(schemas.Answer[None](data=None, message="The build no longer has the tag."))


class TagsHandler(ApiHandler):
    """`GET /api/v1/environment/NAMESPACE/NAME/tag/`."""

    @Operation(answer=schemas.Answer[list[schemas.Tag]], needs=Permission.ENVIRONMENT_READ)
    async def get(self, namespace: str, name: str) -> None:
        """List the tags that people gave to builds of an environment."""
        where = arguments.read_names(namespace, name)
        found = await self.services.db.read(tags.list_tags, self.identity, *where)
        self.write_model(schemas.Answer[list[schemas.Tag]](data=found))


class DiffHandler(ApiHandler):
    """`GET /api/v1/build/ID/diff/OTHER/`."""

    @Operation(answer=schemas.Answer[schemas.PackageDiff], needs=Permission.ENVIRONMENT_READ)
    async def get(self, build_id: str, other_id: str) -> None:
        """Tell which packages were added, removed and changed from the other build to this one."""
        numbers = arguments.read_id(build_id), arguments.read_id(other_id)
        found = await self.services.db.read(comparisons.compare, self.identity, *numbers)
        self.write_model(schemas.Answer[schemas.PackageDiff](data=found))


class LeaseHandler(ApiHandler):
    """`/api/v1/build/ID/lease/`."""

    @Operation(
        answer=schemas.Answer[schemas.Lease],
        body=schemas.TakeLease,
        needs=Permission.ENVIRONMENT_READ,
        logged_in=True,
        errors=(ConflictError, GoneError),
    )
    async def put(self, build_id: str) -> None:
        """Say that something uses a build, for at most an hour; until then it is not removed.

        One person has at most 200 leases on a build.
        """
        request = self.read_body(schemas.TakeLease)
        made = await self.services.db.write(leases.take, self.identity, arguments.read_id(build_id), request)
        self.write_model(schemas.Answer[schemas.Lease](data=made))

    @Operation(answer=schemas.Answer[None], body=schemas.EndLease, needs=Permission.ENVIRONMENT_READ, logged_in=True)
    async def delete(self, build_id: str) -> None:
        """Say that it is no longer used."""
        request = self.read_body(schemas.EndLease)
        await self.services.db.write(leases.end, self.identity, arguments.read_id(build_id), request.holder)
        self.write_model(schemas.Answer[None](data=None, message="The lease has ended."))
