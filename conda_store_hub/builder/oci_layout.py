"""Image layouts: folders with the blobs of images (OCI image specification, image-layout.md), read and written."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from conda_store_hub.core.errors import ArtifactError
from conda_store_hub.core.oci import (
    DOCKER_INDEX_TYPE,
    INDEX_TYPE,
    LAYER_TYPE,
    MOST_MANIFEST,
    PLAIN_LAYER_TYPE,
    ZSTD_LAYER_TYPE,
    Descriptor,
    ImageConfig,
    Index,
    Layer,
    Manifest,
    is_digest,
)

_MARK = "oci-layout"
LAYOUT_MARK: Final = '{"imageLayoutVersion": "1.0.0"}'
"""What stands in the file that makes a folder a layout."""
_LAYER_TYPES = {
    "application/vnd.docker.image.rootfs.diff.tar.gzip": LAYER_TYPE,
    "application/vnd.docker.image.rootfs.diff.tar.zstd": ZSTD_LAYER_TYPE,
    "application/vnd.docker.image.rootfs.diff.tar": PLAIN_LAYER_TYPE,
}
_OS = "linux"
_NO_LINKS = {errno.EXDEV, errno.EPERM, errno.EMLINK, errno.EACCES, errno.ENOTSUP, errno.ENOSYS, errno.EINVAL}


@dataclass(frozen=True, kw_only=True, slots=True)
class BaseImage:
    """The image that environments are put on: its layers, from the lowest, and how it is run."""

    layers: tuple[Layer, ...]
    config: ImageConfig
    blobs: Path
    """The folder of its layers by their hex digests."""
    digest: str = ""
    """Of its manifest; empty for no base."""


def read_layout(folder: Path, architecture: str) -> BaseImage:
    """Return the image of a layout that is for a machine; raise ArtifactError when there is none, or it is damaged."""
    try:
        index = Index.model_validate_json((folder / "index.json").read_bytes())
        digest, manifest = _find_manifest(folder, index, architecture)
        config = ImageConfig.model_validate_json(_read_blob(folder, manifest.config))
    except (OSError, ValidationError) as exc:
        raise ArtifactError("The base image cannot be read: it is no OCI image layout.", detail=str(exc)) from exc
    if config.os != _OS:
        raise ArtifactError(f"The base image is for {config.os}, and not for {_OS}.")
    if config.architecture != architecture:
        raise ArtifactError(f"The base image is for {config.architecture}, and not for {architecture}.")
    diffs = config.rootfs.diff_ids
    if len(diffs) != len(manifest.layers):
        raise ArtifactError("The base image is damaged: it has another number of layers than it says.")
    layers = tuple(_read_layer(folder, each, diff) for each, diff in zip(manifest.layers, diffs, strict=True))
    return BaseImage(layers=layers, config=config, blobs=folder / "blobs" / "sha256", digest=digest)


def write_layout(folder: Path, manifest: bytes, blobs: Iterable[Path], name: str) -> None:
    """Write a layout with one image; `blobs` are files named by their hex digests, linked where that can be done."""
    place = folder / "blobs" / "sha256"
    place.mkdir(parents=True)
    for blob in blobs:
        put_blob(blob, place / blob.name)
    digest = hashlib.sha256(manifest).hexdigest()
    (place / digest).write_bytes(manifest)
    described = Descriptor(
        media_type=Manifest.model_validate_json(manifest).media_type,
        digest=f"sha256:{digest}",
        size=len(manifest),
        annotations={"org.opencontainers.image.ref.name": name},
    )
    (folder / "index.json").write_bytes(Index(manifests=(described,)).to_json())
    (folder / _MARK).write_text(LAYOUT_MARK, encoding="utf-8")


def put_blob(source: Path, target: Path) -> None:
    """Have a blob in another folder too: linked, or copied where that cannot be done."""
    with contextlib.suppress(FileExistsError):
        try:
            os.link(source, target)
        except OSError as exc:
            # Some file systems know no links, and each says so in its own way.
            if exc.errno not in _NO_LINKS:
                raise
            shutil.copyfile(source, target)


def choose_for(architecture: str, found: Iterable[Descriptor]) -> Descriptor:
    """Return the first of several manifests that is for a machine, or does not say; raise ArtifactError."""
    for each in found:
        if each.platform is None or (each.platform.architecture, each.platform.os) == (architecture, _OS):
            return each
    raise ArtifactError(f"The base image has nothing for {architecture}.")


def is_index(descriptor: Descriptor) -> bool:
    """Tell whether something is several manifests."""
    return descriptor.media_type in (INDEX_TYPE, DOCKER_INDEX_TYPE)


def _find_manifest(folder: Path, index: Index, architecture: str) -> tuple[str, Manifest]:
    """Return the manifest for a machine, with its digest, of an index or of one within it."""
    chosen = choose_for(architecture, index.manifests)
    if is_index(chosen):
        return _find_manifest(folder, Index.model_validate_json(_read_blob(folder, chosen)), architecture)
    return chosen.digest, Manifest.model_validate_json(_read_blob(folder, chosen))


def _read_blob(folder: Path, descriptor: Descriptor) -> bytes:
    """Return a small blob; raise ArtifactError when its bytes are not those that it is known by."""
    path = _find_blob(folder, descriptor)
    data = path.read_bytes() if path.stat().st_size <= MOST_MANIFEST else b""
    if f"sha256:{hashlib.sha256(data).hexdigest()}" != descriptor.digest:
        raise ArtifactError("The base image is damaged: the bytes of a part are not those that it names.")
    return data


def _find_blob(folder: Path, descriptor: Descriptor) -> Path:
    if not is_digest(descriptor.digest):
        raise ArtifactError("The base image names its parts by digests that are not SHA-256.")
    return folder / "blobs" / "sha256" / descriptor.digest.removeprefix("sha256:")


def _read_layer(folder: Path, descriptor: Descriptor, diff_id: str) -> Layer:
    path = _find_blob(folder, descriptor)
    if not path.is_file():
        raise ArtifactError("The base image is damaged: a layer that it names is not there.")
    if path.stat().st_size != descriptor.size:
        raise ArtifactError("The base image is damaged: a layer is not as long as it says.")
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if f"sha256:{digest}" != descriptor.digest:
        raise ArtifactError("The base image is damaged: the bytes of a layer are not those that it names.")
    media_type = _LAYER_TYPES.get(descriptor.media_type, descriptor.media_type)
    return Layer(digest=descriptor.digest, size=descriptor.size, diff_id=diff_id, media_type=media_type)
