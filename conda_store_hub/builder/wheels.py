"""Which of several wheels of one version fits a platform most closely."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from urllib.parse import unquote, urlsplit

from packaging.tags import Tag
from packaging.utils import InvalidWheelFilename, parse_wheel_filename

_LEGACY = {"manylinux1": (2, 5), "manylinux2010": (2, 12), "manylinux2014": (2, 17)}

_Rank = tuple[int, ...]


def rank_wheel(url: str) -> tuple[_Rank, str]:
    """Return what sorts the wheels that a platform takes: what was made for it, and with its newest features, is last.

    As in PEP 425: the interpreter's own ABI, the stable one, none; then Python's version, that of the platform, and the
    build tag. Which wheels a platform takes at all is uv's to say; a name that is no wheel's comes first.
    """
    name = unquote(PurePosixPath(urlsplit(url).path).name)
    try:
        _, _, build, tags = parse_wheel_filename(name)
    except InvalidWheelFilename:
        return (-1,), name
    return (*max(map(_rank, tags)), *(build[:1] or (0,))), name


def _rank(tag: Tag) -> _Rank:
    abi = 0 if tag.abi == "none" else 1 if tag.abi.startswith("abi") else 2
    digits = re.sub(r"\D", "", tag.interpreter)
    python = (int(digits[:1] or 0), int(digits[1:] or 0))
    return (int(tag.platform != "any"), abi, int(tag.interpreter.startswith("cp")), *python, *_age(tag.platform))


def _age(platform: str) -> _Rank:
    """Return the version of the system that a wheel needs, and whether it is for one processor alone."""
    for name, version in _LEGACY.items():
        if platform.startswith(f"{name}_"):
            return (*version, 1)
    found = re.match(r"(?:manylinux|musllinux|macosx)_(\d+)_(\d+)_(.+)", platform)
    return (int(found[1]), int(found[2]), int(not found[3].startswith("universal"))) if found else (0, 0, 1)
