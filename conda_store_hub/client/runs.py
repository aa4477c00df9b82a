"""Which environment a command runs in: the service's own prefix where the machine has it, else one that is made here.

What is known already is not asked for. An exact build never changes, so it is started without a question once it is
here; of an environment the service is asked which build is active, for a moment.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from conda_store_hub.client.cached import Hold, Origin
from conda_store_hub.client.envcache import EnvironmentCache
from conda_store_hub.client.knownbuilds import KnownBuild, KnownBuilds, is_shared
from conda_store_hub.client.patience import answer_within
from conda_store_hub.core.errors import (
    CondaStoreHubError,
    ConfigurationError,
    GoneError,
    NotFoundError,
    UnavailableError,
)

if TYPE_CHECKING:
    from conda_store_hub.client.api import Client
    from conda_store_hub.client.makers import MakerProcess
    from conda_store_hub.client.making import OnProgress
    from conda_store_hub.client.references import Reference
    from conda_store_hub.core.schemas import Build

ANSWER_SECONDS = 0.5
CONNECT_SECONDS = 1.0  # a keyring may wait for somebody who unlocks it
KEEPER = "What keeps your login"


@dataclass(frozen=True, kw_only=True, slots=True)
class Ready:
    """A prefix to run in. `hold`: it is in the cache, and stays there while this is open; None is the service's own."""

    prefix: Path
    place: str
    build_id: int
    hold: Hold | None = None
    is_new: bool = False


