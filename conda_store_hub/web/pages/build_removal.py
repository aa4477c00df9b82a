"""`/build/ID/delete/`: asks before a build goes."""

from __future__ import annotations

from conda_store_hub.core.artifacts import FILES
from conda_store_hub.core.errors import CondaStoreHubError
from conda_store_hub.core.protocol import ArtifactType
from conda_store_hub.services import removals
from conda_store_hub.services.removals import Doomed
from conda_store_hub.web import arguments
from conda_store_hub.web.offers import say_kind
from conda_store_hub.web.page import PageHandler
from conda_store_hub.web.pages import deletion
from conda_store_hub.web.pages.deletion import Deletion
from conda_store_hub.web.rendering import show_size

_ENVIRONMENT = "environment"
"""Where somebody came from who deletes it from the list of an environment's builds."""


class BuildRemovalHandler(PageHandler):
    """`/build/ID/delete/`."""

    asks_first = True
    deed = "Delete build {}"
    help = "pages/#build"

    async def get(self, build_id: str) -> None:
        """Say what would go."""
        await self._ask(arguments.read_id(build_id), None, self.get_query_argument("from", ""))

    async def post(self, build_id: str) -> None:
        """Delete it; if somebody uses it by now, ask once more."""
        number = arguments.read_id(build_id)
        came_from = self.get_body_argument("from", "")
        await self.take_form(self._delete(number, came_from), lambda exc: self._ask(number, exc, came_from))

    async def _delete(self, number: int, came_from: str) -> str:
        forced, kept = deletion.is_forced(self), self.services.rules.kept_artifacts
        doomed = await self.look_up(removals.foresee_build, number)
        await self.services.db.write(removals.delete_build, self.identity, number, kept, force=forced)
        return _find_back(doomed, number, came_from)

    async def _ask(self, number: int, error: CondaStoreHubError | None, came_from: str) -> None:
        doomed = await self.look_up(removals.foresee_build, number)
        asked = Deletion(
            title=f"Delete build {number} of {doomed.name}?",
            text="It stays listed. This cannot be undone.",
            consequences=_list_consequences(doomed, self.services.rules.kept_artifacts),
            place=f"build/{number}/",
            back=_find_back(doomed, number, came_from),
            is_used=bool(doomed.used),
            fields=(("from", _ENVIRONMENT),) if came_from == _ENVIRONMENT else (),
        )
        deletion.ask(self, asked, error)


def _find_back(doomed: Doomed, number: int, came_from: str) -> str:
    return f"environment/{doomed.name}/" if came_from == _ENVIRONMENT else f"build/{number}/"


def _list_consequences(doomed: Doomed, kept: tuple[ArtifactType, ...]) -> tuple[str, ...]:
    says = [f"{show_size(doomed.storage)} on the disk become free."]
    stays = [say_kind(kind) for kind in kept if kind in FILES or kind is ArtifactType.LOGS]
    goes = [say_kind(kind) for kind in FILES if kind not in kept]
    if goes:
        says.append(f"These files go, as far as they are there: {', '.join(goes)}.")
    if stays:
        says.append(f"These stay: {', '.join(stays)}.")
    if ArtifactType.LOCKFILE in kept:
        says.append("With what it was locked to, it can be built once more, exactly.")
    return (*says, *deletion.list_uses(0, doomed.used))
