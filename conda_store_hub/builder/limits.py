"""What one build may take: watched from inside the builder, which ends when it is too much.

The engine dies in unclear ways when an allocation fails, and its threads reserve far more addresses than they use, the
more the more cores there are. So there is no limit of the kernel's on it: memory is measured, four times a second.
"""

from __future__ import annotations

import os
import resource
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from rattler import RepoDataRecord

from conda_store_hub.builder.seal import Sealed
from conda_store_hub.builder.words import format_seconds, format_size
from conda_store_hub.core.errors import BuildError, BuildTimedOutError, LimitExceededError
from conda_store_hub.core.protocol import BuildRequest, Phase

_INTERVAL = 0.25  # seconds
_MEASURES = 10  # a prefix is measured for a tenth of the time at most
_PAGE = resource.getpagesize()


class Limits:
    """Watches one build from a thread of its own; `give_up` is called there, and must not return."""

    def __init__(self, request: BuildRequest, give_up: Callable[[BuildError], None]) -> None:
        self._limits = request.limits
        self._seconds = {Phase.INSTALL: request.limits.install_seconds, Phase.PIP: request.limits.pip_seconds}
        self._prefix = Path(request.directories.prefix)
        self._give_up = give_up
        self._deadline: tuple[float, Phase] | None = None
        self._measures = False
        self._next_measure = 0.0

    def start(self) -> None:
        """Begin to watch, if there is anything to watch for."""
        if any(value is not None for value in self._limits.model_dump().values()):
            threading.Thread(target=self._watch, name="limits", daemon=True).start()

    @contextmanager
    def watching(self, phase: Phase) -> Generator[None]:
        """Watch the time of a phase, and how the prefix grows in it."""
        seconds = self._seconds.get(phase)
        self._deadline = (time.monotonic() + seconds, phase) if seconds is not None else None
        limited = self._limits.disk_bytes is not None or self._limits.file_count is not None
        self._measures = limited and phase in self._seconds
        try:
            yield
        finally:
            self._deadline = None
            self._measures = False

    def require_room(self, records: Sequence[RepoDataRecord]) -> None:
        """Raise LimitExceededError when the packages alone, compressed, are larger than the environment may be."""
        size, most = sum(record.size or 0 for record in records), self._limits.disk_bytes
        if most is not None and size > most:
            raise LimitExceededError(
                f"The packages have {format_size(size)} before they are unpacked,"
                f" and an environment may take {format_size(most)}."
            )

    def require_fit(self, sealed: Sealed) -> None:
        """Raise LimitExceededError when a finished prefix is larger than it may be."""
        if error := self._check_size(sealed.own + sealed.shared, len(sealed.sizes)):
            raise error

    def _watch(self) -> None:
        while True:
            if error := self._check_memory() or self._check_time() or self._check_prefix():
                self._give_up(error)
            time.sleep(_INTERVAL)

    def _check_memory(self) -> BuildError | None:
        most = self._limits.memory_bytes
        if most is None or sum(_read_resident(pid) for pid in list_family(os.getpid())) <= most:
            return None
        return LimitExceededError(
            f"The build needs more than {format_size(most)} of memory, the most that it may take."
        )

    def _check_time(self) -> BuildError | None:
        if self._deadline is None or time.monotonic() <= self._deadline[0]:
            return None
        phase = self._deadline[1]
        took = format_seconds(self._seconds[phase] or 0)
        return BuildTimedOutError(f"The phase “{phase}” took longer than {took}, which is all it has.")

    def _check_prefix(self) -> BuildError | None:
        started = time.monotonic()
        if not self._measures or started < self._next_measure:
            return None
        size, files = measure(self._prefix)
        self._next_measure = started + _MEASURES * (time.monotonic() - started)
        return self._check_size(size, files)

    def _check_size(self, size: int, files: int) -> LimitExceededError | None:
        limits = self._limits
        if limits.disk_bytes is not None and size > limits.disk_bytes:
            return LimitExceededError(f"The environment is larger than {format_size(limits.disk_bytes)}, its limit.")
        if limits.file_count is not None and files > limits.file_count:
            return LimitExceededError(f"The environment has more than {limits.file_count:,} files, its limit.")
        return None


def measure(folder: Path) -> tuple[int, int]:
    """Return the bytes on disk and the number of files below a folder that others write to meanwhile."""
    size = files = 0
    folders = [str(folder)]
    while folders:
        with suppress(FileNotFoundError, NotADirectoryError), os.scandir(folders.pop()) as entries:
            for entry in entries:
                with suppress(FileNotFoundError):
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(entry.path)
                    elif entry.is_file(follow_symlinks=False):
                        size += entry.stat(follow_symlinks=False).st_blocks * 512
                        files += 1
    return size, files


def list_family(pid: int) -> Iterator[int]:
    """Yield a process and all that descend from it; where there is no /proc, the process alone."""
    yield pid
    with suppress(OSError):
        for thread in os.scandir(f"/proc/{pid}/task"):
            with suppress(OSError):
                for child in Path(thread.path, "children").read_text().split():
                    yield from list_family(int(child))


def _read_resident(pid: int) -> int:
    with suppress(OSError, LookupError, ValueError):
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE
    return 0
