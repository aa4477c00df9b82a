"""Pages that ask before an environment is deleted, and that bring it back."""

from __future__ import annotations

from conda_store_hub.core.errors import CondaStoreHubError, NotFoundError
from conda_store_hub.services import removals
from conda_store_hub.services.removals import Doomed
from conda_store_hub.web import arguments
from conda_store_hub.web.contexts import Dated
from conda_store_hub.web.page import PageHandler
from conda_store_hub.web.pages import deletion
from conda_store_hub.web.pages.deletion import Deletion
from conda_store_hub.web.pages.environment import DeletedContext
from conda_store_hub.web.rendering import show_count, show_size


class DeleteHandler(PageHandler):
    """`/environment/NAMESPACE/NAME/delete/`."""

    asks_first = True
    deed = "Delete {}/{}"
    help = "pages/#environment"

    async def get(self, namespace: str, name: str) -> None:
        """Say what would go."""
        await self._ask(arguments.read_names(namespace, name))

    async def post(self, namespace: str, name: str) -> None:
        """Delete it; if somebody uses it by now, ask once more."""
        where = arguments.read_names(namespace, name)
        await self.take_form(self._delete(where), lambda exc: self._ask(where, exc))

    async def _delete(self, where: tuple[str, str]) -> str:
        forced = deletion.is_forced(self)
        await self.services.db.write(removals.delete_environment, self.identity, *where, force=forced)
        return f"environment/{where[0]}/{where[1]}/"

    async def _ask(self, where: tuple[str, str], error: CondaStoreHubError | None = None) -> None:
        doomed = await self.look_up(removals.foresee_environment, *where)
        place = f"environment/{where[0]}/{where[1]}/"
        asked = Deletion(
            title=f"Delete {doomed.name}?",
            text="It vanishes from lists and from notebooks, and its name is free at once.",
            consequences=_list_consequences(doomed),
            place=place,
            back=place,
            is_used=bool(doomed.busy or doomed.used),
        )
        deletion.ask(self, asked, error)


def _list_consequences(doomed: Doomed) -> tuple[str | Dated, ...]:
    goes = f"{show_count(doomed.builds, 'build')} with {show_size(doomed.storage)} on the disk will go with it."
    says = (goes, *deletion.list_uses(doomed.busy, doomed.used))
    if doomed.until is None:
        return says
    return (*says, Dated("Until ", doomed.until, " it can be brought back, at this same address."))


class RestoreHandler(PageHandler):
    """`/environment/NAMESPACE/NAME/restore/`."""

    deed = "Bring back {}/{}"
    help = "pages/#environment"

    async def get(self, namespace: str, name: str) -> None:
        """Offer it, also where there is another of its name by now; lead to what is there where nothing is deleted."""
        where = arguments.read_names(namespace, name)
        try:
            await self._offer(where, "", None)
        except NotFoundError:
            self.redirect(f"{self.prefix}environment/{where[0]}/{where[1]}/")

    async def post(self, namespace: str, name: str) -> None:
        """Bring it back."""
        where, typed = arguments.read_names(namespace, name), self.get_body_argument("name", "").strip()
        await self.take_form(self._restore(where, typed), lambda exc: self._offer(where, typed, exc))

    async def _restore(self, where: tuple[str, str], typed: str) -> str:
        found = await self.services.db.write(
            removals.restore_environment, self.identity, *where, typed or None, self.services.rules
        )
        return f"environment/{where[0]}/{found.name}/"

    async def _offer(self, where: tuple[str, str], typed: str, error: CondaStoreHubError | None) -> None:
        deleted = await self.look_up(removals.find_deleted, *where)
        layout = self.lay_out(f"Bring back {deleted.namespace}/{deleted.name}")
        self.show(DeletedContext(layout=layout, deleted=deleted, name=typed, error=error))
