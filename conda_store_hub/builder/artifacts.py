"""What a build yields besides the environment: pinned YAML, lock files, archive. Each may fail alone."""

from __future__ import annotations

import sys
import threading
import time
import traceback
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from conda_store_hub.builder import child
from conda_store_hub.builder.digests import Md5Finder
from conda_store_hub.builder.distributions import Distributions
from conda_store_hub.builder.elsewhere import Elsewhere
from conda_store_hub.builder.events import EventWriter, say
from conda_store_hub.builder.explicit import format_explicit
from conda_store_hub.builder.files import Written, finish_file, write_file
from conda_store_hub.builder.lockfile import LockedPlatform, LockfileRequest, format_pinned
from conda_store_hub.builder.pixi import format_pixi_lock
from conda_store_hub.builder.prefix import CondaPackage, find_site_packages, read_conda_packages, read_time
from conda_store_hub.builder.provided import find_provided
from conda_store_hub.builder.words import format_seconds, format_size
from conda_store_hub.core import disk
from conda_store_hub.core.errors import ArtifactError, ArtifactNotNowError, BuildDiskFullError, CondaStoreHubError
from conda_store_hub.core.policy import PYPI
from conda_store_hub.core.protocol import (
    OF_IMAGES,
    ArtifactEvent,
    ArtifactType,
    BuildRequest,
    Package,
    Phase,
)

if TYPE_CHECKING:
    from conda_store_hub.builder.image import WrittenImage

_PHASES = {
    ArtifactType.YAML: Phase.YAML,
    ArtifactType.EXPLICIT: Phase.EXPLICIT,
    ArtifactType.LOCKFILE: Phase.LOCKFILE,
    ArtifactType.PIXI_LOCK: Phase.PIXI_LOCK,
    ArtifactType.SBOM: Phase.SBOM,
    ArtifactType.CONDA_PACK: Phase.ARCHIVE,
    ArtifactType.DOCKER_MANIFEST: Phase.IMAGE,
    ArtifactType.OCI_ARCHIVE: Phase.IMAGE_ARCHIVE,
}
_Told = tuple[Written, *tuple[str, ...]]
"""A file, and what it lacks of what was asked for, in sentences."""


