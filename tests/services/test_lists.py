"""What lists say of themselves: how many there are, however they are read."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from conda_store_hub.db import lists
from conda_store_hub.db.session import Database
from conda_store_hub.services import builds, environments
from tests.support import make
from tests.support.make import ALICE


@pytest.fixture
def three(db: Database) -> list[int]:
    """Builds of three environments, the oldest first."""
    return [make.submit(db, yaml=make.text(name)) for name in ("a", "b_1", "c")]


@pytest.fixture(params=[2, 3, 4])
def most_counted(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """How many are counted at most: a list of so many is read in another way."""
    monkeypatch.setattr(lists, "COUNT_LIMIT", request.param)
    lists._builds.cache_clear()
    yield request.param
    lists._builds.cache_clear()


@pytest.mark.usefixtures("three")
def test_every_page_tells_how_many_there_are(db: Database) -> None:
    pages = [(page, size) for page in (1, 2, 3, 4) for size in (1, 2, 3, 4)]
    counts = [db.read_sync(environments.list_environments, ALICE, page=page, size=size)[1] for page, size in pages]
    assert counts == [3] * len(pages)
    assert db.read_sync(environments.list_environments, ALICE, page=1, size=2, search="x") == ([], 0)


@pytest.mark.usefixtures("three")
@pytest.mark.parametrize(
    ("search", "found"),
    [("_", ["b_1"]), ("B_", ["b_1"]), ("b1", []), ("%", []), ("//", []), ("e/B", ["b_1"])],
)
def test_nothing_that_is_searched_for_is_a_pattern(db: Database, search: str, found: list[str]) -> None:
    rows, count = db.read_sync(environments.list_environments, ALICE, page=1, size=9, search=search)
    assert ([row.name for row in rows], count) == (found, len(found))


def test_an_environment_says_how_much_its_active_build_takes_on_the_disk(db: Database, three: list[int]) -> None:
    make.complete(db, three[0], make.usable().model_copy(update={"size": 30, "shared_size": 12}))
    rows, _ = db.read_sync(environments.list_environments, ALICE, page=1, size=9)
    assert [(row.name, row.current_size) for row in rows] == [("a", 42), ("b_1", None), ("c", None)]


@pytest.mark.parametrize("ascending", [False, True])
def test_many_builds_are_listed_as_few_are(
    db: Database, three: list[int], most_counted: int, *, ascending: bool
) -> None:
    found: list[int] = []
    for page in (1, 2, 3):
        rows, count = db.read_sync(builds.list_builds, ALICE, page=page, size=1, ascending=ascending)
        assert count == min(3, most_counted)
        found += [row.id for row in rows]
    assert found == (three if ascending else three[::-1])


@pytest.mark.parametrize("ascending", [False, True])
def test_builds_are_gone_through_from_one_to_the_next_without_counting_pages(
    db: Database, three: list[int], most_counted: int, *, ascending: bool
) -> None:
    wanted = three if ascending else three[::-1]
    for place, build_id in enumerate(wanted):
        rows, _ = db.read_sync(builds.list_builds, ALICE, page=1, size=9, after=build_id, ascending=ascending)
        assert [row.id for row in rows] == wanted[place + 1 :]
