"""The container image of a prefix: its layers, those that there are not yet written, and its manifest."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from conda_store_hub.builder.base_contents import OPAQUE, BaseContents, look_into
from conda_store_hub.builder.base_image import find_base
from conda_store_hub.builder.events import EventWriter, say
from conda_store_hub.builder.files import HashingFile, Written
from conda_store_hub.builder.image_start import ENTER, Start
from conda_store_hub.builder.layer_files import Member, write_layer
from conda_store_hub.builder.layers import PrefixLayers
from conda_store_hub.builder.oci_layout import BaseImage, put_blob
from conda_store_hub.builder.prefix import CondaPackage
from conda_store_hub.builder.words import count, format_size
from conda_store_hub.core.engine import strip_credentials
from conda_store_hub.core.image_layers import plan_layers
from conda_store_hub.core.oci import (
    CONFIG_TYPE,
    IMAGE_PREFIX,
    Descriptor,
    ImageConfig,
    Layer,
    Manifest,
    RootFs,
    this_architecture,
)
from conda_store_hub.core.protocol import BlobEvent, BuildRequest

_AT_ONCE = 2  # layers; compressing leaves the interpreter to others
_BASE_DIGEST = "org.opencontainers.image.base.digest"


@dataclass(frozen=True, kw_only=True, slots=True)
class WrittenImage:
    """An image that was written: its manifest, the digest of its base's, if it has one, and what people should know."""

    manifest: Written
    base: str
    notes: tuple[str, ...]


