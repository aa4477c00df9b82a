"""`/build/ID/`: one build, as far as it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from sqlalchemy.orm import Session

from conda_store_hub.core import schemas
from conda_store_hub.core.errors import InvalidRequestError
from conda_store_hub.core.names import DataDirectory, shorten
from conda_store_hub.core.permissions import Identity, Permission
from conda_store_hub.core.protocol import LIVE, ArtifactType, Phase
from conda_store_hub.services import artifacts, builds, logs, rights
from conda_store_hub.web import arguments
from conda_store_hub.web.contexts import Context
from conda_store_hub.web.offers import Offer, list_offers
from conda_store_hub.web.page import PageHandler

_LOG_BYTES = 256_000  # of the end of a log, in the page itself
_MOST_PACKAGES = 2000


@dataclass(frozen=True, kw_only=True, slots=True)
class LogView:
    """The end of a log; `offset` is the byte after it, `skipped` how many bytes stand before it."""

    text: str
    offset: int
    skipped: int
    complete: bool
    progress: schemas.LogProgress | None


@dataclass(frozen=True, kw_only=True, slots=True)
class BuildContext(Context):
    """One build, as far as it is."""

    template: ClassVar[str] = "build.html"
    build: schemas.Build
    log: LogView
    packages: tuple[schemas.Package, ...]
    offers: tuple[Offer, ...]
    may_update: bool
    may_cancel: bool

    @property
    def archive_size(self) -> int | None:
        """The bytes of the archive, None while there is none."""
        return next((item.size for item in self.offers if item.artifact_type is ArtifactType.CONDA_PACK), None)

    @property
    def phases(self) -> list[schemas.PhaseTime]:
        """The steps in their order; several can begin in one tick of the clock."""
        return sorted(self.build.phases, key=lambda item: list(Phase).index(item.phase))


@dataclass(frozen=True, kw_only=True, slots=True)
class _BuildView:
    build: schemas.Build
    log: LogView
    packages: list[schemas.Package]
    may_update: bool
    may_cancel: bool


def _read_build(session: Session, identity: Identity, build_id: int, data: DataDirectory) -> _BuildView:
    build = builds.get_build(session, identity, build_id, data=data)
    where = build.namespace, build.environment
    packages, _ = builds.list_packages(session, identity, build_id, page=1, size=_MOST_PACKAGES, why=True)
    return _BuildView(
        build=build,
        log=_read_end_of_log(session, build_id),
        packages=packages,
        may_update=rights.may_on_environment(session, identity, Permission.ENVIRONMENT_UPDATE, *where),
        may_cancel=rights.may_on_environment(session, identity, Permission.BUILD_CANCEL, *where),
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

    help = "pages/#build"
    shareable = True

    async def get(self, build_id: str) -> None:
        """Show the build as far as it is."""
        number = arguments.read_id(build_id)
        view = await self.look_up(_read_build, number, self.services.data)
        busy = view.build.status in LIVE
        self.show(
            BuildContext(
                layout=self.lay_out(f"Build {number} of {view.build.namespace}/{view.build.environment}"),
                build=view.build,
                log=view.log,
                packages=tuple(view.packages),
                offers=list_offers(view.build, self.prefix, may_ask=self.identity.authenticated),
                may_update=view.may_update,
                may_cancel=view.may_cancel and busy,
            )
        )

    async def post(self, build_id: str) -> None:
        """Cancel the build, or have a file of it made that could not be made before."""
        number = arguments.read_id(build_id)
        kind = self.get_body_argument("artifact_type", "")
        if kind:
            await self.services.db.write(
                artifacts.request_again, self.identity, number, _read_kind(kind), self.services.rules
            )
        else:
            await self.services.db.write(builds.cancel, self.identity, number)
        self.redirect(f"{self.prefix}build/{number}/", status=303)
