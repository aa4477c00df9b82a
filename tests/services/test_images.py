"""Repositories: what is found in them by tag and by digest, on both kinds of database."""

from __future__ import annotations

import pytest

from conda_store_hub.core.errors import InvalidNameError, NotFoundError, TooManyRequestsError, UnknownRepositoryError
from conda_store_hub.core.permissions import Claim, Identity, IdentityKind, Reach, Role
from conda_store_hub.core.protocol import ArtifactType
from conda_store_hub.core.repositories import Repository
from conda_store_hub.db import records
from conda_store_hub.db.session import Database
from conda_store_hub.db.tables import Build
from conda_store_hub.services import artifacts, images, tags, work
from conda_store_hub.storage.base import artifact_key
from tests.support import make
from tests.support.make import ADMIN, ALICE, BOB

ML = Repository(namespace="alice", environment="ml")
READER = Identity(
    name="reader", kind=IdentityKind.TOKEN, bindings=(Claim(role=Role.VIEWER, reach=Reach(namespace="alice")),)
)


def complete_with_image(db: Database, name: str, blob: str) -> int:
    """Complete a build of alice's whose image has one blob; the manifest's digest begins as the blob's ends."""
    build_id = make.submit(db, yaml=make.text(name))
    ticket = make.complete(db, build_id)
    manifest = make.artifact_event(ArtifactType.DOCKER_MANIFEST).model_copy(update={"sha256": blob[::-1] * 32})
    db.write_sync(work.record_blob, ticket, make.blob_event(blob * 32), artifact_key(blob * 32))
    db.write_sync(work.record_artifact, ticket, manifest, artifact_key(manifest.sha256))
    db.write_sync(work.finish, ticket, None)
    return build_id


def test_a_repository_has_the_images_of_its_environment_and_no_others(db: Database) -> None:
    first, other = complete_with_image(db, "ml", "ab"), complete_with_image(db, "Other", "cd")
    second = complete_with_image(db, "ml", "ab")
    assert db.read_sync(images.find_blob, ALICE, ML, f"sha256:{'ab' * 32}").build_id == second
    assert db.read_sync(images.find_manifest, ALICE, ML, f"sha256:{'ba' * 32}") == second
    assert db.read_sync(images.find_tagged, ALICE, ML, "latest") == second
    assert db.read_sync(images.find_tagged, ALICE, ML, str(first)) == first
    listed = db.read_sync(images.list_tags, ALICE, ML, "", 99)
    assert [tag for tag in listed if len(tag) < 9] == [str(first), str(second), "latest"]
    assert [db.read_sync(images.find_tagged, ALICE, ML, tag) for tag in listed if len(tag) > 9]
    for find, wanted in (
        (images.find_blob, f"sha256:{'cd' * 32}"),
        (images.find_manifest, f"sha256:{'dc' * 32}"),
        (images.find_tagged, str(other)),
    ):
        with pytest.raises(NotFoundError):
            db.read_sync(find, ALICE, ML, wanted)
        with pytest.raises(UnknownRepositoryError):
            db.read_sync(find, BOB, ML, wanted)


def test_repositories_are_listed_behind_one_that_need_not_be_there(db: Database) -> None:
    for name in ("b", "A", "c"):
        complete_with_image(db, name, "ab")

    def names(after: str, limit: int = 9) -> list[str]:
        return [str(each) for each in db.read_sync(images.list_repositories, ADMIN, after, limit)]

    assert names("") == ["alice/a", "alice/b", "alice/c"]
    assert names("", 2) == ["alice/a", "alice/b"]
    assert names("alice/aa") == ["alice/b", "alice/c"]
    assert names("zoe") == []
    assert db.read_sync(images.list_repositories, BOB, "", 9) == []


@pytest.mark.parametrize("name", ["alice/ml", "group.physics/a-b_c.d", "a/" + "b" * 64])
def test_names_of_environments_are_names_of_repositories(name: str) -> None:
    assert str(Repository.parse(name)) == name


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("alice", UnknownRepositoryError),
        ("a/b/c", UnknownRepositoryError),
        ("a__b/c", UnknownRepositoryError),
        ("a/b--c", UnknownRepositoryError),
        ("Alice/ml", InvalidNameError),
        ("alice/ml\n", InvalidNameError),
        ("a/" + "b" * 254, InvalidNameError),
        ("", InvalidNameError),
        ("../a", InvalidNameError),
    ],
)
def test_others_are_nobodys_or_none(name: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        Repository.parse(name)


# What others have made


def test_of_builds_without_an_image_those_are_listed_that_are_offered(db: Database) -> None:
    made = complete_with_image(db, "ml", "ab")
    plain, tagged, active = (complete_build(db, "ml") for _ in range(3))
    db.write_sync(tags.give, ALICE, tagged, "Z-1", move=False)
    key = db.read_sync(lambda session: session.get_one(Build, made).key)
    whole = sorted((str(made), key, "Z-1", "latest"), key=str.lower)  # without regard to case
    assert db.read_sync(images.list_tags, ALICE, ML, "", 99) == whole
    for n, after in enumerate(("", *whole)):
        for limit in range(4):
            assert db.read_sync(images.list_tags, ALICE, ML, after, limit) == whole[n:][:limit]
    for build_id in (made, plain, tagged, active):
        assert db.read_sync(images.is_offered, ALICE, build_id)
        assert db.read_sync(images.is_offered, ADMIN, build_id)
        readers = db.read_sync(images.is_offered, READER, build_id)
        assert readers == (build_id in (tagged, active))


def complete_build(db: Database, name: str) -> int:
    build_id = make.submit(db, yaml=make.text(name))
    db.write_sync(work.finish, make.complete(db, build_id), None)
    return build_id


def test_who_may_only_read_has_so_many_images_made_in_an_hour(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(artifacts, "MOST_IMAGES_AN_HOUR", 2)
    numbers = [complete_build(db, name) for name in ("a", "b", "c", "d")]

    def ask(identity: Identity, number: int, kind: ArtifactType = ArtifactType.DOCKER_MANIFEST) -> None:
        db.write_sync(artifacts.request, identity, number, kind, make.rules())

    for number in (numbers[0], numbers[0], numbers[1]):
        ask(READER, number)
    with pytest.raises(TooManyRequestsError, match="2 images made in an hour") as refused:
        ask(READER, numbers[2])
    assert 3500 < refused.value.seconds <= 3601
    with pytest.raises(TooManyRequestsError):
        ask(READER, numbers[0], ArtifactType.OCI_ARCHIVE)
    ask(READER, numbers[2], ArtifactType.CONDA_PACK)
    ask(READER, numbers[0])
    for number in numbers[2:]:
        ask(ALICE, number)
    assert db.read_sync(records.list_artifact_states, numbers, [ArtifactType.DOCKER_MANIFEST]).keys() == set(numbers)
