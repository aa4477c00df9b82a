"""A prefix on this machine, from a lock or from an archive; done in a process of its own, see `maker.py`."""

from __future__ import annotations

import asyncio
import configparser
import io
import itertools
import json
import os
import runpy
import stat
import sys
import tarfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rattler import InstallerReporter, PackageCache, PackageCacheLayer, Subdir, ValidationMode, install
from rattler.exceptions import InstallerError
from rattler.networking import Client

from conda_store_hub.client.atomic import replace_text
from conda_store_hub.client.making import MakePhase, MakeRequest, OnProgress, Progress
from conda_store_hub.core.engine import explain_install, make_record
from conda_store_hub.core.errors import (
    InstallError,
    InvalidRequestError,
    LocalCacheDamagedError,
    LocalEnvironmentError,
    PackageCorruptError,
)
from conda_store_hub.core.lockfiles import LockedPackage, parse_lock

SILENCE_SECONDS = 120.0  # after which a download is given up: the engine itself never does
_LOOK_SECONDS = 2.0
_REFUSAL = (
    "This environment was made from a build, which says what is in it. Add the package to the environment's"
    " specification and build it again; for an environment of your own, use `python -m venv --system-site-packages`."
)


def make_prefix(request: MakeRequest, tell: OnProgress) -> int:
    """Make what is asked for; return its bytes on disk. Raises a CondaStoreHubError or OSError."""
    prefix = Path(request.prefix)
    prefix.parent.mkdir(parents=True, exist_ok=True)
    if request.lock is not None:
        _install_lock(request, prefix, tell)
    elif request.archive is not None:
        _unpack(Path(request.archive), prefix, tell)
    tell(Progress(phase=MakePhase.FINISH))
    _write_variables(prefix, request.variables)
    records = _read_records(prefix)
    size, sizes = seal(prefix)
    _refuse_pip(prefix, records)
    if request.lock is not None and (damaged := _list_damaged(records, sizes)):
        _complain(f"The package cache has {', '.join(damaged)} in pieces.", request)
    return size


# From a lock


def _install_lock(request: MakeRequest, prefix: Path, tell: OnProgress) -> None:
    platform = str(Subdir.current())
    packages = parse_lock(Path(request.lock or "").read_text(encoding="utf-8")).list_packages(platform)
    conda = [each for each in packages if each.manager == "conda"]
    for each in conda:
        if each.subdir not in (platform, "noarch"):
            raise InvalidRequestError(f"{each.name} is a package for {each.subdir}, not for {platform}.")
    try:
        asyncio.run(_install(request, prefix, conda, tell))
    except InstallerError as exc:
        error = explain_install(str(exc))
        if type(error) is InstallError and "://" not in str(exc):
            _complain(error.message, request, detail=str(exc))
        raise error from exc
    pip = [each for each in packages if each.manager == "pip"]
    if pip:
        # A client of HTTP takes longer to import than the engine.
        from conda_store_hub.client.wheels import install_wheels

        install_wheels(pip, prefix, find_site_packages(_read_records(prefix)), Path(request.work), tell)


def _complain(message: str, request: MakeRequest, detail: str | None = None) -> None:
    """Raise what makes one try again with a cache that is looked at more closely, or says that this was of no use."""
    kind = PackageCorruptError if request.distrust_cache else LocalCacheDamagedError
    raise kind(message, detail=detail)


async def _install(request: MakeRequest, prefix: Path, packages: Sequence[LockedPackage], tell: OnProgress) -> None:
    reporter = _Reporter(len(packages), tell)
    mode = ValidationMode.full() if request.distrust_cache else ValidationMode.skip()
    layer = PackageCacheLayer(Path(request.packages)).with_validation_mode(mode)
    work = install(
        [make_record(each) for each in packages],
        prefix,
        package_cache=PackageCache.from_layers([layer]),
        client=Client.default_client(max_retries=3),
        show_progress=False,
        # As in the build itself: no code of packages runs before somebody uses them.
        execute_link_scripts=False,
        reporter=reporter,
    )
    await reporter.watch(asyncio.ensure_future(work))


class _Reporter(InstallerReporter):
    """Called by the engine from its own threads, several at once."""

    def __init__(self, total: int, tell: OnProgress) -> None:
        self._tell = tell
        self._total = total
        self._fetched = itertools.count(1)
        self._linked = itertools.count(1)
        self._heard = time.monotonic()

    async def watch(self, work: asyncio.Future[None]) -> None:
        """Wait for the install; raise InstallError when nothing happens for long."""
        while not work.done():
            await asyncio.wait({work}, timeout=_LOOK_SECONDS)
            if time.monotonic() - self._heard > SILENCE_SECONDS:
                raise InstallError(f"The download of packages stalled: nothing came for {SILENCE_SECONDS:g} s.")
        await work

    def on_download_progress(self, download_idx: int, progress: int, total: int | None) -> None:
        """Note that something came."""
        self._heard = time.monotonic()

    def on_populate_cache_complete(self, cache_entry: int) -> None:
        """Count what is in the cache."""
        self._show(MakePhase.FETCH, next(self._fetched))

    def on_link_complete(self, index: int) -> None:
        """Count what is in the prefix."""
        self._show(MakePhase.LINK, next(self._linked))

    def _show(self, phase: MakePhase, done: int) -> None:
        self._heard = time.monotonic()
        self._tell(Progress(phase=phase, done=done, total=self._total, unit="packages"))


# From an archive


