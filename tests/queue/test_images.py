"""Images, from what is asked for to the blobs in storage: shared, held on to, and gone with the last that has them."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path

import pytest
from obstore.store import MemoryStore
from sqlalchemy import select
from sqlalchemy.orm import Session

from conda_store_hub.core import schemas
from conda_store_hub.core.names import DataDirectory
from conda_store_hub.core.protocol import ArtifactState, ArtifactType, BuildStatus
from conda_store_hub.db.session import Database
from conda_store_hub.db.tables import ImageBlob
from conda_store_hub.queue.cleaner import Freed
from conda_store_hub.queue.executor import LocalExecutor
from conda_store_hub.queue.places import Place
from conda_store_hub.queue.runner import Runner
from conda_store_hub.services import artifacts, images, removals, work
from conda_store_hub.services.changes import Changes
from conda_store_hub.services.work import Claim
from conda_store_hub.storage.base import ObjectArtifactStore, artifact_key
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


def test_a_layer_that_is_lost_while_it_is_needed_is_made_again_at_once(data: DataDirectory) -> None:
    async def scenario() -> None:
        async with bench(data) as at:
            for name in ("good", "loses-layer"):
                build_id = (await at.ended(at.submit(name))).id
                ask(at.db, build_id)
                assert await made(at, build_id) is ArtifactState.READY
            assert layer(data).read_text() == "the layer of python"
            kept = (layer(data), blob(data, "the configuration of loses-layer"))
            assert keys_of(at.db, build_id) == sorted(str(path.relative_to(data.objects)) for path in kept)

    run(scenario)


def test_of_two_forms_of_a_layer_the_one_that_is_there_is_used(data: DataDirectory) -> None:
    async def scenario() -> None:
        async with bench(data) as at:
            first = (await at.ended(at.submit("good"))).id
            ask(at.db, first)
            assert await made(at, first) is ArtifactState.READY
            before = layer(data).stat().st_ino
            for digest in ("00" * 32, "ff" * 32):  # one before it, one behind it
                event = make.blob_event(digest, layer_key(at.db, first))
                at.db.write_sync(images.add, first, event, artifact_key(digest))
            second = (await at.ended(at.submit("also-good"))).id
            ask(at.db, second)
            assert await made(at, second) is ArtifactState.READY
            assert layer(data).stat().st_ino == before
            assert str(layer(data).relative_to(data.objects)) in keys_of(at.db, second)

    run(scenario)


def layer_key(db: Database, build_id: int) -> str:
    """Return what the one layer of a build's image is known by."""
    (key,) = db.read_sync(images.find_layers, build_id)
    return key


def test_what_an_image_has_no_more_is_forgotten(db: Database) -> None:
    build_id = make.submit(db)
    ticket = make.complete(db, build_id)
    for name in ("aa", "bb"):
        db.write_sync(work.record_blob, ticket, make.blob_event(name * 32), artifact_key(name * 32))
    event = make.artifact_event(IMAGE)
    db.write_sync(work.record_artifact, ticket, event, "x/y", None, [artifact_key("bb" * 32)])
    assert keys_of(db, build_id) == [artifact_key("bb" * 32)]
    failed = event.model_copy(update={"error": "The base image cannot be read."})
    db.write_sync(work.record_artifact, ticket, failed, "")
    assert keys_of(db, build_id) == []


def test_what_was_kept_of_an_image_that_is_given_up_is_forgotten(db: Database) -> None:
    build_id = make.submit(db, yaml=make.text("good"), under=WITH_IMAGE)
    db.write_sync(work.finish, make.complete(db, build_id), None)
    ticket = make.claim(db, build_id)
    db.write_sync(work.record_blob, ticket, make.blob_event("aa" * 32), artifact_key("aa" * 32))
    assert keys_of(db, build_id)
    db.write_sync(work.finish, ticket, None)
    assert keys_of(db, build_id) == []


