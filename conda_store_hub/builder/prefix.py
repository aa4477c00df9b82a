"""What stands in a finished prefix: conda's packages from `conda-meta`, kernels, and the variables to set."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, cast

from pydantic import ValidationError

from conda_store_hub.builder.events import say
from conda_store_hub.builder.records import RecordDetails
from conda_store_hub.core.engine import strip_credentials
from conda_store_hub.core.errors import InstallError, PackageCorruptError, PipError
from conda_store_hub.core.names import shorten
from conda_store_hub.core.protocol import MAX_KERNEL_SPEC, Kernel, Package

_BLOCK = 4096
PIP_LOCK = "conda-meta/pylock.toml"
"""Where a prefix keeps the addresses and hashes of its pip part (PEP 751)."""
_STATE = "conda-meta/state"
_LINK = "softlink"
_WRITTEN_LATER = tuple(path.removeprefix("conda-meta/") for path in (PIP_LOCK, _STATE))


class LinkedFile(NamedTuple):
    """One file of a conda package: its path in the prefix, and how it came there."""

    path: str
    kind: str
    """`hardlink`, `softlink`, `directory`, or how an entry point was made."""
    size: int | None
    placeholder: str
    """What the prefix was written in the place of; empty if it was not."""
    is_binary: bool
    """How that was done: in binary files, what is shorter is filled up with zeros."""
    sha256: str
    """Of the package's file, before the prefix was written into it."""
    ousted_from: str | None
    """Where it would be if another package had no file of that path: that one won, this one was put aside."""

    @property
    def has_prefix(self) -> bool:
        """Whether the prefix was written into it: then its content belongs to this prefix alone."""
        return bool(self.placeholder)


@dataclass(frozen=True, kw_only=True, slots=True)
class CondaPackage:
    """One package that conda-meta tells of."""

    package: Package
    details: RecordDetails
    file_name: str
    files: tuple[LinkedFile, ...]

    @property
    def record(self) -> str:
        """The path of its record in the prefix."""
        return f"conda-meta/{self.file_name.removesuffix('.conda').removesuffix('.tar.bz2')}.json"


def read_conda_packages(prefix: Path) -> tuple[CondaPackage, ...]:
    """Return conda's packages by name; raise InstallError when a record cannot be read, or names what is elsewhere."""
    folders = _Folders(prefix)
    try:
        found = [_read(json.loads(path.read_bytes())) for path in (prefix / "conda-meta").glob("*.json")]
        strange = next((path for each in found for path in _list_paths(each) if not folders.have(path)), None)
    except (OSError, ValueError, LookupError, RecursionError) as exc:  # a ValidationError is a ValueError
        raise InstallError("The environment's own records cannot be read.", detail=str(exc)) from exc
    if strange is not None:  # what is named is read, and given to whoever may have the environment
        raise InstallError(f"A record of the environment names a file that is not in it: {shorten(strange)}.")
    return tuple(sorted(found, key=lambda each: each.package.name))


def require_own_records(prefix: Path, packages: Sequence[CondaPackage], names: Iterable[str]) -> None:
    """Raise PackageCorruptError where a package brought records, or what is written beside them later.

    `names`: of the packages that were installed.
    """
    there, installed = sorted(each.package.name.lower() for each in packages), sorted(map(str.lower, names))
    brought = sorted(set(there) - set(installed)) or (there if there != installed else [])
    with os.scandir(prefix / "conda-meta") as entries:
        brought += [each.name for each in entries if each.is_symlink() or each.name in _WRITTEN_LATER]
    if brought:
        raise PackageCorruptError(
            f"A package brings what tells of the environment, in `conda-meta`: {shorten(', '.join(brought))}."
        )


def require_folders(packages: Iterable[CondaPackage]) -> None:
    """Raise PackageCorruptError where a package has a link in whose place bytecode is written: somewhere else, then."""
    for each in packages:
        for file in each.files:
            if file.kind == _LINK and file.path.rpartition("/")[2] == "__pycache__":
                raise PackageCorruptError(
                    f"{each.package.name} has a link in the place of a folder that is written to: {shorten(file.path)}."
                )


def require_no_way_out(prefix: Path, packages: Iterable[CondaPackage]) -> None:
    """Raise PipError where a package has a link out of the prefix to what this account may write: pip follows links."""
    real = prefix.resolve()
    for each in packages:
        for file in each.files:
            target = Path(os.path.realpath(prefix / file.path)) if file.kind == _LINK else real
            if not target.is_relative_to(real) and _may_write(target):
                raise PipError(
                    f"conda's package {each.package.name} has a link that leads out of the environment,"
                    f" {shorten(file.path)}: nothing can be installed beside it by pip."
                )


def _may_write(path: Path) -> bool:
    """Tell whether something can be written there, or could be made there."""
    there = next(each for each in (path, *path.parents) if os.access(each, os.F_OK))
    return os.access(there, os.W_OK)


def _list_paths(package: CondaPackage) -> Iterator[str]:
    yield package.record
    yield from (file.path for file in package.files)


