"""Images in one file, as `docker save`, `podman save` and `skopeo copy` write them: read into layouts, and written."""

from __future__ import annotations

import hashlib
import io
import posixpath
import shutil
import tarfile
import tempfile
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import IO, cast

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from conda_store_hub.builder.compression import (
    COPY_BYTES,
    Budget,
    HashingReader,
    digest_unpacked,
    is_gzip,
    is_zstd,
    open_packed,
)
from conda_store_hub.builder.files import HashingFile, Written
from conda_store_hub.builder.oci_layout import LAYOUT_MARK, choose_for, is_index, write_layout
from conda_store_hub.core.errors import ArtifactError
from conda_store_hub.core.oci import (
    CONFIG_TYPE,
    LAYER_TYPE,
    MOST_MANIFEST,
    ZSTD_LAYER_TYPE,
    Descriptor,
    ImageConfig,
    Index,
    Manifest,
    is_digest,
)

_MOST_MEMBERS = 10_000
"""Files and folders of an archive; programs have written four for a layer at most."""


class _Saved(BaseModel):
    """An image in the `manifest.json` of `docker save`."""

    model_config = ConfigDict(frozen=True)

    config: str = Field(alias="Config")
    names: tuple[str, ...] | None = Field(None, alias="RepoTags")
    layers: tuple[str, ...] = Field(alias="Layers")


_SAVED = TypeAdapter(tuple[_Saved, ...])


def write_image_archive(path: Path, manifest: bytes, blobs: Path, name: str) -> Written:
    """Write an image as an archive that is both: a layout, and what `docker save` writes; nothing of it is held.

    `blobs`: the folder of what the manifest names, by hex digests; `name`: repository and tag.
    """
    parsed = Manifest.model_validate_json(manifest)
    digest = hashlib.sha256(manifest).hexdigest()
    described = Descriptor(
        media_type=parsed.media_type,
        digest=f"sha256:{digest}",
        size=len(manifest),
        annotations={"io.containerd.image.name": name, "org.opencontainers.image.ref.name": name.rpartition(":")[2]},
    )
    saved = _Saved(Config=_find_blob(parsed.config), RepoTags=(name,), Layers=tuple(map(_find_blob, parsed.layers)))
    texts = {
        "oci-layout": LAYOUT_MARK.encode(),
        "index.json": Index(manifests=(described,)).to_json(),
        "manifest.json": _SAVED.dump_json((saved,), by_alias=True),
        _find_blob(described): manifest,
    }
    out = HashingFile(path)
    try:
        with tarfile.TarFile(
            fileobj=cast("IO[bytes]", out), mode="w", format=tarfile.GNU_FORMAT, copybufsize=COPY_BYTES
        ) as tar:
            for member, text in texts.items():
                _add(tar, member, io.BytesIO(text), len(text))
            for each in dict.fromkeys((parsed.config.digest, *(layer.digest for layer in parsed.layers))):
                blob = blobs / each.removeprefix("sha256:")
                with blob.open("rb") as file:
                    _add(tar, f"blobs/sha256/{blob.name}", file, blob.stat().st_size)
        return out.finish()
    finally:
        out.close()


def _add(tar: tarfile.TarFile, name: str, file: IO[bytes], size: int) -> None:
    info = tarfile.TarInfo(name)  # of nobody, and of 1970: the same image is the same archive
    info.size = size
    tar.addfile(info, file)


def unpack_archive(path: Path, folder: Path, architecture: str, budget: Budget | None = None) -> None:
    """Write the image of an archive that is for a machine as a layout; raise ArtifactError when there is none.

    So it does where there is more in its layers than the `budget` has, or it takes longer.
    """
    try:
        with tarfile.open(path) as tar, tempfile.TemporaryDirectory(dir=folder.parent, prefix=".parts-") as parts:
            _Archive(tar, Path(parts), budget or Budget()).write(folder, architecture)
    except (tarfile.TarError, EOFError, ValidationError, KeyError) as exc:
        raise ArtifactError(
            "The base image cannot be read: it is no archive of an image, or a damaged one.", detail=repr(exc)
        ) from exc


