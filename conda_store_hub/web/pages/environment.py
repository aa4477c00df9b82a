"""`/environment/NAMESPACE/NAME/`: one environment and its builds; what was deleted can be brought back there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from sqlalchemy.orm import Session

from conda_store_hub.core import ondemand, schemas
from conda_store_hub.core.artifacts import FILES
from conda_store_hub.core.errors import CondaStoreHubError, NotFoundError
from conda_store_hub.core.names import DataDirectory, shorten
from conda_store_hub.core.permissions import Identity, Permission
from conda_store_hub.core.protocol import LIVE, ArtifactType, BuildStatus
from conda_store_hub.services import artifacts, builds, environments, namespaces, removals, rights, tags
from conda_store_hub.services.removals import Deleted
from conda_store_hub.web import arguments, fields
from conda_store_hub.web.contexts import Context, Pager
from conda_store_hub.web.offers import Offer, list_offers, read_kind
from conda_store_hub.web.page import PageHandler
from conda_store_hub.web.pages import history
from conda_store_hub.web.pages.build import act, is_kept, say_action
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
    tagged: frozenset[int]
    """Builds that have a tag, which are kept."""
    may: frozenset[Permission]
    may_rename: bool
    may_clone: bool
    """Whether there is a namespace that who looks may clone it into."""
    lab: str
    """Where the Hub opens JupyterLab for who asks, and starts their server if it has to."""
    error: str = ""
    """Why what was asked for with a form cannot be."""

    @property
    def waits(self) -> bool:
        """Whether its latest build is not over yet."""
        return self.environment.latest_status in LIVE

    @property
    def busy(self) -> bool:
        """Whether something that is shown will be over soon."""
        return self.waits or any(offer.pending for offer in self.offers)

    @property
    def has_lockfile(self) -> bool:
        """Whether the active build's lockfile is there."""
        return any(offer.artifact_type is ArtifactType.LOCKFILE and offer.url for offer in self.offers)

    @property
    def is_on_demand(self) -> bool:
        """Whether it was made of the name of an image: it is no kernel, and nobody edits it."""
        return self.environment.namespace.name == ondemand.NAMESPACE

    @property
    def may_update(self) -> bool:
        """Whether who looks may build it."""
        return Permission.ENVIRONMENT_UPDATE in self.may

    @property
    def may_delete(self) -> bool:
        """Whether who looks may delete it."""
        return Permission.ENVIRONMENT_DELETE in self.may

    def may_delete_build(self, build: schemas.BuildSummary) -> bool:
        """Whether who looks may delete this one, and nothing stands against that."""
        return Permission.BUILD_DELETE in self.may and not is_kept(build, is_tagged=build.id in self.tagged)

    @property
    def may_share(self) -> bool:
        """Whether who looks may see who else uses it."""
        return Permission.MEMBERS_READ in self.may

    @property
    def may_read_policy(self) -> bool:
        """Whether who looks may see what counts for it."""
        return Permission.SETTING_READ in self.may


@dataclass(frozen=True, kw_only=True, slots=True)
class DeletedContext(Context):
    """An environment that was deleted and can be brought back; under another name if its own is taken."""

    template: ClassVar[str] = "environment_deleted.html"
    deleted: Deleted
    name: str
    """What was typed as its new name."""
    error: CondaStoreHubError | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class _Renamed:
    """What an environment is called now."""

    name: str


@dataclass(frozen=True, kw_only=True, slots=True)
class _EnvironmentView:
    environment: schemas.Environment
    builds: list[schemas.BuildSummary]
    count: int
    measured: tuple[Measured, ...]
    tagged: frozenset[int]
    storage: int
    may: frozenset[Permission]
    may_rename: bool
    may_clone: bool


def _read_environment(
    session: Session, identity: Identity, where: tuple[str, str], query: PagedQuery, data: DataDirectory
) -> _EnvironmentView | Deleted | _Renamed:
    try:
        environment = environments.get_environment(session, identity, *where, data=data)
    except NotFoundError:
        deleted = _find_deleted(session, identity, where)
        return deleted or _Renamed(name=environments.find_new_name(session, identity, *where))
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
        tagged=frozenset(tag.build_id for tag in tags.list_tags(session, identity, *where)),
        storage=environments.find_storage(session, number),
        may=rights.list_permissions(session, identity, *where),
        may_rename=environments.may_rename(session, identity, *where),
        may_clone=identity.authenticated and bool(namespaces.list_writable(session, identity)),
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
    live = True

    def say_deed(self) -> str:
        """Return what was to be done, and with which of its builds."""
        said = say_action(self, self.get_body_argument("build_id", ""))
        return f"{said} of {'/'.join(map(shorten, self.path_args))}"

    async def get(self, namespace: str, name: str) -> None:
        """Show the environment and its builds."""
        await self._show(arguments.read_names(namespace, name))

    async def _show(self, where: tuple[str, str], error: CondaStoreHubError | None = None) -> None:
        query = self.read_query(HistoryQuery)
        view = await self.look_up(_read_environment, where, query, self.services.data)
        if isinstance(view, Deleted):
            layout = self.lay_out(f"{view.namespace}/{view.name}")
            self.show(DeletedContext(layout=layout, deleted=view, name="", error=error))
            return
        if isinstance(view, _Renamed):
            self._lead_to(f"{self.prefix}environment/{where[0]}/{view.name}/")
            return
        active = view.environment.current_build
        self.show(
            EnvironmentContext(
                layout=self.lay_out(f"{view.environment.namespace.name}/{view.environment.name}"),
                environment=view.environment,
                builds=tuple(view.builds),
                pager=Pager(page=query.page, size=query.size, count=view.count),
                offers=list_offers(active, self.prefix, may_ask=self.identity.authenticated) if active else (),
                lasting_lockfile=_lasting_lockfile(self.prefix, view.environment),
                storage=view.storage,
                charts=history.draw(view.measured),
                measured=view.measured,
                tagged=view.tagged,
                may=view.may,
                may_rename=view.may_rename,
                may_clone=view.may_clone,
                lab=self.services.auth.environment.hub_page("user-redirect/lab"),
                error=error.public_message if error else "",
            )
        )

    def _lead_to(self, address: str) -> None:
        """Send a browser on to where it is now, and tell a script, which does not see where a redirect leads."""
        if self.is_visited:
            self.redirect(address)
        else:
            self.set_status(NotFoundError.status)
            self.set_header("X-Moved-To", address)
            self.finish()

    async def post(self, namespace: str, name: str) -> None:
        """Do with one of its builds what was chosen."""
        where = arguments.read_names(namespace, name)
        await self.take_form(self._take(where), lambda exc: self._show(where, exc))

    async def _take(self, where: tuple[str, str]) -> str:
        """Do what was asked for; return the address to go on at."""
        number = arguments.read_id(self.get_body_argument("build_id", ""))
        made = None
        match fields.require_action(self):
            case "activate":
                change = schemas.ActivateBuild(build_id=number)
                await self.services.db.write(environments.update, self.identity, *where, change)
            case "make":
                kind = read_kind(self.get_body_argument("artifact_type", ""))
                await self.services.db.write(artifacts.request, self.identity, number, kind, self.services.rules)
            case action:
                made = await act(self, number, action)
        return f"environment/{where[0]}/{where[1]}/" if made is None else f"build/{made}/"
