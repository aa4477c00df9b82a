"""Times as people write them on the command line."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, Literal

import click

if TYPE_CHECKING:
    MomentKind, SecondsKind = click.ParamType[datetime], click.ParamType[float]
    EndKind = click.ParamType[datetime | Literal["never"]]
else:  # older releases of click know no type there
    MomentKind = SecondsKind = EndKind = click.ParamType

NEVER: Final = "never"

_DURATION = re.compile(r"(\d{1,9})([smhdw]?)")
_FOR_EVER = 10 * 365 * 86400.0  # what waits takes no number that is much larger
_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}


class MomentType(MomentKind):
    """A moment to come: how long it is till then (`90`, `15m`, `12h`, `30d`, `4w`), or a date in UTC."""

    name = "moment"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """Read it; what is no moment is refused in words."""
        if isinstance(value, datetime):
            return value
        try:
            return self._read(value)
        except (ValueError, OverflowError):
            self.fail(f"“{value}” is no time: write seconds, or 15m, 12h, 30d, 4w, or a date, 2027-01-31.", param, ctx)

    def _read(self, text: str) -> datetime:
        match = _DURATION.fullmatch(text)
        if match is not None:
            return datetime.now(UTC) + timedelta(seconds=int(match[1]) * _SECONDS[match[2]])
        when = datetime.fromisoformat(text)
        return when.replace(tzinfo=UTC) if when.tzinfo is None else when.astimezone(UTC)


class SecondsType(SecondsKind):
    """How long something may take, in seconds; what is longer than years, `inf` too, is for ever."""

    name = "seconds"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Read it; what is no such number is refused in words."""
        try:
            seconds = float(value)
        except ValueError:
            seconds = math.nan
        if not seconds >= 0:
            self.fail(f"“{value}” is no number of seconds: write 0 or more.", param, ctx)
        return min(seconds, _FOR_EVER)


class EndType(EndKind):
    """A moment to come, or `never`."""

    name = "end"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime | Literal["never"]:
        """Read it; what is neither is refused in words."""
        return NEVER if value == NEVER else MOMENT.convert(value, param, ctx)


MOMENT = MomentType()
END = EndType()
SECONDS = SecondsType()
