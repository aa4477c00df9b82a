"""The REST wire: the packages of channels."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from conda_store_hub.core.schemas.wire import Page, Wire


class ChannelProblem(Wire):
    """A channel that could not be read, and why; what stands in the answer is of the others."""

    channel: str
    message: str


class FoundPackage(Wire):
    """A package of a channel, under conda-store's keys and ours; None is what could not be read."""

    id: int
    """Its number in the list that was asked for; it means nothing elsewhere."""
    name: str
    channel: dict[str, Any]
    version: str | None
    """The newest one, or the one that this is about."""
    versions: int | None
    """How many versions there are."""
    license: str | None = None
    summary: str | None = None


class FoundPackages(Page[FoundPackage]):
    """`GET /api/v1/package/`."""

    problems: list[ChannelProblem]


class ChannelPackage(Wire):
    """One file of a package in a channel; `size` is in bytes as downloaded."""

    name: str
    version: str
    build: str
    build_number: int
    channel: str
    subdir: str
    file: str
    type: Literal[".conda", ".tar.bz2"]
    url: str
    size: int | None
    license: str | None
    timestamp: datetime | None
    sha256: str | None
    depends: list[str]


class ChannelPackages(Page[ChannelPackage]):
    """`GET /api/v1/package/NAME/`: the newest version first."""

    problems: list[ChannelProblem]


class DepartedPackage(Wire):
    """A package of a build that is not in its channel as it was."""

    name: str
    version: str
    build: str
    channel: str
    subdir: str


class DepartedPackages(Wire):
    """`GET /api/v1/build/ID/departed/`: what could not be installed again from where it came from."""

    gone: list[DepartedPackage]
    """No longer in their channel."""
    changed: list[DepartedPackage]
    """Another file by the same name now."""
    unknown: list[DepartedPackage]
    """Of channels that could not be read."""
    problems: list[ChannelProblem]
