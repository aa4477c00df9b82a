"""Tags that people give to builds: what one may be, so that it is never taken for what the service itself gives."""

from __future__ import annotations

import re
from typing import Final

from conda_store_hub.core.errors import InvalidNameError
from conda_store_hub.core.names import shorten
from conda_store_hub.core.references import TAG_PATTERN

LATEST: Final = "latest"
"""The tag of the active build."""
MOST_TAG: Final = 128
"""Characters of a tag: longer keys of builds are cut there."""
MOST_TAGS: Final = 200
"""That people give to builds of one environment."""
_TAG = re.compile(TAG_PATTERN)
_OURS = re.compile(r"latest|[0-9]+|[0-9a-f]{64}-.*|sha256-.*", re.IGNORECASE)
"""The active build, numbers of builds, keys of builds, and what clients look under for what refers to a digest."""


def order_of(tag: str) -> tuple[str, str]:
    """Return what tags are sorted by: without regard to case (distribution specification, "Listing Tags")."""
    return tag.lower(), tag


def check_tag(text: str) -> str:
    """Return a tag; raise InvalidNameError, in words, for what is none or is for the service to give."""
    if not _TAG.fullmatch(text):
        raise InvalidNameError(
            f"“{shorten(text)}” cannot be a tag: it has at most {MOST_TAG} characters, letters, digits, `.`, `_` and"
            " `-`, and begins with a letter, a digit or `_`."
        )
    if _OURS.fullmatch(text):
        raise InvalidNameError(
            f"“{shorten(text)}” cannot be given as a tag: `latest`, numbers, keys of builds and digests are taken."
        )
    return text
