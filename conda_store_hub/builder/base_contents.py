"""What is in the layers of a base, looked at once: whether it is what it says, has a shell, has an environment."""

from __future__ import annotations

import os
import posixpath
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, cast

from pydantic import BaseModel, ConfigDict, ValidationError

from conda_store_hub.builder.base_image import remove_unused
from conda_store_hub.builder.cache_folder import record_use
from conda_store_hub.builder.compression import COPY_BYTES, Budget, HashingReader, open_unpacked
from conda_store_hub.builder.oci_layout import BaseImage
from conda_store_hub.builder.tar_headers import bound_headers
from conda_store_hub.core.errors import ArtifactError
from conda_store_hub.core.oci import IMAGE_PREFIX, Layer

_PREFIX = IMAGE_PREFIX.lstrip("/")
_SHELLS = ("bin/sh", "usr/bin/sh")
_LINKED_BIN = "bin -> usr/bin"  # as newer systems have it: what is in one of the folders is in the other
_COUNTED = (*_SHELLS, _PREFIX, _LINKED_BIN)
# How a layer takes away what is below it (image specification, layer.md, "Whiteouts").
_GONE = ".wh."
_ALL_GONE = ".wh..wh..opq"
OPAQUE = f"{_PREFIX}/{_ALL_GONE}"
"""The file by which a layer says that nothing of what is below it is seen where environments are."""


class BaseContents(BaseModel):
    """What counts of a base for what is put on it."""

    model_config = ConfigDict(frozen=True)

    shell: str
    """The path of its shell; empty where it has none."""
    has_prefix: bool
    """Whether something is where environments are put."""


def look_into(base: BaseImage, cache: str, budget: Budget | None = None) -> BaseContents:
    """Return what is in a base; raise ArtifactError where a layer unpacks to something else than its image says.

    So it does where more is in all of the layers than the `budget` has, or it takes longer.

    `cache`: the folder where that is remembered, by the digest of the base, and bases are kept; empty for none. What
    no image was put on for long goes from there, each time that one is made.
    """
    found = _look_once(base, cache, budget or Budget())
    if cache:
        remove_unused(Path(cache))
    return found


def _look_once(base: BaseImage, cache: str, budget: Budget) -> BaseContents:
    remembered = Path(cache) / f"{base.digest.removeprefix('sha256:')}.contents" if cache and base.digest else None
    if remembered is not None and (known := _recall(remembered)) is not None:
        return known
    found = _look(base, budget)
    if remembered is not None:
        remembered.parent.mkdir(parents=True, exist_ok=True)
        staged = remembered.with_name(f".{remembered.name}-{os.getpid()}")  # others may look at the same one
        staged.write_text(found.model_dump_json(), encoding="utf-8")
        staged.replace(remembered)
    return found


def _recall(path: Path) -> BaseContents | None:
    record_use(path)
    try:
        return BaseContents.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None


def _look(base: BaseImage, budget: Budget) -> BaseContents:
    seen: set[str] = set()
    for layer in base.layers:
        seen = _put_on(seen, _read_layer(layer, base.blobs / layer.digest.removeprefix("sha256:"), budget))
    shell = _SHELLS[0] if _LINKED_BIN in seen and _SHELLS[1] in seen else next(filter(seen.__contains__, _SHELLS), "")
    return BaseContents(shell=f"/{shell}" if shell else "", has_prefix=_PREFIX in seen)


def _put_on(below: set[str], layer: set[str]) -> set[str]:
    """Return what is seen of a layer and what is below it, whatever the order of the files in it."""
    hidden = {path for path in below for each in layer if _hides(each, path)}
    return (below - hidden) | {path for path in layer if not posixpath.basename(path).startswith(_GONE)}


def _hides(mark: str, path: str) -> bool:
    """Tell whether a file of a layer takes away what is at a path below."""
    folder, name = posixpath.split(mark)
    path = path.partition(" ")[0]
    if name == _ALL_GONE:
        return path.startswith(f"{folder}/" if folder else "")
    gone = posixpath.join(folder, name.removeprefix(_GONE))
    return name.startswith(_GONE) and f"{path}/".startswith(f"{gone}/")


def _read_layer(layer: Layer, path: Path, budget: Budget) -> set[str]:
    """Return what counts of a layer's files; raise ArtifactError unless it unpacks to what it says."""
    with open_unpacked(path) as unpacked:
        reader = HashingReader(unpacked, budget)
        try:
            file = cast("IO[bytes]", reader)
            with tarfile.open(fileobj=file, mode="r|", bufsize=COPY_BYTES, tarinfo=bound_headers(reader)) as tar:
                found = set(_choose(tar, budget))
        except (tarfile.TarError, ValueError, RecursionError) as exc:  # numbers that are none, headers of headers
            raise ArtifactError("The base image is damaged: a layer cannot be unpacked.", detail=repr(exc)) from exc
        while reader.read(COPY_BYTES):
            pass
    if f"sha256:{reader.digest.hexdigest()}" != layer.diff_id:
        raise ArtifactError("The base image is damaged: a layer unpacks to something else than it says.")
    return found


def _choose(tar: tarfile.TarFile, budget: Budget) -> Iterator[str]:
    """Yield what is asked about, and what takes that away; of a large tree no list is kept."""
    for member in tar:
        budget.spend_entry()
        # It would remember all of them, and what was said for all that follow, which programs in Go ignore.
        cast("Any", tar).members, tar.pax_headers = [], {}
        path = posixpath.normpath(member.name).lstrip("/")
        if path in _SHELLS or (f"/{_GONE}" in f"/{path}" and any(_hides(path, each) for each in _COUNTED)):
            yield path
        elif f"{path}/".startswith(f"{_PREFIX}/"):
            yield _PREFIX
        elif path == "bin" and member.issym() and member.linkname.strip("/") == "usr/bin":
            yield _LINKED_BIN