@dataclass(kw_only=True)
class Runs:
    """Finds environments to run in, of one service.

    connect: the client, called when the service has to be asked, and left open. identify: what tells logins apart.
    say: tells the person something. on_making: shows how far an environment is that is made now.
    ca_file: certificate authorities that are trusted besides the usual ones.
    """

    server: str
    connect: Callable[[], Client]
    identify: Callable[[], str]
    say: Callable[[str], object]
    on_making: Callable[[str, int], OnProgress]
    cache: EnvironmentCache
    origin: Origin = Origin.AUTO
    ca_file: Path | None = None
    _maker: MakerProcess | None = None

    def open(self, reference: Reference) -> Ready:
        """Return what is meant, made if it is not here."""
        try:
            return self._open_or_suggest(reference)
        finally:
            if self._maker is not None:  # what becomes a command has no child that it does not know of
                self._maker.end()

    def _open_or_suggest(self, reference: Reference) -> Ready:
        known = KnownBuilds(self.cache, self.server)
        placed = self._place(reference, known)
        try:
            return self._open(placed, known)
        except NotFoundError as exc:
            if placed is reference or reference.build_id is not None:
                raise
            from conda_store_hub.client.references import suggest

            raise suggest(self.connect(), placed.namespace or "", placed.name or "") from exc

    def _open(self, reference: Reference, known: KnownBuilds) -> Ready:
        if reference.build_id is not None:
            return self._find_build(reference, known) or self._ask_and_have(reference, known)
        return self._open_active(reference, known)

    def _place(self, reference: Reference, known: KnownBuilds) -> Reference:
        """Return a name alone as what it means: one's own. Whose a login is has to be asked once."""
        if reference.name is None or reference.namespace is not None:
            return reference
        from conda_store_hub.client.references import find_own_namespace

        identity = answer_within(CONNECT_SECONDS, self.identify, KEEPER)
        own = known.find_own_namespace(identity)
        if own is None:
            own = find_own_namespace(self.connect(), reference.name)
            known.keep_own_namespace(identity, own)
        return replace(reference, namespace=own)

    # An exact build

    def _find_build(self, reference: Reference, known: KnownBuilds) -> Ready | None:
        """Return a build without asking anybody, if it is here and is of the environment that was named."""
        number = reference.build_id or 0
        place = None if reference.namespace is None else f"{reference.namespace}/{reference.name}"
        return self._take(None if place is None else known.find(place, number), number, place)

    def _ask_and_have(self, reference: Reference, known: KnownBuilds) -> Ready:
        self._get_ready()
        return self._have(self._ask_for_build(reference, known))

    def _ask_for_build(self, reference: Reference, known: KnownBuilds) -> KnownBuild:
        from conda_store_hub.client.references import find_active_build

        found = _know(find_active_build(self.connect(), reference))
        known.keep(found)
        return found

    # The active one

    def _open_active(self, reference: Reference, known: KnownBuilds) -> Ready:
        """Return the active build; the last one that is here where the service does not say, or give, it."""
        place = f"{reference.namespace}/{reference.name}"
        before = known.find(place)
        try:
            found = self._ask_for_active(reference, before)
            ready = self._have(found)
        except (UnavailableError, ConfigurationError) as exc:  # or a keyring does not give the token
            last = self._find_last(known, place, before)
            if last is None:
                raise
            self.say(f"{exc.public_message} This runs in build {last.build_id} of {place}, the last known one.")
            return last
        if found is not before:
            known.keep(found)  # not earlier: one that could not be made is no help when the service is away
        return ready

    def _ask_for_active(self, reference: Reference, before: KnownBuild | None) -> KnownBuild:
        if before is not None and self._is_here(before):
            return self._ask_quickly(reference, before)
        self._get_ready()
        return self._ask_for_news(self.connect(), reference, before)

    def _find_last(self, known: KnownBuilds, place: str, before: KnownBuild | None) -> Ready | None:
        """Return the build that was run last, or else the newest one of an environment, if one is here."""
        each = [*([] if before is None else [before]), *known.list_builds(place)]
        return next((ready for ready in map(self._find, each) if ready is not None), None)

    def _ask_quickly(self, reference: Reference, before: KnownBuild) -> KnownBuild:
        for needed in ("client.api", "core.schemas.builds"):
            import_module(f"conda_store_hub.{needed}")  # the time is for the answer
        client = answer_within(CONNECT_SECONDS, self.connect, KEEPER)
        return answer_within(ANSWER_SECONDS, lambda: self._ask_for_news(client, reference, before))

    def _ask_for_news(self, client: Client, reference: Reference, before: KnownBuild | None) -> KnownBuild:
        namespace, name = reference.namespace or "", reference.name or ""
        environment, etag = client.find_environment_news(namespace, name, before.etag if before else "")
        if environment is None and before is not None:
            return before
        build = None if environment is None else environment.current_build
        if build is None:
            from conda_store_hub.client.references import miss_active_build

            raise miss_active_build(f"{namespace}/{name}")
        return _know(build, etag)

    def _is_here(self, known: KnownBuild) -> bool:
        hold = self._find(known)
        if hold is not None and hold.hold is not None:
            hold.hold.close()
        return hold is not None

    # Taking and making

    def _take(self, known: KnownBuild | None, build_id: int, place: str | None) -> Ready | None:
        """Return a prefix that is there: the service's, or one in the cache."""
        if known is not None and is_shared(known.prefix):
            return Ready(prefix=Path(known.prefix), place=known.place, build_id=build_id)
        hold = self.cache.hold(self.server, build_id, place=known.prefix if known else "")
        if hold is None:
            return None
        found = f"{hold.made.namespace}/{hold.made.environment}"
        if known is not None and known.prefix:
            found = known.place  # the service said so; it was made under another name
        elif place not in (None, found):
            hold.close()  # it has another name by now, or was named wrongly: the service says
            return None
        return Ready(prefix=hold.prefix, place=found, build_id=build_id, hold=hold)

    def _find(self, known: KnownBuild) -> Ready | None:
        return self._take(known, known.build_id, known.place)

    def _have(self, known: KnownBuild) -> Ready:
        return self._find(known) or self._make(known)

    def _get_ready(self) -> None:
        """Start the process that makes environments: most likely one has to be made, and the question takes as long.

        Where the service's own prefix is on this machine after all, it is ended.
        """
        from conda_store_hub.client.makers import MakerProcess

        with suppress(CondaStoreHubError, OSError):  # it is told when one has to be made
            self._maker = MakerProcess(self.ca_file)

    def _make(self, known: KnownBuild) -> Ready:
        if not known.prefix:
            raise GoneError(f"Build {known.build_id} of {known.place} was deleted.")
        from conda_store_hub.client.envs import ensure_environment

        hold = ensure_environment(
            self.cache,
            self.connect(),
            known.build_id,
            place=known.prefix,
            origin=self.origin,
            on_progress=self.on_making(known.place, known.build_id),
            ca_file=self.ca_file,
            maker=self._maker,
        )
        return Ready(prefix=hold.prefix, place=known.place, build_id=known.build_id, hold=hold, is_new=True)


def _know(build: Build, etag: str = "") -> KnownBuild:
    return KnownBuild(
        namespace=build.namespace,
        environment=build.environment,
        build_id=build.id,
        prefix=build.prefix or "",
        etag=etag,
    )
