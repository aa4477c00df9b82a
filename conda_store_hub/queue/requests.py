"""What a builder is asked: the request made of a plan, with the locks that it may use at hand."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

from conda_store_hub.core.errors import BuildError, DamagedError, NotFoundError, StorageError
from conda_store_hub.core.names import DataDirectory
from conda_store_hub.core.oci import Layer
from conda_store_hub.core.protocol import BuildLimits, BuildRequest, Directories, ImageRequest, LockReuse
from conda_store_hub.services.rules import BuildRules
from conda_store_hub.services.specifications import Plan
from conda_store_hub.services.work import Claim, StoredLock
from conda_store_hub.storage.base import ArtifactStore, artifact_key, digest_of

_LOG = logging.getLogger("conda_store_hub.requests")


def make_build_request(claim: Claim, plan: Plan, rules: BuildRules, *, data: DataDirectory, home: Path) -> BuildRequest:
    """Return the request for a build that was claimed, with its locks still to bring."""
    values = rules.values
    request = make_solve_request(plan, rules, data=data, home=home)
    directories = request.directories.model_copy(update={"prefix": str(data.prefix(claim.prefix_name))})
    limits = BuildLimits(memory_bytes=values.memory_bytes, disk_bytes=values.disk_bytes, file_count=values.file_count)
    return request.model_copy(
        update={
            "build_id": claim.build_id,
            "name": claim.name,
            "namespace": claim.namespace,
            "variables": plan.variables,
            "directories": directories,
            "artifacts": claim.artifacts,
            "solve_only": False,
            "prefix_ready": claim.prefix_ready,
            "sha256": claim.sha256,
            "platforms": plan.platforms,
            "limits": limits,
            "image": ImageRequest(
                known={key: layers[0] for key, layers in claim.layers.items()},
                base=rules.image_base,
                base_digest=claim.base,
                base_credentials=rules.image_credentials,
                base_cache=str(data.bases),
                labels=_label(claim),
                name=f"{claim.namespace}/{claim.name.lower()}:{claim.build_id}",
            ),
        }
    )


def _label(claim: Claim) -> tuple[tuple[str, str], ...]:
    """Return what an image tells of itself (image specification, annotations.md)."""
    return (
        ("org.opencontainers.image.title", f"{claim.namespace}/{claim.name}"),
        ("org.opencontainers.image.version", str(claim.build_id)),
    )


def make_solve_request(plan: Plan, rules: BuildRules, *, data: DataDirectory, home: Path) -> BuildRequest:
    """Return the request for a dry run in the folder `home`."""
    return BuildRequest(
        build_id=0,
        name="dry run",
        channels=plan.channels,
        allowed_channels=plan.allowed_channels,
        dependencies=plan.dependencies,
        pip=plan.pip,
        platform=plan.platform,
        directories=Directories(
            packages=str(data.packages),
            bytecode=str(data.bytecode),
            repodata=str(data.repodata),
            pip_cache=str(data.pip_cache),
            work=str(home),
        ),
        solve_only=True,
        pip_index=plan.pip_index,
        solve_seconds=rules.values.solve_seconds,
        constraints=plan.constraints,
        excluded=plan.excluded,
        demanded=plan.demanded,
        wheel_places=plan.wheel_places,
        virtual_packages=plan.virtual_packages,
        locked=plan.locked,
        limits=BuildLimits(memory_bytes=rules.values.memory_bytes),
    )


async def add_exact_lock(request: BuildRequest, lock: StoredLock, *, store: ArtifactStore, home: Path) -> BuildRequest:
    """Have a builder install what a lock says, exactly; raise BuildError when that is gone, or is another one now."""
    try:
        records, pip_lock = await _fetch(lock, store, home)
    except (NotFoundError, DamagedError) as exc:
        what = "is gone" if isinstance(exc, NotFoundError) else "was changed on disk"
        raise BuildError(f"The lock that this build was to be made from {what}; build the specification anew.") from exc
    return request.model_copy(update={"records": records, "pip_lock": pip_lock})


async def add_reusable_lock(
    request: BuildRequest, lock: StoredLock, *, store: ArtifactStore, home: Path
) -> BuildRequest:
    """Let a builder take a lock if no channel changed since; one that is gone or damaged by now is none."""
    try:
        records, pip_lock = await _fetch(lock, store, home)
    except NotFoundError:
        return request
    except DamagedError:
        _LOG.warning("the lock of build %s was changed on disk: nothing is built from it", lock.build_id)
        return request
    reuse = LockReuse(records=records, channel_state=lock.channel_state, pip_lock=pip_lock)
    return request.model_copy(update={"reuse": reuse})


async def leave_out_lost_layers(
    request: BuildRequest, layers: Mapping[str, Sequence[Layer]], store: ArtifactStore
) -> BuildRequest:
    """Take of each of `layers` one whose bytes are there, and have those made again of which there are none.

    They come to the same key, for all images that have them. What cannot be told now counts as lost too: an image is
    not held back by a layer that can be made.
    """
    found = await asyncio.gather(*(_find_whole(store, each) for each in layers.values()))
    known = {key: layer for key, layer in zip(layers, found, strict=True) if layer is not None}
    return request.model_copy(update={"image": request.image.model_copy(update={"known": known})})


async def bring_layers(request: BuildRequest, store: ArtifactStore, home: Path) -> BuildRequest:
    """Bring the layers that are there to where a builder may read them, which puts them into an archive.

    Those of its base it has.
    """
    folder = home / "layers"
    await asyncio.to_thread(folder.mkdir)
    for key, layer in request.image.known.items():
        if key == layer.digest:
            continue
        digest = layer.digest.removeprefix("sha256:")
        await store.bring(artifact_key(digest), folder / digest)
    return request.model_copy(update={"image": request.image.model_copy(update={"layers": str(folder)})})


async def _find_whole(store: ArtifactStore, layers: Sequence[Layer]) -> Layer | None:
    for layer in layers:
        if await _is_there(store, layer):
            return layer
    return None


async def _is_there(store: ArtifactStore, layer: Layer) -> bool:
    try:
        await store.check(artifact_key(layer.digest.removeprefix("sha256:")), layer.size)
    except (StorageError, NotFoundError) as exc:
        _LOG.warning("the layer %s is lost: %s", layer.digest, exc.message)
        return False
    return True


async def _fetch(lock: StoredLock, store: ArtifactStore, home: Path) -> tuple[str, str | None]:
    """Bring a lock to where a builder may read it; raise NotFoundError or DamagedError when it is not in storage."""
    records = await _copy(store, lock.records, home / "lock.json")
    return records, None if lock.pip_lock is None else await _copy(store, lock.pip_lock, home / "pip-lock.toml")


async def _copy(store: ArtifactStore, key: str, path: Path) -> str:
    if not key:
        raise NotFoundError
    size, digest = await store.head(key), hashlib.sha256()
    async with contextlib.aclosing(store.read(key, 0, size)) as pieces:
        with path.open("wb") as file:
            async for piece in pieces:
                digest.update(piece)
                file.write(piece)
    if digest.hexdigest() != digest_of(key):
        raise DamagedError
    return str(path)
