"""What goes into the archive of a prefix, and each file as its package has it: without this prefix written into it.

All of it is read from the prefix. conda-pack itself reads what has the prefix in it from the package cache, where by
now there may be another package of that name, or nothing.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from conda_pack.compat import find_py_source
from conda_pack.core import BIN_DIR, File, load_files

from conda_store_hub.builder.events import say
from conda_store_hub.builder.originals import restore_file, restore_text
from conda_store_hub.builder.prefix import CondaPackage, LinkedFile, read_conda_packages
from conda_store_hub.core.errors import ArtifactError

_CLOBBERS = "__clobbers__/"
_PLACEHOLDER = "/opt/an_environment_of_conda_store_hub"  # where the prefix was in what no package brought
_CHUNK = 1 << 20
_NOT_OURS = frozenset(f"{BIN_DIR}/{name}" for name in ("conda", "activate", "deactivate"))
_MOST_NAMED = 3


def list_pack_files(prefix: Path, scratch: Path) -> Iterator[File]:
    """Yield each file by its path; raise ArtifactError when one of conda's is missing.

    What has to be written anew lies in `scratch` until the next one is asked for.
    """
    packages = read_conda_packages(prefix)
    managed = {file.path: file for each in packages for file in each.files if not file.path.startswith(_CLOBBERS)}
    found = load_files(str(prefix))
    # conda-pack's list lacks some folders that its own environments may have, and folders that are not empty.
    found |= {path for path in managed.keys() - found if os.path.lexists(prefix / path)}
    there = {path for path in found if not path.startswith(_CLOBBERS)}
    _require_all(packages, there)
    reader = _Reader(prefix, scratch)
    for path in sorted(there):
        if path in managed:
            yield reader.read_managed(managed[path])
        # Bytecode that builds share stays behind with its source's package; `activate` is written anew.
        elif find_py_source(path) not in managed and path not in _NOT_OURS:
            yield reader.read_other(path)


def _require_all(packages: Sequence[CondaPackage], there: set[str]) -> None:
    for each in packages:
        missing = [file.path for file in each.files if file.path not in there and not file.path.startswith(_CLOBBERS)]
        if missing:
            more = f" and {len(missing) - _MOST_NAMED} more" if len(missing) > _MOST_NAMED else ""
            raise ArtifactError(
                f"The environment lacks files of {each.package.name}: {', '.join(missing[:_MOST_NAMED])}{more}."
            )


class _Reader:
    """Makes conda-pack's files: its packer notes in which of them what has to become the new prefix."""

    def __init__(self, prefix: Path, scratch: Path) -> None:
        self._prefix = prefix
        self._bytes = str(prefix).encode()
        self._scratch = scratch

    def read_managed(self, file: LinkedFile) -> File:
        """Return a file of a package; one with the prefix in it as it was before."""
        if not file.has_prefix or (self._prefix / file.path).is_symlink():
            # A script that was made for the prefix is nobody's file before that.
            return self.read_other(file.path) if file.kind == "unix_python_entry_point" else self._take(file.path)
        restored = restore_file(self._prefix, file)
        if restored is None:
            say(f"Warning: {file.path} is not as its package has it, and is packed as it is")
            return self.read_other(file.path)
        return self._write(file.path, restored, file.placeholder, "binary" if file.is_binary else "text")

    def read_other(self, path: str) -> File:
        """Return a file that is in no package: of text, one without this prefix; binary data cannot be replaced."""
        source = self._prefix / path
        if not source.is_file() or source.is_symlink() or not self._is_text_with_prefix(source):
            return self._take(path)
        restored = restore_text(source.read_bytes(), self._bytes, _PLACEHOLDER.encode())
        return self._write(path, restored, _PLACEHOLDER, "text")

    def _take(self, path: str) -> File:
        return File(str(self._prefix / path), path)

    def _write(self, path: str, data: bytes, placeholder: str, mode: str) -> File:
        self._scratch.unlink(missing_ok=True)  # may be read-only
        self._scratch.write_bytes(data)
        shutil.copystat(self._prefix / path, self._scratch)
        return File(str(self._scratch), path, prefix_placeholder=placeholder, file_mode=mode)

    def _is_text_with_prefix(self, path: Path) -> bool:
        """Tell, of files of any size; no text has a zero byte."""
        found, rest = False, b""
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                if b"\0" in chunk:
                    return False
                found = found or self._bytes in rest + chunk
                rest = chunk[-len(self._bytes) :]
        return found
