"""`/build/ID/`: one build, as far as it is, and what can be done with it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from sqlalchemy.orm import Session

from conda_store_hub.core import schemas
from conda_store_hub.core.errors import InvalidRequestError
from conda_store_hub.core.names import DataDirectory, shorten
from conda_store_hub.core.permissions import Identity, Permission
from conda_store_hub.core.protocol import LIVE, ArtifactState, ArtifactType, BuildStatus, Phase
from conda_store_hub.services import artifacts, builds, logs, rebuilds, removals, rights
from conda_store_hub.web import arguments
from conda_store_hub.web.contexts import Context
from conda_store_hub.web.offers import Offer, list_offers
from conda_store_hub.web.page import PageHandler
from conda_store_hub.web.pages.packages import PackageQuery, PackagesView, find_packages

_LOG_BYTES = 256_000  # of the end of a log, in the page itself
_EXPECTED = (Phase.SOLVE, Phase.INSTALL, Phase.ACTIVATE)  # of every build that becomes usable
_MAKES = {
    ArtifactType.YAML: Phase.YAML,
    ArtifactType.LOCKFILE: Phase.LOCKFILE,
    ArtifactType.EXPLICIT: Phase.EXPLICIT,
    ArtifactType.PIXI_LOCK: Phase.PIXI_LOCK,
    ArtifactType.CONDA_PACK: Phase.ARCHIVE,
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
    may: frozenset[Permission]

    @property
    def archive_size(self) -> int | None:
        """The bytes of the archive, None while there is none."""
        return next((item.size for item in self.offers if item.artifact_type is ArtifactType.CONDA_PACK), None)

    @property
    def is_live(self) -> bool:
        """Whether it waits or is being built."""
        return self.build.status in LIVE

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
        build = self.build
        kept = self.is_live or build.active or build.pinned or build.deleted_on is not None
        return not kept and Permission.BUILD_DELETE in self.may

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
    may: frozenset[Permission]


def _read_build(session: Session, identity: Identity, build_id: int, data: DataDirectory) -> _BuildView:
    build = builds.get_build(session, identity, build_id, data=data)
    return _BuildView(
        build=build,
        log=_read_end_of_log(session, build_id),
        found=find_packages(session, identity, build_id, PackageQuery.model_validate({})),
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


def _read_kind(text: str) -> ArtifactType:
    try:
        return ArtifactType(text)
    except ValueError as exc:
        raise InvalidRequestError(f"“{shorten(text)}” is no kind of file that builds have.") from exc


class BuildHandler(PageHandler):
    """`/build/ID/`."""

    asks_anew_for = frozenset()
    help = "pages/#build"
    shareable = True

    async def get(self, build_id: str) -> None:
        """Show the build as far as it is."""
        number = arguments.read_id(build_id)
        view = await self.look_up(_read_build, number, self.services.data)
        self.show(
            BuildContext(
                layout=self.lay_out(f"Build {number} of {view.build.namespace}/{view.build.environment}"),
                build=view.build,
                log=view.log,
                explanation=_explain(view),
                found=view.found,
                offers=list_offers(view.build, self.prefix, may_ask=self.identity.authenticated),
                may=view.may,
            )
        )

    async def post(self, build_id: str) -> None:
        """Do what was asked for: cancel it, pin it or let it go, make it once more, or make a file of it again."""
        number = arguments.read_id(build_id)
        kind = self.get_body_argument("artifact_type", "")
        goes_to = number
        if kind:
            await self.services.db.write(
                artifacts.request_again, self.identity, number, _read_kind(kind), self.services.rules
            )
        else:
            goes_to = await self._act(number, self.get_body_argument("action", "cancel"))
        self.redirect(f"{self.prefix}build/{goes_to}/", status=303)

    async def _act(self, number: int, action: str) -> int:
        """Do something with the build; return the build to look at then."""
        db, rules = self.services.db, self.services.rules
        match action:
            case "cancel":
                await db.write(builds.cancel, self.identity, number)
            case "pin" | "unpin":
                await db.write(removals.pin, self.identity, number, pinned=action == "pin")
            case "rebuild" | "rebuild-exactly":
                exact = action == "rebuild-exactly"
                return await db.write(rebuilds.rebuild, self.identity, number, rules, exact=exact, activate=True)
            case _:
                raise InvalidRequestError(f"“{shorten(action)}” is nothing that can be done with a build.")
        return number


def _explain(view: _BuildView) -> str:
    if view.build.status is not BuildStatus.FAILED or not view.build.status_info:
        return ""
    return logs.find_explanation(view.log.text, view.build.status_info)
