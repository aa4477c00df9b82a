"""`/environment/NAMESPACE/NAME/`: one environment, its active build and all others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from sqlalchemy.orm import Session

from conda_store_hub.core import schemas
from conda_store_hub.core.artifacts import FILES
from conda_store_hub.core.names import DataDirectory
from conda_store_hub.core.permissions import Identity, Permission
from conda_store_hub.core.protocol import LIVE, ArtifactType
from conda_store_hub.services import builds, environments, rights
from conda_store_hub.web import arguments
from conda_store_hub.web.contexts import Context, Pager
from conda_store_hub.web.offers import Offer, list_offers
from conda_store_hub.web.page import PageHandler
from conda_store_hub.web.query import PagedQuery, Size

_BUILDS = 25


@dataclass(frozen=True, kw_only=True, slots=True)
class EnvironmentContext(Context):
    """One environment: its active build and all others."""

    template: ClassVar[str] = "environment.html"
    environment: schemas.Environment
    builds: tuple[schemas.BuildSummary, ...]
    pager: Pager
    offers: tuple[Offer, ...]
    lasting_lockfile: str
    """The address of the active build's lockfile, whichever that is."""
    may_update: bool
    busy: bool


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

    help = "pages/#environment"
    shareable = True

    async def get(self, namespace: str, name: str) -> None:
        """Show the environment and its builds."""
        where = arguments.read_names(namespace, name)
        query = self.read_query(HistoryQuery)
        view = await self.look_up(_read_environment, where, query, self.services.data)
        active = view.environment.current_build
        self.show(
            EnvironmentContext(
                layout=self.lay_out(f"{namespace}/{view.environment.name}"),
                environment=view.environment,
                builds=tuple(view.builds),
                pager=Pager(page=query.page, size=query.size, count=view.count),
                offers=list_offers(active, self.prefix, may_ask=self.identity.authenticated) if active else (),
                lasting_lockfile=_lasting_lockfile(self.prefix, view.environment),
                may_update=view.may_update,
                busy=view.environment.latest_status in LIVE,
            )
        )

    async def post(self, namespace: str, name: str) -> None:
        """Activate the build that was chosen."""
        where = arguments.read_names(namespace, name)
        change = schemas.ActivateBuild(build_id=arguments.read_id(self.get_body_argument("build_id", "")))
        await self.services.db.write(environments.update, self.identity, *where, change)
        self.redirect(f"{self.prefix}environment/{where[0]}/{where[1]}/", status=303)
