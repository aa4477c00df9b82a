"""Tags that people give to builds, on both kinds of database: what one may be, whose it is, and what it keeps."""

from __future__ import annotations

from typing import Any

import pytest

from conda_store_hub.core.audit import AuditAction
from conda_store_hub.core.errors import ConflictError, ForbiddenError, InvalidNameError, NotFoundError
from conda_store_hub.core.names import DataDirectory
from conda_store_hub.core.protocol import ArtifactType
from conda_store_hub.core.repositories import Repository
from conda_store_hub.core.tags import MOST_TAGS, check_tag
from conda_store_hub.db.session import Database
from conda_store_hub.services import audit, builds, images, removals, retention, tags, work
from tests.support import make
from tests.support.make import ADMIN, ALICE, BOB, CAROL

ML = Repository(namespace="alice", environment="ml")


def complete(db: Database, name: str = "ml") -> int:
    build_id = make.submit(db, yaml=make.text(name))
    db.write_sync(work.finish, make.complete(db, build_id), None)
    return build_id


def complete_with_image(db: Database) -> int:
    build_id = make.submit(db, yaml=make.text("ml"))
    ticket = make.complete(db, build_id)
    db.write_sync(work.record_artifact, ticket, make.artifact_event(ArtifactType.DOCKER_MANIFEST), "manifest")
    db.write_sync(work.finish, ticket, None)
    return build_id


def give(db: Database, build_id: int, name: str, *, move: bool = False, who: Any = ALICE) -> None:
    db.write_sync(tags.give, who, build_id, name, move=move)


def find(db: Database, name: str) -> int:
    return db.read_sync(images.find_tagged, ALICE, ML, name)


@pytest.mark.parametrize("name", ["v1", "1.0", "2024-01", "_x", "V1", "a" * 128, "latest-1", "sha256", "a..b", "0x1"])
def test_what_the_specification_knows_as_a_tag_can_be_given(name: str) -> None:
    assert check_tag(name) == name


@pytest.mark.parametrize(
    "name",
    [
        *("", ".x", "-x", "a b", "a/b", "a:b", "ä", "a" * 129, "v1\n", "a@b", "<b>"),
        *("latest", "Latest", "7", "99999999999999", f"{'0a' * 32}-20240101-000000-000000-7-ml", f"{'0a' * 32}-x"),
        *("sha256-0", f"sha256-{'0a' * 32}.sig"),
    ],
)
def test_what_is_none_or_the_services_own_is_refused(name: str) -> None:
    with pytest.raises(InvalidNameError, match="cannot be"):
        check_tag(name)


def test_an_image_is_found_by_its_tag_until_that_is_removed(db: Database, data: DataDirectory) -> None:
    first, second = complete_with_image(db), complete(db)
    for name in ("v1", "a", "V1"):
        give(db, first, name)
    assert (find(db, "v1"), find(db, "latest")) == (first, second)
    assert db.read_sync(builds.get_build, ALICE, first, data=data).tags == ["V1", "a", "v1"]
    listed = db.read_sync(images.list_tags, ALICE, ML, "", 99)
    assert listed == sorted(listed, key=lambda tag: (tag.lower(), tag))
    assert [tag for tag in listed if len(tag) < 9] == [str(first), "a", "latest", "V1", "v1"]
    assert db.read_sync(images.list_tags, ALICE, ML, "latest", 1) == ["V1"]
    assert db.read_sync(images.list_tags, ALICE, ML, "V1", 1) == ["v1"]
    assert [(tag.name, tag.build_id) for tag in db.read_sync(tags.list_tags, ALICE, "alice", "ml")] == [
        ("V1", first),
        ("a", first),
        ("v1", first),
    ]
    db.write_sync(tags.remove, ALICE, first, "v1")
    with pytest.raises(NotFoundError):
        find(db, "v1")
    with pytest.raises(NotFoundError, match=f"Build {second} has no tag “a”"):
        db.write_sync(tags.remove, ALICE, second, "a")


def test_a_tag_moves_only_if_that_is_said(db: Database) -> None:
    first, second = complete(db), complete(db)
    give(db, first, "v1")
    give(db, first, "v1")
    with pytest.raises(ConflictError, match=f"is a tag of build {first}"):
        give(db, second, "v1")
    assert find(db, "v1") == first
    give(db, second, "v1", move=True)
    assert find(db, "v1") == second
    entries = db.read_sync(audit.list_entries, ADMIN, size=9)
    told = [(each.action, each.build_id, each.detail) for each in entries if each.action is AuditAction.BUILD_TAG]
    assert told == [
        (AuditAction.BUILD_TAG, second, f"v1, before of build {first}"),
        (AuditAction.BUILD_TAG, first, "v1"),
    ]


def test_another_environment_has_its_own(db: Database) -> None:
    here, there = complete(db), complete(db, "other")
    give(db, here, "v1")
    give(db, there, "v1")
    assert find(db, "v1") == here


def test_who_may_change_the_environment_gives_tags_and_others_do_not(db: Database) -> None:
    build_id = complete(db)
    for who, error in ((BOB, NotFoundError), (CAROL, NotFoundError)):
        with pytest.raises(error):
            give(db, build_id, "v1", who=who)
    shared = make.submit(db, namespace="group.physics")
    make.complete(db, shared)
    give(db, shared, "v1", who=CAROL)
    with pytest.raises((NotFoundError, ForbiddenError)):
        db.write_sync(tags.remove, BOB, shared, "v1")


def test_what_cannot_be_used_gets_none(db: Database) -> None:
    queued = make.submit(db)
    with pytest.raises(ConflictError, match="is QUEUED: only one that can be used"):
        give(db, queued, "v1")
    make.complete(db, queued)
    second = complete(db)
    db.write_sync(removals.delete_build, ADMIN, queued, (), force=True)
    with pytest.raises(ConflictError, match="was deleted"):
        give(db, queued, "v1")
    give(db, second, "v1")


def test_a_build_with_a_tag_is_neither_deleted_nor_cleaned_up(db: Database, data: DataDirectory) -> None:
    first, second, _ = complete(db), complete(db), complete(db)
    give(db, first, "v1")
    with pytest.raises(ConflictError, match="has the tag “v1”: remove it first"):
        db.write_sync(removals.delete_build, ADMIN, first, (), force=True)
    strict = make.rules(keep_builds=1)
    environment_id = db.read_sync(builds.get_build, ALICE, first, data=data).environment_id
    assert db.write_sync(retention.remove_due, environment_id, strict) == 1
    assert db.read_sync(builds.get_build, ALICE, first, data=data).deleted_on is None
    assert db.read_sync(builds.get_build, ALICE, second, data=data).deleted_on is not None


def test_an_environment_has_only_so_many(db: Database) -> None:
    build_id = complete(db)
    for number in range(MOST_TAGS):
        give(db, build_id, f"v{number}")
    with pytest.raises(ConflictError, match=f"has {MOST_TAGS} tags already"):
        give(db, build_id, "one-more")
