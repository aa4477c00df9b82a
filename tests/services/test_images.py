"""Repositories: what is found in them by tag and by digest, on both kinds of database."""

from __future__ import annotations

import pytest

from conda_store_hub.core.errors import InvalidNameError, NotFoundError, UnknownRepositoryError
from conda_store_hub.core.protocol import ArtifactType
from conda_store_hub.core.repositories import Repository
from conda_store_hub.db.session import Database
from conda_store_hub.services import images, work
from conda_store_hub.storage.base import artifact_key
from tests.support import make
from tests.support.make import ADMIN, ALICE, BOB

ML = Repository(namespace="alice", environment="ml")


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
    tags = db.read_sync(images.list_tags, ALICE, ML, "", 99)
    assert [tag for tag in tags if len(tag) < 9] == [str(first), str(second), "latest"]
    assert [db.read_sync(images.find_tagged, ALICE, ML, tag) for tag in tags if len(tag) > 9]
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
