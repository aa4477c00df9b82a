"""People, what is shared with them, their tokens, and what the audit trail tells of it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import update
from sqlalchemy.orm import Session

from conda_store_hub.core import schemas
from conda_store_hub.core.audit import AuditAction
from conda_store_hub.core.errors import (
    ConflictError,
    ForbiddenError,
    InUseError,
    InvalidNameError,
    InvalidRequestError,
    NotAuthenticatedError,
    NotFoundError,
    PolicyRefusedError,
    TokenTooStrongError,
    UnavailableError,
)
from conda_store_hub.core.names import DataDirectory, NamespaceKind
from conda_store_hub.core.permissions import (
    ANONYMOUS,
    Claim,
    Identity,
    IdentityKind,
    Permission,
    Reach,
    Role,
    SubjectKind,
    read_scopes,
)
from conda_store_hub.core.protocol import BuildStatus
from conda_store_hub.db import people, queries, visibility
from conda_store_hub.db.session import Database
from conda_store_hub.db.tables import Grant, Token
from conda_store_hub.services import audit, builds, environments, grants, links, namespaces, rights, tokens, users
from conda_store_hub.services.grants import Place
from tests.support import make

BORN = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
LATER = BORN + timedelta(days=1)
PEPPER = b"pepper"


def come(db: Database, name: str, *groups: str, admin: bool = False, created: datetime = BORN) -> Identity:
    """Return somebody as they are at their contact with the service."""
    user_id = db.write_sync(users.meet, name, created)
    identity = Identity(
        name=name, user_id=user_id, groups=frozenset(groups), admin=admin, via="session", source="10.0.0.7"
    )
    db.write_sync(users.ensure_namespaces, identity)
    return identity


def with_token(db: Database, owner: Identity, text: str) -> Identity:
    """Return the owner of a token as they come with it, as `web.auth` makes them."""
    found = db.read_sync(tokens.find_owner, tokens.make_digest(text, PEPPER))
    assert found is not None
    return Identity(
        name=owner.name,
        user_id=found.user_id,
        groups=owner.groups,
        admin=owner.admin,
        limit=found.limit,
        expires=found.expires,
        token_id=found.token_id,
    )


def make_token(db: Database, identity: Identity, **request: Any) -> str:
    return db.write_sync(
        tokens.make, identity, schemas.MakeToken.model_validate({"label": "test"} | request), pepper=PEPPER
    ).token


def share(
    db: Database,
    by: Identity,
    place: Place,
    who: Identity | None,
    role: Role = Role.VIEWER,
    *,
    anonymous_allowed: bool = False,
    **request: Any,
) -> schemas.Member:
    asked = {"subject": "user", "name": who.name} if who else {}
    return db.write_sync(
        grants.grant,
        by,
        place,
        schemas.GrantRole.model_validate(asked | {"role": role} | request),
        user_id=who.user_id if who else None,
        anonymous_allowed=anonymous_allowed,
    )


def may_read(db: Database, identity: Identity, namespace: str = "alice", name: str = "ml") -> bool:
    try:
        db.read_sync(rights.require_environment, identity, namespace, name, Permission.ENVIRONMENT_READ)
    except (NotFoundError, NotAuthenticatedError):
        return False
    return True


def deeds(db: Database, identity: Identity, **filters: Any) -> list[AuditAction]:
    return [entry.action for entry in db.read_sync(audit.list_entries, identity, size=100, **filters)]


# Names that change hands


def test_a_name_given_to_somebody_new_opens_nothing(db: Database, data: DataDirectory) -> None:
    alice, bob = come(db, "alice"), come(db, "bob")
    build_id = make.submit(db, alice)
    share(db, alice, Place(namespace="alice"), bob)
    share(db, bob, Place(namespace="bob"), alice, Role.ADMIN)
    token = make_token(db, alice)
    newcomer = come(db, "alice", created=LATER)

    assert newcomer.user_id != alice.user_id
    assert db.read_sync(rights.find_own_namespace, newcomer) not in (None, "alice")
    for somebody in (newcomer, bob):
        assert not may_read(db, somebody)
        with pytest.raises(NotFoundError):
            db.read_sync(builds.get_build, somebody, build_id, data=data)
        listed, _ = db.read_sync(namespaces.list_namespaces, somebody, page=1, size=9)
        assert "alice" not in [row.name for row in listed]
    with pytest.raises(NotFoundError):
        db.read_sync(rights.require_namespace, newcomer, "bob", Permission.NAMESPACE_READ)
    assert db.read_sync(tokens.find_owner, tokens.make_digest(token, PEPPER)) is None
    admin = come(db, "root", admin=True)
    assert db.read_sync(namespaces.describe, admin, "alice").sealed
    assert deeds(db, admin)[0] is AuditAction.NAMESPACE_SEAL


def test_a_third_of_that_name_starts_empty_too(db: Database) -> None:
    names = {
        db.read_sync(rights.find_own_namespace, come(db, "alice", created=BORN + timedelta(days=day)))
        for day in range(4)
    }
    assert len(names) == 4


def test_who_comes_back_is_still_themselves(db: Database) -> None:
    assert come(db, "alice").user_id == come(db, "alice").user_id
    first = db.write_sync(users.meet, "zoe", None)  # the Hub did not tell
    assert db.write_sync(users.meet, "zoe", BORN) == first
    assert db.write_sync(users.meet, "zoe", None) == first
    assert db.write_sync(users.meet, "zoe", LATER) != first


def test_what_the_former_user_had_deleted_is_sealed_too(db: Database) -> None:
    alice = come(db, "alice")
    make.submit(db, alice)
    db.write_sync(namespaces.delete, alice, "alice", force=True)
    newcomer, root = come(db, "alice", created=LATER), come(db, "root", admin=True)
    with pytest.raises(NotFoundError):
        db.write_sync(namespaces.restore, newcomer, "alice", None)
    db.write_sync(namespaces.restore, root, "alice", None)
    assert not may_read(db, newcomer)


def test_an_answer_of_the_hub_that_was_overtaken_seals_nobody(db: Database) -> None:
    newcomer = come(db, "alice", created=LATER)
    with pytest.raises(UnavailableError):
        db.write_sync(users.meet, "alice", BORN)
    assert db.write_sync(users.meet, "alice", LATER) == newcomer.user_id


# Sharing


def test_a_role_on_an_environment_is_none_on_its_namespace_and_its_neighbours(db: Database) -> None:
    alice, bob = come(db, "alice"), come(db, "bob")
    make.submit(db, alice)
    make.submit(db, alice, yaml=make.text("other"))
    share(db, alice, Place(namespace="alice", environment="ML"), bob, Role.ADMIN)
    assert may_read(db, bob)
    assert not may_read(db, bob, name="other")
    assert [row.name for row in db.read_sync(environments.list_environments, bob, page=1, size=9)[0]] == ["ml"]
    assert [row.name for row in db.read_sync(namespaces.list_namespaces, bob, page=1, size=9)[0]] == ["bob"]
    for permission in set(Permission) - {Permission.NAMESPACE_CREATE}:
        with pytest.raises(NotFoundError):
            db.read_sync(rights.require_namespace, bob, "alice", permission)
    with pytest.raises(NotFoundError):
        make.submit(db, bob, namespace="alice", yaml=make.text("third"))
    assert make.submit(db, bob, namespace="alice")  # a new build of what they may change
    assert "alice/ml" in db.read_sync(users.summarise, bob).entity_roles
    with pytest.raises(NotFoundError):
        share(db, bob, Place(namespace="alice"), bob, Role.ADMIN)


def test_a_role_can_be_changed_and_taken_back(db: Database) -> None:
    alice, bob = come(db, "alice"), come(db, "bob")
    make.submit(db, alice)
    place = Place(namespace="alice")
    first = share(db, alice, place, bob)
    with pytest.raises(ForbiddenError):
        make.submit(db, bob, namespace="alice")
    second = share(db, alice, place, bob, Role.DEVELOPER)
    assert (second.id, second.granted_by, second.name) == (first.id, "alice", "bob")
    make.submit(db, bob, namespace="alice")
    members, count = db.read_sync(grants.list_members, alice, place, page=1, size=9)
    assert [(member.name, member.role) for member in members] == [("alice", "admin"), ("bob", "developer")]
    assert count == 2
    pages = [db.read_sync(grants.list_members, alice, place, page=page, size=1)[0] for page in (1, 2, 3)]
    assert [[member.name for member in page] for page in pages] == [["alice"], ["bob"], []]
    scoped = db.read_sync(grants.list_members, alice, place, page=1, size=9, scoped=True)[0]
    assert [member.name for member in scoped] == ["bob"]
    db.write_sync(grants.remove, alice, place, second.id or 0)
    assert not may_read(db, bob)
    with pytest.raises(NotFoundError):
        db.write_sync(grants.remove, alice, place, second.id or 0)
    assert deeds(db, alice)[:3] == [AuditAction.GRANT_REMOVE, AuditAction.BUILD_SUBMIT, AuditAction.GRANT_SET]


def test_a_role_ends_at_its_date(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    alice, bob = come(db, "alice"), come(db, "bob")
    make.submit(db, alice)
    end = datetime.now(UTC) + timedelta(hours=1)
    share(db, alice, Place(namespace="alice"), bob, expires_on=end)
    assert may_read(db, bob)
    now = datetime.now(UTC)

    class Afterwards(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:  # type: ignore[override]
            return now + timedelta(hours=2)

    monkeypatch.setattr(visibility, "datetime", Afterwards)
    assert not may_read(db, bob)
    assert db.read_sync(environments.list_environments, bob, page=1, size=9) == ([], 0)


def test_a_group_that_was_given_a_role_has_it_while_one_is_in_it(db: Database) -> None:
    alice = come(db, "alice")
    make.submit(db, alice)
    share(db, alice, Place(namespace="alice"), None, subject="group", name="physics")
    assert may_read(db, come(db, "carol", "physics"))
    assert not may_read(db, come(db, "carol", "physics2", "Physics", "phys%"))
    assert not may_read(db, come(db, "physics"))


def test_everybody_logged_in_is_nobody_else(db: Database) -> None:
    alice = come(db, "alice")
    make.submit(db, alice)
    share(db, alice, Place(namespace="alice"), None, subject="authenticated")
    assert may_read(db, come(db, "bob"))
    assert not may_read(db, ANONYMOUS)
    assert not may_read(db, Identity(name="token x", kind=IdentityKind.TOKEN))


def test_everybody_is_shown_only_what_the_site_allows_and_only_to_look(db: Database) -> None:
    alice, place = come(db, "alice"), Place(namespace="alice")
    make.submit(db, alice)
    with pytest.raises(PolicyRefusedError, match="allow_anonymous"):
        share(db, alice, place, None, subject="anyone")
    with pytest.raises(PolicyRefusedError, match="viewer"):
        share(db, alice, place, None, Role.DEVELOPER, subject="anyone", anonymous_allowed=True)
    share(db, alice, place, None, subject="anyone", anonymous_allowed=True)
    served = Identity(name=None, kind=IdentityKind.NOBODY, anyone=True)
    assert may_read(db, served)
    assert not may_read(db, ANONYMOUS)
    with pytest.raises(NotAuthenticatedError):
        make.submit(db, served, namespace="alice")


def test_nobody_gives_more_than_they_have(db: Database) -> None:
    alice, bob, carol = come(db, "alice"), come(db, "bob"), come(db, "carol")
    make.submit(db, alice)
    place = Place(namespace="alice")
    share(db, alice, place, bob, Role.DEVELOPER)
    with pytest.raises(ForbiddenError):
        share(db, bob, place, carol)
    admin = with_token(db, alice, make_token(db, alice, namespaces=["alice"], role="admin"))
    assert share(db, admin, place, carol, Role.ADMIN).role is Role.ADMIN
    weak = with_token(db, alice, make_token(db, alice, namespaces=["alice"], role="developer"))
    with pytest.raises(ForbiddenError):
        share(db, weak, place, carol, Role.VIEWER)


@pytest.mark.parametrize(
    "request_",
    [
        {"subject": "user", "role": "viewer"},
        {"subject": "group", "role": "viewer"},
        {"subject": "anyone", "name": "x", "role": "viewer"},
        {"subject": "user", "name": "", "role": "viewer"},
        {"subject": "user", "name": "x", "role": "owner"},
        {"subject": "*", "name": "x", "role": "viewer"},
    ],
)
def test_a_grant_that_makes_no_sense_is_none(request_: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"name|role|subject"):
        schemas.GrantRole.model_validate(request_)


def test_an_end_in_the_past_is_refused(db: Database) -> None:
    alice, bob = come(db, "alice"), come(db, "bob")
    with pytest.raises(InvalidRequestError, match="past"):
        share(db, alice, Place(namespace="alice"), bob, expires_on=BORN)
    with pytest.raises(InvalidRequestError, match="past"):
        make_token(db, alice, expiration=BORN)


def test_a_role_that_is_changed_keeps_its_end_unless_that_is_said(db: Database) -> None:
    alice, bob = come(db, "alice"), come(db, "bob")
    place, end = Place(namespace="alice"), datetime.now(UTC) + timedelta(hours=1)
    assert share(db, alice, place, bob).expires_on is None
    assert share(db, alice, place, bob, expires_on=end).expires_on == end
    changed = share(db, alice, place, bob, Role.DEVELOPER)
    assert (changed.role, changed.expires_on) == (Role.DEVELOPER, end)
    trail = db.read_sync(audit.list_entries, alice, action=AuditAction.GRANT_SET, size=1)
    assert f"developer for user bob until {end:%Y-%m-%d %H:%M}" in trail[0].detail
    assert share(db, alice, place, bob, expires_on=None).expires_on is None


def test_a_role_that_has_ended_is_given_anew_without_its_end(db: Database) -> None:
    alice, bob = come(db, "alice"), come(db, "bob")
    place = Place(namespace="alice")
    share(db, alice, place, bob, expires_on=datetime.now(UTC) + timedelta(hours=1))
    db.write_sync(lambda session: session.execute(update(Grant).values(expires_at=BORN)))
    assert share(db, alice, place, bob).expires_on is None


def test_two_who_change_a_role_at_once_do_not_lose_its_end(db: Database) -> None:
    alice, bob = come(db, "alice"), come(db, "bob")
    place, end = Place(namespace="alice"), datetime.now(UTC) + timedelta(hours=1)
    share(db, alice, place, bob)
    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(share, db, alice, place, bob, role) for role in (Role.DEVELOPER, Role.VIEWER) * 4]
        asked.insert(4, pool.submit(share, db, alice, place, bob, Role.ADMIN, expires_on=end))
        asked += [pool.submit(share, db, alice, place, bob, role) for role in (Role.DEVELOPER, Role.VIEWER) * 4]
        for each in asked:
            each.result()
    (_, member), _ = db.read_sync(grants.list_members, alice, place, page=1, size=9)
    assert member.expires_on == end


def test_nobody_makes_what_they_have_for_a_while_last_longer(db: Database) -> None:
    alice, bob, carol = come(db, "alice"), come(db, "bob"), come(db, "carol")
    make.submit(db, alice)
    place, end = Place(namespace="alice"), datetime.now(UTC) + timedelta(hours=1)
    share(db, alice, place, bob, Role.ADMIN, expires_on=end)
    for who, request in (
        (bob, {"expires_on": None}),
        (carol, {}),
        (carol, {"expires_on": end + timedelta(seconds=1)}),
    ):
        with pytest.raises(ForbiddenError, match="yourself until"):
            share(db, bob, place, who, Role.VIEWER, **request)
    assert share(db, bob, place, carol, Role.VIEWER, expires_on=end).expires_on == end
    ending = with_token(db, alice, make_token(db, alice, role="admin", expiration=end))
    with pytest.raises(ForbiddenError, match="yourself until"):
        share(db, ending, place, carol, Role.VIEWER, expires_on=None)
    assert share(db, alice, place, carol, Role.VIEWER, expires_on=None).expires_on is None


def test_somebody_in_very_many_groups_is_served(db: Database) -> None:
    alice = come(db, "alice")
    make.submit(db, alice)
    many = Identity(name="zoe", user_id=1000, groups=frozenset(f"g{number}" for number in range(3000)))
    assert db.read_sync(environments.list_environments, many, page=1, size=9) == ([], 0)
    limit = tuple(
        Claim(role=Role.VIEWER, reach=Reach(namespace_id=number, environment_id=number)) for number in range(3000)
    )
    limited = Identity(name="alice", user_id=alice.user_id, limit=limit)
    assert db.read_sync(environments.list_environments, limited, page=1, size=9)[1] == 1


# Tokens


def test_a_token_is_kept_as_a_digest_and_shown_once(db: Database) -> None:
    alice = come(db, "alice")
    text = make_token(db, alice, label="laptop", role="viewer")
    shown, count = db.read_sync(tokens.list_tokens, alice, user=None, page=1, size=9)
    assert count == 1
    assert text not in repr(shown)
    assert text.endswith(shown[0].hint)
    assert (shown[0].label, shown[0].scopes[0].on, shown[0].scopes[0].role) == ("laptop", "*/*", "viewer")
    digests = db.read_sync(lambda session: [row.digest for row in session.query(Token)])
    assert digests == [tokens.make_digest(text, PEPPER)]
    assert db.read_sync(tokens.find_owner, tokens.make_digest(text, b"another secret")) is None


def test_a_token_does_what_it_was_made_for_and_never_more_than_its_owner(db: Database) -> None:
    alice = come(db, "alice", "physics")
    make.submit(db, alice)
    make.submit(db, alice, namespace="group.physics")
    viewer = with_token(db, alice, make_token(db, alice, namespaces=["alice"], role="viewer"))
    assert may_read(db, viewer)
    assert not may_read(db, viewer, "group.physics")
    with pytest.raises(ForbiddenError):
        make.submit(db, viewer, namespace="alice")
    all_of_it = make_token(db, alice, role="developer")
    make.submit(db, with_token(db, alice, all_of_it), namespace="group.physics")
    outside = Identity(name="alice", user_id=alice.user_id)  # no longer in the group
    assert not may_read(db, with_token(db, outside, all_of_it), "group.physics")
    with pytest.raises(ForbiddenError, match="yours there is developer"):
        make_token(db, alice, namespaces=["group.physics"], role="admin")
    with pytest.raises(NotFoundError):
        make_token(db, alice, namespaces=["bob"], role="viewer")


def test_a_token_makes_no_tokens_and_sees_and_revokes_only_itself(db: Database) -> None:
    alice, root = come(db, "alice"), come(db, "root", admin=True)
    strong = make_token(db, alice, role="admin")
    weak = with_token(db, alice, make_token(db, alice, namespaces=["alice"], role="viewer"))
    with pytest.raises(TokenTooStrongError, match="cannot make tokens"):
        make_token(db, weak, namespaces=["alice"])
    shown, count = db.read_sync(tokens.list_tokens, weak, user=None, page=1, size=9)
    assert ([token.id for token in shown], count) == ([weak.token_id], 1)
    other = db.read_sync(tokens.find_owner, tokens.make_digest(strong, PEPPER))
    assert other is not None
    with pytest.raises(NotFoundError):
        db.write_sync(tokens.revoke, weak, other.token_id)
    db.write_sync(tokens.revoke, weak, weak.token_id or 0)
    with pytest.raises(NotAuthenticatedError):
        db.read_sync(tokens.require_live, weak)
    whole = with_token(db, root, make_token(db, root, role="admin"))
    db.write_sync(tokens.revoke, whole, other.token_id)


def test_a_token_tells_no_names_of_what_its_owner_has_lost(db: Database) -> None:
    alice, bob, root = come(db, "alice"), come(db, "bob"), come(db, "root", admin=True)
    db.write_sync(namespaces.create, root, "course")
    member = share(db, root, Place(namespace="course"), bob, Role.DEVELOPER)
    make_token(db, bob, namespaces=["course"], role="developer")
    make.submit(db, alice)
    db.write_sync(grants.remove, root, Place(namespace="course"), member.id or 0)
    (shown,) = db.read_sync(tokens.list_tokens, bob, user=None, page=1, size=9)[0]
    assert [scope.on for scope in shown.scopes] == ["course/*"]  # everybody logged in sees that one
    share(db, alice, Place(namespace="alice"), bob)
    make_token(db, bob, namespaces=["alice"])
    gone = db.read_sync(grants.list_members, alice, Place(namespace="alice"), page=1, size=9)[0][-1]
    db.write_sync(grants.remove, alice, Place(namespace="alice"), gone.id or 0)
    newest = db.read_sync(tokens.list_tokens, bob, user=None, page=1, size=9)[0][0]
    assert [scope.on for scope in newest.scopes] == ["nothing any more"]


def test_a_token_is_worth_nothing_while_the_hub_keeps_its_owner_out(db: Database) -> None:
    alice = come(db, "alice")
    digest = tokens.make_digest(make_token(db, alice), PEPPER)
    db.write_sync(users.keep_out, "alice")
    assert db.read_sync(tokens.find_owner, digest) is None
    db.write_sync(users.let_in, alice.user_id or 0, None)
    assert db.read_sync(tokens.find_owner, digest) is not None


def test_a_token_keeps_no_scope_that_the_hub_has_taken_back(db: Database) -> None:
    user_id = come(db, "zoe").user_id or 0
    held = read_scopes("s", ["custom:s:environments:admin", "custom:s:environments:write!user=zoe"])
    zoe = Identity(name="zoe", user_id=user_id, scopes=held)
    digest = tokens.make_digest(make_token(db, zoe), PEPPER)

    def given() -> tuple[Claim, ...] | None:
        found = db.read_sync(tokens.find_owner, digest)
        assert found is not None
        return found.scopes

    assert given() == held
    db.write_sync(users.let_in, user_id, held[1:])
    assert given() == held[1:]
    db.write_sync(users.let_in, user_id, None)  # not a session: it may not have all
    assert given() == held[1:]


def test_an_administrators_token_administers_all_only_if_it_was_made_to(db: Database) -> None:
    root, alice = come(db, "root", admin=True), come(db, "alice")
    make.submit(db, alice)
    whole = with_token(db, root, make_token(db, root, role_bindings={"*/*": ["admin"]}))
    assert db.write_sync(namespaces.create, whole, "course").name == "course"
    viewer = with_token(db, root, make_token(db, root, role="viewer"))
    assert may_read(db, viewer)
    with pytest.raises(ForbiddenError):
        db.write_sync(namespaces.create, viewer, "course2")
    with pytest.raises(ForbiddenError):
        db.write_sync(namespaces.delete, viewer, "alice", force=True)
    narrow = with_token(db, root, make_token(db, root, namespaces=["root"], role="admin"))
    assert not may_read(db, narrow)
    with pytest.raises(ForbiddenError):
        db.read_sync(tokens.list_tokens, narrow, user="alice", page=1, size=9)


def test_a_token_of_a_namespace_is_worth_nothing_on_another_of_that_name(db: Database) -> None:
    root = come(db, "root", admin=True)
    db.write_sync(namespaces.create, root, "course")
    text = make_token(db, root, role_bindings={"course/*": ["admin"]})
    db.write_sync(namespaces.delete, root, "course", force=False)
    db.write_sync(namespaces.create, root, "course")
    with pytest.raises(NotFoundError):
        db.read_sync(rights.require_namespace, with_token(db, root, text), "course", Permission.NAMESPACE_READ)


def test_tokens_end_when_they_are_revoked_and_only_by_who_may(db: Database) -> None:
    alice, bob, root = come(db, "alice"), come(db, "bob"), come(db, "root", admin=True)
    first, second = make_token(db, alice), make_token(db, alice)
    ids = [token.id for token in db.read_sync(tokens.list_tokens, alice, user=None, page=1, size=9)[0]]
    identity = with_token(db, alice, second)
    for stranger in (bob, ANONYMOUS):
        with pytest.raises((NotFoundError, NotAuthenticatedError)):
            db.write_sync(tokens.revoke, stranger, ids[0])
    db.write_sync(tokens.revoke, alice, ids[0])
    assert db.read_sync(tokens.find_owner, tokens.make_digest(second, PEPPER)) is None
    with pytest.raises(NotAuthenticatedError):
        db.read_sync(tokens.require_live, identity)
    assert db.read_sync(tokens.find_owner, tokens.make_digest(first, PEPPER)) is not None
    db.write_sync(tokens.revoke, root, ids[1])
    assert db.read_sync(tokens.list_tokens, root, user="alice", page=1, size=9) == ([], 0)
    assert deeds(db, alice).count(AuditAction.TOKEN_REVOKE) == 2


def test_who_is_no_user_has_no_tokens(db: Database) -> None:
    for identity in (
        Identity(name="token x", kind=IdentityKind.TOKEN, bindings=(Claim(role=Role.ADMIN),), admin=True),
        Identity(name="service x", kind=IdentityKind.SERVICE, admin=True),
    ):
        with pytest.raises(ForbiddenError, match="users of the Hub"):
            make_token(db, identity)
    with pytest.raises(NotAuthenticatedError):
        make_token(db, ANONYMOUS)


def test_nobody_keeps_more_tokens_than_they_can_oversee(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens, "MOST_TOKENS", 2)
    alice = come(db, "alice")
    for _ in range(2):
        make_token(db, alice)
    with pytest.raises(ConflictError, match="revoke"):
        make_token(db, alice)


# Namespaces


def test_a_shared_namespace_is_made_by_administrators_under_a_free_and_good_name(db: Database) -> None:
    root, alice = come(db, "root", admin=True), come(db, "alice")
    assert db.write_sync(namespaces.create, root, "course").kind == NamespaceKind.SHARED
    assert db.read_sync(namespaces.describe, alice, "course").role is Role.VIEWER
    with pytest.raises(ConflictError):
        db.write_sync(namespaces.create, root, "course")
    with pytest.raises(ForbiddenError):
        db.write_sync(namespaces.create, alice, "mine")
    with pytest.raises(NotAuthenticatedError):
        db.write_sync(namespaces.create, ANONYMOUS, "mine")
    for name in ("default", "group.physics", "Course", "a/b", "../x", "", "a" * 64):
        with pytest.raises(InvalidNameError):
            db.write_sync(namespaces.create, root, name)


def test_a_user_named_like_a_shared_namespace_gets_another(db: Database) -> None:
    db.write_sync(namespaces.create, come(db, "root", admin=True), "zoe")
    zoe = come(db, "zoe")
    assert db.read_sync(rights.find_own_namespace, zoe) not in (None, "zoe")
    with pytest.raises(ForbiddenError):
        make.submit(db, zoe, namespace="zoe")


def test_a_namespace_goes_with_all_that_is_in_it_and_comes_back(db: Database, data: DataDirectory) -> None:
    alice, bob = come(db, "alice"), come(db, "bob")
    build_id = make.submit(db, alice)
    make.complete(db, build_id)
    for link in db.read_sync(links.list_behind, 0, 9):
        db.write_sync(links.record, link)
    share(db, alice, Place(namespace="alice"), bob)
    gone = db.write_sync(namespaces.delete, alice, "alice", force=False)
    assert (gone.num_environments, gone.num_builds) == (1, 1)
    for identity in (alice, bob, come(db, "root", admin=True)):
        assert not may_read(db, identity)
        with pytest.raises(NotFoundError):
            db.read_sync(builds.get_build, identity, build_id, data=data)
        assert db.read_sync(builds.list_builds, identity, page=1, size=9) == ([], 0)
    left = db.read_sync(links.list_behind, 0, 9)
    assert [(link.prefix_name, link.shown is None) for link in left] == [(None, False)]
    assert db.write_sync(namespaces.restore, alice, "alice", None).name == "alice"
    assert may_read(db, alice)
    assert may_read(db, bob)
    assert db.read_sync(builds.get_build, alice, build_id, data=data).active


def test_what_was_deleted_before_its_namespace_stays_deleted(db: Database) -> None:
    alice = come(db, "alice")
    make.submit(db, alice)
    make.submit(db, alice, yaml=make.text("early"))

    def delete_one(session: Session) -> None:
        row = queries.find_environment(session, "alice", "early")
        assert row is not None
        row.deleted_at = BORN

    db.write_sync(delete_one)
    db.write_sync(namespaces.delete, alice, "alice", force=True)
    db.write_sync(namespaces.restore, alice, "alice", None)
    assert [row.name for row in db.read_sync(environments.list_environments, alice, page=1, size=9)[0]] == ["ml"]


def test_a_namespace_in_which_something_is_built_goes_only_by_force(db: Database, data: DataDirectory) -> None:
    alice = come(db, "alice")
    build_id = make.submit(db, alice)
    with pytest.raises(InUseError, match="1 builds"):
        db.write_sync(namespaces.delete, alice, "alice", force=False)
    db.write_sync(namespaces.delete, alice, "alice", force=True)
    status = db.read_sync(lambda session: queries.find_build(session, build_id).status)  # type: ignore[union-attr]
    assert status is BuildStatus.CANCELED


def test_a_namespace_comes_back_only_to_who_could_delete_it_and_in_time(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice, bob = come(db, "alice"), come(db, "bob")
    share(db, alice, Place(namespace="alice"), bob, Role.DEVELOPER)
    db.write_sync(namespaces.delete, alice, "alice", force=False)
    for stranger in (bob, come(db, "carol")):
        with pytest.raises(NotFoundError):
            db.write_sync(namespaces.restore, stranger, "alice", None)
    monkeypatch.setattr(namespaces, "UNDO", timedelta(0))
    with pytest.raises(NotFoundError):
        db.write_sync(namespaces.restore, alice, "alice", None)


def test_a_name_is_free_once_its_namespace_is_deleted(db: Database) -> None:
    root = come(db, "root", admin=True)
    db.write_sync(namespaces.create, root, "course")
    db.write_sync(namespaces.delete, root, "course", force=False)
    db.write_sync(namespaces.create, root, "course")
    with pytest.raises(ConflictError, match="choose another name"):
        db.write_sync(namespaces.restore, root, "course", None)
    for reserved in ("default", "group.course"):
        with pytest.raises(InvalidNameError):
            db.write_sync(namespaces.restore, root, "course", reserved)
    assert db.write_sync(namespaces.restore, root, "course", "course-2025").name == "course-2025"


def test_whose_a_namespace_is_decides_what_it_may_be_called(db: Database) -> None:
    root, alice, bob = come(db, "root", admin=True), come(db, "alice"), come(db, "bob")
    share(db, alice, Place(namespace="alice"), bob, Role.ADMIN)
    make.submit(db, alice)
    db.write_sync(namespaces.delete, alice, "alice", force=True)
    for somebody, name in ((alice, "stolen"), (alice, "group.physics"), (bob, "bob2"), (root, "bob")):
        with pytest.raises((ForbiddenError, InvalidNameError)):
            db.write_sync(namespaces.restore, somebody, "alice", name)
    db.write_sync(namespaces.create, root, "alice")
    assert db.write_sync(namespaces.restore, alice, "alice", None).name != "alice"


def test_a_user_who_came_again_gets_their_namespace_back_unless_they_began_anew(db: Database) -> None:
    alice = come(db, "alice")
    make.submit(db, alice)
    for _ in range(2):
        db.write_sync(namespaces.delete, alice, "alice", force=True)
        db.write_sync(users.ensure_namespaces, alice)  # as at any contact
        assert not may_read(db, alice)
        db.write_sync(namespaces.restore, alice, "alice", None)
        assert may_read(db, alice)
    db.write_sync(namespaces.delete, alice, "alice", force=True)
    db.write_sync(users.ensure_namespaces, alice)
    db.write_sync(namespaces.delete, alice, "alice", force=True)  # the empty one, by mistake
    db.write_sync(namespaces.restore, alice, "alice", None)
    assert may_read(db, alice)
    db.write_sync(namespaces.delete, alice, "alice", force=True)
    make.submit(db, alice, yaml=make.text("new"))
    with pytest.raises(ConflictError, match="a new namespace since"):
        db.write_sync(namespaces.restore, alice, "alice", "alice-old")


def test_what_is_noted_about_a_namespace_has_an_end(db: Database) -> None:
    alice, bob = come(db, "alice"), come(db, "bob")
    db.write_sync(namespaces.change, alice, "alice", {"contact": "alice@example.org", "tags": ["a", None, 1.5]})
    assert db.read_sync(namespaces.describe, alice, "alice").metadata_["tags"] == ["a", None, 1.5]
    with pytest.raises(InvalidRequestError, match="10000"):
        db.write_sync(namespaces.change, alice, "alice", {"x": "y" * 20_000})
    share(db, alice, Place(namespace="alice"), bob, Role.DEVELOPER)
    with pytest.raises(ForbiddenError):
        db.write_sync(namespaces.change, bob, "alice", {})


def test_usage_counts_what_is_there(db: Database) -> None:
    alice = come(db, "alice", "physics")
    make.complete(db, make.submit(db, alice))
    make.submit(db, alice)
    held, count = db.read_sync(namespaces.list_usage, alice, page=1, size=9)
    assert held["alice"] == schemas.Usage(num_environments=1, num_builds=2, storage=1000)
    assert held["group.physics"] == schemas.Usage(num_environments=0, num_builds=0, storage=0)
    assert count == 2
    assert db.read_sync(namespaces.list_namespaces, alice, page=1, size=9)[0][0].environments == 1


def test_conda_stores_way_to_share_says_the_same(db: Database) -> None:
    alice = come(db, "alice", "physics")
    come(db, "bob")
    come(db, "carol", "chemistry")
    place = Place(namespace="alice")
    asked = db.read_sync(grants.read_mapping, alice, place, "bob", Role.VIEWER)
    assert (asked.subject, asked.name) == (SubjectKind.USER, "bob")
    asked = db.read_sync(grants.read_mapping, alice, place, "group.physics", Role.DEVELOPER)
    assert (asked.subject, asked.name) == (SubjectKind.GROUP, "physics")
    db.write_sync(grants.grant, alice, place, asked, user_id=None, anonymous_allowed=False)
    rows = db.read_sync(grants.list_mappings, alice, place)
    assert [(row.namespace, row.other_namespace, row.role) for row in rows] == [("alice", "group.physics", "developer")]
    for unknown in ("nobody", "group.chemistry"):
        with pytest.raises(NotFoundError):
            db.read_sync(grants.read_mapping, alice, place, unknown, Role.VIEWER)


# The audit trail


def test_the_trail_tells_who_what_when_and_from_where(db: Database) -> None:
    alice = come(db, "alice")
    build_id = make.submit(db, alice)
    db.write_sync(builds.cancel, alice, build_id)
    entries = db.read_sync(audit.list_entries, alice, size=9)
    assert [entry.action for entry in entries] == [
        AuditAction.BUILD_CANCEL,
        AuditAction.BUILD_SUBMIT,
        AuditAction.ENVIRONMENT_CREATE,
    ]
    newest = entries[0]
    assert (newest.actor, newest.via, newest.source) == ("alice", "session", "10.0.0.7")
    assert (newest.actor_kind, newest.user_id) == (IdentityKind.USER, alice.user_id)
    assert (newest.namespace, newest.environment, newest.build_id) == ("alice", "ml", build_id)
    assert datetime.now(UTC) - newest.at < timedelta(minutes=1)
    assert deeds(db, alice, before=newest.id) == [AuditAction.BUILD_SUBMIT, AuditAction.ENVIRONMENT_CREATE]
    assert deeds(db, alice, action=AuditAction.BUILD_SUBMIT, actor="alice", environment="ml") == [
        AuditAction.BUILD_SUBMIT
    ]
    assert deeds(db, alice, actor="bob") == []


def test_the_trail_is_read_by_who_administers_and_outlives_what_it_tells_of(db: Database) -> None:
    alice, bob, root = come(db, "alice"), come(db, "bob"), come(db, "root", admin=True)
    make.submit(db, alice)
    share(db, alice, Place(namespace="alice"), bob, Role.DEVELOPER)
    assert deeds(db, bob) == []
    with pytest.raises(ForbiddenError):
        deeds(db, bob, namespace="alice")
    with pytest.raises(NotFoundError):
        deeds(db, come(db, "carol"), namespace="alice")
    with pytest.raises(NotAuthenticatedError):
        deeds(db, ANONYMOUS)
    db.write_sync(namespaces.delete, alice, "alice", force=True)

    def purge(session: Session) -> None:
        row = queries.find_deleted_namespace(session, "alice", BORN)
        assert row is not None
        for grant in people.list_grants(session, row.id, None, 9):
            session.delete(grant)

    db.write_sync(purge)
    assert deeds(db, root)[:2] == [AuditAction.NAMESPACE_DELETE, AuditAction.GRANT_SET]
    assert deeds(db, root, namespace="alice")[0] is AuditAction.NAMESPACE_DELETE


def test_what_fails_leaves_no_trace_of_having_been_done(db: Database) -> None:
    alice = come(db, "alice")
    with pytest.raises(NotFoundError):
        make.submit(db, alice, namespace="bob")
    with pytest.raises(ForbiddenError):
        db.write_sync(namespaces.create, alice, "course")
    assert deeds(db, alice) == []
