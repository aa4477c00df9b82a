"""Links to active prefixes follow the rows, also when what they show was deleted."""

from __future__ import annotations

import asyncio
import logging

from conda_store_hub.core.names import DataDirectory
from conda_store_hub.db.session import Database
from conda_store_hub.queue.links import Links
from conda_store_hub.services import namespaces
from conda_store_hub.storage import prefixes
from tests.support import make
from tests.support.make import ALICE


def follow(db: Database, data: DataDirectory) -> None:
    asyncio.run(Links(db=db, data=data, log=logging.getLogger("test")).follow())


def test_a_link_goes_with_its_environment_and_comes_back(db: Database, data: DataDirectory) -> None:
    make.complete(db, make.submit(db))
    follow(db, data)
    link = data.link("alice", "ml")
    shown = link.readlink()
    db.write_sync(namespaces.delete, ALICE, "alice", force=True)
    follow(db, data)
    assert not link.is_symlink()
    db.write_sync(namespaces.restore, ALICE, "alice", None)
    follow(db, data)
    assert link.readlink() == shown


def test_who_removes_a_link_leaves_what_another_environment_has_put_there_since(data: DataDirectory) -> None:
    prefixes.swap_link(data, "alice", "ml", "new")
    for old in ("old", None):
        prefixes.remove_link(data, "alice", "ml", old)
        assert data.link("alice", "ml").readlink() == data.prefix("new")
    prefixes.remove_link(data, "alice", "ml", "new")
    assert not data.link("alice", "ml").is_symlink()
