"""Charts as numbers that a template draws: SVG with attributes alone, which the pages' policy allows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

_HEIGHT = 100
_STEP = 10
_WIDTH = 8


@dataclass(frozen=True, kw_only=True, slots=True)
class Segment:
    """A part of a bar; `kind` is its place in what was counted."""

    kind: int
    x: int
    y: float
    height: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Bars:
    """Bars of stacked segments, the first one at the bottom; `most` is what the highest bar stands for."""

    width: int
    height: int
    bar: int
    most: int
    segments: tuple[Segment, ...]


def stack_bars(counts: Sequence[Sequence[int]]) -> Bars:
    """Return a bar for each of `counts`, as high as their sum is beside the largest sum."""
    most = max((sum(parts) for parts in counts), default=0)
    found: list[Segment] = []
    for at, parts in enumerate(counts):
        top = float(_HEIGHT)
        for kind, count in enumerate(parts):
            if not count:
                continue
            height = _HEIGHT * count / most
            top -= height
            found.append(Segment(kind=kind, x=at * _STEP, y=round(top, 2), height=round(height, 2)))
    return Bars(width=len(counts) * _STEP, height=_HEIGHT, bar=_WIDTH, most=most, segments=tuple(found))