class ImageWriter:
    """Writes one image into the work directory; each blob is told of as soon as it is there.

    `keep`: a folder that has all of its blobs afterwards, whoever takes what is told of. `is_told`: whether somebody
    does.
    """

    def __init__(
        self,
        request: BuildRequest,
        packages: Sequence[CondaPackage],
        events: EventWriter,
        keep: Path | None = None,
        *,
        is_told: bool = True,
    ) -> None:
        self._request = request
        self._packages = packages
        self._events = events
        self._is_told = is_told
        self._keep = keep
        self._prefix = Path(request.directories.prefix)
        self._folder = Path(request.directories.work)
        self._files = PrefixLayers(self._prefix, packages, Path(request.directories.bytecode))
        self._numbers = itertools.count()
        self._architecture = this_architecture()

    def write(self) -> WrittenImage:
        """Return what was written; raise ArtifactError where the base image cannot be used."""
        base, contents = self._read_base()
        start = Start(self._prefix, base, contents.shell)
        layers = (*base.layers, *self._hide(contents), *self._write_packages(), *self._write_own(start))
        manifest = Manifest(
            config=self._write_config(start, layers),
            layers=tuple(layer.describe() for layer in layers),
            annotations=self._describe_base(base),
        )
        say(f"Image: {count(len(layers), 'layer')}, {format_size(sum(layer.size for layer in layers))}")
        notes = (*self._compare(base), *start.notes)
        for note in notes:
            say(f"Note: {note}")
        return WrittenImage(manifest=self._write_bytes(manifest.to_json()), base=base.digest, notes=notes)

    def _describe_base(self, base: BaseImage) -> dict[str, str] | None:
        """Return what programs ask that look for images on an old base (image specification, annotations.md)."""
        return {_BASE_DIGEST: base.digest} if base.digest else None

    def _compare(self, base: BaseImage) -> Iterator[str]:
        """Say where an image that is made again is on another base than before."""
        before = self._request.image.base_digest
        if before is not None and before != base.digest:
            was, now = (f"on the base {each}" if each else "on no base" for each in (before, base.digest))
            yield f"It was {was}, which cannot be had any more, and is {now}: its digest is another one."

    def _read_base(self) -> tuple[BaseImage, BaseContents]:
        request = self._request
        image = find_base(request.image, self._architecture, request.network_seconds, self._events.aside)
        contents = look_into(image, self._request.image.base_cache)
        for layer in image.layers:
            self._bring(layer, image.blobs)
        return image, contents

    def _hide(self, contents: BaseContents) -> Iterator[Layer]:
        """Yield a layer that hides what a base has in the place of the environment: it would show through.

        It is a layer of its own, so that those of packages are the same on each base.
        """
        if contents.has_prefix:
            say(f"The base image has something in {IMAGE_PREFIX}, which is not in this image")
            yield self._write_layer("", [Member(OPAQUE, 0o644)])

    def _bring(self, layer: Layer, blobs: Path) -> None:
        """Have a layer of the base taken over, unless it is there: its key is its digest."""
        name = layer.digest.removeprefix("sha256:")
        if self._keep is not None:
            put_blob(blobs / name, self._keep / name)
        known = self._request.image.known.get(layer.digest)
        if known is not None and (known.size, known.diff_id) == (layer.size, layer.diff_id):
            self._tell(layer, layer.digest)
            return
        put_blob(blobs / name, self._folder / name)
        self._tell(layer, layer.digest, self._folder / name)

    def _write_packages(self) -> Iterator[Layer]:
        """Yield the layers of conda's packages; those that nobody has made yet are made."""
        plans = plan_layers([each.package for each in self._packages], self._files.altered)
        known = self._request.image.known
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            # A member is read when it is written: nothing of a layer is held but what has to be changed.
            made = {
                plan.packages: pool.submit(self._write_layer, plan.key, self._list_members(plan.packages))
                for plan in plans
                if not plan.key or plan.key not in known
            }
            say(f"Layers: {len(plans) - len(made):,} that are there, {len(made):,} to make")
            for plan in plans:
                if plan.packages not in made:
                    self._tell(known[plan.key], plan.key)
                yield made[plan.packages].result() if plan.packages in made else known[plan.key]

    def _list_members(self, names: Iterable[str]) -> Iterator[Member]:
        for name in names:
            yield from self._files.list_package(name)

    def _write_own(self, start: Start) -> Iterator[Layer]:
        """Yield the layers that are this environment's alone: the pip part, and what makes it one."""
        if others := list(self._files.list_others()):
            yield self._write_layer("", others)
        yield self._write_layer("", [*self._files.list_own(), *self._list_settings(start)])

    def _list_settings(self, start: Start) -> Iterator[Member]:
        asked = json.dumps([strip_credentials(str(entry.text)) for entry in self._request.dependencies])
        history = f"==> 1970-01-01 00:00:00 <==\n# update specs: {asked}\n"
        yield Member(f"{IMAGE_PREFIX[1:]}/conda-meta/history", 0o644, data=history.encode())
        if start.script:
            yield Member(ENTER[1:], 0o755, data=start.script.encode())

    def _write_layer(self, key: str, members: Iterable[Member]) -> Layer:
        """Write one that is known by `key`, unless something in it is not as packages have it."""
        staged = self._folder / f".layer-{next(self._numbers)}"
        odd: list[str] = []
        layer = write_layer(staged, members, odd)
        if key:
            for path in odd:
                say(f"Warning: {path} is not as its package has it: the layer with it is no other image's")
        self._tell(layer, "" if odd else key, staged.rename(self._folder / layer.digest.removeprefix("sha256:")))
        return layer

    def _tell(self, layer: Layer, key: str, path: Path | None = None) -> None:
        self._tell_blob(layer.describe(), path, key=key, diff_id=layer.diff_id)

    def _tell_blob(self, blob: Descriptor, path: Path | None, *, key: str = "", diff_id: str = "") -> None:
        """Tell of a blob, and keep it first: who is told takes it away."""
        name = blob.digest.removeprefix("sha256:")
        if self._keep is not None and not (self._keep / name).exists():
            put_blob(path or Path(self._request.image.layers) / name, self._keep / name)
        if self._is_told:
            self._events.write(
                BlobEvent(path=str(path or ""), digest=blob.digest, size=blob.size, key=key, diff_id=diff_id)
            )

    def _write_config(self, start: Start, layers: Sequence[Layer]) -> Descriptor:
        newest = max((each.details.timestamp or 0 for each in self._packages), default=0)
        config = ImageConfig(
            created=datetime.fromtimestamp(newest // 1000, UTC),
            architecture=self._architecture,
            config=start.describe(self._request.variables, self._request.image.labels),
            rootfs=RootFs(diff_ids=tuple(layer.diff_id for layer in layers)),
        )
        written = self._write_bytes(config.to_json())
        described = Descriptor(media_type=CONFIG_TYPE, digest=f"sha256:{written.sha256}", size=written.size)
        self._tell_blob(described, written.path)
        return described

    def _write_bytes(self, data: bytes) -> Written:
        """Write a small blob, by its digest."""
        out = HashingFile(self._folder / hashlib.sha256(data).hexdigest())
        try:
            out.write(data)
            return out.finish()
        finally:
            out.close()
