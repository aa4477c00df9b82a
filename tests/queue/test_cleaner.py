"""What the janitor frees on disk, and what it leaves alone, with two of them at once."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from pathlib import Path

from conda_store_hub.core.audit import AuditAction
from conda_store_hub.core.names import DataDirectory
from conda_store_hub.core.protocol import ArtifactType
from conda_store_hub.db.session import Database
from conda_store_hub.queue.cleaner import Cleaner, Freed
from conda_store_hub.services import audit, work
from conda_store_hub.services.rules import BuildRules
from conda_store_hub.storage.base import LocalArtifactStore, artifact_key
from tests.support import make
from tests.support.make import ADMIN

LOG = logging.getLogger("test")
A_WHILE_AGO = time.time() - 2 * 86_400


def cleaner(db: Database, data: DataDirectory, rules: BuildRules | None = None) -> Cleaner:
    store = LocalArtifactStore(data.objects)
    return Cleaner(db=db, data=data, store=store, rules=rules or make.rules(), cache_days=30, log=LOG)


def keep(data: DataDirectory, digest: str, *, old: bool = True) -> Path:
    """Put bytes into storage as a build does before it writes the row."""
    source = data.work / digest
    source.write_text("1234567")
    LocalArtifactStore(data.objects).adopt(source, artifact_key(digest))
    path = data.objects / artifact_key(digest)
    if old:
        os.utime(path, (A_WHILE_AGO, A_WHILE_AGO))
    return path


def complete(db: Database, data: DataDirectory) -> str:
    """Complete a build that has a prefix on disk and an archive; the prefix's name."""
    build_id = make.submit(db)
    claim = db.write_sync(work.claim, "local:test")
    assert claim is not None
    digest = f"{build_id:064}"
    event = make.artifact_event(ArtifactType.CONDA_PACK).model_copy(update={"sha256": digest})
    keep(data, digest)
    (data.prefix(claim.prefix_name) / "lib").mkdir(parents=True)
    db.write_sync(work.record_artifact, claim.ticket, event, artifact_key(digest))
    db.write_sync(work.mark_usable, claim.ticket, make.usable())
    db.write_sync(work.finish, claim.ticket, None)
    return claim.prefix_name


def test_builds_that_are_not_kept_leave_the_disk(db: Database, data: DataDirectory) -> None:
    names = [complete(db, data) for _ in range(3)]

    async def scenario() -> list[Freed]:
        both = [cleaner(db, data, make.rules(keep_builds=1)) for _ in range(2)]
        found = await asyncio.gather(*(one.keep_newest() for one in both))
        return [*found, *(await asyncio.gather(*(one.free() for one in both)))]

    kept, also_kept, freed, also_freed = asyncio.run(scenario())
    told = db.read_sync(audit.list_entries, ADMIN, action=AuditAction.STORAGE_FREE, size=9)
    of_bytes = [entry.detail.partition(": ") for entry in told if entry.build_id is None]
    assert {words for words, _, _ in of_bytes} == {"artifacts that were deleted"}
    assert [said for _, _, said in of_bytes] in (["2 files, 14 bytes"], ["1 files, 7 bytes"] * 2)
    assert kept + also_kept == Freed(builds=2)
    assert freed + also_freed == Freed(prefixes=2, files=2, size=2014)
    assert [path.name for path in data.prefixes.iterdir()] == names[2:]
    assert len(list(data.objects.glob("sha256/*/*"))) == 1


def test_what_no_row_names_is_removed_once_it_is_a_day_old(db: Database, data: DataDirectory) -> None:
    name = complete(db, data)
    (data.prefix("orphan") / "bin").mkdir(parents=True)
    orphan, young = keep(data, "ab" * 32), keep(data, "cd" * 32, old=False)
    freed = asyncio.run(cleaner(db, data).remove_orphans())
    assert freed == Freed(prefixes=1, files=1, size=7)
    assert (orphan.exists(), young.exists()) == (False, True)
    assert [path.name for path in data.prefixes.iterdir()] == [name]
    assert len(list(data.objects.glob("sha256/*/*"))) == 2
    (told,) = db.read_sync(audit.list_entries, ADMIN, action=AuditAction.STORAGE_FREE, size=9)
    assert (told.actor, told.detail) == ("conda-store-hub", "without a build: 1 prefixes, 1 files, 7 bytes")


def test_bytes_are_not_taken_between_their_arrival_and_their_row(db: Database, data: DataDirectory) -> None:
    name = complete(db, data)
    digest = "ab" * 32

    async def scenario() -> Freed:
        builder, janitor = LocalArtifactStore(data.objects), cleaner(db, data)
        async with builder.changing:
            path = keep(data, digest)
            sweeping = asyncio.create_task(janitor.remove_orphans())
            done, _ = await asyncio.wait([sweeping], timeout=0.3)
            assert not done
            assert path.exists()
            build_id = make.submit(db)
            ticket = make.claim(db, build_id)
            event = make.artifact_event(ArtifactType.CONDA_PACK).model_copy(update={"sha256": digest})
            db.write_sync(work.record_artifact, ticket, event, artifact_key(digest))
        return await sweeping

    assert asyncio.run(scenario()) == Freed()
    assert data.prefix(name).is_dir()
    assert (data.objects / artifact_key(digest)).exists()


def test_trimming_the_caches_is_told_in_the_trail(db: Database, data: DataDirectory) -> None:
    entry = data.packages / "old-1-0"
    (entry / "lib").mkdir(parents=True)
    for path in (entry / "lib", entry):
        os.utime(path, (A_WHILE_AGO - 30 * 86_400,) * 2)
    freed = asyncio.run(cleaner(db, data).trim_caches())
    assert freed == Freed(entries=1)
    assert not entry.exists()
    (told,) = db.read_sync(audit.list_entries, ADMIN, action=AuditAction.CACHE_TRIM, size=9)
    assert told.detail == "not used for 30 days: 1 entries"
