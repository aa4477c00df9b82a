"""`/namespace/`: the namespaces that one may see; a new one, and one that goes or comes back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from sqlalchemy.orm import Session

from conda_store_hub.core.errors import CondaStoreHubError
from conda_store_hub.core.names import MAX_NAMESPACE
from conda_store_hub.core.permissions import Identity
from conda_store_hub.services import namespaces
from conda_store_hub.services.namespaces import DeletedNamespace, Doomed, Overview
from conda_store_hub.web import arguments
from conda_store_hub.web.contexts import Context, Dated, Pager
from conda_store_hub.web.formaddress import FormAddress
from conda_store_hub.web.page import PageHandler
from conda_store_hub.web.pages import deletion
from conda_store_hub.web.pages.deletion import Deletion
from conda_store_hub.web.query import PagedQuery, Size, Text
from conda_store_hub.web.rendering import show_count, show_size

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
    search: str
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
    search: Text = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class _View:
    rows: list[Overview]
    count: int
    deleted: list[DeletedNamespace]


def _read(session: Session, identity: Identity, query: NamespacesQuery) -> _View:
    rows, count = namespaces.list_overviews(
        session, identity, page=query.page, size=query.size, search=query.search.strip()
    )
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
            search=query.search,
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

    deed = "Make a namespace"
    help = "pages/#namespaces"

    shareable = True

    async def get(self) -> None:
        """Show a page of them."""
        await _show_list(self)

    async def post(self) -> None:
        """Make one that everybody who is logged in may read; or show again what was typed, with what is wrong."""
        name = self.get_body_argument("name", "")
        await self.take_form(
            self._make(name), lambda exc: _show_list(self, typed=TypedName(name=name, error=exc.public_message))
        )

    async def _make(self, name: str) -> str:
        made = await self.services.db.write(namespaces.create, self.identity, name)
        return f"namespace/{made.name}/"


class DeleteHandler(PageHandler):
    """`/namespace/NAME/delete/`."""

    asks_first = True
    deed = "Delete the namespace {}"
    help = "pages/#namespaces"

    async def get(self, namespace: str) -> None:
        """Say what would go."""
        await self._ask(arguments.read_namespace(namespace))

    async def post(self, namespace: str) -> None:
        """Delete it with all that is in it; if somebody uses that by now, ask once more."""
        name = arguments.read_namespace(namespace)
        await self.take_form(self._delete(name), lambda exc: self._ask(name, exc))

    async def _delete(self, name: str) -> str:
        forced = deletion.is_forced(self)
        await self.services.db.write(namespaces.delete, self.identity, name, force=forced)
        self.services.auth.forget_namespaces()
        return "namespace/#deleted"

    async def _ask(self, name: str, error: CondaStoreHubError | None = None) -> None:
        doomed = await self.look_up(namespaces.foresee, name)
        place = f"namespace/{name}/"
        asked = Deletion(
            title=f"Delete the namespace {name}?",
            text="It vanishes from lists and from notebooks, with all that is in it.",
            consequences=_list_consequences(doomed),
            place=place,
            back=place,
            is_used=bool(doomed.busy or doomed.used),
            here="namespace",
        )
        deletion.ask(self, asked, error)


def _list_consequences(doomed: Doomed) -> tuple[str | Dated, ...]:
    held = doomed.usage
    environments, builds = show_count(held.num_environments, "environment"), show_count(held.num_builds, "build")
    goes = f"{environments} and {builds} go, with {show_size(held.storage)} on the disk."
    back = Dated("Until ", doomed.until, " it can be brought back, with all of that.")
    return (goes, *deletion.list_uses(doomed.busy, doomed.used), back)


class RestoreHandler(FormAddress):
    """`/namespace/NAME/restore/`."""

    stands_on = "namespace/#deleted"
    deed = "Bring back the namespace {}"
    help = "pages/#namespaces"

    async def post(self, namespace: str) -> None:
        """Bring back the namespace of this name that was deleted last, under another name if one was typed."""
        name, typed = arguments.read_namespace(namespace), self.get_body_argument("name", "")
        await self.take_form(self._restore(name, typed), lambda exc: self._show_refused(name, typed, exc))

    async def _restore(self, name: str, typed: str) -> str:
        found = await self.services.db.write(namespaces.restore, self.identity, name, typed or None)
        return f"namespace/{found.name}/"

    async def _show_refused(self, name: str, typed: str, error: CondaStoreHubError) -> None:
        await _show_list(self, comeback=TypedName(name=typed, error=error.public_message), of=name)
