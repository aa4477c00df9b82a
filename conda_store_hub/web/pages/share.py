"""`/environment/NAMESPACE/NAME/share/`, and the forms of members there and on the page of a namespace."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from sqlalchemy.orm import Session

from conda_store_hub.core.errors import CondaStoreHubError
from conda_store_hub.core.permissions import Identity, Permission, Role, SubjectKind
from conda_store_hub.services import rights
from conda_store_hub.services.grants import Place
from conda_store_hub.web import arguments
from conda_store_hub.web.contexts import Context
from conda_store_hub.web.formaddress import FormAddress
from conda_store_hub.web.page import PageHandler
from conda_store_hub.web.pages.members import (
    ROLES,
    SUBJECTS,
    MembersPage,
    MembersView,
    TypedRole,
    change_or_remove,
    give,
    lay_out_members,
    read_members,
    read_refused,
    say_change,
)
from conda_store_hub.web.pages.namespace import show_namespace
from conda_store_hub.web.query import PagedQuery

_SHARE = "environment/{}/{}/share/"
_MEMBERS = "namespace/{}/#members"


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

    deed = "Share {}/{}"
    help = "pages/#sharing-one-environment"

    async def get(self, namespace: str, name: str) -> None:
        """Show who has a role on this environment alone."""
        await _show_share(self, _environment(namespace, name))

    async def post(self, namespace: str, name: str) -> None:
        """Give somebody a role on it, or change theirs; or show again what was typed, with what is wrong."""
        place = _environment(namespace, name)
        await self.take_form(self._give(place), lambda exc: _show_share(self, place, read_refused(self, exc)))

    async def _give(self, place: Place) -> str:
        await give(self, place)
        return _find_share(place)


async def _show_share(
    handler: PageHandler, place: Place, typed: TypedRole | None = None, *, refusal: CondaStoreHubError | None = None
) -> None:
    """Show who has a role, with what was typed; `refusal` is why a role could not be changed or taken back."""
    query = handler.read_query(PagedQuery)
    view = await handler.look_up(_read, place, query, handler.services.auth.use_scopes)
    address = f"{handler.prefix}{_find_share(place)}"
    typed = typed or TypedRole() if view.may_share else None
    handler.show(
        ShareContext(
            layout=handler.lay_out(f"Share {place.namespace}/{place.environment}"),
            place=place,
            view=lay_out_members(handler, view.members, address=address, back=address, typed=typed, refusal=refusal),
        )
    )


class ShareMemberHandler(FormAddress):
    """`/environment/NAMESPACE/NAME/share/ID/`."""

    stands_on = _SHARE
    deed = "a role on {}/{}"
    help = "pages/#sharing-one-environment"

    def say_deed(self) -> str:
        """Tell a change from what takes it back."""
        return f"{say_change(self)} {super().say_deed()}"

    async def post(self, namespace: str, name: str, member_id: str) -> None:
        """Change a role on this environment, or take it back."""
        place = _environment(namespace, name)
        await self.take_form(self._take(place, member_id), lambda exc: _show_share(self, place, refusal=exc))

    async def _take(self, place: Place, member_id: str) -> str:
        await change_or_remove(self, place, arguments.read_member(member_id))
        return self.find_page()


class MembersHandler(FormAddress):
    """`/namespace/NAME/member/`."""

    stands_on = _MEMBERS
    deed = "Give a role in {}"
    help = "pages/#a-namespace"

    async def post(self, namespace: str) -> None:
        """Give somebody a role in the namespace, or change theirs; or show again what was typed."""
        place = Place(namespace=arguments.read_namespace(namespace))
        await self.take_form(
            self._give(place), lambda exc: show_namespace(self, place.namespace, typed=read_refused(self, exc))
        )

    async def _give(self, place: Place) -> str:
        await give(self, place)
        return self.find_page()


class MemberHandler(FormAddress):
    """`/namespace/NAME/member/ID/`."""

    stands_on = _MEMBERS
    deed = "a role in {}"
    help = "pages/#a-namespace"

    def say_deed(self) -> str:
        """Tell a change from what takes it back."""
        return f"{say_change(self)} {super().say_deed()}"

    async def post(self, namespace: str, member_id: str) -> None:
        """Change a role in the namespace, or take it back."""
        place = Place(namespace=arguments.read_namespace(namespace))
        await self.take_form(
            self._take(place, member_id), lambda exc: show_namespace(self, place.namespace, refusal=exc)
        )

    async def _take(self, place: Place, member_id: str) -> str:
        await change_or_remove(self, place, arguments.read_member(member_id))
        return self.find_page()


def _environment(namespace: str, name: str) -> Place:
    names = arguments.read_names(namespace, name)
    return Place(namespace=names[0], environment=names[1])


def _find_share(place: Place) -> str:
    return _SHARE.format(place.namespace, place.environment)
