"""Why a solve failed, in words, with the line that is at fault."""

from __future__ import annotations

import re
from collections.abc import Sequence
from difflib import get_close_matches

from rattler import Gateway, MatchSpec, Subdir
from rattler.exceptions import GatewayError

from conda_store_hub.builder.policy import Policy
from conda_store_hub.core import disk
from conda_store_hub.core.engine import strip_credentials
from conda_store_hub.core.errors import (
    BuildDiskFullError,
    BuildError,
    BuildTimedOutError,
    ChannelUnavailableError,
    PackageNotFoundError,
    SolveError,
)
from conda_store_hub.core.protocol import BuildRequest
from conda_store_hub.core.spec import Entry

_MAX_VERSIONS = 8
_ADDRESS = re.compile(r"https?://[^\s()'\"]+")


def explain_channel(text: str, channels: Sequence[str]) -> BuildError:
    """Return the error for a channel that could not be read, with the channel's name, or whose index had no room."""
    text = strip_credentials(text)
    if disk.tells_full(text):
        return BuildDiskFullError(detail=text)
    address = _ADDRESS.search(text)
    named = [channel for channel in channels if address and address[0].startswith(channel.rstrip("/") + "/")]
    which = f"The channel {named[0]}" if named else "A channel of " + ", ".join(channels)
    return ChannelUnavailableError(f"{which} could not be read: {_channel_reason(text)}.", detail=text)


def _channel_reason(text: str) -> str:
    known = find_channel_reason(text)
    return known or text.strip().rsplit("\n", 1)[-1].removeprefix("Caused by: ").rstrip(".")


def find_channel_reason(text: str) -> str | None:
    """Return in words what the engine's own say of a channel; None for what is not known."""
    if "could not find subdir 'noarch'" in text:
        return "there is no noarch/repodata.json under this address"
    if "failed to parse repodata" in text:
        return "its index is cut short, or is none"
    if "timed out" in text:
        return "it did not answer in time"
    for sign, reason in (
        ("Connection refused", "nothing answers at this address"),
        ("dns error", "the name of its host is not known"),
        ("401 Unauthorized", "it wants a log-in"),
        ("403 Forbidden", "it refuses access"),
    ):
        if sign in text:
            return reason
    return None


async def explain_solver(text: str, request: BuildRequest, gateway: Gateway, specs: Sequence[MatchSpec]) -> BuildError:
    """Return the error that says why there is no solution; `text` is the solver's own."""
    if "cancelled" in text:
        return BuildTimedOutError(
            f"No solution was found within {request.solve_seconds} seconds;"
            " give more exact versions, so that there is less to choose from."
        )
    tree = text.split("because of: ", 1)[-1].rstrip()
    missing = await _explain_missing(tree, request, gateway, specs)
    return missing or _explain_conflict(tree, request, specs)


async def _explain_missing(
    tree: str, request: BuildRequest, gateway: Gateway, specs: Sequence[MatchSpec]
) -> SolveError | None:
    """Look for a dependency that no channel has, or none in the versions asked for."""
    platforms = [Subdir(request.platform), Subdir("noarch")]
    try:
        found = await gateway.names(request.channels, platforms, channel_relations="disabled")
        names = {name.normalized for name in found.names}
        for entry, spec in zip(request.dependencies, specs, strict=True):
            if _name(spec) not in names and not _name(spec).startswith("__"):
                return _not_found(entry, _name(spec), names, tree)
        for entry, spec in zip(request.dependencies, specs, strict=True):
            wanted = [MatchSpec(_name(spec))] if _name(spec) in names else []
            repodata = await gateway.query(
                request.channels, platforms, wanted, recursive=False, channel_relations="disabled"
            )
            records = [record for source in repodata.repodata for record in source]
            if records and not any(spec.matches(record) for record in records):
                versions = [str(v) for v in sorted({record.version for record in records}, reverse=True)]
                return _no_such_version(entry, _name(spec), versions, tree)
    except GatewayError:
        return None
    return None


def _not_found(entry: Entry, name: str, names: set[str], tree: str) -> PackageNotFoundError:
    near = get_close_matches(name, names, n=3, cutoff=0.75)
    hint = f" Did you mean {' or '.join(near)}?" if near else ""
    return PackageNotFoundError(
        f"There is no package {name} in the channels.{hint}",
        detail=tree,
        line=entry.line,
        column=entry.column,
    )


def _no_such_version(entry: Entry, name: str, versions: list[str], tree: str) -> SolveError:
    shown = ", ".join(versions[:_MAX_VERSIONS]) + (", …" if len(versions) > _MAX_VERSIONS else "")
    return SolveError(
        f"No package {name} in the channels fits “{entry.text}”; there is {shown}.",
        detail=tree,
        line=entry.line,
        column=entry.column,
    )


def explain_policy(text: str, policy: Policy, request: BuildRequest, specs: Sequence[MatchSpec]) -> SolveError:
    """Return the error for a specification that could be met, if the policy were not; `text` is the solver's own."""
    tree = text.split("because of: ", 1)[-1].rstrip()
    at_fault = _find_roots(tree, request, specs)
    last = at_fault[-1] if at_fault else None
    return SolveError(
        policy.explain(tree), detail=tree, line=last.line if last else None, column=last.column if last else None
    )


def _find_roots(tree: str, request: BuildRequest, specs: Sequence[MatchSpec]) -> list[Entry]:
    """Return the dependencies at the root of the solver's tree."""
    lines = tree.splitlines()
    roots = {_first_word(line) for line in lines if line[:1] in "├└" or (line and line[0].isalnum())}
    return [entry for entry, spec in zip(request.dependencies, specs, strict=True) if _name(spec) in roots]


def _explain_conflict(tree: str, request: BuildRequest, specs: Sequence[MatchSpec]) -> SolveError:
    """Name the dependencies at the root of the solver's tree, and what this machine lacks."""
    at_fault = _find_roots(tree, request, specs)
    message = _conflict_words([entry.text for entry in at_fault])
    if lacking := re.search(r"(__\w+[^,\n]*), for which no candidates were found", tree):
        message += f" This machine does not offer {lacking[1]}."
    last = at_fault[-1] if at_fault else None
    return SolveError(message, detail=tree, line=last.line if last else None, column=last.column if last else None)


def _conflict_words(texts: list[str]) -> str:
    if len(texts) > 1:
        quoted = [f"“{text}”" for text in texts]
        return f"{', '.join(quoted[:-1])} and {quoted[-1]} cannot be installed together."
    if texts:
        return f"“{texts[0]}” cannot be installed: what it needs is not there, or contradicts itself."
    return "No set of packages satisfies the specification."


def _first_word(line: str) -> str:
    words = line.lstrip("├└─ ").split()
    return words[0] if words else ""


def _name(spec: MatchSpec) -> str:
    return spec.name.normalized
