from __future__ import annotations

import itertools
from datetime import UTC, datetime

import pytest
from sqlalchemy.orm import Session

from conda_store_hub.core.errors import ForbiddenError, NotAuthenticatedError, NotFoundError
from conda_store_hub.core.names import DataDirectory, NamespaceKind
from conda_store_hub.core.permissions import ANONYMOUS, PERMISSIONS, Identity, Permission, role_in
from conda_store_hub.db import queries
from conda_store_hub.db.session import Database
from conda_store_hub.db.tables import Namespace
from conda_store_hub.services import builds, environments, kernels, namespaces
from tests.support import make
from tests.support.make import ADMIN, ALICE, BOB, CAROL

HUB_NAMES = ["alice", "bob", "physics", "Physics", "ali_e", "a%", "", "group.physics"]
IDENTITIES = [
    ANONYMOUS,
    *(Identity(name=name, groups=frozenset(groups), admin=admin)
      for name in ["alice", "a%", "physics", "ali_e"]
      for groups in [(), ("physics",), ("alice", "a%")]
      for admin in [False, True]),
]  # fmt: skip


def _fill(session: Session) -> list[Namespace]:
    owned = itertools.product((NamespaceKind.USER, NamespaceKind.GROUP), HUB_NAMES)
    free = [(kind, None) for kind in (NamespaceKind.SHARED, NamespaceKind.SYSTEM)]
    rows = [
        Namespace(name=f"n{number}", kind=kind, hub_name=hub_name, created_at=datetime.now(UTC))
        for number, (kind, hub_name) in enumerate([*owned, *free])
    ]
    session.add_all(rows)
    return rows


@pytest.mark.parametrize("identity", IDENTITIES, ids=repr)
def test_the_list_and_the_check_decide_alike(db: Database, identity: Identity) -> None:
    rows = db.write_sync(_fill)
    listed = {row.name for row in db.read_sync(queries.first_namespaces, identity, 100)}
    allowed = {row.name for row in rows if role_in(identity, row.kind, row.hub_name) is not None}
    assert listed == allowed


def test_the_anonymous_may_nothing() -> None:
    assert all(role_in(ANONYMOUS, kind, name) is None for kind in NamespaceKind for name in [None, "", "alice"])


def test_a_stronger_role_may_all_that_a_weaker_may() -> None:
    viewer, developer, admin = PERMISSIONS.values()
    assert viewer < developer < admin == frozenset(Permission)


def test_another_users_namespace_is_not_found(db: Database, data: DataDirectory) -> None:
    build_id = make.submit(db)
    db.write_sync(namespaces.ensure_for, BOB)
    with pytest.raises(NotFoundError):
        db.read_sync(environments.get_environment, BOB, "alice", "ml", data=data)
    with pytest.raises(NotFoundError):
        db.read_sync(builds.get_build, BOB, build_id, data=data)
    with pytest.raises(NotFoundError):
        db.read_sync(builds.read_log, BOB, build_id, 0)
    with pytest.raises(NotFoundError):
        make.submit(db, BOB, namespace="alice")
    assert db.read_sync(environments.list_environments, BOB, page=1, size=10) == ([], 0)
    assert db.read_sync(builds.list_builds, BOB, page=1, size=10) == ([], 0)


def test_the_anonymous_are_told_to_log_in(db: Database) -> None:
    make.submit(db)
    with pytest.raises(NotAuthenticatedError):
        db.read_sync(namespaces.require, ANONYMOUS, "alice", Permission.ENVIRONMENT_READ)


def test_a_group_shares_its_namespace_and_only_that(db: Database, data: DataDirectory) -> None:
    build_id = make.submit(db, ALICE, namespace="group.physics")
    assert db.read_sync(builds.get_build, CAROL, build_id, data=data).namespace == "group.physics"
    assert make.submit(db, CAROL, namespace="group.physics") > build_id
    private = make.submit(db, ALICE)
    with pytest.raises(NotFoundError):
        db.read_sync(builds.get_build, CAROL, private, data=data)


def test_a_hub_admin_administers_all(db: Database, data: DataDirectory) -> None:
    build_id = make.submit(db)
    assert db.read_sync(builds.get_build, ADMIN, build_id, data=data).id == build_id


def test_a_shared_namespace_is_read_by_all_and_written_by_admins(db: Database, data: DataDirectory) -> None:
    def add(session: Session) -> None:
        session.add(Namespace(name="course", kind=NamespaceKind.SHARED, created_at=datetime.now(UTC)))

    db.write_sync(add)
    build_id = make.submit(db, ADMIN, namespace="course")
    assert db.read_sync(builds.get_build, BOB, build_id, data=data).namespace == "course"
    with pytest.raises(ForbiddenError, match="environment:create"):
        make.submit(db, BOB, namespace="course")


def test_a_namespace_is_made_once_and_never_taken_from_its_owner(db: Database) -> None:
    impostor = Identity(name="Alice")
    for _ in range(2):
        for identity in (ALICE, impostor):
            db.write_sync(namespaces.ensure_for, identity)
    assert db.read_sync(namespaces.own_namespace, ALICE) == "alice"
    assert db.read_sync(namespaces.own_namespace, impostor) not in (None, "alice")


def test_kernels_are_those_of_the_active_builds_one_may_see(db: Database, data: DataDirectory) -> None:
    make.complete(db, make.submit(db, yaml=make.text("mine")))
    make.complete(db, make.submit(db, yaml=make.text("ours"), namespace="group.physics"))
    make.submit(db, yaml=make.text("unbuilt"))

    def listed(identity: Identity) -> list[str]:
        return [kernel.name for kernel in db.read_sync(kernels.list_kernels, identity, data=data).list.kernels]

    assert listed(ALICE) == ["csh.alice.mine.python3", "csh.group_2ephysics.ours.python3"]
    assert listed(CAROL) == ["csh.group_2ephysics.ours.python3"]
    assert listed(BOB) == []


def test_permissions_are_told_in_the_shape_that_clients_read(db: Database) -> None:
    db.write_sync(namespaces.ensure_for, ALICE)
    told = db.read_sync(namespaces.summarise, ALICE)
    assert told.primary_namespace == "alice"
    assert told.entity_roles == {"alice/*": ["admin"], "group.physics/*": ["developer"]}
    assert all(key.count("/") == 1 for key in told.entity_permissions)
