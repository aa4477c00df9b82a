"""The life of environments and builds: renamed, cloned, rebuilt, pinned, in use, deleted, brought back, freed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy.orm import Session

from conda_store_hub.core import schemas, source
from conda_store_hub.core.audit import AuditAction
from conda_store_hub.core.errors import (
    ConflictError,
    EditConflictError,
    ForbiddenError,
    GoneError,
    InUseError,
    InvalidNameError,
    NotAuthenticatedError,
    NotFoundError,
    PolicyRefusedError,
    QuotaExceededError,
)
from conda_store_hub.core.names import DataDirectory
from conda_store_hub.core.permissions import Identity, IdentityKind
from conda_store_hub.core.protocol import ArtifactEvent, ArtifactType, BuildStatus
from conda_store_hub.db import queries
from conda_store_hub.db.session import Database
from conda_store_hub.db.tables import Artifact, Build, Environment, Lease, Specification
from conda_store_hub.services import (
    artifacts,
    audit,
    builds,
    comparisons,
    environments,
    kernels,
    leases,
    links,
    namespaces,
    rebuilds,
    removals,
    storage,
    users,
    work,
)
from conda_store_hub.services.artifacts import Location
from tests.support import make
from tests.support.make import ALICE, BOB, CAROL

RULES = make.rules()
KEPT = RULES.kept_artifacts
TYPED = "# ours\nname: ml  # the name\nchannels:\n  - main\ndependencies:\n  - python  # of course\n"


def built(db: Database, *packages: str, yaml: str = TYPED, identity: Identity = ALICE, **options: Any) -> int:
    """Return a completed build with a lock, a lockfile and an archive."""
    build_id = make.submit(db, identity, yaml=yaml, **options)
    finish(db, build_id, *packages)
    return build_id


def finish(db: Database, build_id: int, *packages: str) -> None:
    ticket = make.claim(db, build_id)
    for kind in (ArtifactType.RECORDS, ArtifactType.LOCKFILE, ArtifactType.CONDA_PACK):
        event = ArtifactEvent(artifact=kind, path="", sha256=f"{build_id}{kind}", size=1)
        db.write_sync(work.record_artifact, ticket, event, f"sha256/{build_id}/{kind}")
    db.write_sync(work.mark_usable, ticket, make.usable(*packages))
    db.write_sync(work.finish, ticket, None)


def row_of(db: Database, build_id: int) -> Build:
    return db.read_sync(row_in, build_id)


def row_in(session: Session, build_id: int) -> Build:
    row = queries.find_build(session, build_id)
    assert row is not None
    return row


def environment(db: Database, data: DataDirectory, name: str = "ml", identity: Identity = ALICE) -> schemas.Environment:
    return db.read_sync(environments.get_environment, identity, "alice", name, data=data)


def share(db: Database, identity: Identity) -> None:
    db.write_sync(users.ensure_namespaces, identity)


# Edits


def test_of_two_who_edit_at_once_the_second_is_told_and_nothing_is_lost(db: Database, data: DataDirectory) -> None:
    first, other = built(db), make.submit(db, yaml=make.text("other"))
    prepared = builds.prepare(schemas.SubmitSpecification(specification=TYPED + "  - numpy\n"), RULES)
    second = db.write_sync(builds.submit, ALICE, "alice", prepared, RULES, latest=first)
    for before in (first, other, 99):
        with pytest.raises(EditConflictError, match=f"build {second} now; you began with {before}"):
            db.write_sync(builds.submit, ALICE, "alice", prepared, RULES, latest=before)
    assert db.read_sync(builds.list_builds, ALICE, page=1, size=9)[1] == 3


def test_a_rebuild_of_the_same_is_nothing_that_an_edit_could_lose(db: Database) -> None:
    first = built(db)
    again = db.write_sync(rebuilds.rebuild, ALICE, first, RULES, exact=False, activate=True)
    prepared = builds.prepare(schemas.SubmitSpecification(specification=TYPED + "  - numpy\n"), RULES)
    assert db.write_sync(builds.submit, ALICE, "alice", prepared, RULES, latest=first) == again + 1


def test_who_wants_a_new_environment_changes_none_that_is_there(db: Database) -> None:
    db.write_sync(users.ensure_namespaces, ALICE)
    prepared = builds.prepare(schemas.SubmitSpecification(specification=TYPED), RULES)
    with pytest.raises(EditConflictError, match="“ml” is not there any more.* you began with build 7"):
        db.write_sync(builds.submit, ALICE, "alice", prepared, RULES, latest=7)
    first = db.write_sync(builds.submit, ALICE, "alice", prepared, RULES, latest=0)
    with pytest.raises(EditConflictError, match=f"There is “ml” already, with build {first}"):
        db.write_sync(builds.submit, ALICE, "alice", prepared, RULES, latest=0)


def test_a_build_can_be_made_without_becoming_active(db: Database, data: DataDirectory) -> None:
    first = built(db)
    prepared = builds.prepare(schemas.SubmitSpecification(specification=TYPED), RULES)
    quiet = db.write_sync(builds.submit, ALICE, "alice", prepared, RULES, activates=False)
    finish(db, quiet)
    assert environment(db, data).current_build_id == first
    db.write_sync(environments.update, ALICE, "alice", "ml", schemas.ActivateBuild(build_id=quiet))
    assert environment(db, data).current_build_id == quiet


# Names


def test_a_rename_keeps_numbers_and_prefixes_and_fits_the_text_that_is_edited_next(
    db: Database, data: DataDirectory
) -> None:
    build_id = built(db)
    before = environment(db, data)
    db.write_sync(environments.rename, ALICE, "alice", "ml", "Stats")
    after = environment(db, data, "stats")
    assert (after.id, after.name, after.current_build_id) == (before.id, "Stats", build_id)
    build = after.current_build
    assert build is not None
    assert build.prefix == f"{data.prefixes}/{row_of(db, build_id).prefix_name}"
    assert build.specification.text == TYPED.replace("name: ml", "name: Stats")
    assert build.specification.spec["name"] == "Stats"
    assert make.submit(db, yaml=build.specification.text) == build_id + 1
    with pytest.raises(NotFoundError):
        environment(db, data)
    db.write_sync(environments.rename, ALICE, "alice", "Stats", "STATS")
    make.submit(db, yaml=make.text("other"))
    with pytest.raises(ConflictError):
        db.write_sync(environments.rename, ALICE, "alice", "other", "stats")
    with pytest.raises(InvalidNameError):
        db.write_sync(environments.rename, ALICE, "alice", "other", "../x")


def test_a_rename_writes_no_text_and_what_is_made_of_an_old_one_has_the_new_name(
    db: Database, data: DataDirectory
) -> None:
    first, second, queued = built(db), built(db, yaml=TYPED.replace("of course", "again")), make.submit(db)
    texts = db.read_sync(count_specifications)
    db.write_sync(environments.rename, ALICE, "alice", "ml", "null")
    assert db.read_sync(count_specifications) == texts
    claim = db.write_sync(work.claim, "local:test")
    assert claim is not None
    assert (claim.build_id, claim.name, source.read(claim.text, "linux-64").sha256()) == (queued, "null", claim.sha256)
    anew = db.write_sync(rebuilds.rebuild, ALICE, second, RULES, exact=False, activate=True)
    for build_id in (first, second, queued, anew):
        shown = db.read_sync(builds.get_build, ALICE, build_id, data=data).specification
        assert {shown.name, shown.spec["name"], source.read(shown.text, "linux-64").specification.name} == {"null"}
        assert shown.sha256 == row_of(db, build_id).specification.sha256


def count_specifications(session: Session) -> int:
    return session.query(Specification).count()


def test_the_link_follows_a_rename(db: Database) -> None:
    built(db)
    for link in db.read_sync(links.list_behind, 0, 9):
        db.write_sync(links.record, link)
    assert db.read_sync(links.list_behind, 0, 9) == []
    db.write_sync(environments.rename, ALICE, "alice", "ml", "stats")
    (link,) = db.read_sync(links.list_behind, 0, 9)
    assert (link.environment, link.shown_as, link.prefix_name == link.shown) == ("stats", "ml", True)
    db.write_sync(links.record, link)
    assert db.read_sync(links.list_behind, 0, 9) == []


# Builds from builds


def test_a_rebuild_solves_anew_and_an_exact_one_takes_the_lock(db: Database) -> None:
    build_id = built(db)
    anew = db.write_sync(rebuilds.rebuild, ALICE, build_id, RULES, exact=False, activate=True)
    exact = db.write_sync(rebuilds.rebuild, ALICE, build_id, RULES, exact=True, activate=False)
    assert (row_of(db, anew).lock_build_id, row_of(db, exact).lock_build_id) == (None, build_id)
    claims = [db.write_sync(work.claim, "local:test") for _ in range(2)]
    locks = [claim.lock for claim in claims if claim]
    assert locks == [None, work.StoredLock(build_id=build_id, records=f"sha256/{build_id}/RECORDS")]


def solve(db: Database, build_id: int, key: str, *, state: str | None = "s1") -> work.StoredLock | None:
    """Do what a runner does until the builder has chosen its packages; return the lock that it may reuse."""
    ticket = make.claim(db, build_id)
    reusable = db.write_sync(work.note_request, ticket, key)
    event = ArtifactEvent(artifact=ArtifactType.RECORDS, path="", sha256=f"{build_id}", size=1)
    reused = reusable if reusable is not None and reusable.channel_state == state else None
    how = work.Solve(channel_state=state, reused=reused)
    db.write_sync(work.record_artifact, ticket, event, f"records/{build_id}", how)
    db.write_sync(work.finish, ticket, None, cancelled=True)
    return reusable


def test_the_lock_of_the_last_build_that_asked_for_the_same_may_be_reused(db: Database) -> None:
    first = make.submit(db)
    assert solve(db, first, "same") is None
    second = make.submit(db)
    assert solve(db, second, "same") == work.StoredLock(build_id=first, records=f"records/{first}", channel_state="s1")
    assert row_of(db, second).lock_build_id == first
    third = make.submit(db, BOB)
    assert solve(db, third, "another") is None
    fourth = make.submit(db)
    reusable = solve(db, fourth, "same", state="s2")
    assert reusable is not None
    assert (reusable.build_id, row_of(db, fourth).lock_build_id) == (second, None)


def test_who_asks_for_a_new_solve_gets_one(db: Database) -> None:
    first = make.submit(db)
    solve(db, first, "same")
    prepared = builds.prepare(schemas.SubmitSpecification(specification=TYPED), RULES)
    fresh = db.write_sync(builds.submit, ALICE, "alice", prepared, RULES, fresh=True)
    assert solve(db, fresh, "same") is None
    again = db.write_sync(rebuilds.rebuild, ALICE, first, RULES, exact=False, activate=True)
    assert solve(db, again, "same") is None


def test_a_lock_whose_channels_had_no_state_or_that_is_gone_is_not_reused(db: Database) -> None:
    solve(db, make.submit(db), "same", state=None)
    second = make.submit(db)
    assert solve(db, second, "same") is None
    db.write_sync(lambda session: removals.remove(session, row_in(session, second), ()))
    assert solve(db, make.submit(db), "same") is None


def test_what_never_chose_its_packages_cannot_be_made_exactly(db: Database) -> None:
    build_id = make.submit(db)
    with pytest.raises(ConflictError, match="no lock: it has not chosen its packages yet"):
        db.write_sync(rebuilds.rebuild, ALICE, build_id, RULES, exact=True, activate=True)
    db.write_sync(builds.cancel, ALICE, build_id)
    with pytest.raises(ConflictError, match="no lock: it never got as far"):
        db.write_sync(rebuilds.rebuild, ALICE, build_id, RULES, exact=True, activate=True)


def test_what_was_deleted_with_its_lock_is_said_to_be(db: Database) -> None:
    older, _ = built(db), built(db)
    db.write_sync(removals.delete_build, ALICE, older, (), force=False)
    with pytest.raises(ConflictError, match="no lock: it was deleted, and its lock was not kept"):
        db.write_sync(rebuilds.rebuild, ALICE, older, RULES, exact=True, activate=True)


def test_a_clone_is_one_build_from_the_lock_under_its_own_name(db: Database, data: DataDirectory) -> None:
    build_id = built(db)
    clone = db.write_sync(rebuilds.clone, ALICE, ("alice", "ml"), ("group.physics", "copy"), RULES)
    row = row_of(db, clone)
    assert (row.environment.name, row.lock_build_id) == ("copy", build_id)
    assert "name: copy  # the name" in row.specification.text
    assert row.specification.sha256 == row_of(db, build_id).specification.sha256
    with pytest.raises(ConflictError):
        db.write_sync(rebuilds.clone, ALICE, ("alice", "ml"), ("group.physics", "COPY"), RULES)
    with pytest.raises(NotFoundError):
        db.write_sync(rebuilds.clone, CAROL, ("alice", "ml"), ("group.physics", "theirs"), RULES)
    with pytest.raises(NotFoundError):
        db.write_sync(rebuilds.clone, ALICE, ("alice", "ml"), ("bob", "copy"), RULES)


def test_what_is_made_from_a_build_needs_room_as_well(db: Database) -> None:
    build_id = built(db)
    full = make.rules(quota_builds=1)
    for exact in (False, True):
        with pytest.raises(QuotaExceededError, match="“alice” has 1 builds"):
            db.write_sync(rebuilds.rebuild, ALICE, build_id, full, exact=exact, activate=True)
    with pytest.raises(QuotaExceededError, match="“alice” has 1 builds"):
        db.write_sync(rebuilds.clone, ALICE, ("alice", "ml"), ("alice", "copy"), full)
    assert db.read_sync(builds.list_builds, ALICE, page=1, size=10)[1] == 1
    db.write_sync(rebuilds.clone, ALICE, ("alice", "ml"), ("group.physics", "copy"), full)


def test_a_service_that_builds_nothing_makes_nothing_from_a_build_either(db: Database) -> None:
    build_id, rules = built(db), make.rules(refusal="This service runs as root.")
    for exact in (False, True):
        with pytest.raises(PolicyRefusedError, match="runs as root"):
            db.write_sync(rebuilds.rebuild, ALICE, build_id, rules, exact=exact, activate=True)
    with pytest.raises(PolicyRefusedError, match="runs as root"):
        db.write_sync(rebuilds.clone, ALICE, ("alice", "ml"), ("alice", "copy"), rules)
    db.write_sync(removals.delete_environment, ALICE, "alice", "ml", force=False)
    assert db.write_sync(removals.restore_environment, ALICE, "alice", "ml", None, rules).name == "ml"
    db.write_sync(removals.delete_environment, ALICE, "alice", "ml", force=False)
    a_while_ago(db)
    for doomed in db.read_sync(storage.list_prefixes_to_free, 9):
        db.write_sync(storage.give_up_prefix, doomed)
    with pytest.raises(PolicyRefusedError, match="runs as root"):
        db.write_sync(removals.restore_environment, ALICE, "alice", "ml", None, rules)


def test_what_changed_between_two_builds_is_told(db: Database) -> None:
    old = built(db, "python=3.11", "numpy=1.26", "left=1")
    new = built(db, "python=3.11", "numpy=2.0", "right=1")
    found = db.read_sync(comparisons.compare, ALICE, new, old)
    assert [item.name for item in found.added] == ["right"]
    assert [item.name for item in found.removed] == ["left"]
    assert [(item.old.version, item.new.version) for item in found.changed] == [("1.26", "2.0")]
    assert found.unchanged == 1
    with pytest.raises(NotFoundError):
        db.read_sync(comparisons.compare, BOB, new, old)


# Deleting builds


def test_a_deleted_build_stays_listed_and_keeps_what_the_site_says(db: Database, data: DataDirectory) -> None:
    old = built(db, "python=3.11")
    new = built(db)
    db.write_sync(removals.delete_build, ALICE, old, KEPT, force=False)
    shown = db.read_sync(builds.get_build, ALICE, old, data=data)
    assert shown.deleted_on is not None
    assert shown.prefix is None
    assert db.read_sync(builds.list_builds, ALICE, page=1, size=9)[1] == 2
    assert isinstance(db.read_sync(artifacts.find, ALICE, old, ArtifactType.LOCKFILE), Location)
    with pytest.raises(GoneError):
        db.read_sync(artifacts.find, ALICE, old, ArtifactType.CONDA_PACK)
    assert [item.name for item in db.read_sync(builds.list_packages, ALICE, old, page=1, size=9)[0]] == ["python"]
    with pytest.raises(ConflictError, match="rebuild it exactly"):
        db.write_sync(environments.update, ALICE, "alice", "ml", schemas.ActivateBuild(build_id=old))
    assert db.write_sync(rebuilds.rebuild, ALICE, old, RULES, exact=True, activate=True) == new + 1


def test_what_is_needed_is_not_deleted(db: Database) -> None:
    old, active, waiting = built(db), built(db), make.submit(db)
    with pytest.raises(ConflictError, match="the active one"):
        db.write_sync(removals.delete_build, ALICE, active, KEPT, force=True)
    with pytest.raises(ConflictError, match="cancel it first"):
        db.write_sync(removals.delete_build, ALICE, waiting, KEPT, force=True)
    db.write_sync(removals.pin, ALICE, old, pinned=True)
    with pytest.raises(ConflictError, match="pinned"):
        db.write_sync(removals.delete_build, ALICE, old, KEPT, force=True)
    db.write_sync(removals.pin, ALICE, old, pinned=False)
    db.write_sync(leases.take, ALICE, old, schemas.TakeLease(holder="kernel 1", seconds=60))
    with pytest.raises(InUseError, match="1 kernels"):
        db.write_sync(removals.delete_build, ALICE, old, KEPT, force=False)
    db.write_sync(leases.end, ALICE, old, "kernel 1")
    db.write_sync(removals.delete_build, ALICE, old, KEPT, force=False)
    for build_id in (make.submit(db),):
        db.write_sync(builds.cancel, ALICE, build_id)
        db.write_sync(removals.delete_build, ALICE, build_id, KEPT, force=False)


def test_who_is_in_a_group_builds_but_does_not_delete(db: Database) -> None:
    old = built(db, namespace="group.physics")
    built(db, namespace="group.physics")
    share(db, CAROL)
    db.write_sync(removals.pin, CAROL, old, pinned=True)
    with pytest.raises(ForbiddenError):
        db.write_sync(removals.delete_build, CAROL, old, KEPT, force=True)
    with pytest.raises(ForbiddenError):
        db.write_sync(removals.delete_environment, CAROL, "group.physics", "ml", force=True)


# Leases


def test_nobody_ends_the_lease_of_somebody_else_and_none_lasts_for_ever(db: Database) -> None:
    build_id = built(db, namespace="group.physics")
    alice, carol = (Identity(name=who.name, groups=who.groups, user_id=n) for n, who in enumerate((ALICE, CAROL), 1))
    request = schemas.TakeLease(holder="kernel", seconds=10**6)
    lease = db.write_sync(leases.take, alice, build_id, request)
    assert lease.expires_on <= datetime.now(UTC) + timedelta(hours=1)
    db.write_sync(leases.end, carol, build_id, "kernel")
    with pytest.raises(InUseError):
        db.write_sync(namespaces.delete, make.ADMIN, "group.physics", force=False)
    db.write_sync(leases.end, alice, build_id, "kernel")
    db.write_sync(leases.end, alice, build_id, "kernel")
    db.write_sync(namespaces.delete, make.ADMIN, "group.physics", force=False)


def test_nobody_takes_the_room_of_all_others_and_who_is_nobody_takes_none(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases, "MOST_OF_ONE", 2)
    build_id = built(db, namespace="group.physics")
    for holder in ("one", "two", "two"):
        db.write_sync(leases.take, ALICE, build_id, schemas.TakeLease(holder=holder))
    with pytest.raises(ConflictError, match=f"You use build {build_id} in 2 places already"):
        db.write_sync(leases.take, ALICE, build_id, schemas.TakeLease(holder="three"))
    db.write_sync(leases.take, CAROL, build_id, schemas.TakeLease(holder="three"))
    nobody = Identity(name=None, kind=IdentityKind.NOBODY, anyone=True)
    with pytest.raises(NotAuthenticatedError):
        db.write_sync(leases.take, nobody, build_id, schemas.TakeLease(holder="x"))
    with pytest.raises(NotAuthenticatedError):
        db.write_sync(leases.end, nobody, build_id, "x")


def test_what_has_no_prefix_cannot_be_used(db: Database) -> None:
    build_id = make.submit(db)
    with pytest.raises(GoneError):
        db.write_sync(leases.take, ALICE, build_id, schemas.TakeLease(holder="x"))


# Deleting environments


def test_an_environment_goes_and_comes_back(db: Database, data: DataDirectory) -> None:
    build_id = built(db)
    db.write_sync(removals.delete_environment, ALICE, "alice", "ml", force=False)
    with pytest.raises(NotFoundError):
        environment(db, data)
    assert db.read_sync(kernels.list_kernels, ALICE, data=data).list.kernels == []
    assert removals.UNDO > removals.PREFIX_STAYS
    assert db.read_sync(storage.list_prefixes_to_free, 9) == []
    assert db.write_sync(removals.restore_environment, ALICE, "alice", "ml", None, RULES).name == "ml"
    assert environment(db, data).current_build_id == build_id
    assert len(db.read_sync(kernels.list_kernels, ALICE, data=data).list.kernels) == 1


def test_an_environment_comes_back_beside_one_that_has_its_name_now(db: Database, data: DataDirectory) -> None:
    built(db)
    db.write_sync(removals.delete_environment, ALICE, "alice", "ml", force=False)
    built(db)
    with pytest.raises(ConflictError, match="another name"):
        db.write_sync(removals.restore_environment, ALICE, "alice", "ml", None, RULES)
    db.write_sync(removals.restore_environment, ALICE, "alice", "ml", "old-ml", RULES)
    text = environment(db, data, "old-ml").current_build
    assert text is not None
    assert "name: old-ml" in text.specification.text


def test_an_environment_in_use_goes_only_by_force(db: Database) -> None:
    build_id = built(db)
    db.write_sync(leases.take, ALICE, build_id, schemas.TakeLease(holder="x"))
    with pytest.raises(InUseError):
        db.write_sync(removals.delete_environment, ALICE, "alice", "ml", force=False)
    db.write_sync(leases.end, ALICE, build_id, "x")
    waiting = make.submit(db)
    with pytest.raises(InUseError):
        db.write_sync(removals.delete_environment, ALICE, "alice", "ml", force=False)
    db.write_sync(removals.delete_environment, ALICE, "alice", "ml", force=True)
    assert row_of(db, waiting).status is BuildStatus.CANCELED


def test_after_a_day_the_prefix_goes_and_comes_back_from_the_lock(db: Database, data: DataDirectory) -> None:
    older, build_id = built(db), built(db)
    db.write_sync(removals.delete_environment, ALICE, "alice", "ml", force=False)
    a_while_ago(db)
    for doomed in db.read_sync(storage.list_prefixes_to_free, 9):
        assert db.write_sync(storage.give_up_prefix, doomed)
        assert not db.write_sync(storage.give_up_prefix, doomed)
    db.write_sync(removals.restore_environment, ALICE, "alice", "ml", None, RULES)
    with pytest.raises(ConflictError, match=f"files of build {older} were freed: rebuild it exactly"):
        db.write_sync(environments.update, ALICE, "alice", "ml", schemas.ActivateBuild(build_id=older))
    again = row_of(db, build_id + 1)
    assert (again.status, again.lock_build_id) == (BuildStatus.QUEUED, build_id)
    finish(db, again.id)
    assert environment(db, data).current_build_id == again.id


def a_while_ago(db: Database) -> None:
    """Let all that was deleted have been deleted two days ago."""

    def move(session: Session) -> None:
        for row in session.query(Environment).where(Environment.deleted_at.is_not(None)):
            row.deleted_at = datetime.now(UTC) - timedelta(days=2)

    db.write_sync(move)


# What is freed


def test_only_what_nobody_needs_is_freed_and_the_trail_tells_it(db: Database) -> None:
    old, active = built(db), built(db)
    db.write_sync(removals.delete_build, ALICE, old, KEPT, force=False)
    db.write_sync(leases_of_old_kernels, old)
    assert db.read_sync(storage.list_prefixes_to_free, 9) == []

    def end_lease(session: Session) -> None:
        leases.end(session, ALICE, old, "x")

    db.write_sync(end_lease)
    (doomed,) = db.read_sync(storage.list_prefixes_to_free, 9)
    assert doomed.build_id == old
    assert db.write_sync(storage.give_up_prefix, doomed)
    assert (row_of(db, old).prefix_name, row_of(db, old).size) == (None, 0)
    assert row_of(db, active).prefix_name is not None
    entries = db.read_sync(audit.list_entries, make.ADMIN, size=9)
    assert (entries[0].action, entries[0].detail, entries[0].build_id) == (AuditAction.STORAGE_FREE, "1000 bytes", old)


def leases_of_old_kernels(session: Session, build_id: int) -> None:
    """Give a deleted build a lease that was there before it was deleted by force."""
    row = queries.find_build(session, build_id)
    assert row is not None
    deleted, row.deleted_at = row.deleted_at, None
    session.flush()
    leases.take(session, ALICE, build_id, schemas.TakeLease(holder="x"))
    row.deleted_at = deleted


def test_a_lease_that_ended_is_forgotten_and_a_living_one_is_not(db: Database) -> None:
    build_id = built(db)
    for holder in ("ended", "living"):
        db.write_sync(leases.take, ALICE, build_id, schemas.TakeLease(holder=holder))

    def let_one_end(session: Session) -> None:
        lease = session.query(Lease).where(Lease.holder.endswith("/ended")).one()
        lease.expires_at = datetime.now(UTC)

    db.write_sync(let_one_end)
    db.write_sync(leases.forget_ended)
    left = db.read_sync(lambda session: [lease.holder for lease in session.query(Lease)])
    assert [holder.partition("/")[2] for holder in left] == ["living"]


def test_bytes_go_when_the_last_artifact_that_has_them_is_deleted(db: Database) -> None:
    def share_bytes(session: Session) -> None:
        for artifact in session.query(Artifact).where(Artifact.build_id <= 2, Artifact.key != ""):
            artifact.key = "sha256/same"

    first, second, _active = built(db), built(db), built(db)
    db.write_sync(share_bytes)
    db.write_sync(removals.delete_build, ALICE, first, (), force=False)
    given_up = db.write_sync(storage.give_up_keys, 9)
    assert (given_up.free, given_up.more) == ((), True)
    db.write_sync(removals.delete_build, ALICE, second, (), force=False)
    assert set(db.write_sync(storage.give_up_keys, 99).free) == {"sha256/same"}
    assert not db.write_sync(storage.give_up_keys, 9).more
