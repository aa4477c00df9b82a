"""The engine's package cache as far as we look into it: what is there, what is damaged, what has to go.

The engine compares an entry's recorded hash with the package's, and never looks at the files again.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import tempfile
from collections.abc import Generator, Iterable
from contextlib import contextmanager, suppress
from pathlib import Path

from conda_store_hub.core.names import CACHE_LOCK


@contextmanager
def hold_caches(folder: Path) -> Generator[None]:
    """Have everything in the caches stay where it is; what holds it ends with the process, however that ends."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / CACHE_LOCK).open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        yield


def record_use(path: Path) -> None:
    """Note on an entry of a cache that it was used today: the janitor removes what nobody has used for long."""
    with suppress(FileNotFoundError):
        os.utime(path)


class CacheFolder:
    """Entries are folders named as their package's file."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def has(self, file_name: str) -> bool:
        """Tell whether there is an entry of that name."""
        return self._entry(file_name).is_dir()

    def is_damaged(self, file_name: str) -> bool:
        """Tell whether an entry lacks something that it should have, or has it cut short. No entry is no damage."""
        entry = self._entry(file_name)
        if not entry.is_dir():
            return False
        try:
            paths = json.loads((entry / "info" / "paths.json").read_bytes())["paths"]
            return any(_is_file_damaged(entry / path["_path"], path.get("size_in_bytes")) for path in paths)
        except FileNotFoundError:
            # Old packages have a plain list instead.
            return not (entry / "info" / "files").exists()
        except (ValueError, LookupError, TypeError):
            return True

    def record_use(self, file_names: Iterable[str]) -> None:
        """Note that the packages of these files were used."""
        for file_name in file_names:
            record_use(self._entry(file_name))

    def remove(self, file_name: str) -> None:
        """Take an entry away in one step: another builder may be reading it."""
        with suppress(FileNotFoundError):
            trash = Path(tempfile.mkdtemp(dir=self.folder, prefix=".damaged-"))
            self._entry(file_name).rename(trash / "entry")
            shutil.rmtree(trash, ignore_errors=True)

    def _entry(self, file_name: str) -> Path:
        return self.folder / re.sub(r"\.(conda|tar\.bz2)$", "", file_name)


def _is_file_damaged(path: Path, size: int | None) -> bool:
    if path.is_symlink():
        return False
    return not path.exists() or (size is not None and path.stat().st_size != size)
