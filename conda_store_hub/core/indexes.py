"""Indexes of the pip part: which places their wheels come from, and whether an address is in one of those."""

from __future__ import annotations

from collections.abc import Iterable

from conda_store_hub.core.matchspec import is_under
from conda_store_hub.core.policy import PYPI

PYPI_FILES = "https://files.pythonhosted.org"  # where the index of PyPI says that its files are


def list_wheel_places(indexes: Iterable[str]) -> tuple[str, ...]:
    """Return the addresses below which the wheels of some indexes lie: those of the indexes without their `simple`."""
    places = ((index, PYPI_FILES) if index == PYPI else (index.removesuffix("/simple"),) for index in indexes)
    return tuple(dict.fromkeys(place for several in places for place in several))


def is_in_places(address: str, places: Iterable[str]) -> bool:
    """Tell whether an address is one of some places or below it; no lock has one that climbs up again (`..`)."""
    return any(is_under(address, place) for place in places)
