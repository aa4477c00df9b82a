"""API: who has which role on a namespace or an environment."""

from __future__ import annotations

from pydantic import Field

from conda_store_hub.core import schemas
from conda_store_hub.core.errors import ConflictError, ForbiddenError, NotFoundError, PolicyRefusedError
from conda_store_hub.core.names import shorten
from conda_store_hub.core.permissions import Permission
from conda_store_hub.services import grants
from conda_store_hub.services.grants import Place
from conda_store_hub.web import arguments
from conda_store_hub.web.base import ApiHandler
from conda_store_hub.web.operations import Operation
from conda_store_hub.web.query import Id, PagedQuery, Query, Text
from conda_store_hub.web.sharing import give_role


class MembersQuery(PagedQuery):
    """Which page of those who have a role."""

    after: Id | None = Field(None, description="Only those behind this one, the oldest first: a cursor.")


_LIST = Operation(answer=schemas.Page[schemas.Member], query=MembersQuery, needs=Permission.MEMBERS_READ)
_GRANT = Operation(
    answer=schemas.Answer[schemas.Member],
    body=schemas.GrantRole,
    needs=Permission.MEMBERS_UPDATE,
    errors=(NotFoundError, ForbiddenError, ConflictError, PolicyRefusedError),
)
_REMOVE = Operation(answer=schemas.Answer[None], needs=Permission.MEMBERS_UPDATE)


class _Members(ApiHandler):
    """What both kinds of places have in common."""

    async def list_members(self, place: Place) -> None:
        query = self.read_query(MembersQuery)
        rows, count = await self.services.db.read(
            grants.list_members,
            self.identity,
            place,
            page=query.page,
            size=query.size,
            after=query.after,
            scoped=self.services.auth.use_scopes,
        )
        self.write_model(schemas.Page[schemas.Member](data=rows, page=query.page, size=query.size, count=count))

    async def grant(self, place: Place, request: schemas.GrantRole) -> schemas.Member:
        return await give_role(self.services, self.identity, place, request)

    async def remove(self, place: Place, member_id: str) -> None:
        await self.services.db.write(grants.remove, self.identity, place, arguments.read_member(member_id))
        self.write_model(schemas.Answer[None](data=None, message="The role was taken back."))


class NamespaceMembersHandler(_Members):
    """`/api/v1/namespace/NAMESPACE/member/`."""

    @_LIST
    async def get(self, namespace: str) -> None:
        """List who has a role in a namespace; whose it is comes first."""
        await self.list_members(_namespace(namespace))

    @_GRANT
    async def put(self, namespace: str) -> None:
        """Give somebody a role in a namespace, or change the one they have; without `expires_on` its end stays."""
        made = await self.grant(_namespace(namespace), self.read_body(schemas.GrantRole))
        self.write_model(schemas.Answer[schemas.Member](data=made))


class NamespaceMemberHandler(_Members):
    """`/api/v1/namespace/NAMESPACE/member/ID/`."""

    @_REMOVE
    async def delete(self, namespace: str, member_id: str) -> None:
        """Take a role in a namespace back."""
        await self.remove(_namespace(namespace), member_id)


class EnvironmentMembersHandler(_Members):
    """`/api/v1/environment/NAMESPACE/NAME/member/`."""

    @_LIST
    async def get(self, namespace: str, name: str) -> None:
        """List who has a role on this environment alone; who has one in its namespace has it here too."""
        await self.list_members(_environment(namespace, name))

    @_GRANT
    async def put(self, namespace: str, name: str) -> None:
        """Give somebody a role on one environment, or change the one they have; without `expires_on` its end stays."""
        made = await self.grant(_environment(namespace, name), self.read_body(schemas.GrantRole))
        self.write_model(schemas.Answer[schemas.Member](data=made))


class EnvironmentMemberHandler(_Members):
    """`/api/v1/environment/NAMESPACE/NAME/member/ID/`."""

    @_REMOVE
    async def delete(self, namespace: str, name: str, member_id: str) -> None:
        """Take a role on one environment back."""
        await self.remove(_environment(namespace, name), member_id)


def _namespace(namespace: str) -> Place:
    return Place(namespace=arguments.read_namespace(namespace))


def _environment(namespace: str, name: str) -> Place:
    names = arguments.read_names(namespace, name)
    return Place(namespace=names[0], environment=names[1])


# conda-store's own way to say it: roles for those whose namespace another one is.


class RoleQuery(Query):
    """Whose role is meant."""

    other_namespace: Text | None = Field(None, description="The namespace of the user or group that is meant.")


class RolesHandler(_Members):
    """`/api/v1/namespace/NAMESPACE/roles`."""

    @Operation(answer=schemas.Answer[list[schemas.RoleMappingView]], needs=Permission.MEMBERS_READ)
    async def get(self, namespace: str) -> None:
        """List the roles that users and groups with a namespace of their own were given here, as conda-store does."""
        rows = await self.services.db.read(grants.list_mappings, self.identity, _namespace(namespace))
        self.write_model(schemas.Answer[list[schemas.RoleMappingView]](data=rows))


class RoleHandler(_Members):
    """`/api/v1/namespace/NAMESPACE/role`."""

    @Operation(answer=schemas.Answer[schemas.RoleMappingView], query=RoleQuery, needs=Permission.MEMBERS_READ)
    async def get(self, namespace: str) -> None:
        """Return the role that those have whose namespace another one is, as conda-store does."""
        other = self.read_query(RoleQuery).other_namespace or ""
        rows = await self.services.db.read(grants.list_mappings, self.identity, _namespace(namespace), other)
        if not rows:
            raise NotFoundError(f"“{shorten(other)}” was given no role here.")
        self.write_model(schemas.Answer[schemas.RoleMappingView](data=rows[0]))

    @Operation(
        answer=schemas.Answer[schemas.Member],
        body=schemas.RoleMapping,
        needs=Permission.MEMBERS_UPDATE,
        errors=(ConflictError,),
    )
    async def post(self, namespace: str) -> None:
        """Give a role to those whose namespace another one is, as conda-store does."""
        place, asked = _namespace(namespace), self.read_body(schemas.RoleMapping)
        request = await self.services.db.read(
            grants.read_mapping, self.identity, place, asked.other_namespace, asked.role
        )
        self.write_model(schemas.Answer[schemas.Member](data=await self.grant(place, request)))

    put = post

    @Operation(answer=schemas.Answer[None], body=schemas.RoleMappingOf, needs=Permission.MEMBERS_UPDATE)
    async def delete(self, namespace: str) -> None:
        """Take back what those were given whose namespace another one is, as conda-store does."""
        place, asked = _namespace(namespace), self.read_body(schemas.RoleMappingOf)
        rows = await self.services.db.read(grants.list_mappings, self.identity, place, asked.other_namespace)
        if not rows:
            raise NotFoundError(f"“{shorten(asked.other_namespace)}” was given no role here.")
        await self.remove(place, str(rows[0].id))
