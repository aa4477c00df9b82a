"""The list of kernels: one that cannot be passed on does not take the others with it."""

from __future__ import annotations

import pytest

from conda_store_hub.core.errors import ConflictError, GoneError, NotFoundError
from conda_store_hub.core.names import DataDirectory
from conda_store_hub.core.permissions import Identity
from conda_store_hub.core.protocol import Kernel
from conda_store_hub.db.aliases import MOST_ALIASES
from conda_store_hub.db.session import Database
from conda_store_hub.services import environments, kernels, removals
from tests.support import make
from tests.support.make import ADMIN, ALICE, BOB


def test_an_administrator_is_listed_some_of_very_many_kernels_their_own_first(
    db: Database, data: DataDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    for identity, name in ((ALICE, "one"), (ADMIN, "mine"), (BOB, "two")):
        make.complete(db, make.submit(db, identity, yaml=make.text(name)))
    monkeypatch.setattr(kernels, "MOST_ENVIRONMENTS", 2)
    listed = db.read_sync(kernels.list_kernels, ADMIN, data=data).list.kernels
    assert [view.environment for view in listed] == ["mine", "one"]


def test_a_kernel_tells_which_python_it_has(db: Database, data: DataDirectory) -> None:
    make.complete(db, make.submit(db, yaml=make.text("ml")), make.usable("python=3.12.1", "ipykernel=6.29"))
    make.complete(db, make.submit(db, yaml=make.text("r")), make.usable("r-irkernel=1.3"))
    listed = db.read_sync(kernels.list_kernels, ALICE, data=data).list.kernels
    assert {view.environment: view.python for view in listed} == {"ml": "3.12.1", "r": None}


def test_the_kernels_of_a_build_are_told_whether_it_is_active_or_not(db: Database, data: DataDirectory) -> None:
    first = make.submit(db)
    make.complete(db, first)
    make.complete(db, make.submit(db))
    (active,) = db.read_sync(kernels.list_kernels, ALICE, data=data).list.kernels
    (view,) = db.read_sync(kernels.list_build_kernels, ALICE, first, data=data)
    assert active.build_id != first
    assert (view.build_id, view.name, view.environment) == (first, active.name, active.environment)
    assert view.prefix != active.prefix
    rename(db, view.environment, "stats")
    (view,) = db.read_sync(kernels.list_build_kernels, ALICE, first, data=data)
    assert view.environment == "stats"
    assert view.aliases == (active.name,)


def test_a_build_that_is_deleted_hidden_or_not_completed_has_no_kernels(db: Database, data: DataDirectory) -> None:
    first, second = make.submit(db), make.submit(db, yaml=make.text("other"))
    make.complete(db, first)

    def ask(build_id: int, identity: Identity = ALICE) -> None:
        db.read_sync(kernels.list_build_kernels, identity, build_id, data=data)

    with pytest.raises(ConflictError, match="only a completed one"):
        ask(second)
    with pytest.raises(NotFoundError):
        ask(first, BOB)
    make.complete(db, second)
    make.complete(db, make.submit(db))
    db.write_sync(removals.delete_build, ALICE, first, frozenset(), force=True)
    with pytest.raises(GoneError):
        ask(first)


@pytest.mark.parametrize(
    "spec",
    [
        r'{"display_name": "\ud800"}',
        '{"metadata": ' + "[" * 300 + "]" * 300 + "}",
        '{"metadata": ' + "[" * 5000 + "]" * 5000 + "}",
        "[]",
        "{",
    ],
    ids=["surrogate", "deep", "deeper", "list", "torn"],
)
def test_a_bad_kernel_that_is_stored_is_left_out(db: Database, data: DataDirectory, spec: str) -> None:
    usable = make.usable()
    stored = (Kernel.model_construct(raw="bad", spec=spec), *usable.kernels)
    make.complete(db, make.submit(db), usable.model_copy(update={"kernels": stored}))
    answer = db.read_sync(kernels.list_kernels, ALICE, data=data)
    assert [view.raw for view in answer.list.kernels] == ["python3"]
    assert '"raw":"python3"' in answer.list.model_dump_json()


def names_that_were(db: Database, data: DataDirectory) -> dict[str, list[str]]:
    """Return the aliases that are listed, by environment, in the form that kernel names have: a capital is escaped."""
    answer = db.read_sync(kernels.list_kernels, ALICE, data=data)
    return {view.environment: [name.split(".")[-2] for name in view.aliases] for view in answer.list.kernels}


def rename(db: Database, old: str, new: str) -> None:
    db.write_sync(environments.rename, ALICE, "alice", old, new)


def test_names_of_the_past_start_kernels_unless_another_environment_has_them(db: Database, data: DataDirectory) -> None:
    make.complete(db, make.submit(db, yaml=make.text("ml")))
    make.complete(db, make.submit(db, yaml=make.text("other")))
    rename(db, "ml", "Stats")
    rename(db, "Stats", "STATS")
    assert names_that_were(db, data) == {"STATS": ["ml", "_53tats"], "other": []}
    rename(db, "other", "ml")
    assert names_that_were(db, data) == {"STATS": ["_53tats"], "ml": ["other"]}
    rename(db, "STATS", "other")
    rename(db, "ml", "stats")
    assert names_that_were(db, data) == {"other": [], "stats": ["ml"]}


def test_only_the_newest_names_of_the_past_are_kept(db: Database, data: DataDirectory) -> None:
    make.complete(db, make.submit(db, yaml=make.text("n0")))
    for number in range(MOST_ALIASES + 2):
        rename(db, f"n{number}", f"n{number + 1}")
    (kept,) = names_that_were(db, data).values()
    assert set(kept) == {f"n{number}" for number in range(2, MOST_ALIASES + 2)}


def test_a_deleted_environment_starts_nothing_and_a_restored_one_by_the_names_that_are_left(
    db: Database, data: DataDirectory
) -> None:
    make.complete(db, make.submit(db, yaml=make.text("ml")))
    rename(db, "ml", "stats")
    db.write_sync(removals.delete_environment, ALICE, "alice", "stats", force=False)
    assert names_that_were(db, data) == {}
    make.complete(db, make.submit(db, yaml=make.text("stats")))
    assert names_that_were(db, data) == {"stats": []}
    db.write_sync(removals.restore_environment, ALICE, "alice", "stats", "old", make.rules())
    assert names_that_were(db, data) == {"stats": [], "old": ["ml"]}
    rename(db, "stats", "new")
    assert names_that_were(db, data) == {"new": ["stats"], "old": ["ml"]}
