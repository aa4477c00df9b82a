"""One environment in the cache: its files, the record that it is whole, and who uses it."""

from __future__ import annotations

import json
import shutil
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

from conda_store_hub.client.atomic import discard
from conda_store_hub.client.filelocks import FileLock


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
            return cls(
                server=str(values["server"]),
                build_id=int(values["build_id"]),
                namespace=str(values["namespace"]),
                environment=str(values["environment"]),
                origin=Origin(values["origin"]),
                size=int(values["size"]),
            )
        except (OSError, ValueError, TypeError, LookupError, OverflowError):
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

    def remove(self, *, unless_made: bool = False) -> bool:
        """Remove all there is of an environment, its record first; False while somebody uses or makes it."""
        with FileLock(self.lock) as lock:
            if not lock.try_lock() or not lock.is_current() or (unless_made and self.find_made()):
                return False
            self.record.unlink(missing_ok=True)
            discard(self.prefix)
            shutil.rmtree(self.work, ignore_errors=True)
            self.progress.unlink(missing_ok=True)
            lock.remove()
            return True