class _Folders:
    """The folders of a prefix, each looked at once: packages bring links, which may lead out of it."""

    def __init__(self, prefix: Path) -> None:
        self._prefix = prefix
        self._real = prefix.resolve()
        self._inside = {"": True}

    def have(self, path: str) -> bool:
        """Tell whether a path, taken from the prefix, is of something in it."""
        folder, _, name = path.rpartition("/")
        return name not in ("", ".", "..") and not path.startswith("/") and self._is_inside(folder)

    def _is_inside(self, folder: str) -> bool:
        known = self._inside.get(folder)
        if known is None:
            known = self._inside[folder] = self.have(folder) and self._leads_inside(self._prefix / folder)
        return known

    def _leads_inside(self, folder: Path) -> bool:
        return not folder.is_symlink() or Path(os.path.realpath(folder)).is_relative_to(self._real)


def list_clobbered(packages: Iterable[CondaPackage]) -> set[str]:
    """Return the paths that more than one package has."""
    return {file.ousted_from for package in packages for file in package.files if file.ousted_from is not None}


def find_site_packages(packages: Sequence[CondaPackage]) -> str | None:
    """Return the folder of Python packages, relative to the prefix, or None without Python."""
    for each in packages:
        if each.package.name == "python":
            minor = ".".join(each.package.version.split(".")[:2])
            return each.details.python_site_packages_path or f"lib/python{minor}/site-packages"
    return None


def require_site_packages(packages: Sequence[CondaPackage]) -> str:
    """Return the folder of Python packages, relative to the prefix; raise PipError without Python."""
    found = find_site_packages(packages)
    if found is None:
        raise PipError("The pip part needs Python: add `python` to the dependencies.")
    return found


def list_kernels(prefix: Path) -> tuple[Kernel, ...]:
    """Return the kernel specs; what is a link out of the prefix, or cannot be passed on, is left out."""
    folder = prefix / "share" / "jupyter" / "kernels"
    found = (_find_kernel(path, prefix) for path in sorted(folder.glob("*/kernel.json")))
    return tuple(kernel for kernel in found if kernel is not None)


def read_time(prefix: Path) -> int:
    """Return when conda's packages were installed, in seconds since 1970."""
    return int((prefix / "conda-meta" / "history").stat().st_mtime)


def forget_credentials(prefix: Path) -> None:
    """Take out of the records what the engine needed to fetch packages: whoever uses an environment can read them."""
    for path in (prefix / "conda-meta").glob("*.json"):
        text = path.read_text(encoding="utf-8")
        path.write_text(strip_credentials(text), encoding="utf-8")


def write_variables(prefix: Path, variables: tuple[tuple[str, str], ...]) -> None:
    """Write the variables where conda's activation reads them."""
    if variables:
        state = {"version": 1, "env_vars": dict(variables)}
        path = prefix / _STATE
        path.write_text(json.dumps(state), encoding="utf-8")
        path.chmod(0o444)


def _read(record: dict[str, Any]) -> CondaPackage:
    files = tuple(_list_files(record))
    return CondaPackage(
        package=Package(
            manager="conda",
            name=record["name"],
            version=record["version"],
            build=record["build"],
            channel=strip_credentials(record.get("channel") or "").rstrip("/"),
            subdir=record.get("subdir") or "",
            url=strip_credentials(record["url"]),
            sha256=record.get("sha256") or "",
            md5=record.get("md5") or "",
            size=record.get("size") or 0,
            installed_size=_measure_linked(files),
            license=record.get("license") or "",
            depends=tuple(record.get("depends") or ()),
        ),
        details=RecordDetails.model_validate(record),
        file_name=record["fn"],
        files=files,
    )


def _measure_linked(files: Iterable[LinkedFile]) -> int:
    """Return the bytes, in whole blocks, of the files that prefixes share: not of those a prefix is written into."""
    linked = (file.size or 0 for file in files if file.kind == "hardlink" and not file.has_prefix)
    return sum(-(-size // _BLOCK) * _BLOCK for size in linked)


def _list_files(record: dict[str, Any]) -> Iterator[LinkedFile]:
    for path in cast("list[dict[str, Any]]", record["paths_data"]["paths"]):
        yield LinkedFile(
            path=path["_path"],
            kind=path["path_type"],
            size=path.get("size_in_bytes"),
            placeholder=path.get("prefix_placeholder") or "",
            is_binary=path.get("file_mode") == "binary",
            sha256=path.get("sha256") or "",
            ousted_from=path.get("original_path"),
        )


def _find_kernel(path: Path, prefix: Path) -> Kernel | None:
    # A package could make its kernel spec a link to a file that only the service may read.
    if not path.resolve().is_relative_to(prefix.resolve()):
        return None
    if not stat.S_ISREG(path.stat().st_mode):
        return None
    try:
        with path.open("rb") as file:
            return Kernel(raw=path.parent.name, spec=file.read(MAX_KERNEL_SPEC + 1).decode())
    except ValidationError as exc:
        reason = exc.errors(include_url=False)[0]["msg"].removeprefix("Value error, ")
    except ValueError as exc:
        reason = str(exc)
    say(f"Warning: the kernel {path.parent.name} is left out: its kernel.json cannot be used ({reason})")
    return None
