"""Images that are named by their packages: had built by who asks first, and waited for by all who ask."""

from __future__ import annotations

import asyncio
import contextlib
import time

from conda_store_hub.core.errors import BeingMadeError, CondaStoreHubError, TooManyRequestsError, UnavailableError
from conda_store_hub.core.ondemand import NAMESPACE, Wish
from conda_store_hub.services import hook, ondemand, ondemand_expiry
from conda_store_hub.services.artifacts import Location
from conda_store_hub.services.changes import artifacts_topic
from conda_store_hub.services.ondemand import Asked
from conda_store_hub.services.rules import Proposal
from conda_store_hub.services.specifications import PreparedSpecification
from conda_store_hub.web.downloads import find_person
from conda_store_hub.web.making import FileMaker
from conda_store_hub.web.registry.base import RegistryHandler, find_origin

_ASK_AGAIN_SECONDS = 30


class WishHandler(FileMaker, RegistryHandler):
    """A handler of manifests of images that may be built on demand."""

    place: contextlib.ExitStack
    """What gives up the place among those who wait."""
    _has_place = False

    async def hear_of_change(self, until: float) -> bool:
        """Wait as one of those who may at once; raise TooManyRequestsError for one too many."""
        if not self._has_place:
            try:
                self.place.enter_context(self.services.pulling.one_more(find_person(self)))
            except UnavailableError as exc:
                raise TooManyRequestsError.until(_ASK_AGAIN_SECONDS, exc.message) from exc
            self._has_place = True
        return await super().hear_of_change(until)

    async def find_wished(self, wish: Wish, until: float) -> int | None:
        """Return the build whose image is given out for a wish, once it is usable; None for who has left."""
        db, rules = self.services.db, self.services.rules
        asked = await db.read(ondemand.look, self.identity, wish, rules)
        prepared = await asyncio.to_thread(ondemand.check, asked)
        build_id = asked.standing.build_id
        if build_id is not None:
            await self.note_pull(build_id)  # from here on it does not expire
            if not await db.read(ondemand.is_there, build_id):
                build_id = None  # it did, a moment ago
        if build_id is None:
            await hook.ask_in_time(self._propose(prepared), asked.here, self.log)
            build_id = await db.write(ondemand.order, self.identity, asked.order, prepared, rules)
        elif asked.standing.is_due:
            await self._renew(asked, prepared)
        await self.note_pull(build_id)
        usable = await self._wait_until_usable(build_id, until)
        if usable is not None:
            await self.require_allowed(usable)
        return usable

    def _propose(self, prepared: PreparedSpecification) -> Proposal:
        return Proposal(
            namespace=NAMESPACE,
            environment=prepared.name,
            text=prepared.text,
            specification=prepared.source.specification,
            who=self.identity.name,
        )

    async def _renew(self, asked: Asked, prepared: PreparedSpecification) -> None:
        """Have an image built anew that is too old; whoever asks for it now gets that, whatever comes of it."""
        try:
            await self.services.db.write(ondemand.renew, asked.order, prepared, self.services.rules)
        except CondaStoreHubError as exc:
            self.log.warning("%s is not built anew: %s", asked.order.name, exc.message)

    async def require_allowed(self, build_id: int) -> None:
        """Raise PolicyRefusedError where a build has what the policy of who asks forbids."""
        await self.services.db.read(ondemand.require_allowed, self.identity, build_id, self.services.rules)

    async def note_pull(self, build_id: int) -> None:
        """Note that an image of this build's environment was asked for, so that it is kept."""
        if not await self.services.db.read(ondemand_expiry.is_noted, build_id):
            await self.services.db.write(ondemand_expiry.note_pull, build_id)

    async def _wait_until_usable(self, build_id: int, until: float) -> int | None:
        """Return a build once it is usable; raise why it never will be, or BeingMadeError after `until`."""
        with self.services.changes.watch(artifacts_topic(build_id)) as self.news:
            while not await self.services.db.read(ondemand.is_usable, build_id):
                if not await self.hear_of_change(until):
                    if self.left:
                        return None
                    raise self._ask_again(build_id)
                await self.stay()
        return build_id

    async def find_image(self, build_id: int, until: float) -> Location | None:
        """Return where the manifest of a build is, once its image is there; None for who has left."""
        try:
            return await self.find_file(build_id, until - time.monotonic(), makes=True)
        except BeingMadeError as exc:
            raise self._ask_again(build_id) from exc

    def _ask_again(self, build_id: int) -> BeingMadeError:
        """Return the answer to who has waited for long enough: where to look, and when to come back."""
        page = f"{self._find_pages()}build/{build_id}/"
        error = BeingMadeError(f"This image is being made: {page} tells how far it is. Pull again in a moment.")
        error.seconds = _ASK_AGAIN_SECONDS
        return error

    def _find_pages(self) -> str:
        """Return where the pages are, with the host if that is known: at a port of the registry's own, by the Hub."""
        public = self.services.auth.environment.public_url
        is_elsewhere = self.services.registry.port is not None
        return public or f"{'' if is_elsewhere else find_origin(self.request) or ''}{self.prefix}"
