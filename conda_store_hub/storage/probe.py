"""Whether what keeps artifacts does so: a few bytes are put into it, held against their digest, and removed."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import secrets
from pathlib import Path

from conda_store_hub.core.errors import StorageError
from conda_store_hub.storage.base import ArtifactStore, artifact_key

_BYTES = 64
_MOST_SECONDS = 10.0


async def probe(store: ArtifactStore, work: Path) -> None:
    """Raise in words when the store does not take bytes, give them back and remove them; `work` is where files wait."""
    try:
        await asyncio.wait_for(_go_round(store, work), _MOST_SECONDS)
    except TimeoutError as exc:
        raise StorageError(f"It does not answer within {_MOST_SECONDS:g} seconds.") from exc


async def _go_round(store: ArtifactStore, work: Path) -> None:
    data = secrets.token_bytes(_BYTES)  # nobody else's, so that nothing of anybody is removed
    digest = hashlib.sha256(data).hexdigest()
    key, path = artifact_key(digest), work / f"probe-{digest[:16]}"
    try:
        await asyncio.to_thread(_write, path, data)
        await asyncio.to_thread(store.adopt, path, key)
        await store.check(key, len(data))
    finally:
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)
        await store.delete(key)


def _write(path: Path, data: bytes) -> None:
    try:
        path.write_bytes(data)
    except OSError as exc:
        raise StorageError(f"Nothing can be written where files wait to be stored: {exc.strerror}.") from exc
