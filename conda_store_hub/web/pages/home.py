"""`/`: the environments that one may see, searched and filtered."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import ClassVar
from urllib.parse import urlencode

from sqlalchemy.orm import Session

from conda_store_hub.core import ondemand, schemas
from conda_store_hub.core.errors import InvalidRequestError
from conda_store_hub.core.permissions import Identity
from conda_store_hub.core.protocol import LIVE, ArtifactState, ArtifactType, BuildStatus
from conda_store_hub.services import artifacts, environments, namespaces
from conda_store_hub.web.contexts import Context, Pager
from conda_store_hub.web.listpage import ListPage
from conda_store_hub.web.offers import SHORTCUTS, Offer, list_shortcuts
from conda_store_hub.web.query import MOST_PACKAGES, PagedQuery, Status, Text

_PACKAGE = re.compile(r"(?:^|(?<=\s))package:(\S*)")


@dataclass(frozen=True, kw_only=True, slots=True)
class HomeContext(Context):
    """The environments one may see.

    `problem` says what makes no sense in what is searched for. `query` is what the address of another page ends with.
    """

    template: ClassVar[str] = "home.html"
    environments: tuple[schemas.Environment, ...]
    pager: Pager
    search: str
    namespace: str
    status: BuildStatus | None
    namespaces: tuple[schemas.Namespace, ...]
    other: str
    """The namespace that is asked for, where it is not among them."""
    statuses: tuple[BuildStatus, ...]
    problem: str
    query: str
    lab: str
    """Where the Hub opens JupyterLab for who asks, and starts their server if it has to."""
    shortcuts: dict[int, tuple[Offer, ...]]
    """What is offered of active builds, by their numbers."""

    on_demand: str = ondemand.NAMESPACE
    """Where what is made of names of images is, which is no kernel."""

    @property
    def busy(self) -> bool:
        """Whether something that is shown will be over soon."""
        return any(row.latest_status in LIVE for row in self.environments) or any(
            offer.pending for offers in self.shortcuts.values() for offer in offers
        )

    @property
    def are_cut(self) -> bool:
        """Whether there may be more namespaces than are listed."""
        return len(self.namespaces) >= namespaces.MOST_SHOWN

    @property
    def is_filtered(self) -> bool:
        """Whether there may be more than what is asked for."""
        return bool(self.search or self.namespace or self.status)

    @property
    def has_some(self) -> bool:
        """Whether there is anything to search in."""
        return self.is_filtered or self.pager.count > 0

    @property
    def found(self) -> str:
        """How many environments there are, in words."""
        if self.problem:
            return self.problem
        words = "1 environment" if self.pager.count == 1 else f"{self.pager.count:,} environments"
        return f"{words} found" if self.is_filtered else words


class HomeQuery(PagedQuery):
    """Which environments are shown."""

    search: Text | None = None
    namespace: Text | None = None
    status: Status | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class _HomeView:
    environments: list[schemas.Environment]
    count: int
    namespaces: list[schemas.Namespace]
    problem: str = ""
    files: dict[int, dict[ArtifactType, ArtifactState]] = field(
        default_factory=dict[int, dict[ArtifactType, ArtifactState]]
    )


def _read_home(session: Session, identity: Identity, query: HomeQuery) -> _HomeView:
    readable = namespaces.list_readable(session, identity)
    try:
        text, packages = _split_search(query.search or "")
        rows, count = environments.list_environments(
            session,
            identity,
            page=query.page,
            size=query.size,
            search=text or None,
            namespace=query.namespace,
            status=query.status,
            packages=packages,
        )
    except InvalidRequestError as exc:  # half of a name with versions, while one types
        return _HomeView(environments=[], count=0, namespaces=readable, problem=exc.public_message)
    active = [row.current_build_id for row in rows if row.current_build_id is not None]
    files = artifacts.list_states(session, active, SHORTCUTS)
    return _HomeView(environments=rows, count=count, namespaces=readable, files=files)


def _split_search(text: str) -> tuple[str, tuple[str, ...]]:
    """Return what names are to have in them, and the packages that were asked for: `package:numpy>=2`."""
    packages = tuple(found for found in _PACKAGE.findall(text) if found)
    if len(packages) > MOST_PACKAGES:
        raise InvalidRequestError(f"At most {MOST_PACKAGES} packages can be searched for at once.")
    return " ".join(_PACKAGE.sub(" ", text).split()), packages


class HomeHandler(ListPage):
    """`/`: the environments, by namespace and name."""

    help = "pages/#home"
    shareable = True

    async def get(self) -> None:
        """Show a page of them."""
        query = self.read_query(HomeQuery)
        view = await self.look_up(_read_home, query)
        filters = {"search": query.search, "namespace": query.namespace, "status": query.status}
        given = urlencode({name: value for name, value in filters.items() if value})
        known = {row.name for row in view.namespaces}
        self.show(
            HomeContext(
                layout=self.lay_out("Environments", "home"),
                environments=tuple(view.environments),
                pager=Pager(page=query.page, size=query.size, count=view.count),
                search=query.search or "",
                namespace=query.namespace or "",
                status=query.status,
                namespaces=tuple(view.namespaces),
                other=query.namespace if query.namespace and query.namespace not in known else "",
                statuses=tuple(BuildStatus),
                problem=view.problem,
                query=f"&{given}" if given else "",
                lab=self.services.auth.environment.hub_page("user-redirect/lab"),
                shortcuts=self._list_shortcuts(view),
            )
        )

    def _list_shortcuts(self, view: _HomeView) -> dict[int, tuple[Offer, ...]]:
        active = (row.current_build_id for row in view.environments if row.current_build_id is not None)
        may_ask = self.identity.authenticated
        return {one: list_shortcuts(one, view.files.get(one, {}), self.prefix, may_ask=may_ask) for one in active}
