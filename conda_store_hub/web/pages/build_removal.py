"""`/build/ID/delete/`: asks before a build goes."""

from __future__ import annotations

from conda_store_hub.core.artifacts import FILES
from conda_store_hub.core.errors import InUseError
from conda_store_hub.core.protocol import ArtifactType
from conda_store_hub.services import removals
from conda_store_hub.services.removals import Doomed
from conda_store_hub.web import arguments
from conda_store_hub.web.contexts import ConfirmContext
from conda_store_hub.web.offers import say_kind
from conda_store_hub.web.page import PageHandler
from conda_store_hub.web.rendering import show_count, show_size

_ENVIRONMENT = "environment"
"""Where somebody came from who deletes it from the list of an environment's builds."""


class BuildRemovalHandler(PageHandler):
    """`/build/ID/delete/`."""

    help = "pages/#build"

    async def get(self, build_id: str) -> None:
        """Say what would go."""
        await self._ask(arguments.read_id(build_id), "", self.get_query_argument("from", ""))

    async def post(self, build_id: str) -> None:
        """Delete it; if somebody uses it by now, ask once more."""
        number = arguments.read_id(build_id)
        is_forced, came_from = self.get_body_argument("force", "") == "yes", self.get_body_argument("from", "")
        doomed = await self.look_up(removals.foresee_build, number)
        try:
            await self.services.db.write(
                removals.delete_build, self.identity, number, self.services.rules.kept_artifacts, force=is_forced
            )
        except InUseError as exc:
            self.set_status(exc.status)
            await self._ask(number, exc.public_message, came_from)
            return
        self.redirect(self._find_back(doomed, number, came_from), status=303)

    def _find_back(self, doomed: Doomed, number: int, came_from: str) -> str:
        return (
            f"{self.prefix}environment/{doomed.name}/" if came_from == _ENVIRONMENT else f"{self.prefix}build/{number}/"
        )

    async def _ask(self, number: int, error: str, came_from: str) -> None:
        doomed = await self.look_up(removals.foresee_build, number)
        fields = (("from", _ENVIRONMENT),) if came_from == _ENVIRONMENT else ()
        self.show(
            ConfirmContext(
                layout=self.lay_out(f"Delete build {number} of {doomed.name}?"),
                text="It stays listed. This cannot be undone.",
                consequences=_list_consequences(doomed, self.services.rules.kept_artifacts),
                action=f"{self.prefix}build/{number}/delete/",
                button="Delete it all the same" if doomed.used else "Delete it",
                back=self._find_back(doomed, number, came_from),
                fields=(*fields, ("force", "yes")) if doomed.used else fields,
                error=error,
            )
        )


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
    if doomed.used:
        says.append(say_use(doomed))
    return tuple(says)


def say_use(doomed: Doomed) -> str:
    """Say who uses what would go."""
    users = show_count(doomed.used, "kernel or program", "kernels or programs")
    return f"It is in use by {users}, which will break."
