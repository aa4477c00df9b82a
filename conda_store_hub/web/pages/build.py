"""`/build/ID/`: one build, as far as it is, and what can be done with it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from sqlalchemy.orm import Session

from conda_store_hub.core import ondemand, schemas
from conda_store_hub.core.errors import CondaStoreHubError, InvalidRequestError
from conda_store_hub.core.names import DataDirectory, shorten
from conda_store_hub.core.permissions import Identity, Permission
from conda_store_hub.core.protocol import LIVE, ArtifactState, ArtifactType, BuildStatus, Phase
from conda_store_hub.services import artifacts, builds, images, logs, rebuilds, removals, rights, tags
from conda_store_hub.web import arguments, fields
from conda_store_hub.web.contexts import Context
from conda_store_hub.web.offers import Offer, find_image, list_offers, read_kind
from conda_store_hub.web.page import PageHandler
from conda_store_hub.web.pages.packages import PackageQuery, PackagesView, find_packages

_LOG_BYTES = 256_000  # of the end of a log, in the page itself
_EXPECTED = (Phase.SOLVE, Phase.INSTALL, Phase.BYTECODE, Phase.ACTIVATE)  # of every build that becomes usable
_ACTIONS = {
    "activate": "Activate {}",
    "again": "Make a file of {} again",
    "cancel": "Cancel {}",
    "make": "Make a file of {}",
    "pin": "Pin {}",
    "rebuild": "Rebuild {}",
    "rebuild-exactly": "Rebuild {} exactly",
    "tag": "Tag {}",
    "unpin": "Unpin {}",
    "untag": "Take a tag from {}",
}
"""What can be done with a build, in words."""

_MAKES = {
    ArtifactType.YAML: Phase.YAML,
    ArtifactType.LOCKFILE: Phase.LOCKFILE,
    ArtifactType.EXPLICIT: Phase.EXPLICIT,
    ArtifactType.PIXI_LOCK: Phase.PIXI_LOCK,
    ArtifactType.SBOM: Phase.SBOM,
    ArtifactType.CONDA_PACK: Phase.ARCHIVE,
    ArtifactType.DOCKER_MANIFEST: Phase.IMAGE,
    ArtifactType.OCI_ARCHIVE: Phase.IMAGE_ARCHIVE,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class LogView:
    """The end of a log; `offset` is the byte after it, `skipped` how many bytes stand before it."""

    text: str
    offset: int
    skipped: int
    complete: bool
    progress: schemas.LogProgress | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """A step of a build that was taken, is being taken, or still waits; `seconds` is None until it is over."""

    phase: Phase
    state: Literal["done", "running", "waiting", "ended"]
    seconds: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class BuildContext(Context):
    """One build, as far as it is. `explanation` is what its builder said behind the reason why it failed."""

    template: ClassVar[str] = "build.html"
    build: schemas.Build
    log: LogView
    explanation: str
    found: PackagesView
    offers: tuple[Offer, ...]
    image: Offer | None
    may: frozenset[Permission]
    error: str = ""
    """Why what was asked for with a form cannot be."""
    tag: str | None = None
    """What was typed as a tag, None where the error is about no tag."""

    @property
    def archive_size(self) -> int | None:
        """The bytes of the archive, None while there is none."""
        return next((item.size for item in self.offers if item.artifact_type is ArtifactType.CONDA_PACK), None)

    @property
    def is_on_demand(self) -> bool:
        """Whether it is of the name of an image: nobody edits that."""
        return self.build.namespace == ondemand.NAMESPACE

    @property
    def is_live(self) -> bool:
        """Whether it waits or is being built."""
        return self.build.status in LIVE

    @property
    def busy(self) -> bool:
        """Whether something is waited for that the log does not tell of: room to build, or a file to be begun."""
        waits = self.log.complete and any(one.pending for one in (*self.offers, self.image) if one is not None)
        return waits or self.build.status is BuildStatus.QUEUED

    @property
    def may_update(self) -> bool:
        """Whether who looks may have it made once more, activate or pin it."""
        return Permission.ENVIRONMENT_UPDATE in self.may

    @property
    def may_cancel(self) -> bool:
        """Whether who looks may end it, and there is something to end."""
        return self.is_live and Permission.BUILD_CANCEL in self.may

    @property
    def may_delete(self) -> bool:
        """Whether who looks may delete it, and nothing stands against that."""
        return Permission.BUILD_DELETE in self.may and not is_kept(self.build, is_tagged=bool(self.build.tags))

    @property
    def may_tag(self) -> bool:
        """Whether who looks may give it a tag, and it can have one."""
        build = self.build
        return self.may_update and build.status is BuildStatus.COMPLETED and build.deleted_on is None

    @property
    def has_lock(self) -> bool:
        """Whether it can be made once more exactly."""
        rows = self.build.build_artifacts
        return any(row.artifact_type is ArtifactType.RECORDS and row.state is ArtifactState.READY for row in rows)

    @property
    def steps(self) -> tuple[Step, ...]:
        """The steps in their order: those that were begun, and those that are known to come."""
        begun = {item.phase: item.seconds for item in self.build.phases}
        coming = _list_coming(self.build) if not self.log.complete else frozenset[Phase]()
        known = [phase for phase in Phase if phase in begun or phase in coming]
        return tuple(_make_step(phase, begun, is_over=self.log.complete) for phase in known)


def is_kept(build: schemas.BuildSummary, *, is_tagged: bool) -> bool:
    """Tell whether a build cannot be deleted, by anybody."""
    return build.status in LIVE or build.active or build.pinned or is_tagged or build.deleted_on is not None


def _list_coming(build: schemas.Build) -> frozenset[Phase]:
    """Return the steps that a build that goes on will take, if nothing comes between."""
    rows = (*build.build_artifacts, *build.unfinished_artifacts)
    pending = {row.artifact_type for row in rows if row.state is ArtifactState.PENDING}
    makes = {_MAKES[kind] for kind in pending & _MAKES.keys()}
    return frozenset(makes.union(_EXPECTED)) if build.status in LIVE else frozenset(makes)


def _make_step(phase: Phase, begun: dict[Phase, float | None], *, is_over: bool) -> Step:
    if phase not in begun:
        return Step(phase=phase, state="waiting")
    seconds = begun[phase]
    if seconds is not None:
        return Step(phase=phase, state="done", seconds=seconds)
    return Step(phase=phase, state="ended" if is_over else "running")


@dataclass(frozen=True, kw_only=True, slots=True)
class _BuildView:
    build: schemas.Build
    log: LogView
    found: PackagesView
    image_size: int
    may: frozenset[Permission]


def _read_build(session: Session, identity: Identity, build_id: int, data: DataDirectory) -> _BuildView:
    build = builds.get_build(session, identity, build_id, data=data)
    return _BuildView(
        build=build,
        log=_read_end_of_log(session, build_id),
        found=find_packages(session, identity, build_id, PackageQuery.model_validate({})),
        image_size=images.find_size(session, build_id),
        may=rights.list_permissions(session, identity, build.namespace, build.environment),
    )


def _read_end_of_log(session: Session, build_id: int) -> LogView:
    """Return the end of the log: from the first whole line in it, when it does not begin at the beginning."""
    size = logs.peek(session, build_id, 1 << 62).size
    part = logs.peek(session, build_id, max(0, size - _LOG_BYTES))
    start = part.next_offset - len(part.data)
    pieces = [part.data]
    while part.data and part.next_offset < size:
        part = logs.peek(session, build_id, part.next_offset)
        pieces.append(part.data)
    data = b"".join(pieces)
    skipped = data.find(b"\n") + 1 if start else 0
    return LogView(
        text=data[skipped:].decode(errors="replace"),
        offset=part.next_offset,
        skipped=start + skipped,
        complete=part.complete,
        progress=part.progress,
    )


class BuildHandler(PageHandler):
    """`/build/ID/`."""

    asks_anew_for = frozenset()
    help = "pages/#build"
    shareable = True
    live = True

    def say_deed(self) -> str:
        """Return what was to be done with the build."""
        return say_action(self, self.path_args[0])

    async def get(self, build_id: str) -> None:
        """Show the build as far as it is."""
        await self._show(arguments.read_id(build_id))

    async def _show(self, number: int, error: CondaStoreHubError | None = None) -> None:
        is_about_tag = error is not None and self.get_body_argument("action", "") == "tag"
        view = await self.look_up(_read_build, number, self.services.data)
        self.show(
            BuildContext(
                layout=self.lay_out(f"Build {number} of {view.build.namespace}/{view.build.environment}"),
                build=view.build,
                log=view.log,
                explanation=_explain(view),
                found=view.found,
                offers=list_offers(view.build, self.prefix, may_ask=self.identity.authenticated),
                image=find_image(view.build, view.image_size, may_ask=self.identity.authenticated),
                may=view.may,
                error=error.public_message if error else "",
                tag=self.get_body_argument("tag", "") if is_about_tag else None,
            )
        )

    async def post(self, build_id: str) -> None:
        """Do what was asked for: cancel it, pin it or let it go, make it once more, or make a file of it."""
        number = arguments.read_id(build_id)
        await self.take_form(self._take(number), lambda exc: self._show(number, exc))

    async def _take(self, number: int) -> str:
        """Do what was asked for; return the address to go on at."""
        action = fields.require_action(self)
        if action in ("make", "again"):
            kind = read_kind(self.get_body_argument("artifact_type", ""))
            ask = artifacts.request if action == "make" else artifacts.request_again
            await self.services.db.write(ask, self.identity, number, kind, self.services.rules)
            part = "image" if kind == ArtifactType.DOCKER_MANIFEST else "artifacts"
            return f"build/{number}/#{part}"
        return f"build/{await self._act(number, action)}/"

    async def _act(self, number: int, action: str) -> int:
        """Do something with the build; return the build to look at then."""
        db = self.services.db
        if action == "cancel":
            await db.write(builds.cancel, self.identity, number)
            return number
        if action == "tag":
            name, move = self.get_body_argument("tag", ""), self.get_body_argument("move", "") == "yes"
            await db.write(tags.give, self.identity, number, name, move=move)
            return number
        if action == "untag":
            await db.write(tags.remove, self.identity, number, self.get_body_argument("tag", ""))
            return number
        return await act(self, number, action) or number


def say_action(handler: PageHandler, number: str) -> str:
    """Return what a form was to do with a build, in words."""
    words = _ACTIONS.get(handler.get_body_argument("action", ""), "Change {}")
    return words.format(f"build {shorten(number)}")


async def act(handler: PageHandler, number: int, action: str) -> int | None:
    """Do with a build that is over what several pages offer; return the number of a build that was begun by it."""
    services, identity = handler.services, handler.identity
    match action:
        case "pin" | "unpin":
            await services.db.write(removals.pin, identity, number, pinned=action == "pin")
        case "rebuild" | "rebuild-exactly":
            exact = action == "rebuild-exactly"
            return await services.db.write(
                rebuilds.rebuild, identity, number, services.rules, exact=exact, activate=True
            )
        case _:
            raise InvalidRequestError(f"“{shorten(action)}” is nothing that can be done with a build.")
    return None


def _explain(view: _BuildView) -> str:
    if view.build.status is not BuildStatus.FAILED or not view.build.status_info:
        return ""
    return logs.find_explanation(view.log.text, view.build.status_info)