def test_layers_that_are_there_are_brought_to_who_packs_an_image_into_a_file(data: DataDirectory) -> None:
    async def scenario() -> None:
        async with bench(data) as at:
            build_id = (await at.ended(at.submit("good"))).id
            ask(at.db, build_id)
            assert await made(at, build_id) is ArtifactState.READY
            at.db.write_sync(artifacts.request, ALICE, build_id, ArtifactType.OCI_ARCHIVE, make.rules())
            await at.until(lambda: ArtifactType.OCI_ARCHIVE in {each.artifact_type for each in ready(at, build_id)})
            assert blob(data, "the layer of python").read_text() == "the layer of python"
            packed = at.artifact(at.build(build_id), ArtifactType.OCI_ARCHIVE)
            assert packed.sha256 == hashlib.sha256(b"the layer of python").hexdigest()
            await at.until(lambda: layer(data).stat().st_nlink == 1)  # what was brought goes with the work

    run(scenario)


class Held:
    """A lock that tells whether it is held."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()

    async def __aenter__(self) -> None:
        await self._lock.acquire()

    async def __aexit__(self, *_: object) -> None:
        self._lock.release()

    @property
    def is_held(self) -> bool:
        return self._lock.locked()


class Bucket(ObjectArtifactStore):
    """A store elsewhere, which knows what was sent to it while the lock of all builds was held."""

    def __init__(self) -> None:
        self.held = Held()
        self.sent: list[tuple[str, bool]] = []
        super().__init__(MemoryStore(), self.held)

    def send_ahead(self, path: Path, key: str) -> None:
        self.sent.append((key, self.held.is_held))
        super().send_ahead(path, key)


def test_an_image_is_sent_to_a_store_elsewhere_while_others_go_on_and_a_layer_once(data: DataDirectory) -> None:
    async def scenario() -> None:
        bucket = Bucket()
        async with bench(data, store=bucket) as at:
            for name in ("good", "also-good"):
                build_id = (await at.ended(at.submit(name))).id
                ask(at.db, build_id)
                assert await made(at, build_id) is ArtifactState.READY
                for key in keys_of(at.db, build_id):
                    assert await bucket.head(key) > 0
        keys = [key for key, _ in bucket.sent]
        assert keys.count(artifact_key(hashlib.sha256(b"the layer of python").hexdigest())) == 1
        assert [key for key, is_held in bucket.sent if is_held] == []

    run(scenario)


def test_the_base_of_an_image_is_remembered_and_its_layers_are_known_to_the_next(db: Database) -> None:
    build_id = make.submit(db)
    ticket = make.complete(db, build_id)
    digest = f"sha256:{'ba' * 32}"
    event = make.blob_event("ba" * 32, digest)
    db.write_sync(work.record_blob, ticket, event, artifact_key("ba" * 32))
    told = make.artifact_event(IMAGE).model_copy(update={"base": f"sha256:{'cd' * 32}"})
    db.write_sync(work.record_artifact, ticket, told, "x/y", None, [artifact_key("ba" * 32)])
    db.write_sync(work.finish, ticket, None)
    (layer,) = db.read_sync(images.find_layers, make.submit(db))[digest]
    assert (layer.digest, layer.size, layer.diff_id) == (digest, event.size, event.diff_id)
    db.write_sync(images.make_again, build_id, "was removed", make.rules())
    claim = db.write_sync(work.claim, "local:test", files_first=True)
    assert claim is not None
    assert (claim.build_id, claim.base) == (build_id, f"sha256:{'cd' * 32}")
    assert digest not in claim.layers, "of an image that is being made again nothing is taken for granted"


def test_many_images_and_many_builds_that_wait_take_turns(db: Database) -> None:
    for _ in range(3):
        ask(db, complete_with(db))
    for _ in range(3):
        make.submit(db)
    taken: list[bool] = []

    class Recorder(Runner):
        def __init__(self) -> None:
            """Have nothing to run it with."""

        async def run(self, claim: Claim, place: Place) -> None:
            del place
            taken.append(claim.prefix_ready)
            await db.write(work.finish, claim.ticket, None)

    async def scenario() -> None:
        executor, changes = LocalExecutor(concurrency=1, allow_root=True), Changes()
        executor.start(db=db, changes=changes, runner=Recorder())
        async with asyncio.timeout(30):
            while len(taken) < 6:
                await asyncio.sleep(0.02)
        await executor.stop()

    run(scenario)
    assert taken == [False, True] * 3


def ready(at: Bench, build_id: int) -> list[schemas.Artifact]:
    return [each for each in at.build(build_id).build_artifacts if each.state is ArtifactState.READY]


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
