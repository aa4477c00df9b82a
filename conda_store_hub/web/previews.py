"""A dry run as a page shows it: what changes, and all that would be there."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from conda_store_hub.core.schemas import PackageVersion, SolvedPackage, SolvedSpecification
from conda_store_hub.core.schemas.wire import Wire
from conda_store_hub.services.solves import Solver
from conda_store_hub.web.held import Held
from conda_store_hub.web.rendering import show_count

_FIRST = "asked"


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """One package: as the active build has it, and as it would be."""

    kind: Literal["added", "changed", "removed", "kept"]
    name: str
    before: PackageVersion | None
    after: SolvedPackage | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Preview:
    """What a dry run came to; without an active build, everything is new."""

    active: int | None
    changes: tuple[Change, ...]
    """What is added, changed and removed; what was asked for comes first, then by name."""
    kept: tuple[Change, ...]
    download: int
    """Bytes of what is new or another, as downloaded where it is not known yet."""
    reused: bool
    seconds: float
    has_pip: bool
    """Whether pip brings more, which no dry run chooses."""

    def count(self, kind: str) -> int:
        """Return how many packages change in this way."""
        return sum(change.kind == kind for change in self.changes)


class PreviewState(Wire):
    """How a dry run stands that goes on without its page, for the script of that."""

    key: str
    """What it is asked for by."""
    has_ended: bool
    says: str
    """What is happening, in words; empty where it has ended."""
    seconds: float
    """How long ago it was begun."""


def describe_held(held: Held, solver: Solver) -> PreviewState:
    """Return how a dry run stands."""
    has_ended = held.task.done()
    says = "" if has_ended else _say_stage(held, solver.find_place(held.plan, held.rules))
    return PreviewState(key=held.key, has_ended=has_ended, says=says, seconds=round(held.seconds, 1))


def _say_stage(held: Held, place: int) -> str:
    if place > 1:
        before = place - 1
        return f"Waiting for its turn: {show_count(before, 'other')} {'is' if before == 1 else 'are'} before it."
    if place == 1:
        return "Waiting for its turn: it is next."
    if held.plan.locked:
        return "Looking up the packages of the lock file."
    channels = len(held.plan.channels)
    return f"Reading {'the channel' if channels == 1 else f'the {channels} channels'} and choosing packages."


def make_preview(solved: SolvedSpecification, *, has_pip: bool) -> Preview:
    """Return a dry run as it is shown."""
    changes, kept = list(_list_changes(solved)), []
    if solved.diff is not None:
        changed = {change.name for change in changes}
        kept = [
            Change(kind="kept", name=each.name, before=None, after=each)
            for each in solved.packages
            if each.name not in changed
        ]
    return Preview(
        active=solved.active_build_id,
        changes=tuple(sorted(changes, key=_order)),
        kept=tuple(sorted(kept, key=_order)),
        download=sum(change.after.size for change in changes if change.after),
        reused=solved.reused,
        seconds=solved.seconds,
        has_pip=has_pip,
    )


def _list_changes(solved: SolvedSpecification) -> Iterable[Change]:
    after = {each.name: each for each in solved.packages}
    if solved.diff is None:
        for each in solved.packages:
            yield Change(kind="added", name=each.name, before=None, after=each)
        return
    for new in solved.diff.added:
        yield Change(kind="added", name=new.name, before=None, after=after.get(new.name))
    for pair in solved.diff.changed:
        yield Change(kind="changed", name=pair.new.name, before=pair.old, after=after.get(pair.new.name))
    for old in solved.diff.removed:
        yield Change(kind="removed", name=old.name, before=old, after=None)


def _order(change: Change) -> tuple[bool, str]:
    return change.after is None or change.after.reason != _FIRST, change.name
