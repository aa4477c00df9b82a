"""The image that environments are put on: on disk as a layout or an archive, or of a registry and kept here."""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import tempfile
import time
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, NamedTuple, Protocol

from pydantic import BaseModel, ConfigDict, ValidationError

from conda_store_hub.builder.cache_folder import record_use
from conda_store_hub.builder.events import say
from conda_store_hub.builder.oci_layout import BaseImage, choose_for, is_index, read_layout, write_layout
from conda_store_hub.builder.words import format_seconds, format_size
from conda_store_hub.core.errors import ArtifactError, ArtifactNotNowError
from conda_store_hub.core.oci import MOST_BASE_LAYERS, Descriptor, ImageConfig, Index, Manifest, RootFs
from conda_store_hub.core.protocol import ImageRequest
from conda_store_hub.core.references import ImageReference

if TYPE_CHECKING:
    from conda_store_hub.builder.registry import RegistryClient

_DAY = 86_400
_ASKED_AGAIN = _DAY  # a tag may mean another image by then
_UNUSED = 30 * _DAY
MOST_PULLED = 8_000_000_000
"""Bytes of a base, as its layers are packed; what has more is no image to put others on."""
PULL_SECONDS = 1800.0
"""How long a registry may take to send a base: meanwhile one builder does nothing else."""
WAIT_SECONDS = 900.0
"""How long one waits for another that brings a base."""
_LOOK_SECONDS = 0.2
_LOCK = ".lock"
_NOTHING = BaseImage(layers=(), config=ImageConfig(architecture="", rootfs=RootFs(diff_ids=())), blobs=Path())


class _Known(BaseModel):
    """Which image a reference or an archive was, and when that was looked at (seconds since 1970)."""

    model_config = ConfigDict(frozen=True)

    digest: str
    at: float


class _Kept(NamedTuple):
    """An image that is here, and when it was what a reference or an archive means."""

    image: BaseImage
    at: float

    @property
    def is_fresh(self) -> bool:
        """Whether its registry is not asked again yet."""
        return 0 <= time.time() - self.at < _ASKED_AGAIN


class Aside(Protocol):
    """How others are told that nothing is done here in a block but wait, and whether all would who make an image."""

    def __call__(self, *, as_all_would: bool) -> AbstractContextManager[None]:
        """Return the block."""
        ...


def find_base(request: ImageRequest, architecture: str, seconds: float, aside: Aside) -> BaseImage:
    """Return the base image for a machine; raise ArtifactError, in words for people, when it cannot be had.

    It is the one of before for what is made again, if that can be had. `seconds`: how long a registry may keep silent.
    """
    cache = _Cache(Path(request.base_cache), architecture, aside)
    if request.base_digest and request.base_cache:
        again = cache.bring_again(request, seconds)
        if again is not None:
            return again
    source = request.base
    if not source or request.base_digest == "":
        return _NOTHING
    if source.startswith("/") and not Path(source).is_file():
        image = read_layout(Path(source), architecture)
    else:
        image = cache.bring_archive(Path(source)) if source.startswith("/") else cache.bring(request, seconds)
    _require_few(len(image.layers))
    return image


def _require_few(layers: int) -> None:
    if layers > MOST_BASE_LAYERS:
        raise ArtifactError(f"The base image has {layers} layers, and not {MOST_BASE_LAYERS} at most: flatten it.")


def _require_little(manifest: Manifest) -> None:
    """Hold what a manifest says of its parts against what may be pulled: of each, no more is taken than is said."""
    size = sum({part.digest: part.size for part in (manifest.config, *manifest.layers)}.values())
    if size > MOST_PULLED:
        raise ArtifactError(f"it has {format_size(size)}, and {format_size(MOST_PULLED)} are the most that is pulled")


