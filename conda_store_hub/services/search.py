"""Packages of channels: which channels may be searched for whom, and what was found, as it goes out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol
from urllib.parse import unquote

from sqlalchemy.orm import Session

from conda_store_hub.core import schemas
from conda_store_hub.core.errors import NotFoundError, PolicyRefusedError
from conda_store_hub.core.matchspec import is_under, resolve_channel
from conda_store_hub.core.names import shorten
from conda_store_hub.core.permissions import Identity, Permission
from conda_store_hub.core.search import (
    Ask,
    Found,
    FoundBuild,
    FoundBuilds,
    FoundDeparted,
    FoundName,
    FoundNames,
    Paging,
    PinnedPackage,
    Problem,
)
from conda_store_hub.core.spec import Entry
from conda_store_hub.db import lifecycle
from conda_store_hub.db.tables import Package
from conda_store_hub.services import builds, policies, rights
from conda_store_hub.services.processes import ProcessState
from conda_store_hub.services.rules import BuildRules

MOST_CHANNELS = 20
"""How many channels are searched when none is named."""


class Searcher(Protocol):
    """Asks channels about their packages."""

    async def ask(self, ask: Ask, *, who: str) -> Found:
        """Answer a question of `who`; one person does not take up all that can be asked at once.

        When it is cancelled, nothing goes on for it but what the next question needs as well.
        Raises UnavailableError when too many wait, or when nothing comes of it.
        """
        ...

    async def stop(self) -> None:
        """End what is under way."""
        ...

    def describe(self) -> ProcessState:
        """Say how it stands."""
        ...


def find_rules(
    session: Session, identity: Identity, namespace: str | None, environment: str | None, rules: BuildRules
) -> BuildRules:
    """Return the rules of the place whose channels are searched, which one has to be able to read."""
    if namespace is None:
        return rules.at(policies.list_layers(session, None, None))
    if environment is None:
        owner = rights.require_namespace(session, identity, namespace, Permission.NAMESPACE_READ)
        return policies.rules_at(session, rules, owner)
    row = rights.require_environment(session, identity, namespace, environment, Permission.ENVIRONMENT_READ)
    return policies.rules_at(session, rules, row.namespace, row)


def list_channels(asked: Sequence[str], rules: BuildRules) -> tuple[str, ...]:
    """Return the addresses of the channels that were asked for, or of all that are known to be allowed.

    What is allowed below an address has no list: of it there are the default channels, and any that is asked for.
    """
    if asked:
        return tuple(dict.fromkeys(_resolve(channel, rules) for channel in asked))
    policy, values = rules.policy, rules.values
    allowed = values.allowed_channels or ()
    named = [policy.resolve(channel) for channel in values.default_channels]
    named += [address for _, address in values.channel_aliases]
    known = [address for address in named if any(is_under(address, prefix) for prefix in allowed)]
    folders = [address for address in allowed if address == policy.channel_alias or _has_below(address, known)]
    known += [address for address in allowed if address not in folders]
    return tuple(dict.fromkeys(address.rstrip("/") for address in known))


def _resolve(channel: str, rules: BuildRules) -> str:
    try:
        return resolve_channel(
            Entry(text=channel, line=1, column=1),
            alias=rules.policy.channel_alias,
            aliases=dict(rules.values.channel_aliases),
            allowed=rules.values.allowed_channels or (),
        )
    except PolicyRefusedError as exc:
        raise PolicyRefusedError(exc.message) from exc  # there is no text that it could have a place in


def _has_below(address: str, channels: Iterable[str]) -> bool:
    """Tell whether channels stand below this address, so that it is none itself."""
    return any(channel != address and is_under(channel, address) for channel in channels)


def show_names(found: FoundNames, paging: Paging, passed: Sequence[str] = ()) -> schemas.FoundPackages:
    """Show what has a name; `passed` are channels that were not searched."""
    each = [(one, one.versions) for one in found.found]
    return _show_found(each, found.count, paging, _show_problems(found.problems, passed))


def show_versions(found: FoundBuilds, paging: Paging, passed: Sequence[str] = ()) -> schemas.FoundPackages:
    """Show the versions of a package, each once for a channel, as conda-store lists them with `distinct_on=version`."""
    versions = {(one.version, one.channel): one for one in found.found}
    each = [(one, 1) for one in list(versions.values())[paging.part]]
    return _show_found(each, len(versions), paging, _show_problems(found.problems, passed))


def _show_found(
    found: Iterable[tuple[FoundName | FoundBuild, int | None]],
    count: int,
    paging: Paging,
    problems: list[schemas.ChannelProblem],
) -> schemas.FoundPackages:
    """Show a page of packages, each with how many versions of it there are."""
    shown = [
        schemas.FoundPackage(
            id=number,
            name=one.name,
            channel={"id": 0, "name": one.channel},
            version=one.version,
            versions=versions,
            license=one.license,
        )
        for number, (one, versions) in enumerate(found, start=paging.part.start + 1)
    ]
    return schemas.FoundPackages(data=shown, page=paging.page, size=paging.size, count=count, problems=problems)


def show_builds(found: FoundBuilds, name: str, paging: Paging, passed: Sequence[str] = ()) -> schemas.ChannelPackages:
    """Show the builds of a package; raise NotFoundError when all channels were read and none has it."""
    if not found.count and not found.problems:
        raise NotFoundError(f"No channel that was searched has a package “{shorten(name)}” like this.")
    return schemas.ChannelPackages(
        data=[_show_build(each) for each in found.found],
        page=paging.page,
        size=paging.size,
        count=found.count,
        problems=_show_problems(found.problems, passed),
    )


def _show_build(each: FoundBuild) -> schemas.ChannelPackage:
    kind = ".tar.bz2" if each.file.endswith(".tar.bz2") else ".conda"
    return schemas.ChannelPackage.model_validate({**each.model_dump(), "type": kind})


def _show_problems(problems: Iterable[Problem], passed: Sequence[str] = ()) -> list[schemas.ChannelProblem]:
    shown = [schemas.ChannelProblem(channel=each.channel, message=each.message) for each in problems]
    words = f"It was not searched: of more than {MOST_CHANNELS} channels, name those that are meant (`channel=`)."
    return shown + [schemas.ChannelProblem(channel=channel, message=words) for channel in passed]


# What a build has that its channels have no more.


def list_pinned(session: Session, identity: Identity, build_id: int) -> tuple[Package, ...]:
    """Return the conda packages of a build that one may read, those that came from a channel."""
    builds.require(session, identity, build_id, Permission.ENVIRONMENT_READ)
    rows = lifecycle.packages_of(session, build_id)
    return tuple(
        row for row in rows if row.manager == "conda" and row.channel.startswith(("http://", "https://")) and row.subdir
    )


def pin(row: Package) -> PinnedPackage:
    """Return what a channel is asked about a package."""
    return PinnedPackage(
        name=row.name,
        channel=row.channel,
        subdir=row.subdir,
        file=unquote(row.url.rpartition("/")[2]),
        sha256=row.sha256,
        md5=row.md5,
        size=row.size,
    )


def show_departed(found: FoundDeparted, rows: Sequence[Package]) -> schemas.DepartedPackages:
    """Show which packages of a build are no longer in their channels as they were."""
    known = {pin(row): row for row in rows}
    return schemas.DepartedPackages(
        gone=[_show_package(known[each.package]) for each in found.found if each.how == "gone"],
        changed=[_show_package(known[each.package]) for each in found.found if each.how == "changed"],
        unknown=[_show_package(known[each]) for each in found.unknown],
        problems=_show_problems(found.problems),
    )


def _show_package(row: Package) -> schemas.DepartedPackage:
    return schemas.DepartedPackage(
        name=row.name, version=row.version, build=row.build, channel=row.channel, subdir=row.subdir
    )
