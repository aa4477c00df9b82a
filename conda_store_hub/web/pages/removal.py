"""Pages that ask before an environment is deleted, and that bring it back."""

from __future__ import annotations

from conda_store_hub.core.errors import CondaStoreHubError, InUseError
from conda_store_hub.services import removals
from conda_store_hub.services.removals import Doomed
from conda_store_hub.web import arguments
from conda_store_hub.web.base import SERVER_FAULT
from conda_store_hub.web.contexts import ConfirmContext
from conda_store_hub.web.page import PageHandler
from conda_store_hub.web.pages.build_removal import say_use
from conda_store_hub.web.pages.environment import DeletedContext
from conda_store_hub.web.rendering import show_count, show_size, show_time


class DeleteHandler(PageHandler):
    """`/environment/NAMESPACE/NAME/delete/`."""

    help = "pages/#environment"

    async def get(self, namespace: str, name: str) -> None:
        """Say what would go."""
        await self._ask(arguments.read_names(namespace, name))

    async def post(self, namespace: str, name: str) -> None:
        """Delete it; if somebody uses it by now, ask once more."""
        where = arguments.read_names(namespace, name)
        is_forced = self.get_body_argument("force", "") == "yes"
        try:
            await self.services.db.write(removals.delete_environment, self.identity, *where, force=is_forced)
        except InUseError as exc:
            self.set_status(exc.status)
            await self._ask(where, exc)
            return
        self.redirect(f"{self.prefix}environment/{where[0]}/{where[1]}/", status=303)

    async def _ask(self, where: tuple[str, str], error: CondaStoreHubError | None = None) -> None:
        doomed = await self.look_up(removals.foresee_environment, *where)
        address = f"{self.prefix}environment/{where[0]}/{where[1]}/"
        is_used = bool(doomed.busy or doomed.used)
        self.show(
            ConfirmContext(
                layout=self.lay_out(f"Delete {doomed.name}?"),
                text="It vanishes from lists and from notebooks, and its name is free at once.",
                consequences=_list_consequences(doomed),
                action=f"{address}delete/",
                button="Delete it all the same" if is_used else "Delete it",
                back=address,
                fields=(("force", "yes"),) if is_used else (),
                error=error.public_message if error else "",
            )
        )


def _list_consequences(doomed: Doomed) -> tuple[str, ...]:
    says = [f"{show_count(doomed.builds, 'build')} with {show_size(doomed.storage)} on the disk will go with it."]
    if doomed.busy:
        says.append(f"{show_count(doomed.busy, 'build')} queued or running will be cancelled.")
    if doomed.used:
        says.append(say_use(doomed))
    if doomed.until is not None:
        says.append(f"Until {show_time(doomed.until)} it can be brought back, at this same address.")
    return tuple(says)


class RestoreHandler(PageHandler):
    """`/environment/NAMESPACE/NAME/restore/`."""

    help = "pages/#environment"

    async def get(self, namespace: str, name: str) -> None:
        """Offer it, also where there is another of its name by now."""
        await self._offer(arguments.read_names(namespace, name), "", None)

    async def post(self, namespace: str, name: str) -> None:
        """Bring it back."""
        where, typed = arguments.read_names(namespace, name), self.get_body_argument("name", "").strip()
        try:
            found = await self.services.db.write(
                removals.restore_environment, self.identity, *where, typed or None, self.services.rules
            )
        except CondaStoreHubError as exc:
            if exc.status >= SERVER_FAULT:
                raise
            self.set_status(exc.status)
            await self._offer(where, typed, exc)
            return
        self.redirect(f"{self.prefix}environment/{where[0]}/{found.name}/", status=303)

    async def _offer(self, where: tuple[str, str], typed: str, error: CondaStoreHubError | None) -> None:
        deleted = await self.look_up(removals.find_deleted, *where)
        layout = self.lay_out(f"Bring back {deleted.namespace}/{deleted.name}")
        self.show(DeletedContext(layout=layout, deleted=deleted, name=typed, error=error))
