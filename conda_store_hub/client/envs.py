"""Make an environment on this machine: once, of a build's lock, or of its archive where that cannot be.

One makes it, and who wants it meanwhile waits and is told how far it is. Whatever stops a making, what is left of it
has no record: nobody uses it, and the next one removes it.
"""

from __future__ import annotations

import shutil
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from conda_store_hub.client.addresses import name_server
from conda_store_hub.client.api import Client
from conda_store_hub.client.atomic import discard, replace_text
from conda_store_hub.client.cached import Hold, Made, Origin
from conda_store_hub.client.envcache import EnvironmentCache
from conda_store_hub.client.failures import find_error_class
from conda_store_hub.client.filelocks import FileLock
from conda_store_hub.client.makers import MakerProcess
from conda_store_hub.client.making import (
    MakeFailure,
    MakePhase,
    MakeRequest,
    OnProgress,
    Progress,
    ignore,
)
from conda_store_hub.core import disk
from conda_store_hub.core.errors import (
    BeingMadeError,
    BuildDiskFullError,
    BuildError,
    CondaStoreHubError,
    ConflictError,
    GoneError,
    LocalCacheDamagedError,
    LocalEnvironmentError,
    MakingCancelledError,
    NotFoundError,
    StorageError,
)
from conda_store_hub.core.states import ArtifactType, BuildStatus

if TYPE_CHECKING:
    from conda_store_hub.core.schemas import Build

ARTIFACT_SECONDS = 300.0  # how long one waits for the service to write a lock or an archive
_LOOK_SECONDS = 0.1
_ASK_SECONDS = 1.0
_SHOW_SECONDS = 0.2


def ensure_environment(
    cache: EnvironmentCache,
    client: Client,
    build_id: int,
    *,
    place: str = "",
    origin: Origin = Origin.AUTO,
    on_progress: OnProgress = ignore,
    cancelled: threading.Event | None = None,
    ca_file: Path | None = None,
    maker: MakerProcess | None = None,
) -> Hold:
    """Return a build's environment, which is made if it is not here; while another makes it, wait for that.

    place: the path of the prefix at the service, where that is known. on_progress: called from this thread.
    cancelled: set by another one, ends it with MakingCancelledError. ca_file: certificate authorities that are trusted
    for channels as well. maker: a process that is ready for it, if the caller has started one; whoever did ends it.
    Raises what the service answers, LocalEnvironmentError, or the BuildError of a package that cannot be had.
    """
    hold = cache.hold(client.url, build_id, place=place)
    if hold is not None:
        return hold
    build = _require_usable(client.get_build(build_id))
    try:
        making = _Making(cache, client, build, origin, on_progress, cancelled or threading.Event(), ca_file)
        return making.run(maker)
    except OSError as exc:
        if disk.is_full(exc):
            raise _explain_full(cache.root) from exc
        raise LocalEnvironmentError(f"{exc.filename or cache.root} cannot be written: {exc.strerror or exc}.") from exc


def _explain_full(root: Path) -> LocalEnvironmentError:
    return LocalEnvironmentError(
        f"The disk that {root} is on is full, or your share of it: remove something, or set CONDA_STORE_CACHE to a"
        " folder on another disk."
    )


