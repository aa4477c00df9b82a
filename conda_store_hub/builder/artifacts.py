"""What a build yields besides the environment: pinned YAML, lockfile, archive. Each may fail alone."""

from __future__ import annotations

import sys
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

from conda_store_hub.builder import child, disk
from conda_store_hub.builder.distributions import Distributions
from conda_store_hub.builder.events import EventWriter, say
from conda_store_hub.builder.files import Written, finish_file, write_file
from conda_store_hub.builder.lockfile import LockfileRequest, format_pinned, lock_conda, lock_pip
from conda_store_hub.builder.prefix import CondaPackage, find_site_packages, read_conda_packages
from conda_store_hub.builder.words import format_seconds, format_size
from conda_store_hub.core.errors import ArtifactError, BuildDiskFullError, CondaStoreHubError
from conda_store_hub.core.protocol import ArtifactEvent, ArtifactType, BuildRequest, Phase

_PHASES = {
    ArtifactType.YAML: Phase.YAML,
    ArtifactType.LOCKFILE: Phase.LOCKFILE,
    ArtifactType.CONDA_PACK: Phase.ARCHIVE,
}


class ArtifactWriter:
    """Writes the artifacts of one prefix into the work directory, from nothing but the prefix and the request."""

    def __init__(self, request: BuildRequest, events: EventWriter) -> None:
        self._request = request
        self._events = events
        self._prefix = Path(request.directories.prefix)
        self._work = Path(request.directories.work)

    def write(self) -> None:
        """Write what was asked for; each artifact ends in an event, with an error or without."""
        asked = self._request.artifacts
        archive: threading.Thread | None = None
        if ArtifactType.YAML in asked:
            self._write(ArtifactType.YAML, self._write_yaml)
        if ArtifactType.CONDA_PACK in asked:
            # The lockfile stays here: its process ends with the thread that started it.
            archive = threading.Thread(target=self._write, args=(ArtifactType.CONDA_PACK, self._write_archive))
            archive.start()
        if ArtifactType.LOCKFILE in asked:
            self._write(ArtifactType.LOCKFILE, self._write_lockfile)
        if archive is not None:
            archive.join()

    def _write(self, kind: ArtifactType, write: Callable[[], Written]) -> None:
        """Do one artifact's work between its events; what goes wrong becomes the artifact's error."""
        started = time.monotonic()
        self._events.start(_PHASES[kind])
        try:
            written = write()
        except Exception as exc:  # noqa: BLE001 - an edge: one artifact's failure does not stop the others
            event = ArtifactEvent(artifact=kind, error=_explain(kind, exc))
        else:
            event = ArtifactEvent(artifact=kind, path=str(written.path), sha256=written.sha256, size=written.size)
            took = format_seconds(time.monotonic() - started)
            say(f"Wrote {written.path.name}: {format_size(written.size)} in {took}")
        self._events.write(event)
        self._events.finish(_PHASES[kind], seconds=time.monotonic() - started)

    def _write_yaml(self) -> Written:
        conda = read_conda_packages(self._prefix)
        pip = self._read_distributions(conda)
        text = format_pinned(self._request, [each.package for each in conda], pip.read_pip_packages() if pip else ())
        return write_file(self._work / "environment.yaml", text)

    def _write_archive(self) -> Written:
        from conda_store_hub.builder.pack import write_archive

        return write_archive(self._prefix, self._work / "environment.tar.gz")

    def _write_lockfile(self) -> Written:
        request = self._make_lockfile_request()
        name = "lockfile-request.json"
        (self._work / name).write_text(request.model_dump_json(), encoding="utf-8")
        safe_path = ["-P"] if sys.flags.safe_path else []
        command = [sys.executable, *safe_path, "-m", "conda_store_hub.builder.lockfile_writer", name]
        noise: list[str] = []
        if child.follow(child.start(command, cwd=self._work), noise.append) != 0:
            said = "\n".join(noise)
            raise (
                BuildDiskFullError(detail=said)
                if disk.tells_full(said)
                else ArtifactError("The lockfile cannot be written.", detail=said)
            )
        return finish_file(Path(request.path))

    def _make_lockfile_request(self) -> LockfileRequest:
        conda = read_conda_packages(self._prefix)
        distributions = self._read_distributions(conda)
        pip = distributions.read_pip_packages() if distributions else ()
        names = {each.package.name for each in conda} | {each.name for each in pip}
        return LockfileRequest(
            path=str(self._work / "conda-lock.yml"),
            channels=self._request.channels,
            platform=self._request.platform,
            sha256=self._request.sha256,
            packages=(*lock_conda(conda), *(lock_pip(pip, distributions, names) if distributions else ())),
        )

    def _read_distributions(self, conda: Sequence[CondaPackage]) -> Distributions | None:
        folder = find_site_packages(conda)
        return Distributions(self._prefix, folder) if folder else None


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
