"""`/namespace/`: the namespaces that one may see; a new one, and one that goes or comes back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from sqlalchemy.orm import Session

from conda_store_hub.core.errors import CondaStoreHubError, InUseError
from conda_store_hub.core.names import MAX_NAMESPACE
from conda_store_hub.core.permissions import Identity
from conda_store_hub.services import namespaces
from conda_store_hub.services.namespaces import DeletedNamespace, Doomed, Overview
from conda_store_hub.web import arguments
from conda_store_hub.web.base import SERVER_FAULT
from conda_store_hub.web.contexts import ConfirmContext, Context, Pager
from conda_store_hub.web.page import PageHandler
from conda_store_hub.web.query import PagedQuery, Size
from conda_store_hub.web.rendering import show_count, show_size, show_time

_NAMESPACES = 50


@dataclass(frozen=True, kw_only=True, slots=True)
class TypedName:
    """The name that was typed for a namespace, and why it cannot have it."""

    name: str = ""
    error: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class NamespacesContext(Context):
    """The namespaces one may see. `typed` is None for who may make none.

    `comeback` is what was typed to bring one back, and `of` is which one.
    """

    template: ClassVar[str] = "namespaces.html"
    rows: tuple[Overview, ...]
    pager: Pager
    deleted: tuple[DeletedNamespace, ...]
    typed: TypedName | None
    comeback: TypedName
    of: str
    may_rename: bool
    most: int = MAX_NAMESPACE


class NamespacesQuery(PagedQuery):
    """Which of the namespaces are shown."""

    size: Size = _NAMESPACES


@dataclass(frozen=True, kw_only=True, slots=True)
class _View:
    rows: list[Overview]
    count: int
    deleted: list[DeletedNamespace]


def _read(session: Session, identity: Identity, query: NamespacesQuery) -> _View:
    rows, count = namespaces.list_overviews(session, identity, page=query.page, size=query.size)
    return _View(rows=rows, count=count, deleted=namespaces.list_deleted(session, identity))


async def _show_list(
    handler: PageHandler, *, typed: TypedName | None = None, comeback: TypedName | None = None, of: str = ""
) -> None:
    query = handler.read_query(NamespacesQuery)
    view = await handler.look_up(_read, query)
    may_create = handler.identity.administers_all
    handler.show(
        NamespacesContext(
            layout=handler.lay_out("Namespaces", "namespace"),
            rows=tuple(view.rows),
            pager=Pager(page=query.page, size=query.size, count=view.count),
            deleted=tuple(view.deleted),
            typed=typed or TypedName() if may_create else None,
            comeback=comeback or TypedName(),
            of=of,
            may_rename=may_create,
        )
    )


class NamespacesHandler(PageHandler):
    """`/namespace/`."""

    help = "pages/#namespaces"

    shareable = True

    async def get(self) -> None:
        """Show a page of them."""
        await _show_list(self)

    async def post(self) -> None:
        """Make one that everybody who is logged in may read; or show again what was typed, with what is wrong."""
        name = self.get_body_argument("name", "")
        try:
            made = await self.services.db.write(namespaces.create, self.identity, name)
        except CondaStoreHubError as exc:
            if exc.status >= SERVER_FAULT:
                raise
            self.set_status(exc.status)
            await _show_list(self, typed=TypedName(name=name, error=exc.public_message))
            return
        self.redirect(f"{self.prefix}namespace/{made.name}/", status=303)


class DeleteHandler(PageHandler):
    """`/namespace/NAME/delete/`."""

    help = "pages/#namespaces"

    async def get(self, namespace: str) -> None:
        """Say what would go."""
        await self._ask(arguments.read_namespace(namespace), "")

    async def post(self, namespace: str) -> None:
        """Delete it with all that is in it; if somebody uses that by now, ask once more."""
        name = arguments.read_namespace(namespace)
        is_forced = self.get_body_argument("force", "") == "yes"
        try:
            await self.services.db.write(namespaces.delete, self.identity, name, force=is_forced)
        except InUseError as exc:
            self.set_status(exc.status)
            await self._ask(name, exc.public_message)
            return
        self.services.auth.forget_namespaces()
        self.redirect(f"{self.prefix}namespace/#deleted", status=303)

    async def _ask(self, name: str, error: str) -> None:
        doomed = await self.look_up(namespaces.foresee, name)
        is_used = bool(doomed.busy or doomed.used)
        self.show(
            ConfirmContext(
                layout=self.lay_out(f"Delete the namespace {name}?", "namespace"),
                text="It vanishes from lists and from notebooks, with all that is in it.",
                consequences=_list_consequences(doomed),
                action=f"{self.prefix}namespace/{name}/delete/",
                button="Delete it all the same" if is_used else "Delete it",
                back=f"{self.prefix}namespace/{name}/",
                fields=(("force", "yes"),) if is_used else (),
                error=error,
            )
        )


def _list_consequences(doomed: Doomed) -> tuple[str, ...]:
    held = doomed.usage
    environments, builds = show_count(held.num_environments, "environment"), show_count(held.num_builds, "build")
    says = [f"{environments} and {builds} go, with {show_size(held.storage)} on the disk."]
    if doomed.busy:
        says.append(f"{show_count(doomed.busy, 'build')} queued or running will be cancelled.")
    if doomed.used:
        says.append(f"{show_count(doomed.used, 'kernel or program', 'kernels or programs')} that use it will break.")
    says.append(f"Until {show_time(doomed.until)} it can be brought back, with all of that.")
    return tuple(says)


class RestoreHandler(PageHandler):
    """`/namespace/NAME/restore/`."""

    help = "pages/#namespaces"

    async def post(self, namespace: str) -> None:
        """Bring back the namespace of this name that was deleted last, under another name if one was typed."""
        name, typed = arguments.read_namespace(namespace), self.get_body_argument("name", "")
        try:
            found = await self.services.db.write(namespaces.restore, self.identity, name, typed or None)
        except CondaStoreHubError as exc:
            if exc.status >= SERVER_FAULT:
                raise
            self.set_status(exc.status)
            await _show_list(self, comeback=TypedName(name=typed, error=exc.public_message), of=name)
            return
        self.redirect(f"{self.prefix}namespace/{found.name}/", status=303)
