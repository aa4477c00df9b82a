"""What is asked of the process that reads channels, and what it answers: JSON lines, each with a number."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

Platform = Literal[
    "emscripten-wasm32",
    "linux-32",
    "linux-64",
    "linux-aarch64",
    "linux-armv6l",
    "linux-armv7l",
    "linux-ppc64le",
    "linux-riscv64",
    "linux-s390x",
    "noarch",
    "osx-64",
    "osx-arm64",
    "win-32",
    "win-64",
    "win-arm64",
]
"""A folder of a channel."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True)


class Place(_Frozen):
    """Where to look: in these folders of these channels, which are addresses."""

    channels: tuple[str, ...]
    platforms: tuple[str, ...]


class Paging(_Frozen):
    """Which part of what was found is meant."""

    page: int = 1
    size: int = 100

    @property
    def part(self) -> slice:
        """That part of a list."""
        return slice((self.page - 1) * self.size, self.page * self.size)


class FindNames(_Frozen):
    """Which packages have a text in their name, or it `exact`ly as their name; no text is in all of them."""

    kind: Literal["names"] = "names"
    place: Place
    text: str = ""
    exact: bool = False
    by_name: bool = False
    """In the order of names; else the names that are or begin with the text come first."""
    paging: Paging = Paging()


class ListVersions(_Frozen):
    """Which builds there are of a package, the newest version first."""

    kind: Literal["versions"] = "versions"
    place: Place
    name: str
    version: str | None = None
    """Only of this version, however it is written."""
    build: str | None = None
    """Only with this text in the build string."""
    paging: Paging = Paging()


class PinnedPackage(_Frozen):
    """A package of a build as it was in its channel then."""

    name: str
    channel: str
    subdir: str
    file: str
    sha256: str = ""
    md5: str = ""
    size: int = 0
    """In bytes; 0 if it is not known."""


class FindDeparted(_Frozen):
    """Which packages are no longer in their channel as they were."""

    kind: Literal["departed"] = "departed"
    packages: tuple[PinnedPackage, ...]


Ask = Annotated[FindNames | ListVersions | FindDeparted, Field(discriminator="kind")]


class Question(_Frozen):
    """A question with its number; without one, nobody waits any more for the answer of that number."""

    id: int
    ask: Ask | None = None


class Problem(_Frozen):
    """A channel that could not be read, and why, in words."""

    channel: str
    message: str


class FoundName(_Frozen):
    """A package of a channel; what its builds say is None where they could not be read."""

    name: str
    channel: str
    version: str | None = None
    versions: int | None = None
    license: str | None = None


class FoundNames(_Frozen):
    """A page of what FindNames found, and how much there is."""

    kind: Literal["names"] = "names"
    found: tuple[FoundName, ...]
    count: int
    problems: tuple[Problem, ...] = ()


class FoundBuild(_Frozen):
    """One file of a package in a channel."""

    name: str
    version: str
    build: str
    build_number: int
    channel: str
    subdir: str
    file: str
    url: str
    size: int | None
    license: str | None
    timestamp: datetime | None
    sha256: str | None
    depends: tuple[str, ...]


class FoundBuilds(_Frozen):
    """A page of what ListVersions found, and how much there is."""

    kind: Literal["versions"] = "versions"
    found: tuple[FoundBuild, ...]
    count: int
    problems: tuple[Problem, ...] = ()


class Departed(_Frozen):
    """A package that is no longer in its channel, or is another file there now."""

    package: PinnedPackage
    how: Literal["gone", "changed"]


class FoundDeparted(_Frozen):
    """What FindDeparted found; of the packages of channels that have a problem nothing is known."""

    kind: Literal["departed"] = "departed"
    found: tuple[Departed, ...]
    unknown: tuple[PinnedPackage, ...] = ()
    problems: tuple[Problem, ...] = ()


class Failed(_Frozen):
    """A question that could not be answered; why is for the service's log."""

    kind: Literal["failed"] = "failed"
    detail: str


Found = Annotated[FoundNames | FoundBuilds | FoundDeparted | Failed, Field(discriminator="kind")]


class Reply(_Frozen):
    """The answer to the question of that number."""

    id: int
    found: Found


reply: TypeAdapter[Reply] = TypeAdapter(Reply)
"""Reads a line of the process."""


class SearcherSetup(_Frozen):
    """The first line that the process is sent: where indexes are kept, and how long things may take, in seconds."""

    repodata: str
    patience: float = 20.0
    """How long one channel may take for a question; it goes on being read for the next."""
    fresh: float = 300.0
    """After how long a channel is looked at again."""
    sulk: float = 20.0
    """For how long a channel that failed is not asked again."""
