"""What goes wrong between people and clocks: two at once, things in use that are deleted, times that jump."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
from sqlalchemy.orm import Session

from conda_store_hub.core import schemas
from conda_store_hub.core.errors import (
    CondaStoreHubError,
    ConflictError,
    GoneError,
    InUseError,
    NotFoundError,
    QuotaExceededError,
)
from conda_store_hub.core.names import DataDirectory
from conda_store_hub.core.protocol import ArtifactEvent, ArtifactType, BuildStatus
from conda_store_hub.db import records
from conda_store_hub.db.session import Database
from conda_store_hub.db.tables import Artifact, Build, Environment, Lease
from conda_store_hub.services import (
    builds,
    environments,
    leases,
    logs,
    rebuilds,
    recovery,
    removals,
    retention,
    storage,
    users,
    work,
)
from tests.support import make
from tests.support.make import ALICE, CAROL

RULES = make.rules()
YEAR = timedelta(days=365)
Write = Callable[[Session], object]


def at_once(db: Database, first: Write, second: Write) -> tuple[object, object]:
    """Run two writes, the second from when the first has done all but its commit; return what each gave or raised."""
    written, go = threading.Event(), threading.Event()

    def pause(session: Session) -> object:
        try:
            return first(session)
        finally:
            written.set()
            go.wait(10)

    with ThreadPoolExecutor(2) as pool:
        one = pool.submit(attempt, db, pause)
        written.wait(10)
        two = pool.submit(attempt, db, second)
        wait([two], timeout=0.1)  # until it has ended, or waits for the first
        go.set()
        return one.result(), two.result()


def attempt(db: Database, write: Write) -> object:
    try:
        return db.write_sync(write)
    except CondaStoreHubError as exc:
        return exc


def submit(name: str = "ml", identity: object = ALICE, namespace: str | None = None) -> Write:
    prepared = builds.prepare(schemas.SubmitSpecification(specification=make.text(name)), RULES)
    return lambda session: builds.submit(session, identity, namespace, prepared, RULES)  # type: ignore[arg-type]


def activate(build_id: int) -> Write:
    change = schemas.ActivateBuild(build_id=build_id)
    return lambda session: environments.update(session, ALICE, "alice", "ml", change)


def delete_build(build_id: int) -> Write:
    return lambda session: removals.delete_build(session, ALICE, build_id, (), force=False)


def take_lease(build_id: int) -> Write:
    request = schemas.TakeLease(holder="kernel")
    return lambda session: leases.take(session, ALICE, build_id, request).holder


def keep_one(session: Session) -> int:
    """Do what the janitor does in the first environment."""
    return retention.remove_due(session, 1, make.rules(keep_builds=1))


def delete(session: Session) -> None:
    removals.delete_environment(session, ALICE, "alice", "ml", force=False)


def restore(name: str) -> Write:
    return lambda session: removals.restore_environment(session, ALICE, "alice", "ml", name, RULES).name


def rename(old: str, new: str) -> Write:
    return lambda session: environments.rename(session, ALICE, "alice", old, new)


def rebuild_exactly(build_id: int) -> Write:
    return lambda session: rebuilds.rebuild(session, ALICE, build_id, RULES, exact=True, activate=True)


def built(db: Database, name: str = "ml") -> int:
    """Return a completed build with a lock and an archive."""
    build_id = make.submit(db, yaml=make.text(name))
    ticket = make.claim(db, build_id)
    for kind in (ArtifactType.RECORDS, ArtifactType.CONDA_PACK):
        event = ArtifactEvent(artifact=kind, path="", sha256=f"{build_id}{kind}", size=1)
        db.write_sync(work.record_artifact, ticket, event, f"{build_id}/{kind}")
    db.write_sync(work.mark_usable, ticket, make.usable())
    db.write_sync(work.finish, ticket, None)
    return build_id


def names(db: Database) -> list[str]:
    """Return the names of all living environments."""
    return db.read_sync(
        lambda session: sorted(row.name for row in session.query(Environment).where(Environment.deleted_at.is_(None)))
    )


def status(db: Database, build_id: int) -> BuildStatus:
    return db.read_sync(logs.peek, build_id, 0).status


# Two at once


def test_two_who_submit_the_same_at_once_both_get_a_build(db: Database) -> None:
    for who in (ALICE, CAROL):
        db.write_sync(users.ensure_namespaces, who)
    assert at_once(db, submit("new"), submit("new")) == (1, 2)
    assert names(db) == ["new"]
    assert at_once(db, submit("course"), submit("course", CAROL)) == (3, 4)
    met = partial(users.meet, name="dora", created=None)
    one, two = at_once(db, met, met)
    assert one == two


def test_of_two_names_that_become_one_the_second_is_refused_in_words(db: Database) -> None:
    for name in ("a", "b", "ml"):
        make.submit(db, yaml=make.text(name))
    _, refused = at_once(db, rename("a", "c"), rename("b", "C"))
    assert isinstance(refused, ConflictError)
    assert refused.message == "There is an environment “C” in “alice” already."
    _, refused = at_once(db, submit("d"), rename("b", "d"))
    assert isinstance(refused, ConflictError)
    _, refused = at_once(db, rename("ml", "x"), rename("ml", "y"))
    assert isinstance(refused, NotFoundError)
    assert names(db) == ["b", "c", "d", "x"]


def test_of_two_who_bring_an_environment_back_the_second_is_refused(db: Database) -> None:
    built(db)
    db.write_sync(delete)
    brought, refused = at_once(db, restore("one"), restore("two"))
    assert brought == "one"
    assert isinstance(refused, ConflictError | NotFoundError)
    assert names(db) == ["one"]


def test_an_environment_that_is_deleted_while_somebody_builds_in_it_gets_no_build(db: Database) -> None:
    old = built(db)
    _, refused = at_once(db, submit(), delete)
    assert isinstance(refused, InUseError)
    db.write_sync(builds.cancel, ALICE, old + 1)
    _, late = at_once(db, delete, submit())
    # Where writers do not wait from their beginning, it was found before it went; else there is a new one now.
    assert isinstance(late, int | NotFoundError)
    assert names(db) == (["ml"] if isinstance(late, int) else [])
    assert db.read_sync(count_lost) == 0
    if isinstance(late, int):
        return
    _, late = at_once(db, restore("ml"), submit())
    assert isinstance(late, int | ConflictError)
    assert names(db) == ["ml"]


def count_lost(session: Session) -> int:
    """Count the builds that are queued in environments that were deleted."""
    gone = session.query(Build).join(Build.environment).where(Environment.deleted_at.is_not(None))
    return gone.where(Build.status == BuildStatus.QUEUED).count()


def test_a_build_is_either_activated_or_deleted(db: Database, data: DataDirectory) -> None:
    first, second, _active = built(db), built(db), built(db)
    _, refused = at_once(db, activate(first), delete_build(first))
    assert isinstance(refused, ConflictError)
    assert "the active one" in refused.message
    _, refused = at_once(db, delete_build(second), activate(second))
    assert isinstance(refused, ConflictError)
    assert "was deleted" in refused.message
    assert db.read_sync(environments.get_environment, ALICE, "alice", "ml", data=data).current_build_id == first


def test_a_build_is_either_taken_into_use_or_removed(db: Database) -> None:
    first, second, active = built(db), built(db), built(db)
    _, late = at_once(db, delete_build(first), take_lease(first))
    assert isinstance(late, GoneError)
    assert at_once(db, take_lease(second), keep_one) == ("kernel", 0)
    _, refused = at_once(db, take_lease(second), delete_build(second))
    assert isinstance(refused, InUseError)
    _, refused = at_once(db, take_lease(active), delete)
    assert isinstance(refused, InUseError)
    for build_id in (second, active):
        db.write_sync(leases.end, ALICE, build_id, "kernel")
    removed, late = at_once(db, keep_one, take_lease(second))
    assert removed == 1
    assert isinstance(late, GoneError)
    _, late = at_once(db, delete, take_lease(active))
    assert isinstance(late, GoneError | NotFoundError)


def test_a_build_is_either_cancelled_or_completed(db: Database, data: DataDirectory) -> None:
    cancels = [lambda session, n=n: builds.cancel(session, ALICE, n) for n in (1, 2, 3)]
    tickets = [make.claim(db, make.submit(db)) for _ in range(2)]
    completes = [lambda session, ticket=ticket: work.mark_usable(session, ticket, make.usable()) for ticket in tickets]
    assert at_once(db, cancels[0], completes[0]) == (None, work.Usable.CANCELLED)
    assert at_once(db, completes[1], cancels[1]) == (work.Usable.ACTIVE, None), "what is still being made of it ends"
    shown = db.read_sync(builds.get_build, ALICE, 2, data=data)
    assert (shown.status, shown.status_info) == (BuildStatus.COMPLETED, None)
    make.submit(db)
    claimed, cancelled = at_once(db, lambda session: work.claim(session, "local:test"), cancels[2])
    assert isinstance(claimed, work.Claim)
    assert cancelled is None
    assert status(db, 3) is BuildStatus.BUILDING
    assert not db.write_sync(work.tick, claimed.ticket, log=b"", phases=(), progress=None)


# What is in use


@pytest.mark.parametrize("state", ["queued", "running", "again"])
def test_a_lock_stays_while_a_build_that_was_asked_for_needs_it(db: Database, state: str) -> None:
    old, active = built(db), built(db)
    both, refused = at_once(db, rebuild_exactly(old), delete_build(old))
    assert (both, refused) == (active + 1, None)
    claim = db.write_sync(work.claim, "local:test") if state != "queued" else None
    if state == "again":
        db.write_sync(recovery.take_over, "local:test")
    assert set(free(db)) == {f"{old}/CONDA_PACK"}
    claim = claim if state == "running" else db.write_sync(work.claim, "local:test")
    assert claim is not None
    assert claim.lock is not None
    assert claim.lock.records == f"{old}/RECORDS"
    db.write_sync(work.finish, claim.ticket, None, cancelled=True)
    assert free(db) == [f"{old}/RECORDS"]
    with pytest.raises(ConflictError, match="no lock"):
        db.write_sync(rebuild_exactly(old))


def free(db: Database) -> list[str]:
    """Return what the janitor would remove now."""
    found: list[str] = []
    while (given_up := db.write_sync(storage.give_up_keys, 1)).more:
        found += given_up.free
    return found


def test_bytes_that_two_deleted_builds_share_stay_while_one_is_a_lock_in_use(db: Database) -> None:
    first, second, _active = built(db), built(db), built(db)

    def share(session: Session) -> None:
        for row in session.query(Artifact).where(Artifact.artifact_type == ArtifactType.RECORDS):
            row.key = "same" if row.build_id in (first, second) else row.key

    db.write_sync(share)
    db.write_sync(rebuild_exactly(second))
    for build_id in (first, second):
        db.write_sync(delete_build(build_id))
    assert "same" not in free(db)


def test_a_build_that_is_deleted_while_its_artifacts_are_made_leaves_nothing(db: Database) -> None:
    old = make.submit(db)
    ticket = make.complete(db, old)
    make.complete(db, make.submit(db))
    db.write_sync(delete_build(old))
    db.write_sync(work.record_artifact, ticket, make.artifact_event(ArtifactType.CONDA_PACK), "late")
    assert not db.write_sync(work.tick, ticket, log=b"late", phases=(), progress=None), "its builder is ended"
    assert db.read_sync(logs.peek, old, 0).size == 0
    assert db.write_sync(work.finish, ticket, None, cancelled=True)
    assert status(db, old) is BuildStatus.COMPLETED
    assert free(db) == ["late"]
    assert [doomed.build_id for doomed in db.read_sync(storage.list_prefixes_to_free, 9)] == [old]


def test_what_is_still_made_of_a_usable_build_can_be_cancelled_and_it_stays_usable(
    db: Database, data: DataDirectory
) -> None:
    build_id = make.submit(db)
    ticket = make.complete(db, build_id)
    db.write_sync(builds.cancel, ALICE, build_id)
    assert not db.write_sync(work.tick, ticket, log=b"", phases=(), progress=None), "its builder is ended"
    assert db.write_sync(work.finish, ticket, None, cancelled=True), "its prefix is needed"
    shown = db.read_sync(builds.get_build, ALICE, build_id, data=data)
    assert (shown.status, shown.active) == (BuildStatus.COMPLETED, True)
    assert {artifact.error for artifact in shown.build_artifacts} == {"It was not made: somebody ended the work on it."}
    with pytest.raises(ConflictError, match="nothing to cancel"):
        db.write_sync(builds.cancel, ALICE, build_id)


@pytest.mark.parametrize("kept", [(), (ArtifactType.LOCKFILE,)])
def test_a_build_that_is_deleted_when_its_worker_is_killed_is_freed_and_not_worked_on(
    db: Database, kept: tuple[ArtifactType, ...]
) -> None:
    old, active = make.submit(db), make.submit(db)
    for build_id in (old, active):
        make.complete(db, build_id)
    db.write_sync(removals.delete_build, ALICE, old, kept, force=False)
    assert not db.write_sync(storage.give_up_prefix, db.read_sync(prefix_of, old)), "its worker is at it"
    if kept:
        db.write_sync(recovery.take_over, "local:test")
    else:
        db.write_sync(
            recovery.requeue_silent, "local:other", db.write_sync(recovery.requeue_silent, "local:other", frozenset())
        )
    claims = [db.write_sync(work.claim, "local:other") for _ in range(2)]
    assert [claim and claim.build_id for claim in claims] == [active, None]
    (doomed,) = db.read_sync(storage.list_prefixes_to_free, 9)
    assert (doomed.build_id, db.read_sync(pending, old)) == (old, list(kept))
    assert db.write_sync(storage.give_up_prefix, doomed)
    assert db.read_sync(pending, old) == []


def pending(session: Session, build_id: int) -> list[ArtifactType]:
    return [row.artifact_type for row in records.pending_artifacts(session, build_id)]


def prefix_of(session: Session, build_id: int) -> storage.DoomedPrefix:
    row = session.get_one(Build, build_id)
    return storage.DoomedPrefix(build_id=build_id, prefix_name=row.prefix_name or "", size=row.size)


def test_a_quota_that_others_have_used_up_meanwhile_fails_the_build(db: Database) -> None:
    first, second = make.submit(db), make.submit(db, yaml=make.text("other"))
    tickets = [make.claim(db, build_id) for build_id in (first, second)]
    rules = make.rules(quota_bytes=1_000)
    assert db.write_sync(work.mark_usable, tickets[0], make.usable(), rules) is work.Usable.ACTIVE
    with pytest.raises(QuotaExceededError, match="“alice” has 1,000 bytes of builds by now"):
        db.write_sync(work.mark_usable, tickets[1], make.usable(), rules)
    assert status(db, second) is BuildStatus.BUILDING


# Clocks that jump


@pytest.mark.parametrize("jump", [-YEAR, timedelta(hours=1)])
def test_whether_a_worker_lives_is_not_told_by_the_clock(db: Database, jump: timedelta) -> None:
    building, usable = make.submit(db), make.submit(db)
    lost = make.claim(db, building)
    make.complete(db, usable)

    def beat(session: Session) -> None:
        for row in session.query(Build):
            row.heartbeat_at = datetime.now(UTC) + jump

    db.write_sync(beat)
    assert db.write_sync(recovery.requeue_silent, "local:test", frozenset()) == frozenset(), "its own it knows itself"
    heard = db.write_sync(recovery.requeue_silent, "local:other", frozenset())
    db.write_sync(beat)
    heard = db.write_sync(recovery.requeue_silent, "local:other", heard)
    assert [status(db, each) for each in (building, usable)] == [BuildStatus.BUILDING, BuildStatus.COMPLETED]
    assert db.write_sync(work.claim, "local:other") is None
    db.write_sync(recovery.requeue_silent, "local:other", heard)
    claims = [db.write_sync(work.claim, "local:other") for _ in range(2)]
    assert [claim and (claim.build_id, claim.prefix_ready) for claim in claims] == [(building, False), (usable, True)]
    assert claims[0] is not None
    assert claims[0].ticket.turn > lost.turn


def test_what_is_newer_is_told_by_number_and_not_by_time(db: Database, data: DataDirectory) -> None:
    first, second = make.submit(db), make.submit(db)

    def jump(session: Session) -> None:
        for row in session.query(Build).where(Build.id == second):
            row.scheduled_on -= YEAR

    db.write_sync(jump)
    early, late = make.claim(db, first), make.claim(db, second)
    assert db.write_sync(work.mark_usable, late, make.usable()) is work.Usable.ACTIVE
    assert db.write_sync(work.mark_usable, early, make.usable()) is work.Usable.INACTIVE
    listed, _ = db.read_sync(builds.list_builds, ALICE, page=1, size=9)
    assert [build.id for build in listed] == [second, first]


def test_no_lease_outlasts_a_clock_that_was_set_back(db: Database) -> None:
    build_id = built(db)
    db.write_sync(leases.take, ALICE, build_id, schemas.TakeLease(holder="x", seconds=3_600))

    def set_back(session: Session) -> None:
        session.query(Lease).one().expires_at += YEAR

    db.write_sync(set_back)
    db.write_sync(leases.forget_ended)
    end = db.read_sync(lambda session: session.query(Lease).one().expires_at)
    assert datetime.now(UTC) < end <= datetime.now(UTC) + leases.LONGEST
