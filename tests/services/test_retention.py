"""How many builds an environment keeps and for how long, and what goes once it cannot be brought back."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from conda_store_hub.core import policy, schemas
from conda_store_hub.core.audit import AuditAction
from conda_store_hub.core.errors import BuildError, ConflictError, NotFoundError
from conda_store_hub.core.protocol import ArtifactState, BuildStatus
from conda_store_hub.db.session import Database
from conda_store_hub.db.tables import Artifact, Build, Environment, LogChunk
from conda_store_hub.services import (
    audit,
    builds,
    environments,
    leases,
    namespaces,
    policies,
    removals,
    retention,
    storage,
    work,
)
from conda_store_hub.services.policies import Place
from conda_store_hub.services.rules import BuildRules
from tests.services.test_life import built, row_of
from tests.support import make
from tests.support.make import ADMIN, ALICE
from tests.support.postgres import Postgres
from tests.support.process import until

RULES = make.rules()
ML = Place(namespace="alice", environment="ml")


def due(db: Database, rules: BuildRules) -> tuple[int, ...]:
    return db.read_sync(retention.find_due, rules, 0, 99).due


def sweep(db: Database, rules: BuildRules) -> list[int]:
    """Remove what is due everywhere; the builds that have gone since the beginning."""
    for number in due(db, rules):
        assert db.write_sync(retention.remove_due, number, rules) > 0
    assert due(db, rules) == ()
    return gone(db)


def gone(db: Database) -> list[int]:
    return db.read_sync(lambda session: [row.id for row in session.query(Build).order_by(Build.id) if row.deleted_at])


def age(db: Database, days: Sequence[float]) -> None:
    """Let the builds have been completed so many days ago, the first one first."""

    def move(session: Session) -> None:
        for row, ago in zip(session.query(Build).order_by(Build.id), days, strict=True):
            row.ended_on = datetime.now(UTC) - timedelta(days=ago)

    db.write_sync(move)


def set_policy(db: Database, place: Place, **values: object) -> None:
    who = ADMIN if place.namespace is None else ALICE
    db.write_sync(policies.change, who, place, policy.read_change(values), RULES)


def test_the_newest_stay_and_the_trail_says_which_rule_took_the_others(db: Database) -> None:
    ids = [built(db) for _ in range(4)]
    assert sweep(db, RULES) == []
    assert sweep(db, make.rules(keep_builds=2)) == ids[:2]
    told = db.read_sync(audit.list_entries, ADMIN, action=AuditAction.BUILD_DELETE, size=9)
    assert [(entry.build_id, entry.actor) for entry in told] == [
        (ids[1], audit.ITSELF.name),
        (ids[0], "conda-store-hub"),
    ]
    assert told[0].detail == "not kept by keep_builds 2 (configuration): 1000 bytes"
    assert {item.build_id for item in db.read_sync(storage.list_prefixes_to_free, 9)} == set(ids[:2])
    kept = db.read_sync(
        lambda s: {a.artifact_type for a in s.query(Artifact).filter_by(build_id=ids[0], state="READY")}
    )
    assert kept == {"LOCKFILE", "RECORDS"}


def test_a_build_stays_if_it_is_among_the_newest_or_young_enough(db: Database) -> None:
    ids = [built(db) for _ in range(4)]
    age(db, [40, 20, 40, 0])
    assert sweep(db, make.rules(keep_builds=1, keep_days=30)) == [ids[0]], "the third was built after the second"
    age(db, [50, 40, 40, 0])
    assert sweep(db, make.rules(keep_builds=2, keep_days=30)) == ids[:2]
    assert sweep(db, make.rules(keep_days=30)) == ids[:3]


def test_a_clock_that_jumps_takes_no_more_than_the_rules_say(db: Database) -> None:
    ids = [built(db) for _ in range(4)]
    age(db, [-1000, -1000, -1000, -1000])  # it was set back by years
    assert sweep(db, make.rules(keep_days=1)) == []
    age(db, [3, 5000, 5000, 5000])  # it was behind while all but the first were built
    assert sweep(db, make.rules(keep_days=30)) == []
    age(db, [5000, 5000, 5000, 5000])  # it is years ahead
    assert sweep(db, make.rules(keep_builds=3, keep_days=30)) == ids[:1]
    assert sweep(db, make.rules(keep_days=30)) == ids[:3], "the newest and active one stays whatever the time is"


def test_what_somebody_needs_stays(db: Database) -> None:
    pinned, active, leased, lock, still_packing, spare, newest = (built(db) for _ in range(7))
    db.write_sync(removals.pin, ALICE, pinned, pinned=True)
    db.write_sync(leases.take, ALICE, leased, schemas.TakeLease(holder="a kernel"))
    db.write_sync(environments.update, ALICE, "alice", "ml", schemas.ActivateBuild(build_id=active))

    def busy(session: Session) -> None:
        session.query(Build).filter_by(id=still_packing).one().worker = "local:test"

    db.write_sync(busy)
    waiting = make.submit(db)
    db.write_sync(lambda session: setattr(session.get(Build, waiting), "lock_build_id", lock))
    assert sweep(db, make.rules(keep_builds=1)) == [spare]
    assert row_of(db, waiting).status is BuildStatus.QUEUED
    assert row_of(db, newest).deleted_at is None


def test_what_is_taken_into_use_after_it_was_found_stays(db: Database) -> None:
    old, _, _ = (built(db) for _ in range(3))
    rules = make.rules(keep_builds=2)
    (number,) = due(db, rules)
    db.write_sync(removals.pin, ALICE, old, pinned=True)
    assert db.write_sync(retention.remove_due, number, rules) == 0
    assert gone(db) == []


def test_an_activation_and_a_removal_cannot_both_go_ahead(postgres: Postgres) -> None:
    with postgres.database() as db, ThreadPoolExecutor(1) as other:
        old, _ = built(db), built(db)

        def remove_while_somebody_activates(session: Session) -> Future[None]:
            assert retention.remove_due(session, 1, make.rules(keep_builds=1)) == 1
            wanted = schemas.ActivateBuild(build_id=old)
            activating = other.submit(db.write_sync, environments.update, ALICE, "alice", "ml", wanted)
            waits = text(
                "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
            )
            until(lambda: db.read_sync(lambda at_this_moment: at_this_moment.execute(waits).first()))
            return activating

        with pytest.raises(ConflictError, match="was deleted"):
            db.write_sync(remove_while_somebody_activates).result()


def test_failed_and_cancelled_builds_count_among_themselves_and_nothing_stays_of_them(db: Database) -> None:
    failed = [fail(db) for _ in range(2)]
    completed = built(db)
    cancelled = make.submit(db)
    db.write_sync(builds.cancel, ALICE, cancelled)
    failed.append(fail(db))
    assert sweep(db, make.rules(keep_builds=3)) == failed[:1]
    assert row_of(db, completed).deleted_at is None
    assert db.read_sync(lambda session: {chunk.build_id for chunk in session.query(LogChunk)}) == set(failed[1:])
    told = db.read_sync(audit.list_entries, ADMIN, action=AuditAction.BUILD_DELETE, size=1)
    assert told[0].detail == "not kept by keep_builds 3 (configuration): 3 bytes"
    age(db, [40] * 5)
    assert sweep(db, make.rules(keep_days=30)) == [*failed[:2], cancelled], "the newest stays"


def fail(db: Database) -> int:
    """Return a new build that failed, with a log of three bytes."""
    build_id = make.submit(db)
    ticket = make.claim(db, build_id)
    db.write_sync(work.tick, ticket, log=b"no\n", phases=(), progress=None)
    db.write_sync(work.finish, ticket, BuildError("no"))
    return build_id


def test_each_place_has_its_own_rule(db: Database) -> None:
    ids = [built(db) for _ in range(3)]
    other = [built(db, yaml=make.text("other")) for _ in range(3)]
    assert not db.read_sync(retention.is_limited, RULES)
    set_policy(db, ML, keep_builds=1)
    assert db.read_sync(retention.is_limited, RULES)
    assert sweep(db, RULES) == ids[:2]
    set_policy(db, Place(namespace="alice"), keep_builds=2)
    assert sweep(db, RULES) == [*ids[:2], other[0]]
    told = db.read_sync(audit.list_entries, ADMIN, action=AuditAction.BUILD_DELETE, size=1)
    assert told[0].detail.startswith("not kept by keep_builds 2 (namespace)")


def test_a_completed_build_is_followed_by_a_look_at_its_environment_alone(db: Database) -> None:
    rules = make.rules(keep_builds=1)
    for name in ("ml", "other"):
        for _ in range(2):
            built(db, yaml=make.text(name))
    position = db.read_sync(retention.find_due_where_ended, rules, None).position
    assert db.read_sync(retention.find_due_where_ended, rules, position).due == ()
    late = make.submit(db)
    built_meanwhile = db.read_sync(retention.find_due_where_ended, rules, position)
    assert built_meanwhile.due == ()
    make.complete(db, late)
    found = db.read_sync(retention.find_due_where_ended, rules, built_meanwhile.position)
    assert found.due == (row_of(db, late).environment_id,)


# Undo periods


def deleted_days_ago(db: Database, days: float) -> None:
    def move(session: Session) -> None:
        for row in session.query(Environment).where(Environment.deleted_at.is_not(None)):
            row.deleted_at = datetime.now(UTC) - timedelta(days=days)

    db.write_sync(move)


@pytest.mark.parametrize("whole", [False, True], ids=["environment", "namespace"])
def test_what_cannot_be_brought_back_is_given_up_and_its_rows_stay(db: Database, whole: bool) -> None:
    first, second = built(db), built(db)
    other = built(db, namespace="group.physics")
    db.write_sync(lambda session: session.add(LogChunk(build_id=first, start=0, data=b"hello")))
    if whole:
        db.write_sync(namespaces.delete, ADMIN, "alice", force=False)
    else:
        db.write_sync(removals.delete_environment, ALICE, "alice", "ml", force=False)
    deleted_days_ago(db, 7)
    assert db.read_sync(retention.find_expired, 0, 9) == []
    deleted_days_ago(db, 7.1)
    (number,) = db.read_sync(retention.find_expired, 0, 9)
    assert db.write_sync(retention.give_up, number) == 2
    assert db.write_sync(retention.give_up, number) == 0
    assert db.read_sync(retention.find_expired, 0, 9) == []
    states = db.read_sync(lambda s: {a.state for a in s.query(Artifact).where(Artifact.build_id.in_([first, second]))})
    assert states == {ArtifactState.DELETED}
    assert db.read_sync(lambda session: session.query(LogChunk).count()) == 0
    assert (gone(db), row_of(db, other).deleted_at) == ([first, second], None)
    (told,) = db.read_sync(audit.list_entries, ADMIN, action=AuditAction.ENVIRONMENT_EXPIRE, size=9)
    assert (told.environment, told.namespace) == ("ml", "alice")
    assert told.detail == "cannot be brought back any more: 2 builds, 6 bytes of artifacts and logs"


def test_an_environment_that_came_back_loses_nothing(db: Database) -> None:
    build_id = built(db)
    db.write_sync(removals.delete_environment, ALICE, "alice", "ml", force=False)
    deleted_days_ago(db, 7.1)
    (number,) = db.read_sync(retention.find_expired, 0, 9)
    with pytest.raises(NotFoundError):
        db.write_sync(removals.restore_environment, ALICE, "alice", "ml", None, RULES)
    db.write_sync(lambda session: setattr(session.get(Environment, number), "deleted_at", None))
    assert db.write_sync(retention.give_up, number) == 0
    assert row_of(db, build_id).deleted_at is None
