"""What images take: once where it is shared, and of whom it would be free if it went; on both kinds of database."""

from __future__ import annotations

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from conda_store_hub.core.permissions import Identity
from conda_store_hub.core.protocol import ArtifactType
from conda_store_hub.db import images, overview, policies, totals, usage
from conda_store_hub.db.session import Database
from conda_store_hub.db.tables import Build, Environment
from conda_store_hub.services import removals, work
from tests.support import make
from tests.support.make import ALICE, BOB

SIZES = {"base": 1000, "python": 100, "numpy": 10, "own": 1}


def build_image(db: Database, owner: Identity, name: str, *layers: str) -> int:
    """Complete a build without anything of its own on the disk whose image has these layers."""
    build_id = make.submit(db, owner, yaml=make.text(name))
    ticket = make.complete(db, build_id)

    def record(session: Session) -> None:
        session.get_one(Build, build_id).size = 0
        for layer in layers:
            images.add_blob(session, build_id, layer, SIZES[layer], layer_key=layer, diff_id=layer)

    db.write_sync(record)
    db.write_sync(work.record_artifact, ticket, make.artifact_event(ArtifactType.DOCKER_MANIFEST), "manifest")
    db.write_sync(work.finish, ticket, None)
    return build_id


@pytest.fixture
def db(db: Database) -> Database:
    """Alice has two environments with images and Bob one; the base is in all, python in both of hers."""
    build_image(db, ALICE, "one", "base", "python", "own")
    build_image(db, ALICE, "two", "base", "python")
    build_image(db, BOB, "three", "base", "numpy")
    return db


def find_places(db: Database) -> tuple[list[int], list[int]]:
    """Return the ids of the namespaces of Alice and Bob, and of the three environments."""

    def find(session: Session) -> tuple[list[int], list[int]]:
        rows = session.scalars(select(Environment).order_by(Environment.id)).all()
        return [rows[0].namespace_id, rows[2].namespace_id], [row.id for row in rows]

    return db.read_sync(find)


def test_a_namespace_is_told_what_would_be_free_without_it(db: Database) -> None:
    (alice, bob), _ = find_places(db)
    held = db.read_sync(usage.usage_of, [alice, bob])
    assert (held[alice].storage, held[bob].storage) == (101, 10)
    assert db.read_sync(usage.usage_of, [bob])[bob].storage == 10
    listed = db.read_sync(overview.list_namespaces, 9, 0)
    assert [(row.name, row.size, row.images) for row in listed if row.size] == [("alice", 101, 101), ("bob", 10, 10)]


def test_an_environment_is_told_what_would_be_free_without_it(db: Database) -> None:
    _, environments = find_places(db)
    assert [db.read_sync(usage.usage_of_environment, one).storage for one in environments] == [1, 0, 10]
    assert db.read_sync(removals.foresee_environment, ALICE, "alice", "one").storage == 1


def test_a_quota_has_each_layer_once_whoever_else_has_it(db: Database) -> None:
    (alice, bob), environments = find_places(db)
    without = {place: _count_without_layers(db, place) for place in (alice, bob)}
    assert db.read_sync(policies.count_held, alice, None).storage - without[alice] == 1101
    assert db.read_sync(policies.count_held, bob, None).storage - without[bob] == 1010
    both = [db.read_sync(policies.count_held, alice, one).storage for one in environments[:2]]
    assert both[0] - both[1] == SIZES["own"]


def _count_without_layers(db: Database, namespace_id: int) -> int:
    """Count in a transaction that is not kept, in which there are no layers."""
    held = 0

    def count(session: Session) -> None:
        nonlocal held
        for number in (1, 2, 3):
            images.drop_blobs(session, number)
        held = policies.count_held(session, namespace_id, None).storage
        raise _NotKeptError

    with pytest.raises(_NotKeptError):
        db.write_sync(count)
    return held


class _NotKeptError(Exception):
    pass


def test_all_of_it_counts_once_and_what_is_forgotten_no_more(db: Database) -> None:
    assert db.read_sync(totals.add_up).images == 1111
    db.write_sync(images.drop_blobs, 3)
    assert db.read_sync(totals.add_up).images == 1101
    (alice, bob), _ = find_places(db)
    held = db.read_sync(usage.usage_of, [alice, bob])
    assert (held[alice].storage, held[bob].storage) == (1101, 0), "the base is alice's alone now"
