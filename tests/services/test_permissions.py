"""The table that decides: as a check, as the condition of lists, and against a second, slower telling of the rules."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from conda_store_hub.core.errors import ForbiddenError, NotAuthenticatedError, NotFoundError
from conda_store_hub.core.names import DataDirectory, NamespaceKind
from conda_store_hub.core.permissions import (
    ANONYMOUS,
    PERMISSIONS,
    SERVICE_PERMISSIONS,
    Claim,
    Identity,
    IdentityKind,
    Permission,
    Reach,
    Role,
    SubjectKind,
    group_subject,
    read_scopes,
    roles_with,
    user_subject,
)
from conda_store_hub.db import queries, visibility
from conda_store_hub.db.session import Database
from conda_store_hub.db.tables import Environment, Grant, HubUser, Namespace
from conda_store_hub.services import builds, environments, kernels, logs, removals, rights, users
from conda_store_hub.services.changes import kernels_topic
from tests.support import make
from tests.support.make import ADMIN, ALICE, BOB, CAROL

NOW = datetime.now(UTC)
#: Names that differ by case, by what patterns take for a wildcard, by what regular expressions take for any character.
HUB_NAMES = ["alice", "Alice", "ali_e", "ali.e", "a%", "a*", "*", "", "physics", "group.physics", "al+x@e.org"]
ALICE_ID, LIKE_ID = 1, 2


def _identities() -> Iterator[Identity]:
    yield ANONYMOUS
    yield Identity(name=None, kind=IdentityKind.NOBODY, anyone=True)
    for name, user_id, groups, admin in itertools.product(
        ["alice", "ali_e", "a%", "al+x@e.org"], [None, ALICE_ID], [(), ("physics",), ("alice", "a*")], [False, True]
    ):
        yield Identity(name=name, user_id=user_id, groups=frozenset(groups), admin=admin)
    scoped = read_scopes(
        "s", ["custom:s:environments:write!user=alice", "custom:s:environments:admin!group=physics", "custom:s:other"]
    )
    yield Identity(name="alice", scopes=scoped)
    yield Identity(name="alice", scopes=read_scopes("s", ["custom:s:environments:read"]), anyone=True)
    yield Identity(name="alice", scopes=())
    yield Identity(name="service x", kind=IdentityKind.SERVICE, bindings=scoped)
    bound = (
        Claim(role=Role.VIEWER, reach=Reach(namespace="n0")),
        Claim(role=Role.ADMIN, reach=Reach(namespace="n1", environment="one")),
    )
    yield Identity(name="token", kind=IdentityKind.TOKEN, bindings=bound)
    for limit in (
        (),
        (Claim(role=Role.VIEWER),),
        (Claim(role=Role.ADMIN),),
        (Claim(role=Role.DEVELOPER, reach=Reach(namespace_id=1)),),
        (
            Claim(role=Role.ADMIN, reach=Reach(namespace_id=1, environment_id=1)),
            Claim(role=Role.VIEWER, reach=Reach(namespace_id=2)),
        ),
    ):
        yield Identity(name="alice", user_id=ALICE_ID, groups=frozenset({"physics"}), limit=limit)
        yield Identity(name="root", admin=True, limit=limit)


IDENTITIES = list(_identities())


def _fill(session: Session) -> None:
    """Make namespaces of every kind and name, two environments in each, and grants of every kind on some."""
    session.add_all(
        HubUser(id=number, name=name, first_seen_at=NOW) for number, name in [(ALICE_ID, "alice"), (LIKE_ID, "ali_e")]
    )
    owned = itertools.product((NamespaceKind.USER, NamespaceKind.GROUP), HUB_NAMES)
    free = [(NamespaceKind.SHARED, None), (NamespaceKind.SYSTEM, None), (NamespaceKind.SHARED, None)]
    for number, (kind, hub_name) in enumerate([*owned, *free]):
        row = Namespace(name=f"n{number}", kind=kind, hub_name=hub_name, about={}, created_at=NOW)
        row.sealed_at = NOW if hub_name == "ali.e" else None
        session.add(row)
        session.flush()
        for name in ("one", "Two"):
            session.add(
                Environment(namespace_id=row.id, name=name, name_key=name.lower(), created_at=NOW, updated_at=NOW)
            )
        session.flush()
    session.add_all(_grants(session))


def _grants(session: Session) -> Iterator[Grant]:
    subjects = [
        user_subject(ALICE_ID),
        user_subject(LIKE_ID),
        group_subject("physics"),
        group_subject("a%"),
        SubjectKind.AUTHENTICATED,
        SubjectKind.ANYONE,
    ]
    ends = [None, NOW + timedelta(days=1), NOW - timedelta(days=1)]
    rows = session.scalars(select(Environment).order_by(Environment.id)).all()
    choices = itertools.product(subjects, Role, ends, [True, False])
    for row, (subject, role, end, whole) in zip(itertools.cycle(rows[::-1]), choices, strict=False):
        yield Grant(
            namespace_id=row.namespace_id,
            environment_id=None if whole else row.id,
            subject=subject,
            role=role,
            expires_at=end,
            created_at=NOW,
        )


@pytest.mark.parametrize("permission", sorted(set(Permission) - SERVICE_PERMISSIONS))
def test_lists_and_checks_decide_alike(db: Database, permission: Permission) -> None:
    db.write_sync(_fill)
    held = roles_with(permission)
    found: set[frozenset[int]] = set()
    for identity in IDENTITIES:
        namespaces, environments = db.read_sync(_everything)
        listed = {row.id for row in db.read_sync(queries.first_namespaces, identity, 1000, permission)}
        roles = db.read_sync(rights.find_roles, identity, [(row, None) for row in namespaces])
        assert listed == {row.id for row, role in zip(namespaces, roles, strict=True) if role in held}, identity
        shown = set(db.read_sync(_list_environments, identity, permission))
        roles = db.read_sync(rights.find_roles, identity, [(row.namespace, row) for row in environments])
        assert shown == {row.id for row, role in zip(environments, roles, strict=True) if role in held}, identity
        found.add(frozenset(shown))
    assert len(found) > 10, "these identities see too much alike to tell anything"


def _everything(session: Session) -> tuple[list[Namespace], list[Environment]]:
    rows = list(session.scalars(select(Environment)))
    namespaces = {row.id: row for row in session.scalars(select(Namespace))}
    for row in rows:
        row.namespace = namespaces[row.namespace_id]
    return list(namespaces.values()), rows


def _list_environments(session: Session, identity: Identity, permission: Permission) -> list[int]:
    single = visibility.has_single_grants(session, identity)
    condition = visibility.allows_on_environment(identity, permission, single=single)
    return list(session.scalars(select(Environment.id).join(Environment.namespace).where(condition)))


def _expect(identity: Identity, row: Namespace, grants: list[Grant]) -> Role | None:
    """Tell the rules once more, as docs/permissions.md does, for a user without scopes and without a token."""
    if identity.admin:
        return Role.ADMIN
    if row.sealed_at is not None or identity.name is None:
        return None
    roles: list[Role] = []
    if row.kind == NamespaceKind.USER and row.hub_name == identity.name:
        roles.append(Role.ADMIN)
    if row.kind == NamespaceKind.GROUP and row.hub_name in identity.groups:
        roles.append(Role.DEVELOPER)
    if row.kind == NamespaceKind.SHARED:
        roles.append(Role.VIEWER)
    for grant in grants:
        to_them = grant.subject in (f"user:{identity.user_id}", "authenticated") or any(
            grant.subject == f"group:{group}" for group in identity.groups
        )
        if grant.environment_id is None and to_them and (grant.expires_at is None or grant.expires_at > NOW):
            roles.append(grant.role)
    order = [Role.VIEWER, Role.DEVELOPER, Role.ADMIN]
    return max(roles, key=order.index) if roles else None


@pytest.mark.parametrize(
    "identity", [one for one in IDENTITIES if one.is_user and not one.anyone and one.limit is one.scopes is None]
)
def test_the_table_says_what_the_rules_say(db: Database, identity: Identity) -> None:
    db.write_sync(_fill)

    def compare(session: Session) -> int:
        rows = session.scalars(select(Namespace)).all()
        for row in rows:
            grants = list(session.scalars(select(Grant).where(Grant.namespace_id == row.id)))
            assert rights.find_role(session, identity, row) == _expect(identity, row, grants), row.name
        return len(rows)

    assert db.read_sync(compare) == 2 * len(HUB_NAMES) + 3


def test_the_anonymous_may_nothing(db: Database) -> None:
    db.write_sync(_fill)
    assert db.read_sync(_list_environments, ANONYMOUS, Permission.ENVIRONMENT_READ) == []
    assert not db.read_sync(queries.first_namespaces, ANONYMOUS, 10, Permission.NAMESPACE_READ)


def test_a_stronger_role_may_all_that_a_weaker_may() -> None:
    viewer, developer, admin = PERMISSIONS.values()
    assert viewer < developer < admin == frozenset(Permission) - SERVICE_PERMISSIONS


@pytest.mark.parametrize(
    ("scopes", "held"),
    [
        (["custom:s:environments:read"], [Claim(role=Role.VIEWER)]),
        (
            ["custom:s:environments:write!user=a!b=c"],
            [Claim(role=Role.DEVELOPER, reach=Reach(kind=NamespaceKind.USER, hub_name="a!b=c"))],
        ),
        (
            ["custom:s:environments:admin!group=my team"],
            [Claim(role=Role.ADMIN, reach=Reach(kind=NamespaceKind.GROUP, hub_name="my team"))],
        ),
        # What is of another service, of another form, or filtered by what is no owner gives nothing.
        (["custom:other:environments:admin", "custom:s:environments", "custom:s:environments:admins"], []),
        (["custom:s:environments:write!server=alice/", "custom:s:environments:write!service=s"], []),
        (["custom:s:environments:write!user", "custom:s:environments:write!user="], []),
        (["access:services", "admin:users", "self"], []),
    ],
)
def test_the_hubs_scopes_give_what_they_say_and_nothing_else(scopes: list[str], held: list[Claim]) -> None:
    assert list(read_scopes("s", scopes)) == held


def test_another_users_namespace_is_not_found(db: Database, data: DataDirectory) -> None:
    build_id = make.submit(db)
    db.write_sync(users.ensure_namespaces, BOB)
    with pytest.raises(NotFoundError):
        db.read_sync(environments.get_environment, BOB, "alice", "ml", data=data)
    with pytest.raises(NotFoundError):
        db.read_sync(builds.get_build, BOB, build_id, data=data)
    with pytest.raises(NotFoundError):
        db.read_sync(logs.read, BOB, build_id, 0)
    with pytest.raises(NotFoundError):
        make.submit(db, BOB, namespace="alice")
    assert db.read_sync(environments.list_environments, BOB, page=1, size=10) == ([], 0)
    assert db.read_sync(builds.list_builds, BOB, page=1, size=10) == ([], 0)


def test_the_anonymous_are_told_to_log_in(db: Database) -> None:
    make.submit(db)
    with pytest.raises(NotAuthenticatedError):
        db.read_sync(rights.require_namespace, ANONYMOUS, "alice", Permission.NAMESPACE_READ)


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
        session.add(Namespace(name="course", kind=NamespaceKind.SHARED, about={}, created_at=datetime.now(UTC)))

    db.write_sync(add)
    build_id = make.submit(db, ADMIN, namespace="course")
    assert db.read_sync(builds.get_build, BOB, build_id, data=data).namespace == "course"
    with pytest.raises(ForbiddenError, match="environment::update"):
        make.submit(db, BOB, namespace="course")
    with pytest.raises(ForbiddenError, match="environment:create"):
        make.submit(db, BOB, yaml=make.text("new"), namespace="course")


def test_a_namespace_is_made_once_and_never_taken_from_its_owner(db: Database) -> None:
    impostor = Identity(name="Alice")
    for _ in range(2):
        for identity in (ALICE, impostor):
            db.write_sync(users.ensure_namespaces, identity)
    assert db.read_sync(rights.find_own_namespace, ALICE) == "alice"
    assert db.read_sync(rights.find_own_namespace, impostor) not in (None, "alice")


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
    db.write_sync(users.ensure_namespaces, ALICE)
    told = db.read_sync(users.summarise, ALICE)
    assert told.primary_namespace == "alice"
    assert told.entity_roles == {"alice/*": ["admin"], "group.physics/*": ["developer"]}
    assert all(key.count("/") == 1 for key in told.entity_permissions)


def test_what_a_token_names_by_itself_is_told_and_watched(db: Database, data: DataDirectory) -> None:
    """A token for one environment says so, and whoever waits with it hears of that environment's kernels."""
    make.complete(db, make.submit(db))
    namespace, environment = (rows[0] for rows in db.read_sync(_everything))
    role = Claim(role=Role.DEVELOPER, reach=Reach(namespace="alice", environment="ml"))
    limit = Claim(role=Role.DEVELOPER, reach=Reach(namespace_id=namespace.id, environment_id=environment.id))
    for identity in (
        Identity(name="token", kind=IdentityKind.TOKEN, bindings=(role,)),
        Identity(name="alice", user_id=ALICE_ID, limit=(limit,)),
        Identity(name="root", admin=True, limit=(limit,)),
    ):
        assert db.read_sync(users.summarise, identity).entity_roles == {"alice/ml": ["developer"]}
    for identity in (
        Identity(name="token", kind=IdentityKind.TOKEN, bindings=(role,)),
        Identity(name="alice", limit=(limit,)),
    ):
        answer = db.read_sync(kernels.list_kernels, identity, data=data)
        assert len(answer.list.kernels) == 1
        assert kernels_topic(namespace.id) in answer.topics


