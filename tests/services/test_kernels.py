"""The list of kernels: one that cannot be passed on does not take the others with it."""

from __future__ import annotations

import pytest

from conda_store_hub.core.names import DataDirectory
from conda_store_hub.core.protocol import Kernel
from conda_store_hub.db.session import Database
from conda_store_hub.services import kernels
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
