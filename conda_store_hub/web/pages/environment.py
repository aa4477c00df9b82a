"""`/environment/NAMESPACE/NAME/`: one environment and its builds; what was deleted can be brought back there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from sqlalchemy.orm import Session

from conda_store_hub.core import schemas
from conda_store_hub.core.artifacts import FILES
from conda_store_hub.core.errors import CondaStoreHubError, InvalidRequestError, NotFoundError
from conda_store_hub.core.names import DataDirectory, shorten
from conda_store_hub.core.permissions import Identity, Permission
from conda_store_hub.core.protocol import LIVE, ArtifactType, BuildStatus
from conda_store_hub.services import builds, environments, rebuilds, removals, rights
from conda_store_hub.services.removals import Deleted
from conda_store_hub.web import arguments
from conda_store_hub.web.contexts import Context, Pager
from conda_store_hub.web.offers import Offer, list_offers
from conda_store_hub.web.page import PageHandler
from conda_store_hub.web.pages import history
from conda_store_hub.web.pages.history import Chart, Measured
from conda_store_hub.web.query import PagedQuery, Size

_BUILDS = 25


@dataclass(frozen=True, kw_only=True, slots=True)
class EnvironmentContext(Context):
    """One environment: its active build and all others, and what who looks may do with it."""

    template: ClassVar[str] = "environment.html"
    environment: schemas.Environment
    builds: tuple[schemas.BuildSummary, ...]
    pager: Pager
    offers: tuple[Offer, ...]
    lasting_lockfile: str
    """The address of the active build's lockfile, whichever that is."""
    storage: int
    """Bytes that would be free if all of its builds went."""
    charts: tuple[Chart, ...]
    measured: tuple[Measured, ...]
    may: frozenset[Permission]
    lab: str
    """Where the Hub opens JupyterLab for who asks, and starts their server if it has to."""
    busy: bool

    @property
    def may_update(self) -> bool:
        """Whether who looks may build it."""
        return Permission.ENVIRONMENT_UPDATE in self.may

    @property
    def may_delete(self) -> bool:
        """Whether who looks may delete it."""
        return Permission.ENVIRONMENT_DELETE in self.may

    @property
    def may_delete_builds(self) -> bool:
        """Whether who looks may delete builds of it."""
        return Permission.BUILD_DELETE in self.may

    @property
    def may_share(self) -> bool:
        """Whether who looks may see who else uses it."""
        return Permission.MEMBERS_READ in self.may


@dataclass(frozen=True, kw_only=True, slots=True)
class DeletedContext(Context):
    """An environment that was deleted and can be brought back; under another name if its own is taken."""

    template: ClassVar[str] = "environment_deleted.html"
    deleted: Deleted
    name: str
    """What was typed as its new name."""
    error: CondaStoreHubError | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class _EnvironmentView:
    environment: schemas.Environment
    builds: list[schemas.BuildSummary]
    count: int
    measured: tuple[Measured, ...]
    storage: int
    may: frozenset[Permission]


def _read_environment(
    session: Session, identity: Identity, where: tuple[str, str], query: PagedQuery, data: DataDirectory
) -> _EnvironmentView | Deleted:
    try:
        environment = environments.get_environment(session, identity, *where, data=data)
    except NotFoundError:
        deleted = _find_deleted(session, identity, where)
        if deleted is None:
            raise
        return deleted
    number = environment.id
    rows, count = builds.list_builds(session, identity, page=query.page, size=query.size, environment_id=number)
    completed, _ = builds.list_builds(
        session, identity, page=1, size=history.MOST_SHOWN, environment_id=number, status=BuildStatus.COMPLETED
    )
    return _EnvironmentView(
        environment=environment,
        builds=rows,
        count=count,
        measured=history.measure(completed),
        storage=environments.find_storage(session, number),
        may=rights.list_permissions(session, identity, *where),
    )


def _find_deleted(session: Session, identity: Identity, where: tuple[str, str]) -> Deleted | None:
    """Return what was here and can be brought back by who asks; others are not told of it."""
    try:
        return removals.find_deleted(session, identity, *where)
    except CondaStoreHubError:
        return None


def _lasting_lockfile(prefix: str, environment: schemas.Environment) -> str:
    where = f"{environment.namespace.name}/{environment.name}"
    return f"{prefix}api/v1/environment/{where}/{FILES[ArtifactType.LOCKFILE].name}"


class HistoryQuery(PagedQuery):
    """Which of an environment's builds are shown."""

    size: Size = _BUILDS


class EnvironmentHandler(PageHandler):
    """`/environment/NAMESPACE/NAME/`."""

    asks_anew_for = frozenset()
    help = "pages/#environment"
    shareable = True

    async def get(self, namespace: str, name: str) -> None:
        """Show the environment and its builds."""
        where = arguments.read_names(namespace, name)
        query = self.read_query(HistoryQuery)
        view = await self.look_up(_read_environment, where, query, self.services.data)
        if isinstance(view, Deleted):
            self.show(DeletedContext(layout=self.lay_out(f"{view.namespace}/{view.name}"), deleted=view, name=""))
            return
        active = view.environment.current_build
        self.show(
            EnvironmentContext(
                layout=self.lay_out(f"{namespace}/{view.environment.name}"),
                environment=view.environment,
                builds=tuple(view.builds),
                pager=Pager(page=query.page, size=query.size, count=view.count),
                offers=list_offers(active, self.prefix, may_ask=self.identity.authenticated) if active else (),
                lasting_lockfile=_lasting_lockfile(self.prefix, view.environment),
                storage=view.storage,
                charts=history.draw(view.measured),
                measured=view.measured,
                may=view.may,
                lab=self.services.auth.environment.hub_page("user-redirect/lab"),
                busy=view.environment.latest_status in LIVE,
            )
        )

    async def post(self, namespace: str, name: str) -> None:
        """Do with one of its builds what was chosen: activate it, if nothing else is."""
        where = arguments.read_names(namespace, name)
        number = arguments.read_id(self.get_body_argument("build_id", ""))
        match self.get_body_argument("action", "activate"):
            case "activate":
                change = schemas.ActivateBuild(build_id=number)
                await self.services.db.write(environments.update, self.identity, *where, change)
            case "pin" | "unpin" as action:
                await self.services.db.write(removals.pin, self.identity, number, pinned=action == "pin")
            case "rebuild" | "rebuild-exactly" as action:
                await self._rebuild(number, exact=action == "rebuild-exactly")
                return
            case other:
                raise InvalidRequestError(f"“{shorten(other)}” is nothing that can be done with a build.")
        self.redirect(f"{self.prefix}environment/{where[0]}/{where[1]}/", status=303)

    async def _rebuild(self, number: int, *, exact: bool) -> None:
        made = await self.services.db.write(
            rebuilds.rebuild, self.identity, number, self.services.rules, exact=exact, activate=True
        )
        self.redirect(f"{self.prefix}build/{made}/", status=303)
