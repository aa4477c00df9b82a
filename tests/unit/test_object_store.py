"""Stores that are no local disk, as far as builders are given what is in them."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
from pathlib import Path

import pytest
from obstore.store import MemoryStore

from conda_store_hub.core.errors import DamagedError, NotFoundError
from conda_store_hub.storage import checks
from conda_store_hub.storage.base import LocalArtifactStore, ObjectArtifactStore, artifact_key

KEY = artifact_key("ab" * 32)


def test_nothing_is_left_open_for_who_stops_once_all_is_there(tmp_path: Path) -> None:
    """The loop may stop with them, and then nobody closes anything."""
    store = LocalArtifactStore(tmp_path / "objects")
    (tmp_path / "made").write_bytes(b"bytes")
    store.adopt(tmp_path / "made", KEY)

    async def take() -> list[str]:
        pieces = store.read(KEY, 0, 5)
        assert await anext(pieces) == b"bytes"
        opened = [link.readlink().name for link in Path("/proc/self/fd").iterdir() if link.is_symlink()]
        await pieces.aclose()
        return opened

    assert "ab" * 32 not in asyncio.run(take())


@pytest.mark.parametrize("kind", ["memory", "local"])
def test_what_is_stored_is_brought_to_a_file_and_stays(tmp_path: Path, kind: str) -> None:
    local = LocalArtifactStore(tmp_path / "objects")
    store = local if kind == "local" else ObjectArtifactStore(MemoryStore(), contextlib.nullcontext())
    (tmp_path / "made").write_bytes(b"bytes" * 1_000_000)
    store.adopt(tmp_path / "made", KEY)
    asyncio.run(store.bring(KEY, tmp_path / "brought"))
    assert (tmp_path / "brought").read_bytes() == b"bytes" * 1_000_000
    assert asyncio.run(store.head(KEY)) == 5_000_000
    with pytest.raises(NotFoundError):
        asyncio.run(store.bring(artifact_key("cd" * 32), tmp_path / "nothing"))


def test_what_was_sent_ahead_is_sent_again_only_if_it_was_removed_meanwhile(tmp_path: Path) -> None:
    memory = MemoryStore()
    store = ObjectArtifactStore(memory, contextlib.nullcontext())
    for is_removed in (False, True):
        (tmp_path / "made").write_bytes(b"bytes")
        store.send_ahead(tmp_path / "made", KEY)
        sent = memory.head(KEY)["last_modified"]
        if is_removed:
            memory.delete(KEY)
        store.adopt(tmp_path / "made", KEY)
        assert (memory.head(KEY)["last_modified"] == sent) is not is_removed
        assert not (tmp_path / "made").exists()
    memory.put(KEY, b"damaged")
    (tmp_path / "made").write_bytes(b"bytes")
    store.adopt(tmp_path / "made", KEY)
    assert asyncio.run(store.head(KEY)) == len(b"bytes")


def test_what_is_asked_for_is_remembered_longer_than_what_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    monkeypatch.setattr(checks, "_MOST_REMEMBERED", 2)
    monkeypatch.setattr(checks, "_has_digest", lambda path, sha256: read.append(sha256) or True)
    files = checks.Checks()

    async def ask(names: str) -> None:
        for name in set(names):
            (tmp_path / name).touch()
        for name in names:
            assert await files.is_whole(tmp_path / name, name)

    asyncio.run(ask("abaca"))
    assert read == ["a", "b", "c"]


def test_a_file_that_was_lent_is_not_read_again_and_one_that_was_changed_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[Path] = []
    has_digest = checks._has_digest  # pyright: ignore[reportPrivateUsage]
    monkeypatch.setattr(checks, "_has_digest", lambda path, sha256: read.append(path) or has_digest(path, sha256))
    content = b"bytes of a layer"
    key = artifact_key(hashlib.sha256(content).hexdigest())
    store = LocalArtifactStore(tmp_path / "objects")
    (tmp_path / "made").write_bytes(content)
    store.adopt(tmp_path / "made", key)

    async def lend() -> None:
        await store.check(key, len(content))
        for is_looked_at in (True, False):
            await store.bring(key, tmp_path / "brought")
            if is_looked_at:
                await store.check(key, len(content))
            (tmp_path / "brought").unlink()
            await store.check(key, len(content))
        assert len(read) == 1
        file = tmp_path / "objects" / key
        found = file.stat()
        file.write_bytes(content.upper())
        os.utime(file, ns=(found.st_atime_ns, found.st_mtime_ns))
        with pytest.raises(DamagedError):
            await store.check(key, len(content))

    asyncio.run(lend())
