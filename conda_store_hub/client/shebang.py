"""Scripts that say themselves in which environment they run: `#!/usr/bin/env conda-store`, and how below that.

    #!/usr/bin/env conda-store
    #! conda-store run alice/ml:12 -- python

Several such lines are joined, whether those that follow repeat `run` or not. Other languages put their own mark of a
comment before them: `// #! conda-store run …`.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from pathlib import Path

from conda_store_hub.core.errors import InvalidRequestError

_FIRST = re.compile(rb"#![ \t]*\S*(?:/env[ \t]+(?:-S[ \t]+)?conda-store|/conda-store)[ \t\r]*\n?")
_LINE = re.compile(rb"[ \t]*(?:[^\w\s#]{1,4}[ \t]*)?#![ \t]*conda-store[ \t](.*)")
_RUN = re.compile(rb"[ \t]*run(?=[ \t]|$)")
_MOST_LINES = 1_000
_LONGEST_LINE = 10_000
_HOW = "“#! conda-store run NAMESPACE/ENVIRONMENT -- PROGRAM”"


def expand(arguments: Sequence[str]) -> list[str]:
    """Return the arguments that a script stands for; what is no script of ours is returned as it is.

    A script is called by its path, and no command of ours has a slash in it. Raises InvalidRequestError for one that
    does not say how it is run.
    """
    if not arguments or "/" not in arguments[0] or arguments[0].startswith("-"):
        return list(arguments)
    script, *others = arguments
    words = _read_words(Path(script))
    return list(arguments) if words is None else [*words, script, *others]


def _read_words(path: Path) -> list[str] | None:
    try:
        with path.open("rb") as file:
            if not _FIRST.fullmatch(file.readline(_LONGEST_LINE)):
                return None
            lines = [file.readline(_LONGEST_LINE + 1) for _ in range(_MOST_LINES + 3)]
    except OSError as exc:
        raise InvalidRequestError(f"{path} cannot be read: {exc.strerror}.") from exc
    found = list(_find_lines(lines))
    if not found:
        raise InvalidRequestError(f"{path} does not say how it is run: its second line has to be like {_HOW}.")
    if len(found) > _MOST_LINES or any(len(line) > _LONGEST_LINE and _LINE.match(line) for line in lines):
        raise InvalidRequestError(f"{path} has more than {_MOST_LINES} lines of “#! conda-store”, or too long ones.")
    return _parse(path, b" ".join(found))


def _find_lines(lines: Sequence[bytes]) -> Sequence[bytes]:
    """Return what follows the mark: on the second line, or the third (where one says how the script is encoded)."""
    start = next((at for at, line in enumerate(lines[:2]) if _LINE.match(line)), None)
    found: list[bytes] = []
    for line in lines[len(lines) if start is None else start :]:
        match = _LINE.match(line.rstrip(b"\r\n"))
        if match is None:
            break
        found.append(_RUN.sub(b"", match[1]) if found else match[1])
    return found


def _parse(path: Path, text: bytes) -> list[str]:
    try:
        words = shlex.split(text.decode())
    except ValueError as exc:  # UnicodeDecodeError is one
        raise InvalidRequestError(f"The lines “#! conda-store” of {path} cannot be read: {exc}.") from exc
    # What runs a script names what the script is given to; without that, it would be run by itself again and again.
    if words[:1] != ["run"] or "--" not in words[2:-1]:
        raise InvalidRequestError(f"{path} does not say how it is run: its second line has to be like {_HOW}.")
    return words
