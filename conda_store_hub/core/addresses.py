"""Addresses of registries: what stands before the name of an image. Light, for a Hub's configuration uses it."""

from __future__ import annotations

import re

_ADDRESS = re.compile(r"(?:[A-Za-z0-9._-]+|\[[0-9a-fA-F:]+\])(?::[0-9]{1,5})?")


def is_address(text: str) -> bool:
    """Tell whether a text is a host, with a port or without."""
    return _ADDRESS.fullmatch(text) is not None
