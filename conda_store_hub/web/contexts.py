"""What each page shows: one value a template, and nothing else in it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from conda_store_hub.core import schemas
from conda_store_hub.core.errors import CondaStoreHubError
from conda_store_hub.core.protocol import ArtifactType, Phase
from conda_store_hub.services.users import Place
from conda_store_hub.web.offers import Offer


@dataclass(frozen=True, kw_only=True, slots=True)
class Layout:
    """What stands around every page. `user` and `xsrf` are empty for the anonymous."""

    title: str
    here: str
    prefix: str
    hub_home: str
    hub_logout: str
    logo: str
    user: str
    xsrf: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Context:
    """What a page shows."""

    template: ClassVar[str]
    layout: Layout


@dataclass(frozen=True, kw_only=True, slots=True)
class Pager:
    """Which page of a list is shown, and how many entries the list has."""

    page: int
    size: int
    count: int

    @property
    def last(self) -> int:
        """The number of the last page, at least 1."""
        return max(1, -(-self.count // self.size))


@dataclass(frozen=True, kw_only=True, slots=True)
class NamespaceGroup:
    """The environments of one namespace on the home page."""

    namespace: schemas.Namespace
    environments: tuple[schemas.Environment, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class HomeContext(Context):
    """The environments one may see; `busy` while one of them has a build to wait for."""

    template: ClassVar[str] = "home.html"
    groups: tuple[NamespaceGroup, ...]
    pager: Pager
    search: str
    busy: bool


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
class CreateContext(Context):
    """The form for a specification, with what was typed and what is wrong with it."""

    template: ClassVar[str] = "create.html"
    namespaces: tuple[schemas.Namespace, ...]
    namespace: str
    text: str
    name: str
    """What was typed for a text that has none."""
    error: CondaStoreHubError | None

    @property
    def line(self) -> str:
        """The line of the text that the error is about."""
        lines = self.text.splitlines()
        number = self.error.line if self.error else None
        return lines[number - 1] if number and number <= len(lines) else ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """One of the values of a field, as a form offers it; `note` says what it means."""

    value: str
    label: str
    chosen: bool
    note: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class TokenForm:
    """The form for a new token, with what was typed, and what is wrong with it."""

    label: str
    namespaces: tuple[Choice, ...]
    roles: tuple[Choice, ...]
    ends: tuple[Choice, ...]
    error: CondaStoreHubError | None


@dataclass(frozen=True, kw_only=True, slots=True)
class TokenEntry:
    """A token as people read it; `reach` says what it is for."""

    token: schemas.TokenView
    reach: str


@dataclass(frozen=True, kw_only=True, slots=True)
class MadeToken:
    """A token that was just made, on the one page that shows its text."""

    text: str
    label: str
    reach: str
    expires_on: datetime | None


@dataclass(frozen=True, kw_only=True, slots=True)
class UserContext(Context):
    """Who the Hub says one is, what one may do, and one's tokens; `form` is None for who has no session."""

    template: ClassVar[str] = "user.html"
    groups: tuple[str, ...]
    everything: bool
    places: tuple[Place, ...]
    form: TokenForm | None
    tokens: tuple[TokenEntry, ...]
    pager: Pager
    made: MadeToken | None
    address: str


@dataclass(frozen=True, kw_only=True, slots=True)
class GuideEntry:
    """A page of the guide in its table of contents."""

    name: str
    title: str


@dataclass(frozen=True, kw_only=True, slots=True)
class GuideContext(Context):
    """A page of the user guide; `html` was made from our own Markdown."""

    template: ClassVar[str] = "docs.html"
    entries: tuple[GuideEntry, ...]
    name: str
    html: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ErrorContext(Context):
    """What went wrong; `again` is after how many seconds a browser should try once more, 0 for never."""

    template: ClassVar[str] = "error.html"
    status: int
    message: str
    again: int