class _Archive:
    """A tar with an image; only what is named in it is read."""

    def __init__(self, tar: tarfile.TarFile, parts: Path, budget: Budget) -> None:
        self._tar = tar
        self._parts = parts
        self._budget = budget
        self._members = self._list_members()

    def _list_members(self) -> Mapping[str, tarfile.TarInfo]:
        """Return what is in it, by name; a system that was packed as it is has more than any image."""
        members: dict[str, tarfile.TarInfo] = {}
        for each in self._tar:
            members[posixpath.normpath(each.name)] = each
            if len(members) > _MOST_MEMBERS:
                raise KeyError(f"more than {_MOST_MEMBERS:,} files")
        return members

    def write(self, folder: Path, architecture: str) -> None:
        """Write the layout; layers that are not compressed are."""
        config, layers = self._find_layout(architecture) if "index.json" in self._members else self._find_saved()
        diffs = ImageConfig.model_validate_json(config).rootfs.diff_ids
        if len(diffs) != len(layers):
            raise ArtifactError("The base image is damaged: it has another number of layers than it says.")
        written = tuple(self._write_layer(name, diff) for name, diff in zip(layers, diffs, strict=True))
        digest = hashlib.sha256(config).hexdigest()
        (self._parts / digest).write_bytes(config)
        described = Descriptor(media_type=CONFIG_TYPE, digest=f"sha256:{digest}", size=len(config))
        manifest = Manifest(config=described, layers=written)
        write_layout(folder, manifest.to_json(), self._parts.iterdir(), "base")

    def _find_layout(self, architecture: str) -> tuple[bytes, tuple[str, ...]]:
        """Return the configuration, and where the layers are, of an archive that has a layout in it."""
        chosen = choose_for(architecture, Index.model_validate_json(self._read("index.json")).manifests)
        while is_index(chosen):
            index = Index.model_validate_json(self._read(_find_blob(chosen), chosen.digest))
            chosen = choose_for(architecture, index.manifests)
        manifest = Manifest.model_validate_json(self._read(_find_blob(chosen), chosen.digest))
        config = self._read(_find_blob(manifest.config), manifest.config.digest)
        return config, tuple(_find_blob(layer) for layer in manifest.layers)

    def _find_saved(self) -> tuple[bytes, tuple[str, ...]]:
        """Return the same of what `docker save` wrote before it wrote layouts: no digests but those of the layers."""
        saved = _SAVED.validate_json(self._read("manifest.json"))
        if len(saved) != 1:
            raise ArtifactError(f"The base image is a file with {len(saved)} images, and not with one.")
        return self._read(saved[0].config), saved[0].layers

    def _read(self, name: str, digest: str = "") -> bytes:
        with self._open(name) as file:
            data = file.read(MOST_MANIFEST + 1)
        if len(data) > MOST_MANIFEST or (digest and f"sha256:{hashlib.sha256(data).hexdigest()}" != digest):
            raise ArtifactError("The base image is damaged: the bytes of a part are not those that it names.")
        return data

    def _open(self, name: str) -> IO[bytes]:
        member = self._members[posixpath.normpath(name)]
        try:
            file = self._tar.extractfile(member)  # follows links within the archive, which older programs wrote
        except RecursionError:  # they lead to each other
            file = None
        if file is None:
            raise KeyError(name)
        return file

    def _write_layer(self, name: str, diff_id: str) -> Descriptor:
        """Write a layer, compressed, and hold what it unpacks to against the configuration."""
        staged = self._parts / ".layer"
        with self._open(name) as file:
            start = file.read(4)
            file.seek(0)
            is_packed = is_gzip(start) or is_zstd(start)
            out = HashingFile(staged)
            try:
                found = self._copy(file, out, packs=not is_packed)
                written = out.finish()
            finally:
                out.close()
        if is_packed:
            found = digest_unpacked(staged, self._budget)
        if f"sha256:{found}" != diff_id:
            raise ArtifactError("The base image is damaged: the bytes of a layer are not those that it names.")
        staged.rename(self._parts / written.sha256)
        media_type = ZSTD_LAYER_TYPE if is_zstd(start) else LAYER_TYPE
        return Descriptor(media_type=media_type, digest=f"sha256:{written.sha256}", size=written.size)

    def _copy(self, file: IO[bytes], out: HashingFile, *, packs: bool) -> str:
        """Write a layer as it is, or packed to the same bytes whenever that is done; return the digest of what it was.

        It may be longer than the archive: programs leave out holes.
        """
        reader = HashingReader(file, self._budget)
        with open_packed(out) if packs else nullcontext(out) as target:
            shutil.copyfileobj(cast("IO[bytes]", reader), cast("IO[bytes]", target), COPY_BYTES)
        return reader.digest.hexdigest()


def _find_blob(descriptor: Descriptor) -> str:
    if not is_digest(descriptor.digest):
        raise ArtifactError("The base image names its parts by digests that are not SHA-256.")
    return f"blobs/sha256/{descriptor.digest.removeprefix('sha256:')}"
