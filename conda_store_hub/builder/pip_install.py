"""The pip part: resolved and installed by uv, never in place of what conda installed."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from conda_store_hub.builder.distributions import Distributions
from conda_store_hub.builder.events import say
from conda_store_hub.builder.piplock import (
    FILE_NAME,
    find_breach,
    find_forbidden,
    format_pip_lock,
    pin_wheels,
    read_pins,
    read_wheels,
)
from conda_store_hub.builder.prefix import PIP_LOCK, CondaPackage, require_no_way_out, require_site_packages
from conda_store_hub.builder.uvtool import UvError, UvTool, find_wheelless
from conda_store_hub.core import disk
from conda_store_hub.core.engine import strip_credentials
from conda_store_hub.core.errors import BuildDiskFullError, BuildError, PackageCorruptError, PipConflictError, PipError
from conda_store_hub.core.matchspec import parse_pip_line
from conda_store_hub.core.names import shorten
from conda_store_hub.core.policy import PYPI
from conda_store_hub.core.protocol import BuildRequest, Package

# Python looks for them beside itself and its modules (CPython, Modules/getpath.py).
_OF_PYTHON = re.compile(r"lib/python[0-9]+\.zip|(bin/)?(pyvenv\.cfg|pybuilddir\.txt|python[^/]*\._pth)")
_HASH_MISMATCH = re.compile(r"Hash mismatch for `([^`]+)`")


@dataclass(frozen=True, kw_only=True, slots=True)
class PipPart:
    """What the pip part brought: its packages, its files relative to the prefix, and its lock."""

    packages: tuple[Package, ...]
    files: tuple[str, ...]
    lock: str


class PipInstaller:
    """Installs the pip lines of one request into its prefix."""

    def __init__(self, request: BuildRequest, conda: Sequence[CondaPackage]) -> None:
        self._request = request
        self._prefix = Path(request.directories.prefix)
        self._uv = UvTool(request, Path(request.directories.work) / "pip")
        self._conda = conda
        self._site_packages = require_site_packages(conda)
        self._provided = Distributions(self._prefix, self._site_packages).versions

    def install(self, lock: str | None = None) -> PipPart:
        """Install what `lock` says, or else what the pip lines are resolved to; return what was added.

        Raises PipConflictError, PipError, PackageCorruptError, BuildDiskFullError, InvalidRequestError.
        """
        self._uv.set_up()
        lock = self._lock(self._resolve()) if lock is None else self._require_allowed(lock)
        pins = {pin.name: pin.version for pin in read_pins(lock)}
        self._require_none_provided(pins)
        # What people can read has no password of the index in it.
        kept = strip_credentials(lock)
        if pins:
            self._install(lock)
            for each in read_wheels(kept):
                say(f"  {each.name}=={each.version} from {each.url}")
            (self._prefix / PIP_LOCK).write_text(kept, encoding="utf-8")
        else:
            say("Nothing to install: conda's packages provide all of the pip part")
        now = Distributions(self._prefix, self._site_packages)
        files = now.list_files(pins)
        self._require_no_overlap(files)
        self._require_none_of_python(files)
        return PipPart(packages=now.read_pip_packages(), files=files, lock=kept)

    def _resolve(self) -> dict[str, str]:
        """Return the name and version of each package to add."""
        requirements = [str(parse_pip_line(entry)) for entry in self._request.pip]
        constraints = [f"{name}=={version}" for name, version in self._provided.items() if _is_version(version)]
        wanted = self._uv.write("requirements.txt", requirements)
        limits = self._uv.write("constraints.txt", constraints)
        try:
            changes = self._dry_run("-r", wanted, "-c", limits)
        except PipError as exc:
            raise self._find_conflict(wanted) or exc from exc
        self._require_no_removal(changes)
        pins = {change["name"]: change["version"] for change in changes if change["action"] == "installed"}
        if found := find_forbidden(pins, self._request):
            raise self._make_error(PipError, f"{found.words}. Ask for others in the pip part.", found.name)
        return pins

    def _require_allowed(self, lock: str) -> str:
        if breach := find_breach(read_pins(lock), self._request):
            raise breach
        return pin_wheels(lock)

    def _dry_run(self, *arguments: str) -> list[dict[str, Any]]:
        command = ("pip", "install", "--dry-run", "--output-format", "json")
        return json.loads(self._run(*command, *self._uv.selection(), *arguments, aloud=False))["changes"]

    def _find_conflict(self, wanted: str) -> PipConflictError | None:
        """Resolve as if conda's packages could be replaced, to learn which of them stand in the way."""
        try:
            self._require_no_removal(self._dry_run("-r", wanted))
        except PipConflictError as conflict:
            return conflict
        except PipError:
            return None
        return None

    def _require_no_removal(self, changes: Sequence[Mapping[str, Any]]) -> None:
        added = {change["name"]: change["version"] for change in changes if change["action"] == "installed"}
        for change in changes:
            if change["action"] == "uninstalled":
                name, version = change["name"], change["version"]
                instead = f"{name} {added[name]}" if name in added else f"none of {name}"
                raise self._make_error(
                    PipConflictError,
                    f"conda installs {name} {version}, and the pip part wants {instead}:"
                    " pip may not replace what conda installed. Ask conda for that version, or change the pip part.",
                    name,
                )

    def _require_none_provided(self, pins: Mapping[str, str]) -> None:
        """Raise PipConflictError when a lock has what conda installed."""
        for name, version in pins.items():
            if (there := self._provided.get(name)) is not None:
                raise PipConflictError(
                    f"conda installs {name} {there}, and the lock of the pip part has {name} {version}:"
                    " pip may not replace what conda installed."
                )

    def _lock(self, pins: Mapping[str, str]) -> str:
        """Return the lock with the address and hash of each package."""
        if not pins:
            return format_pip_lock([])
        exact = self._uv.write("pins.txt", [f"{name}=={version}" for name, version in pins.items()])
        self._run(
            "pip", "compile", exact, "--no-deps", "--format", "pylock.toml", "--no-header", "-q",
            "-o", FILE_NAME, *self._uv.selection(),
        )  # fmt: skip
        return pin_wheels(self._uv.read(FILE_NAME), self._request.pip_index or PYPI)

    def _install(self, lock: str) -> None:
        self._uv.write(FILE_NAME, [lock])
        require_no_way_out(self._prefix, self._conda)
        before = self._list_records()
        self._run(
            "pip", "install", "--no-deps", "--require-hashes", "--link-mode", "copy",
            "-r", FILE_NAME, *self._uv.selection(),
        )  # fmt: skip
        if brought := sorted(self._list_records() - before):
            # Whatever stands there is believed: files that a record names are read, and given away.
            names = shorten(", ".join(brought))
            raise PipError(f"The pip part brings what tells of conda's packages, in `conda-meta`: {names}.")

    def _list_records(self) -> set[str]:
        return {path.name for path in (self._prefix / "conda-meta").iterdir()}

    def _run(self, *arguments: str, aloud: bool = True) -> str:
        try:
            return self._uv.run(*arguments, aloud=aloud)
        except UvError as exc:
            raise self._explain(str(exc)) from exc

    def _explain(self, noise: str) -> BuildError:
        """Return the error in uv's own words."""
        if disk.tells_full(noise):
            return BuildDiskFullError(detail=noise)
        if match := _HASH_MISMATCH.search(noise):
            return PackageCorruptError(f"{match[1]} is not what its lock says: its hash is another one.", detail=noise)
        if found := find_wheelless(noise):
            what = "is there only as source, and nothing is built of sources" if found.has_source else "has no wheel"
            message = (
                f"{found.name} {found.version} {what} here: ask for another version of it, or for conda's package."
            )
            return self._make_error(PipError, message, found.name, detail=noise)
        first = re.search(r"^error: (.*)$", noise, re.MULTILINE)
        cause = re.search(r"^\s*cause: (.*?)(?=\n\s*(?:cause|hint):|\Z)", noise, re.MULTILINE | re.DOTALL)
        found = [" ".join(match[1].split()).rstrip(".") for match in (first, cause) if match]
        words = ": ".join(found) or "uv ended without saying why"
        return self._make_error(PipError, f"The pip part cannot be installed. {words}.", words, detail=noise)

    def _make_error(self, kind: type[PipError], message: str, about: str, *, detail: str | None = None) -> PipError:
        """Return an error with the place of the first pip line whose package `about` names."""
        named = {canonicalize_name(word) for word in re.findall(r"[\w.-]*\w", about)}
        for entry in self._request.pip:
            if canonicalize_name(parse_pip_line(entry).name) in named:
                return kind(message, detail=detail, line=entry.line, column=entry.column)
        return kind(message, detail=detail)

    def _require_none_of_python(self, files: Collection[str]) -> None:
        """Raise PipError for a file by which Python finds, or takes for its own, other modules: it is run here next."""
        library = f"{self._site_packages.rpartition('/')[0]}/"
        for path in files:
            is_module = path.startswith(library) and not path.startswith(f"{self._site_packages}/")
            if is_module or _OF_PYTHON.fullmatch(path):
                raise PipError(f"The pip part brings a file among those of Python itself: {shorten(path)}.")

    def _require_no_overlap(self, files: Collection[str]) -> None:
        """Raise PipConflictError when a file of a conda package was replaced, its record, or what is compiled of it."""
        taken = {_find_module(path) or path: path for path in files} | {path: path for path in files}
        for each in self._conda:
            for path in (*(file.path for file in each.files), each.record):
                if path in taken:
                    raise PipConflictError(
                        f"The pip part replaces a file of conda's package {each.package.name}: {taken[path]}."
                    )


def _find_module(path: str) -> str | None:
    """Return the module that a file is the bytecode of, as Python looks for it (PEP 3147)."""
    folder, _, name = path.rpartition("/__pycache__/")
    return f"{folder}/{name.partition('.')[0]}.py" if folder and name.endswith(".pyc") else None


def _is_version(text: str) -> bool:
    try:
        Version(text)
    except InvalidVersion:
        return False
    return True
