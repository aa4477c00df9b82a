"""The REST wire: the packages of channels."""

from __future__ import annotations

from typing import Any, Literal

from conda_store_hub.core.schemas.wire import Page, Wire
from conda_store_hub.core.search import FoundBuild, Problem


class ChannelProblem(Problem, Wire):
    """A channel that could not be read, and why; what stands in the answer is of the others."""


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


class ChannelPackage(FoundBuild, Wire):
    """One file of a package in a channel; `size` is in bytes as downloaded."""

    type: Literal[".conda", ".tar.bz2"]


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
