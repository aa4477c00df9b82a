"""Artifacts that are asked for: once, by whoever comes first, and not for ever."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from conda_store_hub.core.errors import FailedForNowError, GoneError, NotFoundError
from conda_store_hub.core.protocol import ArtifactEvent, ArtifactState, ArtifactType
from conda_store_hub.db import records
from conda_store_hub.db.session import Database
from conda_store_hub.services import artifacts, logs, recovery, storage, work
from conda_store_hub.services.artifacts import Location, Missing
from tests.services.test_faults import RULES, Write, at_once, built, delete_build
from tests.support import make
from tests.support.make import ALICE

LIST = ArtifactType.EXPLICIT


def ask(build_id: int, kind: ArtifactType = LIST) -> Write:
    return lambda session: artifacts.request(session, ALICE, build_id, kind, RULES)


def state(db: Database, build_id: int, kind: ArtifactType = LIST) -> ArtifactState | None:
    row = db.read_sync(records.find_artifact, build_id, kind)
    return row.state if row else None


def error(db: Database, build_id: int) -> str | None:
    row = db.read_sync(records.find_artifact, build_id, LIST)
    return row.error if row else None


def test_two_who_ask_for_the_same_at_once_have_it_made_once(db: Database) -> None:
    build_id = built(db)
    assert at_once(db, ask(build_id), ask(build_id)) == (None, None)
    claim = db.write_sync(work.claim, "local:test")
    assert claim is not None
    assert (claim.build_id, claim.prefix_ready, claim.artifacts) == (build_id, True, (LIST,))
    assert db.write_sync(work.claim, "local:test") is None


def test_what_is_asked_for_while_its_build_goes_is_gone_or_ended_with_it(db: Database) -> None:
    for first, second in ((ask, delete_build), (delete_build, ask)):
        build_id = built(db)
        built(db)
        asked = at_once(db, first(build_id), second(build_id))[0 if first is ask else 1]
        assert asked is None or isinstance(asked, GoneError)
        assert state(db, build_id) in (None, ArtifactState.DELETED)
        assert db.write_sync(work.claim, "local:test") is None
        with pytest.raises(GoneError, match="build it exactly once more"):
            db.read_sync(artifacts.find, ALICE, build_id, LIST)


def test_a_service_that_is_killed_while_it_makes_one_goes_on_and_gives_up_in_the_end(db: Database) -> None:
    build_id = built(db)
    db.write_sync(ask(build_id))
    for _ in range(recovery.MOST_ATTEMPTS):
        claim = db.write_sync(work.claim, "local:test")
        assert claim is not None, "it is tried again"
        db.write_sync(recovery.take_over, "local:test")
    assert db.write_sync(work.claim, "local:test") is None
    assert (state(db, build_id), "the service stopped in the middle" in str(error(db, build_id))) == (
        ArtifactState.FAILED,
        True,
    )
    assert db.read_sync(logs.peek, build_id, 0).complete
    db.write_sync(artifacts.request_again, ALICE, build_id, LIST, RULES)
    assert db.write_sync(work.claim, "local:test") is not None


def test_the_same_goes_for_one_of_whose_worker_nothing_is_heard(db: Database) -> None:
    build_id = built(db)
    db.write_sync(ask(build_id))
    for _ in range(recovery.MOST_ATTEMPTS):
        assert db.write_sync(work.claim, "remote") is not None
        heard = db.write_sync(recovery.requeue_silent, "local:test", frozenset())
        db.write_sync(recovery.requeue_silent, "local:test", heard)
    assert state(db, build_id) is ArtifactState.FAILED


def test_a_service_that_stops_in_order_has_not_tried(db: Database) -> None:
    build_id = built(db)
    db.write_sync(ask(build_id))
    for _ in range(recovery.MOST_ATTEMPTS + 1):
        claim = db.write_sync(work.claim, "local:test")
        assert claim is not None
        db.write_sync(recovery.give_back, claim.ticket)
        db.write_sync(recovery.take_over, "local:test")
    assert state(db, build_id) is ArtifactState.PENDING


def test_one_that_failed_is_not_asked_for_by_the_way(db: Database) -> None:
    build_id = built(db)
    db.write_sync(ask(build_id))
    db.write_sync(work.finish, make.claim(db, build_id), None)
    db.write_sync(ask(build_id))
    assert (state(db, build_id), db.write_sync(work.claim, "local:test")) == (ArtifactState.FAILED, None)
    with pytest.raises(NotFoundError, match="the builder ended without it"):
        db.read_sync(artifacts.find, ALICE, build_id, LIST)
    db.write_sync(artifacts.request_again, ALICE, build_id, LIST, RULES)
    assert (state(db, build_id), error(db, build_id)) == (ArtifactState.PENDING, None)
    assert db.read_sync(artifacts.find, ALICE, build_id, LIST) is Missing.PENDING


def test_one_that_failed_for_a_reason_that_passes_is_made_again_for_who_asks_in_a_minute(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    build_id = built(db)

    def fail() -> None:
        claim = db.write_sync(work.claim, "local:test")
        assert claim is not None
        event = ArtifactEvent(artifact=LIST, error="Too many ask.", passes=True)
        db.write_sync(work.record_artifact, claim.ticket, event, "")
        db.write_sync(work.finish, claim.ticket, None)

    db.write_sync(ask(build_id))
    fail()
    db.write_sync(ask(build_id))
    assert db.write_sync(work.claim, "local:test") is None, "not at once"
    with pytest.raises(FailedForNowError, match="Too many ask") as refused:
        db.read_sync(artifacts.find, ALICE, build_id, LIST)
    assert 50 < refused.value.seconds <= 61
    monkeypatch.setattr(work, "AGAIN_AFTER", timedelta(0))
    db.write_sync(artifacts.request_again, ALICE, build_id, LIST, RULES)
    fail()
    assert db.read_sync(artifacts.find, ALICE, build_id, LIST) is Missing.UNASKED
    db.write_sync(ask(build_id))
    assert (state(db, build_id), error(db, build_id)) == (ArtifactState.PENDING, None)


def test_what_is_waited_for_when_the_prefix_goes_is_over(db: Database) -> None:
    build_id = built(db)
    built(db)
    db.write_sync(ask(build_id))
    db.write_sync(delete_build(build_id))
    for doomed in db.read_sync(storage.list_prefixes_to_free, 9):
        db.write_sync(storage.give_up_prefix, doomed)
    with pytest.raises(GoneError):
        db.read_sync(artifacts.find, ALICE, build_id, LIST)


def test_damage_that_somebody_else_has_mended_is_none(db: Database) -> None:
    build_id = built(db)
    found = db.read_sync(artifacts.find, ALICE, build_id, ArtifactType.CONDA_PACK)
    assert isinstance(found, Location)
    db.write_sync(artifacts.replace_damaged, replace(found, key="another"), "was changed on disk", RULES)
    assert state(db, build_id, ArtifactType.CONDA_PACK) is ArtifactState.READY
    db.write_sync(artifacts.replace_damaged, found, "was changed on disk", RULES)
    assert state(db, build_id, ArtifactType.CONDA_PACK) is ArtifactState.PENDING
