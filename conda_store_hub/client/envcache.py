"""The environments on this machine, in the person's own cache: which are whole, who uses them, and what goes.

For each build there is a prefix, a lock file and, once the prefix is whole, a record of it; docs/decisions/0020 says
why. `envs.py` makes them. Nothing here asks the service, or imports more than it must: a cached environment is started
in no time.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from conda_store_hub.client import ownership
from conda_store_hub.client.addresses import name_server
from conda_store_hub.client.atomic import discard, remove_stages, remove_tree
from conda_store_hub.client.cached import Hold, LocalEnvironment, Place
from conda_store_hub.client.filelocks import FileLock
from conda_store_hub.client.homes import require_home
from conda_store_hub.core.errors import ConfigurationError, LocalEnvironmentError

KEEP_DAYS = 30.0
KEEP_BYTES = 20_000_000_000
STAGE_SECONDS = 3600.0  # nobody writes a few hundred bytes for longer
TIDY_SECONDS = 900.0  # how long one waits for somebody else who removes packages; thousands of files may go


class EnvironmentCache:
    """The environments of one person on one machine. Safe for several threads and processes at once."""

    def __init__(self, root: Path | None = None) -> None:
        """`root`: by default `find_root()`; it is made when something is put into it."""
        self.root = root or find_root()
        self._packages = self.root / "pkgs"
        self._environments = self.root / "envs"

    # Using

    def hold(self, server: str, build_id: int, *, place: str = "") -> Hold | None:
        """Return a build's environment if it is here and whole, without asking the service.

        server: the service's address. place: the path of the prefix at the service, where that is known. It is
        different for each build there ever was, ids of builds begin anew with a new database.
        """
        try:
            holds = map(self._try_hold, self._list_places(server, build_id, place))
            return next((hold for hold in holds if hold is not None), None)
        except OSError as exc:
            raise LocalEnvironmentError(f"{exc.filename or self.root} cannot be used: {exc.strerror}.") from exc

    def make_place(self, server: str, build_id: int, place: str) -> Place:
        """Return where the environment of a build is, or would be; its folder is made."""
        (found,) = self._list_places(server, build_id, place)
        self.require_own()
        self.make_folder(found.prefix.parent)
        return found

    @contextmanager
    def using_packages(self, check: Callable[[], object]) -> Generator[FileLock]:
        """Have all packages in the cache stay there; `check` is called while this waits, and may raise.

        Raises LocalEnvironmentError when somebody else tidies them for very long.
        """
        self.require_own()
        self.make_folder(self._packages)
        with FileLock(self.root / "pkgs.lock") as lock:
            lock.lock(shared=True, seconds=TIDY_SECONDS, check=check)
            yield lock

    @property
    def packages(self) -> Path:
        """The package cache of the engine."""
        return self._packages

    # Looking and tidying

    def list_environments(self) -> list[LocalEnvironment]:
        """Return what is here and whole, the one that was used last first."""
        records = self._environments.glob("*/*.json")
        found = (Place.of(path.parent, path.stem).find_environment() for path in records)
        return sorted((each for each in found if each is not None), key=lambda each: each.used_on, reverse=True)

    def remove(self, environment: LocalEnvironment) -> bool:
        """Remove an environment; False, and nothing is done, while it is in use."""
        return Place.of(environment.prefix.parent, environment.prefix.name).remove()

    def trim(self, *, keep_days: float = KEEP_DAYS, keep_bytes: int = KEEP_BYTES) -> list[LocalEnvironment]:
        """Remove what was not used for so many days, then what was used least lately until the rest is no larger.

        What is in use stays. So goes what was left half-made, and packages that no environment here has. Returns what
        was removed.
        """
        if not self._environments.is_dir():
            return []
        oldest = time.time() - keep_days * 86400
        removed: list[LocalEnvironment] = []
        kept = 0
        for each in self.list_environments():
            kept += each.made.size
            if (kept > keep_bytes or each.used_on.timestamp() < oldest) and self.remove(each):
                kept -= each.made.size
                removed.append(each)
        self._sweep()
        self._trim_packages(oldest)
        return removed

    def _list_places(self, server: str, build_id: int, place: str) -> Iterator[Place]:
        folder = self._environments / _digest(name_server(server))
        if place:
            yield Place.of(folder, f"{build_id}-{_digest(Path(place).name)}")
            return
        records = [(_find_time(record), record) for record in folder.glob(f"{build_id}-*.json")]
        for _, record in sorted(records, reverse=True):
            yield Place.of(folder, record.stem)

    def _try_hold(self, place: Place) -> Hold | None:
        if not place.record.exists():
            return None
        self.require_own()
        lock = FileLock(place.lock)
        if lock.try_lock(shared=True) and lock.is_current() and (made := place.find_made()) is not None:
            with suppress(OSError):
                os.utime(place.record)
            return Hold(place.prefix, made, lock)
        lock.close()
        return None

    def make_folder(self, folder: Path) -> None:
        """Make a folder of the cache, and what is above it in there, for nobody else."""
        if folder != self.root:
            self.make_folder(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)

    def require_own(self) -> None:
        """Raise LocalEnvironmentError for a cache that others could have put something into."""
        ownership.require_own(self.root, self._list_folders)

    def _list_folders(self) -> Iterator[Path]:
        yield from (self._packages, self.root / "known", self._environments)
        yield from self._environments.glob("*")

    def _sweep(self) -> None:
        """Remove what was left by those who were killed, unless somebody is at it."""
        for folder in (*self._environments.glob("*/"), *(self.root / "known").glob("*/")):
            remove_stages(folder, before=time.time() - STAGE_SECONDS)
        for trash in (*self._environments.glob("*/.gone-*"), *self._packages.glob(".gone-*")):
            remove_tree(trash)
        for lock in list(self._environments.glob("*/*.lock")):
            place = Place.of(lock.parent, lock.stem)
            if place.find_made() is None:  # a record that is damaged is none
                place.remove(unless_made=True)

    def _trim_packages(self, oldest: float) -> None:
        if not self._packages.is_dir():
            return
        with FileLock(self.root / "pkgs.lock") as lock:
            if not lock.try_lock():
                return
            for entry in self._packages.iterdir():
                if entry.is_dir() and entry.stat().st_mtime < oldest and not _is_linked(entry):
                    discard(entry)


def find_root() -> Path:
    """Return `$CONDA_STORE_CACHE`, or `conda-store` in the person's folder of caches."""
    if own := os.environ.get("CONDA_STORE_CACHE"):
        try:
            return Path(own).expanduser().absolute()
        except RuntimeError as exc:  # somebody's home whom nobody knows
            raise ConfigurationError(f"CONDA_STORE_CACHE names a home that there is not: {own}.") from exc
    caches = Path(os.environ.get("XDG_CACHE_HOME", ""))
    folder = caches if caches.is_absolute() else require_home("CONDA_STORE_CACHE to a folder of your own") / ".cache"
    return folder / "conda-store"


def _find_time(path: Path) -> float:
    """Return when a file was changed; somebody may have removed it a moment ago."""
    with suppress(FileNotFoundError):
        return path.stat().st_mtime
    return 0.0


def _is_linked(entry: Path) -> bool:
    """Tell whether a file of a package is in some prefix."""
    return any(path.stat().st_nlink > 1 for path in entry.rglob("*") if path.is_file() and not path.is_symlink())


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]
