"""Lines of a text as who typed it sees them: a line ends at LF, CR LF or CR, and at nothing else.

Python and readers of YAML end lines at more than that, such as U+2028, which editors show within a line.
"""

from __future__ import annotations

import re
from bisect import bisect_left

import yaml

_BREAK = re.compile(r"\r\n|\n|\r")
_UNSEEN = re.compile("[\x85\u2028\u2029]")  # libyaml's line breaks that are none for editors
_BOM = "\ufeff"  # libyaml does not count it


def split_lines(text: str) -> list[str]:
    """Return the lines of a text without their ends; none for what follows the last end, where nothing does."""
    lines = _BREAK.split(text)
    return lines if lines[-1] else lines[:-1]


class SeenLines:
    """Where what libyaml read stands in the lines that one sees."""

    def __init__(self, text: str) -> None:
        """Look for breaks that are not seen: nearly no text has one."""
        text = text.removeprefix(_BOM)
        self._unseen = [found.start() for found in _UNSEEN.finditer(text)]
        self._starts = [0, *(found.end() for found in _BREAK.finditer(text))] if self._unseen else []

    def __bool__(self) -> bool:
        """Tell whether libyaml counts other lines than one sees."""
        return bool(self._unseen)

    def find(self, mark: yaml.Mark) -> yaml.Mark:
        """Return the same place, in the line and column that one sees."""
        before = bisect_left(self._unseen, mark.index)
        if not before:
            return mark
        line = mark.line - before
        # The end of a text without a line break is a line of its own to libyaml.
        column = mark.index - self._starts[line] if line < len(self._starts) else mark.column
        return yaml.Mark(mark.name, mark.index, line, column, None, 0)
