"""Who waits for how many answers at once."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from conda_store_hub.core.errors import UnavailableError
from conda_store_hub.core.waiting import Waiting


def test_one_person_waits_for_so_many_and_all_together_for_more() -> None:
    waiting = Waiting("answers", of_one=2, of_all=3)
    with ExitStack() as stack:
        for who in ("ann", "ann", "bob"):
            stack.enter_context(waiting.one_more(who))
        with pytest.raises(UnavailableError, match="You wait for 2 answers already"), waiting.one_more("ann"):
            pass
        with pytest.raises(UnavailableError, match="Too many answers are under way"), waiting.one_more("cid"):
            pass
        assert waiting.total == 3
    assert waiting.total == 0
    assert not waiting._counts


def test_who_failed_waits_no_more() -> None:
    waiting = Waiting("answers", of_one=1)
    for _ in range(2):
        with pytest.raises(ZeroDivisionError), waiting.one_more("ann"):
            raise ZeroDivisionError
    assert waiting.total == 0