def _unpack(archive: Path, prefix: Path, tell: OnProgress) -> None:
    if not hasattr(tarfile, "tar_filter"):
        raise LocalEnvironmentError("Archives are unpacked by Python 3.11.4 and newer; this is an older one.")
    prefix.mkdir()
    size = archive.stat().st_size
    with archive.open("rb") as source, tarfile.open(fileobj=source, mode="r:gz") as tar:
        for number, member in enumerate(tar):
            _extract(tar, member, prefix)
            if number % 500 == 0:
                tell(Progress(phase=MakePhase.UNPACK, done=source.tell(), total=size, unit="bytes"))
    platform = str(Subdir.current())
    for record in _read_records(prefix):
        if record.get("subdir") not in (platform, "noarch", None):
            raise LocalEnvironmentError(f"The archive is for {record['subdir']}, and this machine is {platform}.")
    _adopt(prefix)


def _extract(tar: tarfile.TarFile, member: tarfile.TarInfo, prefix: Path) -> None:
    """Put one member into the prefix; raise LocalEnvironmentError for what would reach out of it."""
    # The filter does not look at where hard links lead. Absolute symbolic ones are common in packages, and harmless:
    # nothing is written through them.
    root = os.path.realpath(prefix)
    target = os.path.realpath(os.path.join(root, member.linkname))  # noqa: PTH118 as tarfile does
    if member.isdev() or (member.islnk() and not target.startswith(root + os.sep)):
        raise LocalEnvironmentError(f"The archive has what does not belong into an environment: {member.name}.")
    try:
        tar.extract(member, prefix, filter="tar")
    except tarfile.FilterError as exc:
        raise LocalEnvironmentError(f"The archive has what does not belong into an environment: {exc}.") from exc


def _adopt(prefix: Path) -> None:
    """Have the files of an archive name this prefix, by the script that conda-pack put into it."""
    script = prefix / "bin" / "conda-unpack"
    before = sys.argv
    sys.argv = [str(script)]
    sys.path.insert(0, str(script.parent))  # where Python finds what a script brings along
    try:
        with _to_stderr():
            runpy.run_path(str(script), run_name="__main__")
    except SystemExit as exc:
        if exc.code not in (None, 0):
            raise LocalEnvironmentError("The archive cannot be unpacked here.", detail=str(exc.code)) from exc
    finally:
        sys.argv = before
        sys.path.remove(str(script.parent))


class _to_stderr:  # noqa: N801 used as a statement
    """Standard output is for events: what others print goes to standard error."""

    def __enter__(self) -> None:
        self._stdout, sys.stdout = sys.stdout, sys.stderr

    def __exit__(self, *_: object) -> None:
        sys.stdout = self._stdout


# What stands in a prefix


def seal(prefix: Path) -> tuple[int, dict[str, int]]:
    """Take write permission from files, whose content the package cache shares; return bytes on disk, and sizes."""
    total = 0
    sizes: dict[str, int] = {}
    start = len(str(prefix)) + 1
    for entry in _walk(str(prefix)):
        status = entry.stat(follow_symlinks=False)
        sizes[entry.path[start:]] = status.st_size
        total += status.st_blocks * 512
        if status.st_mode & 0o222:
            Path(entry.path).chmod(stat.S_IMODE(status.st_mode) & ~0o222)
    return total, sizes


def _walk(folder: str) -> Iterator[os.DirEntry[str]]:
    folders = [folder]
    while folders:
        with os.scandir(folders.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path)
                elif entry.is_file(follow_symlinks=False):
                    yield entry


def _read_records(prefix: Path) -> list[dict[str, Any]]:
    return [json.loads(path.read_bytes()) for path in sorted((prefix / "conda-meta").glob("*.json"))]


def _list_damaged(records: Sequence[Mapping[str, Any]], sizes: Mapping[str, int]) -> list[str]:
    """Return the names of packages with a linked file that is not there, or not as long as its package says."""
    return [
        record["name"]
        for record in records
        if any(
            sizes.get(path["_path"]) != path.get("size_in_bytes", sizes.get(path["_path"], -1))
            for path in record["paths_data"]["paths"]
            if path["path_type"] == "hardlink" and "prefix_placeholder" not in path
        )
    ]


def find_site_packages(records: Sequence[Mapping[str, Any]]) -> str | None:
    """Return the folder of Python packages, relative to the prefix, or None without Python."""
    for record in records:
        if record["name"] == "python":
            minor = ".".join(record["version"].split(".")[:2])
            return record.get("python_site_packages_path") or f"lib/python{minor}/site-packages"
    return None


def _write_variables(prefix: Path, variables: tuple[tuple[str, str], ...]) -> None:
    path = prefix / "conda-meta" / "state"
    if variables and not path.exists():
        path.write_text(json.dumps({"version": 1, "env_vars": dict(variables)}), encoding="utf-8")


def _refuse_pip(prefix: Path, records: Sequence[Mapping[str, Any]]) -> None:
    """Have pip and its like say why they change nothing here (PEP 668)."""
    site_packages = find_site_packages(records)
    if site_packages is None:
        return
    marker = configparser.ConfigParser(interpolation=None)
    marker["externally-managed"] = {"Error": _REFUSAL}
    text = io.StringIO()
    marker.write(text)
    # A package may have brought one along, whose content the package cache shares.
    path = (prefix / site_packages).with_name("EXTERNALLY-MANAGED")
    replace_text(path, text.getvalue())
    path.chmod(0o444)
