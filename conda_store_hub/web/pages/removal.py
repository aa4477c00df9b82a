"""Pages that ask before an environment or a build of it is deleted, and that bring an environment back."""

from __future__ import annotations

from dataclasses import dataclass

from conda_store_hub.core.errors import CondaStoreHubError, InUseError
from conda_store_hub.core.protocol import ArtifactType
from conda_store_hub.services import removals
from conda_store_hub.services.removals import Doomed
from conda_store_hub.web import arguments
from conda_store_hub.web.base import SERVER_FAULT
from conda_store_hub.web.contexts import ConfirmContext
from conda_store_hub.web.page import PageHandler
from conda_store_hub.web.pages.environment import DeletedContext
from conda_store_hub.web.query import Id, Query
from conda_store_hub.web.rendering import show_size, show_time

_KEPT_WORDS = {
    ArtifactType.LOGS: "log",
    ArtifactType.YAML: "pinned YAML",
    ArtifactType.LOCKFILE: "lockfile",
    ArtifactType.EXPLICIT: "explicit list",
    ArtifactType.PIXI_LOCK: "pixi.lock",
    ArtifactType.CONDA_PACK: "archive",
}


class DeleteQuery(Query):
    """Which build is meant; without one, the whole environment."""

    build: Id | None = None


class DeleteHandler(PageHandler):
    """`/environment/NAMESPACE/NAME/delete/`, and one of its builds with `?build=`."""

    async def get(self, namespace: str, name: str) -> None:
        """Say what would go."""
        where = arguments.read_names(namespace, name)
        await self._ask(where, self.read_query(DeleteQuery).build)

    async def post(self, namespace: str, name: str) -> None:
        """Delete it; if somebody uses it by now, ask once more."""
        where = arguments.read_names(namespace, name)
        typed = self.get_body_argument("build_id", "")
        build_id = arguments.read_id(typed) if typed else None
        try:
            await self._delete(where, build_id, force=self.get_body_argument("force", "") == "yes")
        except InUseError as exc:
            self.set_status(exc.status)
            await self._ask(where, build_id, exc)
            return
        self.redirect(f"{self.prefix}environment/{where[0]}/{where[1]}/", status=303)

    async def _delete(self, where: tuple[str, str], build_id: int | None, *, force: bool) -> None:
        db, kept = self.services.db, self.services.rules.kept_artifacts
        if build_id is None:
            await db.write(removals.delete_environment, self.identity, *where, force=force)
        else:
            await db.write(removals.delete_build, self.identity, build_id, kept, force=force)

    async def _ask(self, where: tuple[str, str], build_id: int | None, error: CondaStoreHubError | None = None) -> None:
        if build_id is None:
            doomed = await self.look_up(removals.foresee_environment, *where)
            self._confirm(where, _ask_for_environment(doomed), doomed, (), error)
        else:
            doomed = await self.look_up(removals.foresee_build, build_id)
            kept = [_KEPT_WORDS[kind] for kind in self.services.rules.kept_artifacts if kind in _KEPT_WORDS]
            question = _ask_for_build(doomed, build_id, kept)
            self._confirm(where, question, doomed, (("build_id", str(build_id)),), error)

    def _confirm(
        self,
        where: tuple[str, str],
        question: _Question,
        doomed: Doomed,
        fields: tuple[tuple[str, str], ...],
        error: CondaStoreHubError | None,
    ) -> None:
        address = f"{self.prefix}environment/{where[0]}/{where[1]}/"
        is_used = bool(doomed.busy or doomed.used)
        self.show(
            ConfirmContext(
                layout=self.lay_out(question.title),
                text=question.text,
                consequences=question.consequences,
                action=f"{address}delete/",
                button="Delete it all the same" if is_used else "Delete it",
                back=address,
                fields=(*fields, ("force", "yes")) if is_used else fields,
                error=error.public_message if error else "",
            )
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class _Question:
    title: str
    text: str
    consequences: tuple[str, ...]


def _ask_for_environment(doomed: Doomed) -> _Question:
    says = [f"{_count(doomed.builds, 'build')} with {show_size(doomed.storage)} on the disk will go with it."]
    if doomed.busy:
        says.append(f"{_count(doomed.busy, 'build')} queued or running will be cancelled.")
    says += _say_use(doomed)
    if doomed.until is not None:
        says.append(f"Until {show_time(doomed.until)} it can be brought back, at this same address.")
    text = "It vanishes from lists and from notebooks, and its name is free at once."
    return _Question(title=f"Delete {doomed.name}?", text=text, consequences=tuple(says))


def _ask_for_build(doomed: Doomed, build_id: int, kept: list[str]) -> _Question:
    says = [f"{show_size(doomed.storage)} on the disk become free."]
    if kept:
        says.append(f"Kept, as far as it is there: {', '.join(kept)}.")
    if "lockfile" in kept:
        says.append("With its lockfile it can be built once more, exactly.")
    text = "It stays listed, in grey. This cannot be undone."
    title = f"Delete build {build_id} of {doomed.name}?"
    return _Question(title=title, text=text, consequences=(*says, *_say_use(doomed)))


def _say_use(doomed: Doomed) -> list[str]:
    if not doomed.used:
        return []
    return [f"It is in use by {_count(doomed.used, 'kernel or program', 'kernels or programs')}, which will break."]


def _count(number: int, one: str, many: str = "") -> str:
    return f"1 {one}" if number == 1 else f"{number} {many or one + 's'}"


class RestoreHandler(PageHandler):
    """`/environment/NAMESPACE/NAME/restore/`."""

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
