"""The container image of a prefix: its layers, those that there are not yet written, and its manifest."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

from conda_store_hub.builder.events import EventWriter, say
from conda_store_hub.builder.files import HashingFile, Written
from conda_store_hub.builder.layers import Member, PrefixLayers, write_layer
from conda_store_hub.builder.oci_layout import BaseImage, put_blob, read_layout
from conda_store_hub.builder.prefix import CondaPackage
from conda_store_hub.builder.words import count, format_size
from conda_store_hub.core.engine import strip_credentials
from conda_store_hub.core.errors import ArtifactError
from conda_store_hub.core.image_layers import plan_layers
from conda_store_hub.core.oci import (
    CONFIG_TYPE,
    IMAGE_PREFIX,
    MOST_BASE_LAYERS,
    Descriptor,
    Execution,
    ImageConfig,
    Layer,
    Manifest,
    RootFs,
)
from conda_store_hub.core.protocol import BlobEvent, BuildRequest

_AT_ONCE = 2  # layers; compressing leaves the interpreter to others
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_ENTER = f"{IMAGE_PREFIX}/etc/conda-store-hub/enter"
_SCRIPT = f"""\
#!/bin/sh
# Has the packages of this environment set what they need, and becomes what is to be run.
for script in {IMAGE_PREFIX}/etc/conda/activate.d/*.sh; do
  if [ -r "$script" ]; then . "$script"; fi
done
exec "$@"
"""
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
_NOTHING = BaseImage(layers=(), config=ImageConfig(architecture="", rootfs=RootFs(diff_ids=())), blobs=Path())


class ImageWriter:
    """Writes one image into the work directory; each blob is told of as soon as it is there."""

    def __init__(self, request: BuildRequest, packages: Sequence[CondaPackage], events: EventWriter) -> None:
        self._request = request
        self._packages = packages
        self._events = events
        self._prefix = Path(request.directories.prefix)
        self._folder = Path(request.directories.work)
        self._files = PrefixLayers(self._prefix, packages)
        self._architecture = _ARCHITECTURES.get(platform.machine(), platform.machine())

    def write(self) -> Written:
        """Return the manifest's file; raise ArtifactError where the base image cannot be used."""
        base = self._read_base()
        layers = (*base.layers, *self._write_packages(), *self._write_own())
        config = self._write_config(base, layers)
        manifest = Manifest(config=config, layers=tuple(layer.describe() for layer in layers))
        say(f"Image: {count(len(layers), 'layer')}, {format_size(sum(layer.size for layer in layers))}")
        return self._write_bytes(manifest.to_json())

    def _read_base(self) -> BaseImage:
        base = self._request.image.base
        if not base:
            return _NOTHING
        image = read_layout(Path(base), self._architecture)
        if len(image.layers) > MOST_BASE_LAYERS:
            raise ArtifactError(
                f"The base image has {len(image.layers)} layers, and not {MOST_BASE_LAYERS} at most: flatten it."
            )
        for layer in image.layers:
            self._bring(layer, image.blobs)
        return image

    def _bring(self, layer: Layer, blobs: Path) -> None:
        """Have a layer of the base taken over, unless it is there: its key is its digest."""
        if self._request.image.known.get(layer.digest) == layer:
            self._tell(layer, layer.digest)
            return
        name = layer.digest.removeprefix("sha256:")
        put_blob(blobs / name, self._folder / name)
        self._tell(layer, layer.digest, self._folder / name)

    def _write_packages(self) -> Iterator[Layer]:
        """Yield the layers of conda's packages; those that nobody has made yet are made."""
        plans = plan_layers([each.package for each in self._packages], self._files.altered)
        known = self._request.image.known
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            # A member is read when it is written: nothing of a layer is held but what has to be changed.
            made = {
                plan.key: pool.submit(self._write_layer, plan.key, self._list_members(plan.packages))
                for plan in plans
                if plan.key not in known
            }
            say(f"Layers: {len(plans) - len(made):,} that are there, {len(made):,} to make")
            for plan in plans:
                if plan.key in known:
                    self._tell(known[plan.key], plan.key)
                yield known[plan.key] if plan.key in known else made[plan.key].result()

    def _list_members(self, names: Iterable[str]) -> Iterator[Member]:
        for name in names:
            yield from self._files.list_package(name)

    def _write_own(self) -> Iterator[Layer]:
        """Yield the layers that are this environment's alone: the pip part, and what makes it one."""
        if others := list(self._files.list_others()):
            yield self._write_layer("", others)
        yield self._write_layer("", [*self._files.list_own(), *self._list_settings()])

    def _list_settings(self) -> Iterator[Member]:
        asked = json.dumps([strip_credentials(str(entry.text)) for entry in self._request.dependencies])
        history = f"==> 1970-01-01 00:00:00 <==\n# update specs: {asked}\n"
        yield Member(f"{IMAGE_PREFIX[1:]}/conda-meta/history", 0o644, data=history.encode())
        if self._has_scripts:
            yield Member(_ENTER[1:], 0o755, data=_SCRIPT.encode())

    @property
    def _has_scripts(self) -> bool:
        return any((self._prefix / "etc" / "conda" / "activate.d").glob("*.sh"))

    def _write_layer(self, key: str, members: Iterable[Member]) -> Layer:
        staged = self._folder / f".{key or 'own'}"
        layer = write_layer(staged, members)
        self._tell(layer, key, staged.rename(self._folder / layer.digest.removeprefix("sha256:")))
        return layer

    def _tell(self, layer: Layer, key: str, path: Path | None = None) -> None:
        self._events.write(
            BlobEvent(path=str(path or ""), digest=layer.digest, size=layer.size, key=key, diff_id=layer.diff_id)
        )

    def _write_config(self, base: BaseImage, layers: Sequence[Layer]) -> Descriptor:
        newest = max((each.details.timestamp or 0 for each in self._packages), default=0)
        config = ImageConfig(
            created=datetime.fromtimestamp(newest // 1000, UTC),
            architecture=self._architecture,
            config=self._make_execution(base.config.config or Execution()),
            rootfs=RootFs(diff_ids=tuple(layer.diff_id for layer in layers)),
        )
        written = self._write_bytes(config.to_json())
        digest = f"sha256:{written.sha256}"
        self._events.write(BlobEvent(path=str(written.path), digest=digest, size=written.size))
        return Descriptor(media_type=CONFIG_TYPE, digest=digest, size=written.size)

    def _make_execution(self, base: Execution) -> Execution:
        """Return how containers run: as those of the base, with the environment active."""
        before = {name: value for name, _, value in (pair.partition("=") for pair in base.env or ())}
        path = before.get("PATH") or _PATH
        active = {
            "PATH": f"{IMAGE_PREFIX}/bin:{path}",
            "CONDA_PREFIX": IMAGE_PREFIX,
            "CONDA_DEFAULT_ENV": IMAGE_PREFIX,
            "CONDA_SHLVL": "1",
        }
        variables = before | active | dict(self._request.variables)
        return Execution(
            user=base.user,
            env=tuple(f"{name}={value}" for name, value in variables.items()),
            entrypoint=(_ENTER,) if self._has_scripts else None,
            cmd=base.cmd or ("/bin/sh",),
            working_dir=base.working_dir,
            labels=dict(base.labels or {}) | dict(self._request.image.labels) or None,
        )

    def _write_bytes(self, data: bytes) -> Written:
        """Write a small blob, by its digest."""
        out = HashingFile(self._folder / hashlib.sha256(data).hexdigest())
        try:
            out.write(data)
            return out.finish()
        finally:
            out.close()
