"""Pages: the environments, one environment, one build."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby

from sqlalchemy.orm import Session

from conda_store_hub.core import schemas
from conda_store_hub.core.artifacts import FILES
from conda_store_hub.core.errors import InvalidRequestError
from conda_store_hub.core.names import DataDirectory, shorten
from conda_store_hub.core.permissions import Identity, Permission
from conda_store_hub.core.protocol import ArtifactType, BuildStatus
from conda_store_hub.services import artifacts, builds, environments, logs, rights
from conda_store_hub.web import arguments, contexts
from conda_store_hub.web.base import BaseHandler
from conda_store_hub.web.offers import list_offers
from conda_store_hub.web.page import PageHandler
from conda_store_hub.web.query import PagedQuery, Size, Text

_LOG_BYTES = 256_000  # of the end of a log, in the page itself
_MOST_PACKAGES = 2000
_BUILDS = 25
_BUSY = frozenset({BuildStatus.QUEUED, BuildStatus.BUILDING})


class HomeQuery(PagedQuery):
    """Which environments are shown."""

    search: Text | None = None


class HomeHandler(PageHandler):
    """`/`: the environments, by namespace."""

    shareable = True

    async def get(self) -> None:
        """Show a page of them."""
        query = self.read_query(HomeQuery)
        rows, count = await self.look_up(
            environments.list_environments, page=query.page, size=query.size, search=query.search
        )
        groups = groupby(rows, key=lambda row: row.namespace)
        self.show(
            contexts.HomeContext(
                layout=self.lay_out("Environments", "home"),
                groups=tuple(
                    contexts.NamespaceGroup(namespace=namespace, environments=tuple(group))
                    for namespace, group in groups
                ),
                pager=contexts.Pager(page=query.page, size=query.size, count=count),
                search=query.search or "",
                busy=any(row.latest_status in _BUSY for row in rows),
            )
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class _EnvironmentView:
    environment: schemas.Environment
    builds: list[schemas.BuildSummary]
    count: int
    may_update: bool


def _read_environment(
    session: Session, identity: Identity, where: tuple[str, str], query: PagedQuery, data: DataDirectory
) -> _EnvironmentView:
    environment = environments.get_environment(session, identity, *where, data=data)
    rows, count = builds.list_builds(session, identity, page=query.page, size=query.size, environment_id=environment.id)
    return _EnvironmentView(
        environment=environment,
        builds=rows,
        count=count,
        may_update=rights.may_on_environment(session, identity, Permission.ENVIRONMENT_UPDATE, *where),
    )


def _lasting_lockfile(prefix: str, environment: schemas.Environment) -> str:
    where = f"{environment.namespace.name}/{environment.name}"
    return f"{prefix}api/v1/environment/{where}/{FILES[ArtifactType.LOCKFILE].name}"


class HistoryQuery(PagedQuery):
    """Which of an environment's builds are shown."""

    size: Size = _BUILDS


class EnvironmentHandler(PageHandler):
    """`/environment/NAMESPACE/NAME/`."""

    shareable = True

    async def get(self, namespace: str, name: str) -> None:
        """Show the environment and its builds."""
        where = arguments.read_names(namespace, name)
        query = self.read_query(HistoryQuery)
        view = await self.look_up(_read_environment, where, query, self.services.data)
        active = view.environment.current_build
        self.show(
            contexts.EnvironmentContext(
                layout=self.lay_out(f"{namespace}/{view.environment.name}"),
                environment=view.environment,
                builds=tuple(view.builds),
                pager=contexts.Pager(page=query.page, size=query.size, count=view.count),
                offers=list_offers(active, self.prefix, may_ask=self.identity.authenticated) if active else (),
                lasting_lockfile=_lasting_lockfile(self.prefix, view.environment),
                may_update=view.may_update,
                busy=view.environment.latest_status in _BUSY,
            )
        )

    async def post(self, namespace: str, name: str) -> None:
        """Activate the build that was chosen."""
        where = arguments.read_names(namespace, name)
        change = schemas.ActivateBuild(build_id=arguments.read_id(self.get_body_argument("build_id", "")))
        await self.services.db.write(environments.update, self.identity, *where, change)
        self.redirect(f"{self.prefix}environment/{where[0]}/{where[1]}/", status=303)


@dataclass(frozen=True, kw_only=True, slots=True)
class _BuildView:
    build: schemas.Build
    log: contexts.LogView
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


def _read_end_of_log(session: Session, build_id: int) -> contexts.LogView:
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
    return contexts.LogView(
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

    shareable = True

    async def get(self, build_id: str) -> None:
        """Show the build as far as it is."""
        number = arguments.read_id(build_id)
        view = await self.look_up(_read_build, number, self.services.data)
        busy = view.build.status in _BUSY
        self.show(
            contexts.BuildContext(
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


class LoginHandler(PageHandler):
    """`/login/`: through the Hub, and home."""

    async def get(self) -> None:
        """Go home: who comes here is logged in."""
        self.redirect(self.prefix)


class SlashHandler(BaseHandler):
    """Our prefix without its last slash."""

    def get(self) -> None:
        """Add it."""
        self.redirect(self.prefix, permanent=True)