class ArtifactWriter:
    """Writes the artifacts of one prefix into the work directory, from nothing but the prefix and the request."""

    def __init__(self, request: BuildRequest, events: EventWriter) -> None:
        self._request = request
        self._events = events
        self._prefix = Path(request.directories.prefix)
        self._work = Path(request.directories.work)
        self._base: str | None = None

    def write(self) -> None:
        """Write what was asked for; each artifact ends in an event, with an error or without."""
        asked = self._request.artifacts
        at_once = {ArtifactType.YAML: self._write_yaml, ArtifactType.EXPLICIT: self._write_explicit}
        later = {
            ArtifactType.LOCKFILE: self._write_lockfile,
            ArtifactType.PIXI_LOCK: self._write_pixi_lock,
            ArtifactType.SBOM: self._write_sbom,
            ArtifactType.DOCKER_MANIFEST: self._write_image,
            ArtifactType.OCI_ARCHIVE: self._write_image_archive,
        }
        for kind in (kind for kind in at_once if kind in asked):
            self._write(kind, at_once[kind])
        # Lock files stay here: a child process ends with the thread that started it.
        archive = threading.Thread(target=self._write, args=(ArtifactType.CONDA_PACK, self._write_archive))
        if ArtifactType.CONDA_PACK in asked:
            archive.start()
        for kind in (kind for kind in later if kind in asked):
            self._write(kind, later[kind])
        if ArtifactType.CONDA_PACK in asked:
            archive.join()

    def _write(self, kind: ArtifactType, write: Callable[[], _Told]) -> None:
        """Do one artifact's work between its events; what goes wrong becomes the artifact's error."""
        started = time.monotonic()
        self._events.start(_PHASES[kind])
        try:
            written, *notes = write()
        except Exception as exc:  # noqa: BLE001 - an edge: one artifact's failure does not stop the others
            event = ArtifactEvent(artifact=kind, error=_explain(kind, exc), passes=isinstance(exc, ArtifactNotNowError))
        else:
            event = ArtifactEvent(
                artifact=kind,
                path=str(written.path),
                sha256=written.sha256,
                size=written.size,
                note=" ".join(notes),
                base=self._base if kind in OF_IMAGES else None,
            )
            took = format_seconds(time.monotonic() - started)
            say(f"Wrote {written.path.name}: {format_size(written.size)} in {took}")
        self._events.write(event)
        self._events.finish(_PHASES[kind], seconds=time.monotonic() - started)

    @cached_property
    def _conda(self) -> tuple[CondaPackage, ...]:
        return read_conda_packages(self._prefix)

    @cached_property
    def _distributions(self) -> Distributions | None:
        folder = find_site_packages(self._conda)
        return Distributions(self._prefix, folder) if folder else None

    @cached_property
    def _here(self) -> LockedPlatform:
        """The packages of this platform, conda's and pip's."""
        pip = self._distributions.read_pip_packages() if self._distributions else ()
        return LockedPlatform(
            platform=self._request.platform,
            packages=(*(each.package for each in self._conda), *pip),
            details={each.package.url: each.details for each in self._conda},
        )

    def _list(self, manager: str) -> list[Package]:
        return [each for each in self._here.packages if each.manager == manager]

    @cached_property
    def _elsewhere(self) -> Elsewhere:
        """Further platforms, solved for once for all lock files."""
        found = Elsewhere(self._request, find_provided(self._conda, self._distributions))
        found.lock()
        return found

    def _write_yaml(self) -> _Told:
        text = format_pinned(self._request, self._list("conda"), self._list("pip"))
        return (write_file(self._work / "environment.yaml", text),)

    def _write_explicit(self) -> _Told:
        return (write_file(self._work / "explicit.txt", format_explicit(self._here)),)

    def _write_pixi_lock(self) -> _Told:
        platforms = (self._here, *self._elsewhere.locked)
        text = format_pixi_lock(self._request.channels, self._request.pip_index or PYPI, platforms)
        return write_file(self._work / "pixi.lock", text), *self._elsewhere.notes

    def _write_sbom(self) -> _Told:
        from conda_store_hub.builder.sbom import format_sbom

        text = format_sbom(self._request, self._here.packages, read_time(self._prefix))
        return (write_file(self._work / "sbom.cdx.json", text),)

    def _write_archive(self) -> _Told:
        from conda_store_hub.builder.pack import write_archive

        return (write_archive(self._prefix, self._work / "environment.tar.gz"),)

    @cached_property
    def _image(self) -> tuple[WrittenImage, bytes]:
        """The image, and its manifest, whose file who is told of it takes away."""
        from conda_store_hub.builder.image import ImageWriter

        keep = self._kept if ArtifactType.OCI_ARCHIVE in self._request.artifacts else None
        if keep is not None:
            keep.mkdir(exist_ok=True)
        is_asked = ArtifactType.DOCKER_MANIFEST in self._request.artifacts
        written = ImageWriter(self._request, self._conda, self._events, keep, is_told=is_asked).write()
        self._base = written.base
        return written, written.manifest.path.read_bytes()

    @property
    def _kept(self) -> Path:
        return self._work / "image"

    def _write_image(self) -> _Told:
        image, _ = self._image
        return image.manifest, *image.notes

    def _write_image_archive(self) -> _Told:
        from conda_store_hub.builder.image_archives import write_image_archive

        image, manifest = self._image
        written = write_image_archive(self._work / "image.tar", manifest, self._kept, self._request.image.name)
        return written, *image.notes

    def _write_lockfile(self) -> _Told:
        finder = Md5Finder()
        platforms, notes = [finder.complete(self._here)], list(self._elsewhere.notes)
        for locked in self._elsewhere.locked:
            try:
                platforms.append(finder.complete(locked))
            except ArtifactError as exc:
                notes.append(f"{locked.platform} is not in it. {exc.public_message}")
        request = LockfileRequest(
            path=str(self._work / "conda-lock.yml"),
            channels=self._request.channels,
            sha256=self._request.sha256,
            platforms=tuple(platforms),
        )
        self._run_writer(request)
        return finish_file(Path(request.path)), *notes

    def _run_writer(self, request: LockfileRequest) -> None:
        """Have conda-lock write its file; raise ArtifactError, or BuildDiskFullError."""
        name = "lockfile-request.json"
        (self._work / name).write_text(request.model_dump_json(), encoding="utf-8")
        safe_path = ["-P"] if sys.flags.safe_path else []
        command = [sys.executable, *safe_path, "-m", "conda_store_hub.builder.lockfile_writer", name]
        noise: list[str] = []
        if child.follow(child.start(command, cwd=self._work), noise.append) != 0:
            Path(request.path).unlink(missing_ok=True)
            said = "\n".join(noise)
            raise (
                BuildDiskFullError(detail=said)
                if disk.tells_full(said)
                else ArtifactError("The lockfile cannot be written.", detail=said)
            )


def _explain(kind: ArtifactType, exc: Exception) -> str:
    """Return the words for an artifact's row; the rest goes to the log."""
    known = BuildDiskFullError() if disk.is_full(exc) else exc if isinstance(exc, CondaStoreHubError) else None
    # The text of the system's errors has a path of the service in it.
    why = exc.strerror if isinstance(exc, OSError) else exc
    message = known.public_message if known else f"It could not be written: {why}."
    say(f"Warning: {kind} failed. {message}")
    for line in (known.detail or "").splitlines() if known else traceback.format_exception(exc):
        say(f"  {line.rstrip()}")
    return message
