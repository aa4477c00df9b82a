"""The models of the wire, which are loaded when they are first used."""

from __future__ import annotations

import pytest

from conda_store_hub.core import schemas


def test_each_name_of_the_wire_is_there() -> None:
    assert [name for name in schemas.__all__ if getattr(schemas, name, None) is None] == []


def test_what_is_no_name_of_the_wire_is_said_to_be_none() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'Nothing'"):
        schemas.Nothing  # type: ignore[attr-defined]  # noqa: B018
