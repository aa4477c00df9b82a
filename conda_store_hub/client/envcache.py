"""The environments on this machine, in the person's own cache: which are whole, who uses them, and what goes.

For each build there is a prefix, a lock file and, once the prefix is whole, a record of it; docs/decisions/0020 says
why. `envs.py` makes them. Nothing here asks the service, or imports more than it must: a cached environment is started
in no time.
"""

from __future__ import annotations

import grp
import hashlib
import json
import os
import pwd
import secrets
import shutil
import stat
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self
from urllib.parse import urlsplit

from conda_store_hub.client.filelocks import FileLock
from conda_store_hub.core.errors import LocalEnvironmentError

KEEP_DAYS = 30.0
KEEP_BYTES = 20_000_000_000
TIDY_SECONDS = 900.0  # how long one waits for somebody else who removes packages; thousands of files may go


class Origin(StrEnum):
    """What an environment is made of. AUTO: of the lock, and of the archive where that cannot be."""

    AUTO = "auto"
    LOCK = "lock"
    ARCHIVE = "archive"


@dataclass(frozen=True, kw_only=True, slots=True)
class Made:
    """The record of an environment that is whole; `size` in bytes on disk, with what the package cache shares."""

    server: str
    build_id: int
    namespace: str
    environment: str
    origin: Origin
    size: int

    def dump(self) -> str:
        """Return it as JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def find(cls, path: Path) -> Made | None:
        """Read it; None for what is no record."""
        try:
            values: dict[str, Any] = json.loads(path.read_bytes())
            values["origin"] = Origin(values["origin"])
            return cls(**values)
        except (OSError, ValueError, TypeError, LookupError):
            return None


class LocalEnvironment(NamedTuple):
    """An environment that is whole: where it is, its record, and when it was last taken up."""

    prefix: Path
    made: Made
    used_on: datetime


class Hold:
    """An environment in use. While this is open, here or in a process that inherited it, nobody removes it."""

    def __init__(self, prefix: Path, made: Made, lock: FileLock) -> None:
        self.prefix = prefix
        self.made = made
        self._lock = lock

    def __enter__(self) -> Self:
        """Use as a context manager: let go at the end."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let go."""
        self.close()

    def fileno(self) -> int:
        """Return a descriptor: a process that inherits it (`pass_fds`, or `os.set_inheritable`) holds it as well."""
        return self._lock.fileno()

    def close(self) -> None:
        """Let go."""
        self._lock.close()


class Place(NamedTuple):
    """The files of one environment: its prefix, lock, record, how far it is made, and a folder to work in."""

    prefix: Path
    lock: Path
    record: Path
    progress: Path
    work: Path

    @classmethod
    def of(cls, folder: Path, name: str) -> Place:
        """Return those of a name."""
        return cls(folder / name, *(folder / f"{name}.{end}" for end in ("lock", "json", "progress", "work")))

    def find_made(self) -> Made | None:
        """Return the record, or None for an environment that is not whole."""
        made = Made.find(self.record)
        # Somebody may have removed it by hand.
        return made if made is not None and (self.prefix / "conda-meta").is_dir() else None

    def find_environment(self) -> LocalEnvironment | None:
        """Return the environment, or None for one that is not whole."""
        made = self.find_made()
        with suppress(OSError):
            if made is not None:
                return LocalEnvironment(self.prefix, made, datetime.fromtimestamp(self.record.stat().st_mtime, UTC))
        return None


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
        self._require_own()
        found.prefix.parent.mkdir(parents=True, exist_ok=True)
        return found

    @contextmanager
    def using_packages(self, check: Callable[[], object]) -> Generator[FileLock]:
        """Have all packages in the cache stay there; `check` is called while this waits, and may raise.

        Raises LocalEnvironmentError when somebody else tidies them for very long.
        """
        self._packages.mkdir(parents=True, exist_ok=True)
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
        return _remove(Place.of(environment.prefix.parent, environment.prefix.name))

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
        records = [(record.stat().st_mtime, record) for record in folder.glob(f"{build_id}-*.json")]
        for _, record in sorted(records, reverse=True):
            yield Place.of(folder, record.stem)

    def _try_hold(self, place: Place) -> Hold | None:
        if not place.record.exists():
            return None
        self._require_own()
        lock = FileLock(place.lock)
        if lock.try_lock(shared=True) and lock.is_current() and (made := place.find_made()) is not None:
            with suppress(OSError):
                os.utime(place.record)
            return Hold(place.prefix, made, lock)
        lock.close()
        return None

    def _require_own(self) -> None:
        """Raise for a cache that others could have put something into."""
        self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
        status = self.root.stat()
        if status.st_uid == os.geteuid() and not status.st_mode & stat.S_IWOTH:
            if not status.st_mode & stat.S_IWGRP:
                return
            if _is_opened_by_mount(status):
                self.root.chmod(0o700)
                return
        raise LocalEnvironmentError(
            f"{self.root} belongs to somebody else or can be written by others, who could put into it what you"
            " would run: remove it, or set CONDA_STORE_CACHE to a folder of your own."
        )

    def _sweep(self) -> None:
        """Remove what was left by those who were killed, unless somebody is at it."""
        for trash in (*self._environments.glob("*/.gone-*"), *self._packages.glob(".gone-*")):
            _remove_tree(trash)
        for lock in list(self._environments.glob("*/*.lock")):
            place = Place.of(lock.parent, lock.stem)
            if not place.record.exists():
                _remove(place, unless_made=True)

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
        return Path(own).expanduser().absolute()
    caches = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(caches) if Path(caches).is_absolute() else Path.home() / ".cache") / "conda-store"