class _Cache:
    """A folder with layouts by the digests of their manifests, and what is known of each source by its own."""

    def __init__(self, folder: Path, architecture: str, aside: Aside) -> None:
        self._folder = folder
        self._architecture = architecture
        self._aside = aside

    def bring_archive(self, path: Path) -> BaseImage:
        """Return the image of an archive, unpacked once for each time that it is changed."""
        from conda_store_hub.builder.image_archives import unpack_archive

        found = path.stat()
        name = _name(f"{path}\n{found.st_size}\n{found.st_mtime_ns}\n{found.st_ino}")
        kept = self._find_kept(name)
        if kept is not None:
            return kept.image
        with self._held():
            kept = self._find_kept(name)  # by another, meanwhile
            if kept is not None:
                return kept.image
            say("Unpacking the base image")
            return self._take(name, lambda layout: unpack_archive(path, layout, self._architecture))

    def bring(self, request: ImageRequest, seconds: float) -> BaseImage:
        """Return the image of a reference; asked for again after a day, and what is here where that fails."""
        reference = ImageReference.parse(request.base)
        name = _name(f"{reference}\n{self._architecture}")
        kept = self._find_kept(name)
        if kept is not None and (reference.digest or kept.is_fresh):
            return kept.image
        # With one that is here, nobody waits for another builder that asks for a newer one.
        with self._held(is_waited_for=kept is None, by_all=kept is None) as is_ours:
            kept = self._find_kept(name) if kept is None else kept
            if kept is not None and (reference.digest or kept.is_fresh or not is_ours):
                return kept.image
            try:
                return self._pull(name, reference, request.base_credentials, seconds)
            except ArtifactError as exc:
                return self._make_do(reference, kept, exc)

    def _make_do(self, reference: ImageReference, kept: _Kept | None, exc: ArtifactError) -> BaseImage:
        """Return what is here of a reference that cannot be pulled; raise ArtifactError where nothing is."""
        why = exc.message.rstrip(".")
        if kept is None:
            raise type(exc)(
                f"The base image “{reference}” cannot be had: {why}. An administrator can name another"
                " one in `c.CondaStore.image_base`: in another registry, on disk, or none at all.",
                detail=exc.detail,
            ) from exc
        since = datetime.fromtimestamp(kept.at, UTC).strftime("%Y-%m-%d")
        say(f"Warning: the base image {reference} cannot be asked for again: {why}")
        say(f"  It is put on the one of {since}, {kept.image.digest}")
        return kept.image

    def bring_again(self, request: ImageRequest, seconds: float) -> BaseImage | None:
        """Return the image that something was put on before; None where it cannot be had any more."""
        digest = request.base_digest or ""
        image = self._read(digest)
        if image is not None:
            return image
        with self._held(by_all=False):
            image = self._read(digest)  # by another, meanwhile
            if image is not None or not request.base or request.base.startswith("/"):
                return image
            reference = replace(ImageReference.parse(request.base), digest=digest)
            name = _name(f"{reference}\n{self._architecture}")
            try:
                return self._pull(name, reference, request.base_credentials, seconds)
            except ArtifactError as exc:
                say(f"Warning: the base image {reference} cannot be had any more: {exc.message.rstrip('.')}")
                return None

    def _pull(self, name: str, reference: ImageReference, credentials: str, seconds: float) -> BaseImage:
        from conda_store_hub.builder.registry import RegistryClient, find_login

        with RegistryClient(reference, find_login(credentials, reference), seconds, PULL_SECONDS) as client:
            data, found = client.read_manifest(reference.wanted)
            try:
                while is_index(found):
                    index = Index.model_validate_json(data)
                    data, found = client.read_manifest(choose_for(self._architecture, index.manifests).digest)
                manifest = Manifest.model_validate_json(data)
            except ValidationError as exc:
                raise ArtifactError("the registry gives nothing that can be read", detail=str(exc)) from exc
            _require_few(len(manifest.layers))
            _require_little(manifest)
            if (image := self._read(found.digest)) is not None:
                self._remember(name, found.digest)
                return image
            say(f"Pulling the base image {reference}: {found.digest}")

            def write(layout: Path) -> None:
                with tempfile.TemporaryDirectory(dir=self._folder, prefix=".parts-") as parts:
                    paths = [_bring_part(client, each, Path(parts)) for each in (manifest.config, *manifest.layers)]
                    write_layout(layout, data, dict.fromkeys(paths), str(reference))

            return self._take(name, write)

    def _take(self, name: str, write: Callable[[Path], None]) -> BaseImage:
        """Have a layout written and checked, and put in its place whole, unless the same is there."""
        with tempfile.TemporaryDirectory(dir=self._folder, prefix=".new-") as staging:
            layout = Path(staging) / "layout"
            write(layout)
            read_layout(layout, self._architecture)
            digest = Index.model_validate_json((layout / "index.json").read_bytes()).manifests[0].digest
            if self._read(digest) is None:  # others may be reading one that is whole
                shutil.rmtree(self._place(digest), ignore_errors=True)
                layout.rename(self._place(digest))
        self._remember(name, digest)
        return read_layout(self._place(digest), self._architecture)

    def _read(self, digest: str) -> BaseImage | None:
        """Return an image that is here and whole."""
        record_use(self._place(digest))  # first: others remove what is unused
        try:
            return read_layout(self._place(digest), self._architecture)
        except ArtifactError:
            return None

    def _find_kept(self, name: str) -> _Kept | None:
        """Return what is here of a reference or an archive, and whole."""
        record_use(self._folder / name)
        try:
            known = _Known.model_validate_json((self._folder / name).read_bytes())
        except (OSError, ValidationError):
            return None
        image = self._read(known.digest)
        return None if image is None else _Kept(image, known.at)

    def _remember(self, name: str, digest: str) -> None:
        staged = self._folder / f".{name}"
        staged.write_text(_Known(digest=digest, at=time.time()).model_dump_json(), encoding="utf-8")
        staged.replace(self._folder / name)

    def _place(self, digest: str) -> Path:
        return self._folder / digest.removeprefix("sha256:")

    @contextmanager
    def _held(self, *, is_waited_for: bool = True, by_all: bool = True) -> Generator[bool]:
        """Let one builder at a time bring an image: the next one finds it here.

        Gives False at once where another one does so now and is not waited for. `by_all`: all other images are to be
        put on this one. Those that wait behind another one count as such, or ever more would.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        with (self._folder / _LOCK).open("ab") as file:
            is_free = _take_lock(file)
            if not is_free and not is_waited_for:
                yield False
                return
            with self._aside(as_all_would=by_all or not is_free):
                if not is_free:
                    self._wait_for(file)
                for pattern in (".new-*", ".parts-*"):
                    for left in self._folder.glob(pattern):  # by a builder that was killed
                        shutil.rmtree(left, ignore_errors=True)
                yield True

    def _wait_for(self, file: IO[bytes]) -> None:
        """Take the lock; raise ArtifactError when another builder has had it for too long."""
        say("Waiting for another image that is bringing its base")
        until = time.monotonic() + WAIT_SECONDS
        while not _take_lock(file):
            if time.monotonic() > until:
                raise ArtifactNotNowError(
                    f"Another image has been bringing its base for {format_seconds(WAIT_SECONDS)}, and this one has"
                    " waited for that: have it made again once that is done."
                )
            time.sleep(_LOOK_SECONDS)


def _take_lock(file: IO[bytes]) -> bool:
    """Take the lock of the cache if nobody has it; tell whether it is ours."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def remove_unused(folder: Path) -> None:
    """Remove what is kept of bases, and known of them, and no image was put on for long."""
    for path in folder.iterdir() if folder.is_dir() else ():
        with suppress(FileNotFoundError):  # another builder removed it
            if path.name == _LOCK or time.time() - path.stat().st_mtime <= _UNUSED:
                continue
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink()


def _bring_part(client: RegistryClient, wanted: Descriptor, folder: Path) -> Path:
    path = folder / wanted.digest.removeprefix("sha256:")
    if not path.exists():
        client.read_blob(wanted, path)
    return path


def _name(text: str) -> str:
    return f"{hashlib.sha256(text.encode()).hexdigest()[:32]}.json"
