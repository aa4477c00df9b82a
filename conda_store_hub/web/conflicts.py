"""Two who change the same: what the other one did, as lines of text."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from conda_store_hub.core.lines import split_lines

_MOST_LINES = 2000  # of each text; to compare more takes the processor from others
_AROUND = 2


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """A line of what two texts have in common, or one of them alone."""

    kind: Literal["added", "removed", "same", "gap"]
    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Conflict:
    """Somebody else was faster: their build, and what differs.

    `began`: the build that one began with, whose text theirs is compared with; 0 where one asked for something new, and
    theirs is compared with what was typed.
    """

    place: str
    """`NAMESPACE/NAME`."""
    newest: int
    began: int
    lines: tuple[Line, ...]


def compare_texts(old: str, new: str) -> tuple[Line, ...]:
    """Return what differs, with what stands around it; nothing for texts that are too long to compare."""
    before, after = split_lines(old), split_lines(new)
    if max(len(before), len(after)) > _MOST_LINES:
        return ()
    return tuple(_read(difflib.unified_diff(before, after, n=_AROUND, lineterm="")))


def _read(diff: Iterator[str]) -> Iterator[Line]:
    for number, line in enumerate(diff):
        if number < 3:  # two lines of names, and where the first piece stands
            continue
        if line.startswith("@@"):
            yield Line(kind="gap", text="⋯")
        elif line.startswith("+"):
            yield Line(kind="added", text=line[1:])
        elif line.startswith("-"):
            yield Line(kind="removed", text=line[1:])
        else:
            yield Line(kind="same", text=line[1:])
