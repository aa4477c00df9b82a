"""Images, from what is asked for to the blobs in storage: shared, held on to, and gone with the last that has them."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from conda_store_hub.core.names import DataDirectory
from conda_store_hub.core.protocol import ArtifactState, ArtifactType, BuildStatus
from conda_store_hub.db.session import Database
from conda_store_hub.db.tables import ImageBlob
from conda_store_hub.queue.cleaner import Freed
from conda_store_hub.services import artifacts, removals, work
from conda_store_hub.storage.base import artifact_key
from tests.queue.test_cleaner import cleaner, keep
from tests.queue.test_runner import Bench, bench, run
from tests.support import make
from tests.support.make import ADMIN, ALICE

IMAGE = ArtifactType.DOCKER_MANIFEST
WITH_IMAGE = make.rules(artifacts=["YAML", "DOCKER_MANIFEST"])


def blob(data: DataDirectory, text: str) -> Path:
    return data.objects / artifact_key(hashlib.sha256(text.encode()).hexdigest())


def layer(data: DataDirectory) -> Path:
    """Return where the layer is that all of these images have."""
    return blob(data, "the layer of python")


def keys_of(db: Database, build_id: int) -> list[str]:
    """Return the keys of the blobs that the image of a build has."""

    def read(session: Session) -> list[str]:
        return sorted(session.scalars(select(ImageBlob.key).where(ImageBlob.build_id == build_id)))

    return db.read_sync(read)


def ask(db: Database, build_id: int) -> None:
    db.write_sync(artifacts.request, ALICE, build_id, IMAGE, make.rules())


async def made(at: Bench, build_id: int) -> ArtifactState:
    """Wait for the image of a build; return what became of it."""
    await at.until(
        lambda: any(
            each.artifact_type is IMAGE and each.state is not ArtifactState.PENDING
            for each in at.build(build_id).build_artifacts
        )
    )
    await at.ended(build_id)
    return at.artifact(at.build(build_id), IMAGE).state


def test_it_is_made_after_the_build_is_usable_and_its_blobs_are_kept(data: DataDirectory) -> None:
    async def scenario() -> None:
        async with bench(data, rules=WITH_IMAGE) as at:
            build_id = make.submit(at.db, yaml=make.text("good"), under=WITH_IMAGE)
            assert await made(at, build_id) is ArtifactState.READY
            assert at.build(build_id).status is BuildStatus.COMPLETED
            assert at.artifact(at.build(build_id), ArtifactType.YAML).state is ArtifactState.READY
            assert layer(data).read_text() == "the layer of python"
            assert blob(data, "the configuration of good").exists()
            kept = (layer(data), blob(data, "the configuration of good"))
            assert keys_of(at.db, build_id) == sorted(str(path.relative_to(data.objects)) for path in kept)

    run(scenario)


def test_a_blob_that_is_a_file_of_somebody_else_is_refused(data: DataDirectory) -> None:
    async def scenario() -> None:
        async with bench(data) as at:
            build_id = (await at.ended(at.submit("image-escapes"))).id
            ask(at.db, build_id)
            assert await made(at, build_id) is ArtifactState.FAILED
            assert "outside of its directory" in str(at.artifact(at.build(build_id), IMAGE).error)
            assert at.build(build_id).status is BuildStatus.COMPLETED
            assert keys_of(at.db, build_id) == []
            assert Path("/etc/passwd").exists()

    run(scenario)


@pytest.mark.parametrize("how", ["there", "gone", "damaged"])
def test_a_layer_that_another_image_has_is_used_while_its_bytes_are_there(data: DataDirectory, how: str) -> None:
    async def scenario() -> None:
        async with bench(data) as at:
            first = (await at.ended(at.submit("good"))).id
            ask(at.db, first)
            assert await made(at, first) is ArtifactState.READY
            before = layer(data).stat().st_ino
            if how == "gone":
                layer(data).unlink()
            elif how == "damaged":
                layer(data).write_text("THE LAYER OF PYTHON")
            second = (await at.ended(at.submit("also-good"))).id
            ask(at.db, second)
            assert await made(at, second) is ArtifactState.READY
            assert layer(data).read_text() == "the layer of python"
            if how == "there":
                assert layer(data).stat().st_ino == before

    run(scenario)


def test_what_another_image_has_stays_when_one_goes(db: Database, data: DataDirectory) -> None:
    kept = {name: keep(data, name * 32) for name in ("aa", "bb", "cc")}
    builds = [complete_with(db, "aa", own) for own in ("bb", "cc")]

    def sweep() -> Freed:
        return asyncio.run(cleaner(db, data).remove_orphans())

    assert sweep().files == 0
    db.write_sync(removals.delete_build, ADMIN, builds[0], (), force=True)
    assert sweep().files == 1
    assert [kept[name].exists() for name in ("aa", "bb", "cc")] == [True, False, True]


def test_an_image_that_is_kept_of_a_build_that_goes_keeps_its_blobs(db: Database, data: DataDirectory) -> None:
    keep(data, "aa" * 32)
    first, _ = complete_with(db, "aa", "aa"), complete_with(db, "aa", "aa")
    db.write_sync(removals.delete_build, ADMIN, first, (IMAGE,), force=True)
    assert keys_of(db, first) == [artifact_key("aa" * 32)]


def complete_with(db: Database, *names: str) -> int:
    """Complete a build whose image has these blobs; the last build of its environment is the active one."""
    build_id = make.submit(db)
    ticket = make.complete(db, build_id)
    for name in names:
        db.write_sync(work.record_blob, ticket, make.blob_event(name * 32), artifact_key(name * 32))
    db.write_sync(work.finish, ticket, None)
    return build_id
