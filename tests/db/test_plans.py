"""What is asked again and again, whether anything happened or not, never goes through all builds there are."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from conda_store_hub.core.protocol import ArtifactType, BuildStatus
from conda_store_hub.core.repositories import Repository
from conda_store_hub.db import claims, overview, people, policies, retention, totals, usage
from conda_store_hub.db import images as dbimages
from conda_store_hub.db.session import Database
from conda_store_hub.services import (
    builds,
    environments,
    images,
    leases,
    links,
    logs,
    namespaces,
    recovery,
    removals,
    storage,
    work,
)
from conda_store_hub.storage.base import artifact_key
from tests.support import make
from tests.support.make import ADMIN, ALICE
from tests.support.plans import explain
from tests.support.postgres import Postgres, postgres

__all__ = ["postgres"]

LARGE = (
    *("build", "artifact", "environment", "log_chunk", "package", "build_package", "audit", "lease", "build_phase"),
    "image_blob",
)


NOW = datetime.now(UTC)
LONG_AGO = NOW - timedelta(days=7)
FILTERS = ("namespace_id", "namespace", "environment", "actor", "action", "before")
EVERYTHING: dict[str, Any] = {**dict.fromkeys(FILTERS), "size": 9}
ML = Repository(namespace="alice", environment="ml")
DIGEST = f"sha256:{'a' * 64}"


def claim(session: Session) -> object:
    return work.claim(session, "local:test")


ALWAYS: dict[str, Callable[[Session], object]] = {
    "claim": claim,
    "requeue": lambda session: recovery.requeue_silent(session, "local:other", frozenset()),
    "take over": lambda session: recovery.take_over(session, "local:test"),
    "links": lambda session: links.list_behind(session, 0, 20),
    "prefixes to free": lambda session: storage.list_prefixes_to_free(session, 20),
    "bytes to free": lambda session: storage.give_up_keys(session, 20),
    "leases": leases.forget_ended,
    "first unfinished": retention.first_unfinished,
    "position": lambda session: claims.queue_position(session, 2),
    "busy": lambda session: claims.count_busy_of(session, 1),
    "awaited": lambda session: claims.list_awaited(session, 1, 1),
    "reusable lock": lambda session: work.find_reusable_lock(session, "a" * 64),
    "builds in a state": lambda session: builds.list_builds(session, ADMIN, page=1, size=9, status=BuildStatus.QUEUED),
    "builds of a name": lambda session: builds.list_builds(session, ADMIN, page=1, size=9, name="ml"),
    "environments that contain": lambda session: environments.list_environments(
        session, ALICE, page=1, size=9, packages=["python>=3"]
    ),
    "builds that contain": lambda session: builds.list_builds(session, ALICE, page=1, size=9, packages=["ipykernel"]),
    "packages of a build": lambda session: builds.list_packages(session, ALICE, 1, page=1, size=9, why=True),
    "what runs": lambda session: overview.list_live(session, 9),
    "how builds ended": lambda session: overview.count_ended(session, [LONG_AGO, NOW]),
    "why builds failed": lambda session: overview.count_failures(session, LONG_AGO),
    "how long phases took": lambda session: overview.list_phase_seconds(session, 9),
    "largest environments": lambda session: overview.list_largest(session, 9),
    "deleted environments on disk": overview.sum_deleted,
    "disk by namespace": lambda session: overview.list_namespaces(session, 9, 0),
    "deeds in environments of a name": lambda session: people.audit_entries(
        session, **EVERYTHING | {"environment": "ml"}
    ),
    "deeds of a day": lambda session: people.audit_entries(session, **EVERYTHING | {"since": LONG_AGO, "until": NOW}),
    "deeds of a day on the next page": lambda session: people.audit_entries(
        session, **EVERYTHING | {"since": LONG_AGO, "before": 2}
    ),
    "what a namespace has": lambda session: usage.usage_of(session, [1]),
    "what an environment has": lambda session: usage.usage_of_environment(session, 1),
    "layers of an image": lambda session: images.find_layers(session, 1),
    "blob of a repository": lambda session: images.find_blob(session, ALICE, ML, DIGEST),
    "manifest of a repository": lambda session: images.find_manifest(session, ALICE, ML, DIGEST),
    "tags of a repository": lambda session: images.list_tags(session, ALICE, ML, "", 9),
    "repositories": lambda session: images.list_repositories(session, ALICE, "alice/a", 9),
    "what belongs to nothing": lambda session: storage.unknown_keys(session, ["sha256/ab/abc"]),
    "log": lambda session: logs.read(session, ALICE, 1, 0),
    "deleted environments": lambda session: removals.list_deleted_environments(session, ALICE, "alice"),
    "deleted namespaces": lambda session: namespaces.list_deleted(session, ALICE),
}


@pytest.fixture
def db(db: Database) -> Database:
    make.submit(db)
    ticket = make.complete(db, 1)
    image = make.artifact_event(ArtifactType.DOCKER_MANIFEST)
    db.write_sync(work.record_blob, ticket, make.blob_event("a" * 64), artifact_key("a" * 64))
    db.write_sync(work.record_artifact, ticket, image, artifact_key("a" * 64))
    make.submit(db)
    return db


@pytest.mark.parametrize("what", ALWAYS)
def test_what_is_asked_all_the_time_goes_through_no_large_table(db: Database, what: str) -> None:
    steps = [step for plan in explain(db, ALWAYS[what], write=True) for step in plan.splitlines()]
    assert steps
    whole = [step for step in steps for table in LARGE if step.startswith(f"SCAN {table}") and "USING" not in step]
    assert whole == []


def test_a_build_is_looked_up_once_for_a_package_however_many_builds_of_it_there_are(db: Database) -> None:
    plans = explain(db, ALWAYS["environments that contain"])
    looked_up = {step for plan in plans for step in plan.splitlines() if step.startswith("SEARCH build_package")}
    assert looked_up == {"SEARCH build_package USING PRIMARY KEY (build_id=? AND name=?)"}


def test_what_is_stored_is_added_up_from_an_index_alone(db: Database) -> None:
    steps = explain(db, totals.add_up)[-2].splitlines()
    assert "SCAN artifact USING COVERING INDEX ix_artifact_key" in steps
    assert not [step for step in steps if "TEMP B-TREE" in step]


def test_deeds_of_a_day_are_found_by_their_times_and_not_sorted(db: Database) -> None:
    plan = explain(db, ALWAYS["deeds of a day on the next page"])[-1]
    assert "USING INDEX ix_audit_at (at>? AND at<?)" in plan
    assert "TEMP B-TREE" not in plan


def test_what_counts_for_a_quota_is_looked_up_build_by_build(db: Database) -> None:
    plan = explain(db, lambda session: policies.count_held(session, 1, None))[-1]
    for table, index in (("artifact", "INDEX uq_artifact_type"), ("image_blob", "PRIMARY KEY")):
        assert f"SEARCH {table} USING {index} (build_id=?)" in plan


def test_images_are_added_up_from_indexes_alone_and_not_sorted(db: Database) -> None:
    everything = explain(db, totals.add_up)[-1]
    assert "SCAN image_blob USING COVERING INDEX ix_image_blob_stored" in everything
    assert "TEMP B-TREE" not in everything
    assert "SCAN image_blob USING COVERING INDEX ix_image_blob_stored" in explain(db, ALWAYS["disk by namespace"])[-1]
    of_some = explain(db, lambda session: dbimages.sizes_of_namespaces(session, [1, 2]))[-1]
    assert "SEARCH image_blob USING COVERING INDEX ix_image_blob_namespace (namespace_id=?)" in of_some
    assert of_some.count("USING COVERING INDEX ix_image_blob_stored (key=?)") == 2, "each is looked up"


def test_disk_is_added_up_from_an_index_alone(db: Database) -> None:
    for plan in (*explain(db, ALWAYS["largest environments"]), *explain(db, ALWAYS["deleted environments on disk"])):
        assert "SCAN build USING COVERING INDEX ix_build_prefix" in plan


def test_how_builds_end_is_counted_from_an_index_alone(db: Database) -> None:
    for ask in ("how builds ended", "why builds failed"):
        assert "SEARCH build USING COVERING INDEX ix_build_ended_on" in explain(db, ALWAYS[ask])[-1]


def test_so_it_is_in_postgresql(postgres: Postgres) -> None:
    def add_up(session: Session) -> object:
        # A table of so few rows would be read as it is.
        session.execute(text("SET LOCAL enable_seqscan = off"))
        session.execute(text("SET LOCAL enable_bitmapscan = off"))
        return totals.add_up(session)

    with postgres.database() as db:
        plan = explain(db, add_up)[-2]
    assert "Index Only Scan using ix_artifact_key" in plan
    assert "Sort" not in plan


def test_postgresql_looks_a_build_up_once_too(postgres: Postgres) -> None:
    def find(session: Session) -> object:
        session.execute(text("SET LOCAL enable_seqscan = off"))
        return ALWAYS["environments that contain"](session)

    with postgres.database() as db:
        make.submit(db)
        make.complete(db, 1)
        plan = "\n".join(explain(db, find))
    lookups = [line for line in plan.splitlines() if "build_id = environment.current_build_id" in line]
    assert lookups
    assert all("name" in line and "package_id = " not in line for line in lookups)