def _is_opened_by_mount(status: os.stat_result) -> bool:
    """Tell whether a volume's mount opened a folder to a group in which there is nobody else.

    Kubernetes adds g+rwxs to each folder of a volume for a pod with an `fsGroup` (kubelet, `volume_linux.go`).
    """
    added = stat.S_ISGID | stat.S_IRWXG
    return status.st_mode & added == added and not _has_others(status.st_gid)


def _has_others(gid: int) -> bool:
    """Tell whether this machine knows of somebody else in a group."""
    named: set[str] = set()
    with suppress(KeyError):  # a group without a name, as of most pods
        named = set(grp.getgrgid(gid).gr_mem)
    accounts = pwd.getpwall()
    own = {each.pw_name for each in accounts if each.pw_uid == os.geteuid()}
    return bool(named - own) or any(each.pw_gid == gid and each.pw_uid != os.geteuid() for each in accounts)


def _remove(place: Place, *, unless_made: bool = False) -> bool:
    """Remove all there is of an environment, its record first; False while somebody uses or makes it."""
    with FileLock(place.lock) as lock:
        if not lock.try_lock() or not lock.is_current() or (unless_made and place.record.exists()):
            return False
        place.record.unlink(missing_ok=True)
        discard(place.prefix)
        shutil.rmtree(place.work, ignore_errors=True)
        place.progress.unlink(missing_ok=True)
        lock.remove()
        return True


def discard(path: Path) -> None:
    """Take a folder away in one step, then remove it; what is left if this is killed has a name of its own."""
    trash = path.parent / f".gone-{secrets.token_hex(8)}"
    with suppress(FileNotFoundError):
        path.rename(trash)
        _remove_tree(trash)


def _remove_tree(trash: Path) -> None:
    """Remove a folder with all in it; packages may bring folders that nobody may write."""
    shutil.rmtree(trash, ignore_errors=True)
    if trash.is_dir():
        _open_up(trash)
        shutil.rmtree(trash, ignore_errors=True)


def _open_up(folder: Path) -> None:
    with suppress(OSError):
        folder.chmod(0o700)
        for path in folder.iterdir():
            if path.is_dir() and not path.is_symlink():
                _open_up(path)


def _is_linked(entry: Path) -> bool:
    """Tell whether a file of a package is in some prefix."""
    return any(path.stat().st_nlink > 1 for path in entry.rglob("*") if path.is_file() and not path.is_symlink())


def replace_text(path: Path, text: str) -> None:
    """Write a file, which has its old content or the new one at any time."""
    stage = path.with_name(f".{path.name}-{secrets.token_hex(4)}")
    try:
        stage.write_text(text, encoding="utf-8")
        stage.replace(path)
    finally:
        stage.unlink(missing_ok=True)


def name_server(url: str) -> str:
    """Return the address of a service as it stands in records: without a user and a password."""
    parts = urlsplit(url)
    host = (parts.hostname or "") + (f":{parts.port}" if parts.port else "")
    return f"{parts.scheme}://{host}{parts.path.rstrip('/')}/"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]