class _Making:
    """One wish for an environment that was not there when it was looked for."""

    def __init__(
        self,
        cache: EnvironmentCache,
        client: Client,
        build: Build,
        origin: Origin,
        on_progress: OnProgress,
        cancelled: threading.Event,
        ca_file: Path | None,
    ) -> None:
        self._cache = cache
        self._client = client
        self._build = build
        self._origin = origin
        self._on_progress = on_progress
        self._cancelled = cancelled
        self._ca_file = ca_file
        self._maker: MakerProcess | None = None
        self._place = cache.make_place(client.url, build.id, build.prefix or "")
        self._shown = 0.0

    def run(self, maker: MakerProcess | None) -> Hold:
        """Make it, or wait for who does."""
        self._maker = maker
        while True:
            self._check()
            lock = FileLock(self._place.lock)
            try:
                hold = self._take(lock)
            except BaseException:
                lock.close()
                raise
            if hold is not None:
                return hold
            lock.close()
            self._drop_maker()  # somebody else's is at it
            self._relay()
            self._cancelled.wait(_LOOK_SECONDS)

    def _take(self, lock: FileLock) -> Hold | None:
        """Return the environment, made or found; None while somebody else has it."""
        # It is looked for again once the lock is ours: another one may have come first.
        if self._find_made() is None and lock.try_lock() and lock.is_current() and self._find_made() is None:
            self._make(lock)
        # From here on others may use it too; between the two locks it may have been removed.
        if not lock.try_lock(shared=True) or not lock.is_current():
            return None
        made = self._find_made()
        return None if made is None else Hold(self._place.prefix, made, lock)

    def _find_made(self) -> Made | None:
        return self._place.find_made()

    def _make(self, lock: FileLock) -> None:
        try:
            self._maker = self._maker or MakerProcess(self._ca_file)  # it gets ready while its lock comes
            origin, size = self._make_of_any(lock)
            made = Made(
                server=name_server(self._client.url),
                build_id=self._build.id,
                namespace=self._build.namespace,
                environment=self._build.environment,
                origin=origin,
                size=size,
            )
            # A record must not outlive a loss of power that its environment has not; to force thousands of files to
            # disk one by one would take minutes.
            disk.force(self._place.prefix.parent)
            replace_text(self._place.record, made.dump())
        except BaseException:
            discard(self._place.prefix)
            raise
        finally:
            self._drop_maker()
            shutil.rmtree(self._place.work, ignore_errors=True)
            self._place.progress.unlink(missing_ok=True)

    def _make_of_any(self, lock: FileLock) -> tuple[Origin, int]:
        if self._origin is Origin.ARCHIVE:
            return Origin.ARCHIVE, self._make_of_archive(lock)
        try:
            return Origin.LOCK, self._make_of_lock(lock)
        except (NotFoundError, GoneError, BuildError) as exc:
            if self._origin is Origin.LOCK or isinstance(exc, BuildDiskFullError):
                raise
            try:
                return Origin.ARCHIVE, self._make_of_archive(lock)
            except (NotFoundError, GoneError):
                raise exc from None  # it says more about what stands in the way

    def _make_of_lock(self, lock: FileLock) -> int:
        self._clear()
        path = self._place.work / "conda-lock.yml"
        self._download(ArtifactType.LOCKFILE, path)
        try:
            return self._run(lock, lock_file=path)
        except LocalCacheDamagedError:
            discard(self._place.prefix)
            return self._run(lock, lock_file=path, distrust_cache=True)

    def _make_of_archive(self, lock: FileLock) -> int:
        self._clear()
        path = self._place.work / "environment.tar.gz"
        self._download(ArtifactType.CONDA_PACK, path)
        return self._run(lock, archive=path)

    def _clear(self) -> None:
        """Begin with nothing but an empty folder to work in, whatever one that was killed has left."""
        self._place.record.unlink(missing_ok=True)
        discard(self._place.prefix)
        shutil.rmtree(self._place.work, ignore_errors=True)
        self._place.work.mkdir()

    def _download(self, artifact: ArtifactType, path: Path) -> None:
        """Download an artifact; wait while the service is still writing it."""
        until = time.monotonic() + ARTIFACT_SECONDS
        on_bytes = self._show_bytes if artifact is ArtifactType.CONDA_PACK else None
        while True:
            self._show(Progress(phase=MakePhase.ASK))
            try:
                self._client.download(self._build.id, artifact, path, wait=0, on_bytes=on_bytes)
            except StorageError as exc:
                raise exc.__cause__ if isinstance(exc.__cause__, OSError) else exc from None
            except BeingMadeError:  # waited for here, so that who gives up need not wait for the answer
                if time.monotonic() > until:
                    raise
                self._cancelled.wait(_ASK_SECONDS)
            else:
                return

    def _show_bytes(self, done: int, total: int) -> None:
        self._show(Progress(phase=MakePhase.ARCHIVE, done=done, total=total, unit="bytes"))

    def _run(
        self,
        lock: FileLock,
        *,
        lock_file: Path | None = None,
        archive: Path | None = None,
        distrust_cache: bool = False,
    ) -> int:
        """Have the environment made by a process that ends with this one; return its bytes on disk."""
        request = MakeRequest(
            prefix=str(self._place.prefix),
            packages=str(self._cache.packages),
            work=str(self._place.work),
            lock=None if lock_file is None else str(lock_file),
            archive=None if archive is None else str(archive),
            variables=_read_variables(self._build),
            distrust_cache=distrust_cache,
        )
        with self._cache.using_packages(self._check) as packages, self._take_maker() as maker:
            locks = (lock.fileno(), packages.fileno())
            event = maker.make(request, locks=locks, on_progress=self._show, check=self._check)
        if isinstance(event, MakeFailure):
            raise self._rebuild(event)
        return event.size

    def _take_maker(self) -> MakerProcess:
        """Return the process that is ready; another one for what is tried after that."""
        maker, self._maker = self._maker, None
        return maker or MakerProcess(self._ca_file)

    def _drop_maker(self) -> None:
        if self._maker is not None:
            self._maker.end()
            self._maker = None

    def _rebuild(self, failure: MakeFailure) -> CondaStoreHubError:
        if failure.code == BuildDiskFullError.code:
            return _explain_full(self._cache.root)
        kind = find_error_class(failure.code) or LocalEnvironmentError
        return kind(failure.message, detail=failure.detail)

    def _check(self) -> None:
        if self._cancelled.is_set():
            raise MakingCancelledError

    def _show(self, progress: Progress) -> None:
        """Tell who waits here, and, not too often, who waits elsewhere."""
        self._check()
        self._on_progress(progress)
        now = time.monotonic()
        if now - self._shown > _SHOW_SECONDS:
            self._shown = now
            replace_text(self._place.progress, progress.model_dump_json())

    def _relay(self) -> None:
        """Tell how far another one is."""
        with suppress(OSError, ValidationError):
            self._on_progress(Progress.model_validate_json(self._place.progress.read_bytes()))


def _require_usable(build: Build) -> Build:
    if build.deleted_on is not None or (build.prefix is None and build.status is BuildStatus.COMPLETED):
        raise GoneError(f"Build {build.id} of {build.namespace}/{build.environment} was deleted.")
    if build.status is not BuildStatus.COMPLETED:
        raise ConflictError(
            f"Build {build.id} of {build.namespace}/{build.environment} is {build.status}, not completed."
        )
    return build


def _read_variables(build: Build) -> tuple[tuple[str, str], ...]:
    variables = build.specification.spec.get("variables")
    if not isinstance(variables, dict):
        return ()
    return tuple((str(name), str(value)) for name, value in variables.items())
