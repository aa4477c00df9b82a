"""`/namespace/NAME/`: what a namespace holds, who has which role in it, what counts in it, what can be brought back."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from sqlalchemy.orm import Session

from conda_store_hub.core import ondemand, schemas
from conda_store_hub.core.errors import CondaStoreHubError
from conda_store_hub.core.permissions import Identity, Permission, Role, SubjectKind
from conda_store_hub.services import grants, namespaces, policies, removals
from conda_store_hub.services.policies import Room
from conda_store_hub.services.removals import DeletedEnvironment
from conda_store_hub.services.rules import BuildRules
from conda_store_hub.web import arguments
from conda_store_hub.web.contexts import Context
from conda_store_hub.web.page import PageHandler
from conda_store_hub.web.pages import settings
from conda_store_hub.web.pages.members import (
    ROLES,
    SUBJECTS,
    MembersPage,
    MembersView,
    TypedRole,
    lay_out_members,
    read_members,
)
from conda_store_hub.web.pages.settings import SettingRow
from conda_store_hub.web.query import PagedQuery
from conda_store_hub.web.rendering import show_size


@dataclass(frozen=True, kw_only=True, slots=True)
class Bar:
    """How much of what may be is taken; numbers beside it say the same."""

    label: str
    used: int
    most: int
    words: str


@dataclass(frozen=True, kw_only=True, slots=True)
class NamespaceContext(Context):
    """One namespace. What one may not know is None."""

    template: ClassVar[str] = "namespace.html"
    namespace: schemas.NamespaceDetails
    bars: tuple[Bar, ...]
    members: MembersView | None
    settings: tuple[SettingRow, ...] | None
    deleted: tuple[DeletedEnvironment, ...]
    roles: dict[Role, str] = field(default_factory=lambda: ROLES)
    subjects: dict[SubjectKind, str] = field(default_factory=lambda: SUBJECTS)

    @property
    def may(self) -> frozenset[Permission]:
        """What who looks may do here."""
        return frozenset(self.namespace.permissions)

    @property
    def may_create(self) -> bool:
        """Whether who looks may write an environment for it; those of images on demand nobody writes."""
        return Permission.ENVIRONMENT_CREATE in self.may and self.namespace.name != ondemand.NAMESPACE


@dataclass(frozen=True, kw_only=True, slots=True)
class _View:
    namespace: schemas.NamespaceDetails
    room: Room | None
    members: MembersPage | None
    settings: dict[str, schemas.Setting] | None
    deleted: list[DeletedEnvironment]


def _read(session: Session, identity: Identity, name: str, query: PagedQuery, scoped: bool, rules: BuildRules) -> _View:
    found = namespaces.describe(session, identity, name)
    members, counts = None, None
    if Permission.MEMBERS_READ in found.permissions:
        members = read_members(session, identity, grants.Place(namespace=name), query, scoped=scoped)
    may_read = Permission.SETTING_READ in found.permissions
    if may_read:
        counts = policies.describe(session, identity, policies.Place(namespace=name), rules)
    return _View(
        namespace=found,
        room=policies.measure_room(session, identity, name, rules) if may_read else None,
        members=members,
        settings=counts,
        deleted=removals.list_deleted_environments(session, identity, name),
    )


async def show_namespace(
    handler: PageHandler, name: str, *, typed: TypedRole | None = None, refusal: CondaStoreHubError | None = None
) -> None:
    """Show a namespace, with what was typed into one of its forms; `refusal` is why a role stays as it was."""
    services, query = handler.services, handler.read_query(PagedQuery)
    view = await handler.look_up(_read, name, query, services.auth.use_scopes, services.rules)
    address = f"{handler.prefix}namespace/{name}/"
    may_share = Permission.MEMBERS_UPDATE in view.namespace.permissions
    if refusal is not None and view.members is None:
        raise refusal  # there is no list to say it at
    members = view.members and lay_out_members(
        handler,
        view.members,
        address=f"{address}member/",
        back=address,
        typed=typed or TypedRole() if may_share else None,
        refusal=refusal,
    )
    handler.show(
        NamespaceContext(
            layout=handler.lay_out(name, "namespace"),
            namespace=view.namespace,
            bars=_draw_bars(view.room) if view.room else (),
            members=members,
            settings=settings.list_rows(view.settings) if view.settings is not None else None,
            deleted=tuple(view.deleted),
        )
    )


def _draw_bars(room: Room) -> tuple[Bar, ...]:
    bars: list[Bar] = []
    if room.quota_builds is not None:
        words = f"{room.builds:,} of {room.quota_builds:,}"
        if room.deleted:
            words += f", {room.deleted:,} of them in deleted environments"
        bars.append(Bar(label="Builds", used=room.builds, most=room.quota_builds, words=words))
    if room.quota_bytes is not None:
        words = f"{show_size(room.storage)} of {show_size(room.quota_bytes)}"
        bars.append(Bar(label="Disk, with archives and logs", used=room.storage, most=room.quota_bytes, words=words))
    return tuple(bars)


class NamespaceHandler(PageHandler):
    """`/namespace/NAME/`."""

    help = "pages/#a-namespace"

    shareable = True

    async def get(self, namespace: str) -> None:
        """Show the namespace, as far as one may see it."""
        await show_namespace(self, arguments.read_namespace(namespace))
