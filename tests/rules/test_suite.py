"""What the suite itself has to hold to, so that all of it is run."""

from __future__ import annotations

from collections import Counter

import pytest


def test_no_two_tests_have_one_id(request: pytest.FixtureRequest) -> None:
    """The processes of the suite are told ids: of two tests with the same one, only the first would be run."""
    ids = Counter(item.nodeid for item in request.session.items)
    assert [name for name, number in ids.items() if number > 1] == []
