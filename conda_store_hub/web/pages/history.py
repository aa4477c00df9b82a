"""How large an environment's builds became and how long they took, as charts of bars: each a picture and a table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from conda_store_hub.core import schemas
from conda_store_hub.web.rendering import seconds_between, show_seconds, show_size

MOST_SHOWN = 40
_FEWEST_SLOTS = 12  # few bars are no wider than this many would be
_TOP, _BASE = 22, 122  # pixels from the top of the picture
_FILLED = 0.7  # of a slot


@dataclass(frozen=True, kw_only=True, slots=True)
class Bar:
    """One build: `x` and `width` in percent of the picture, `y`, `height` and `lower` in pixels.

    `lower` is how much of the height is the first of two parts.
    """

    build_id: int
    words: str
    active: bool
    x: float
    width: float
    y: float
    height: float
    lower: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Chart:
    """Bars from the oldest build to the newest; `words` say what is shown, `most` what the height stands for."""

    name: str
    title: str
    words: str
    most: str
    base: int
    bars: tuple[Bar, ...]
    legend: tuple[str, ...] = ()

    @property
    def end(self) -> float:
        """Where the last bar ends, in percent."""
        return self.bars[-1].x + self.bars[-1].width


@dataclass(frozen=True, kw_only=True, slots=True)
class Measured:
    """A completed build in the table beside the charts; sizes are None where its files are gone."""

    build: schemas.BuildSummary
    seconds: float

    @property
    def size(self) -> int | None:
        """All of its bytes on the disk."""
        return None if self.build.deleted_on else self.build.size + self.build.shared_size


def measure(builds: Sequence[schemas.BuildSummary]) -> tuple[Measured, ...]:
    """Return what can be shown of builds, the oldest first."""
    return tuple(
        Measured(build=build, seconds=seconds_between(build.started_on, build.ended_on))
        for build in sorted(builds, key=lambda build: build.id)
        if build.started_on is not None and build.ended_on is not None
    )


def draw(rows: Sequence[Measured]) -> tuple[Chart, ...]:
    """Return the charts; none where there is nothing to compare."""
    if len(rows) < 2:  # of one there is no history
        return ()
    sizes = [row for row in rows if row.size]
    return (_draw_sizes(sizes), _draw_times(rows)) if len(sizes) > 1 else (_draw_times(rows),)


def _draw_sizes(rows: Sequence[Measured]) -> Chart:
    return _draw(
        rows,
        name="size",
        title="On disk",
        value=lambda row: row.size or 0,
        part=lambda row: row.build.size,
        show=lambda value: show_size(int(value)),
        legend=("its own", "shared with other builds"),
    )


def _draw_times(rows: Sequence[Measured]) -> Chart:
    return _draw(
        rows, name="time", title="Time to build", value=lambda row: row.seconds, part=None, show=show_seconds, legend=()
    )


def _draw(
    rows: Sequence[Measured],
    *,
    name: str,
    title: str,
    value: Callable[[Measured], float],
    part: Callable[[Measured], float] | None,
    show: Callable[[float], str],
    legend: tuple[str, ...],
) -> Chart:
    values = [value(row) for row in rows]
    most, slot = max(values), 100 / max(len(rows), _FEWEST_SLOTS)
    scale = (_BASE - _TOP) / most if most else 0
    bars = tuple(
        Bar(
            build_id=row.build.id,
            words=f"build {row.build.id}: {show(amount)}{', active' if row.build.active else ''}",
            active=row.build.active,
            x=round(index * slot, 3),
            width=round(slot * _FILLED, 3),
            y=round(_BASE - amount * scale, 1),
            height=round(amount * scale, 1),
            lower=round((amount if part is None else part(row)) * scale, 1),
        )
        for index, (row, amount) in enumerate(zip(rows, values, strict=True))
    )
    first, last = rows[0].build.id, rows[-1].build.id
    words = f"{title}, builds {first} to {last}: from {show(min(values))} to {show(most)}, last {show(values[-1])}."
    return Chart(name=name, title=title, words=words, most=show(most), base=_BASE, bars=bars, legend=legend)