def test_who_sees_one_environment_is_told_that_they_may_not_build_it(db: Database) -> None:
    make.submit(db)
    viewer = Claim(role=Role.VIEWER, reach=Reach(namespace="alice", environment="ml"))
    identity = Identity(name="token", kind=IdentityKind.TOKEN, bindings=(viewer,))
    with pytest.raises(ForbiddenError, match="environment::update"):
        make.submit(db, identity, namespace="alice")
    with pytest.raises(NotFoundError, match="no namespace"):
        make.submit(db, identity, yaml=make.text("new"), namespace="alice")


def test_who_has_one_environment_takes_no_other_name_for_it(db: Database) -> None:
    make.submit(db)
    make.submit(db, yaml=make.text("secret"))
    admin = Claim(role=Role.ADMIN, reach=Reach(namespace="alice", environment="ml"))
    identity = Identity(name="token", kind=IdentityKind.TOKEN, bindings=(admin,))
    for name in ("new", "secret"):
        with pytest.raises(ForbiddenError, match="environment:create in “alice”"):
            db.write_sync(environments.rename, identity, "alice", "ml", name)
    db.write_sync(removals.delete_environment, identity, "alice", "ml", force=True)
    with pytest.raises(ForbiddenError, match="environment:create"):
        db.write_sync(removals.restore_environment, identity, "alice", "ml", "secret", make.rules())
    assert db.write_sync(removals.restore_environment, identity, "alice", "ml", None, make.rules()).name == "ml"


def test_administrators_of_all_are_told_so_in_one_line(db: Database) -> None:
    told = db.read_sync(users.summarise, ADMIN)
    assert told.entity_roles == {"*/*": ["admin"]}
    assert "namespace::create" in told.entity_permissions["*/*"]
