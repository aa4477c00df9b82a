"""`/environment/NAMESPACE/NAME/share/`, and the forms of members there and on the page of a namespace."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from sqlalchemy.orm import Session

from conda_store_hub.core.permissions import Identity, Permission, Role, SubjectKind
from conda_store_hub.services import grants, rights
from conda_store_hub.services.grants import Place
from conda_store_hub.web import arguments
from conda_store_hub.web.contexts import Context
from conda_store_hub.web.page import PageHandler
from conda_store_hub.web.pages.members import (
    ROLES,
    SUBJECTS,
    MembersPage,
    MembersView,
    TypedRole,
    give,
    lay_out_members,
    read_members,
)
from conda_store_hub.web.pages.namespace import show_namespace
from conda_store_hub.web.query import PagedQuery


@dataclass(frozen=True, kw_only=True, slots=True)
class ShareContext(Context):
    """Who has a role on one environment alone."""

    template: ClassVar[str] = "share.html"
    place: Place
    view: MembersView
    roles: dict[Role, str] = field(default_factory=lambda: ROLES)
    subjects: dict[SubjectKind, str] = field(default_factory=lambda: SUBJECTS)


@dataclass(frozen=True, kw_only=True, slots=True)
class _View:
    members: MembersPage
    may_share: bool


def _read(session: Session, identity: Identity, place: Place, query: PagedQuery, scoped: bool) -> _View:
    members = read_members(session, identity, place, query, scoped=scoped)
    may = rights.list_permissions(session, identity, place.namespace, place.environment or "")
    return _View(members=members, may_share=Permission.MEMBERS_UPDATE in may)


class ShareHandler(PageHandler):
    """`/environment/NAMESPACE/NAME/share/`."""

    help = "pages/#sharing-one-environment"

    async def get(self, namespace: str, name: str) -> None:
        """Show who has a role on this environment alone."""
        await self._show(_environment(namespace, name), TypedRole())

    async def post(self, namespace: str, name: str) -> None:
        """Give somebody a role on it, or change theirs; or show again what was typed, with what is wrong."""
        place = _environment(namespace, name)
        wrong = await give(self, place)
        if wrong is not None:
            await self._show(place, wrong)
            return
        self.redirect(f"{self.prefix}environment/{place.namespace}/{place.environment}/share/", status=303)

    async def _show(self, place: Place, typed: TypedRole) -> None:
        query = self.read_query(PagedQuery)
        view = await self.look_up(_read, place, query, self.services.auth.use_scopes)
        address = f"{self.prefix}environment/{place.namespace}/{place.environment}/share/"
        self.show(
            ShareContext(
                layout=self.lay_out(f"Share {place.namespace}/{place.environment}"),
                place=place,
                view=lay_out_members(
                    self, view.members, address=address, back=address, typed=typed if view.may_share else None
                ),
            )
        )


class ShareRemovalHandler(PageHandler):
    """`/environment/NAMESPACE/NAME/share/ID/`."""

    help = "pages/#sharing-one-environment"

    async def post(self, namespace: str, name: str, member_id: str) -> None:
        """Take a role on this environment back."""
        place = _environment(namespace, name)
        await self.services.db.write(grants.remove, self.identity, place, arguments.read_member(member_id))
        self.redirect(f"{self.prefix}environment/{place.namespace}/{place.environment}/share/", status=303)


class MembersHandler(PageHandler):
    """`/namespace/NAME/member/`."""

    help = "pages/#a-namespace"

    async def post(self, namespace: str) -> None:
        """Give somebody a role in the namespace, or change theirs; or show again what was typed."""
        place = Place(namespace=arguments.read_namespace(namespace))
        wrong = await give(self, place)
        if wrong is not None:
            await show_namespace(self, place.namespace, typed=wrong)
            return
        self.redirect(f"{self.prefix}namespace/{place.namespace}/#members", status=303)


class MemberRemovalHandler(PageHandler):
    """`/namespace/NAME/member/ID/`."""

    help = "pages/#a-namespace"

    async def post(self, namespace: str, member_id: str) -> None:
        """Take a role in the namespace back."""
        place = Place(namespace=arguments.read_namespace(namespace))
        await self.services.db.write(grants.remove, self.identity, place, arguments.read_member(member_id))
        self.redirect(f"{self.prefix}namespace/{place.namespace}/#members", status=303)


def _environment(namespace: str, name: str) -> Place:
    names = arguments.read_names(namespace, name)
    return Place(namespace=names[0], environment=names[1])
