"""The list of kernels: one that cannot be passed on does not take the others with it."""

from __future__ import annotations

import pytest

from conda_store_hub.core.names import DataDirectory
from conda_store_hub.core.protocol import Kernel
from conda_store_hub.db.session import Database
from conda_store_hub.services import environments, kernels
from tests.support import make
from tests.support.make import ALICE


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


def test_names_of_the_past_start_kernels_unless_another_environment_has_them(db: Database, data: DataDirectory) -> None:
    # In the form that kernel names have: a capital is escaped.
    def aliases() -> dict[str, list[str]]:
        answer = db.read_sync(kernels.list_kernels, ALICE, data=data)
        return {view.environment: [name.split(".")[-2] for name in view.aliases] for view in answer.list.kernels}

    def rename(old: str, new: str) -> None:
        db.write_sync(environments.rename, ALICE, "alice", old, new)

    make.complete(db, make.submit(db, yaml=make.text("ml")))
    make.complete(db, make.submit(db, yaml=make.text("other")))
    rename("ml", "Stats")
    rename("Stats", "STATS")
    assert aliases() == {"STATS": ["ml", "_53tats"], "other": []}
    rename("other", "ml")
    assert aliases() == {"STATS": ["_53tats"], "ml": ["other"]}
    rename("STATS", "other")
    rename("ml", "stats")
    assert aliases() == {"other": [], "stats": ["ml"]}
