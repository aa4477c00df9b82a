"""The sample channel: real conda packages made on the spot, and a loopback server for them."""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import json
import os
import shutil
import signal
import sys
from collections.abc import Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import click

from conda_store_hub.core.errors import CondaStoreHubError, InvalidRequestError
from conda_store_hub.demo.channel_server import serve_channel
from conda_store_hub.demo.interpreter import get_identity, make_python_package
from conda_store_hub.demo.packages import (
    DEFAULT_TIMESTAMP,
    PREFIX_PLACEHOLDER,
    Package,
    PackageFile,
    Suffix,
    write_package,
)
from conda_store_hub.demo.wheels import make_wheel_packages

__all__ = [
    "DEFAULT_REQUIREMENTS",
    "PREFIX_PLACEHOLDER",
    "get_channel_key",
    "index",
    "make_channel",
    "make_package",
    "serve_channel",
]

DEFAULT_REQUIREMENTS = ("numpy", "pandas", "ipykernel", "flask", "pip")

_FORMAT = 1  # raise it when packages made before are no longer right
_MANIFEST = "sample-channel.json"
_OLD_FORMAT = frozenset({"click"})  # one package in the old file format, as real channels have them
_PLATFORMS = {  # with what stands for the system there
    "linux-64": "__glibc",
    "linux-aarch64": "__glibc",
    "linux-ppc64le": "__glibc",
    "linux-s390x": "__glibc",
    "osx-64": "__osx",
    "osx-arm64": "__osx",
    "win-64": "__win",
}


def make_channel(
    directory: Path, requirements: Sequence[str] = DEFAULT_REQUIREMENTS, *, also: Sequence[str] = ()
) -> Path:
    """Make sure that the channel has this interpreter and the requirements as packages; return `directory`.

    `also` names platforms that get records to solve for, of packages with nothing in them. Earlier packages stay.
    Two processes may call it at once; the channel appears when it is complete. What it cannot do is an
    `InvalidRequestError`, a `ConfigurationError` of this machine, or an `UnavailableError` of the index of wheels.
    """
    _check_platforms(also)
    directory = directory.absolute()
    directory.parent.mkdir(parents=True, exist_ok=True)
    key = get_channel_key(requirements, also)
    with _lock(directory):
        if key not in _read_manifest(directory):
            with _stage(directory) as staging:
                _add_packages(directory, staging, requirements, also)
            _write_manifest(directory, key)
    return directory


def get_channel_key(requirements: Sequence[str] = DEFAULT_REQUIREMENTS, also: Sequence[str] = ()) -> str:
    """Return what names a channel of these requirements made by this interpreter."""
    parts = json.dumps([_FORMAT, get_identity(), sorted(requirements), sorted(also)])
    return hashlib.sha256(parts.encode()).hexdigest()[:16]


def make_package(
    directory: Path,
    name: str,
    version: str,
    *,
    build: str = "0",
    files: Mapping[str, bytes | str] | None = None,
    depends: Sequence[str] = (),
    constrains: Sequence[str] = (),
    subdir: str = "noarch",
    python: bool = False,
    entry_points: Sequence[str] = (),
    timestamp: int = DEFAULT_TIMESTAMP,
    suffix: Suffix = ".conda",
) -> Path:
    """Write a package of these files into the channel and return its path; `index` makes it known.

    With `python` it is `noarch: python`, and its modules belong under `site-packages/`. Files below `bin/` are
    executable; text that holds `PREFIX_PLACEHOLDER` gets the prefix it is installed into.
    """
    package = Package(
        name=name,
        version=version,
        build=build,
        build_number=int(build.rpartition("_")[2]) if build.rpartition("_")[2].isdigit() else 0,
        subdir=subdir,
        depends=["python", *depends] if python else depends,
        constrains=constrains,
        timestamp=timestamp,
        python=python,
        entry_points=entry_points,
        files=[_make_file(path, content) for path, content in (files or {}).items()],
    )
    return write_package(package, directory, suffix=suffix)


def index(directory: Path) -> None:
    """Write the repodata of the channel anew, in all its forms."""
    (directory / "noarch").mkdir(parents=True, exist_ok=True)

    def run() -> None:
        from rattler.index import index_fs

        asyncio.run(index_fs(directory))

    # In a thread of its own, because the caller's may have an event loop already.
    with ThreadPoolExecutor(max_workers=1) as pool:
        pool.submit(run).result()


def _make_file(path: str, content: bytes | str) -> PackageFile:
    data = content.encode() if isinstance(content, str) else content
    return PackageFile(
        path=path,
        content=data,
        executable=path.startswith(("bin/", "python-scripts/")),
        has_prefix=PREFIX_PLACEHOLDER.encode() in data,
    )


def _add_packages(directory: Path, staging: Path, requirements: Sequence[str], also: Sequence[str]) -> None:
    channel = staging / "channel"
    for package in [*make_wheel_packages(requirements, staging), make_python_package(staging)]:
        suffix: Suffix = ".tar.bz2" if package.name in _OLD_FORMAT else ".conda"
        elsewhere = set() if package.subdir == "noarch" else {*also} - {package.subdir}
        others = [_empty(package, subdir) for subdir in sorted(elsewhere)]
        for each in (package, *others):
            # The build string follows the content: what has the name already is the same.
            if not each.get_path(directory, suffix).exists():
                write_package(each, channel, suffix=suffix)
    if directory.exists():
        for path in channel.glob("*/*"):
            (directory / path.parent.name).mkdir(exist_ok=True)
            path.replace(directory / path.parent.name / path.name)
        index(directory)
    else:
        index(channel)
        channel.rename(directory)


def _empty(package: Package, subdir: str) -> Package:
    """Return the same record for another platform, with no file in it."""
    here, there = _PLATFORMS[package.subdir], _PLATFORMS[subdir]
    depends = [there if depend.partition(" ")[0] == here != there else depend for depend in package.depends]
    return replace(package, subdir=subdir, depends=depends, files=(), entry_points=())


def _check_platforms(platforms: Sequence[str]) -> None:
    if unknown := [name for name in platforms if name not in _PLATFORMS]:
        raise InvalidRequestError(f"Not a platform: {unknown[0]}. There are {', '.join(_PLATFORMS)}.")


@contextmanager
def _lock(directory: Path) -> Generator[None]:
    with (directory.parent / f".{directory.name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def _stage(directory: Path) -> Generator[Path]:
    """Give an empty folder on the same file system; one that a killed process left is used again."""
    staging = directory.parent / f".{directory.name}.staging"
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir()
    try:
        yield staging
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _read_manifest(directory: Path) -> list[str]:
    try:
        return json.loads((directory / _MANIFEST).read_text())["made"]
    except FileNotFoundError:
        return []


def _write_manifest(directory: Path, key: str) -> None:
    temporary = directory / f".{_MANIFEST}"
    temporary.write_text(json.dumps({"made": [*_read_manifest(directory), key]}))
    temporary.replace(directory / _MANIFEST)


@click.command()
@click.argument("directory", type=click.Path(file_okay=False, path_type=Path))
@click.argument("requirements", nargs=-1)
@click.option("--also", multiple=True, metavar="PLATFORM", help="Add records to solve for this platform.")
@click.option(
    "--serve",
    type=click.IntRange(0, 65535),
    is_flag=False,
    flag_value=0,
    default=None,
    metavar="[PORT]",
    help="Then serve it on 127.0.0.1 until it is interrupted; without a port, on a free one.",
)
def main(directory: Path, requirements: tuple[str, ...], also: tuple[str, ...], serve: int | None) -> None:
    """Make the sample channel in DIRECTORY of REQUIREMENTS (or the usual ones)."""
    try:
        make_channel(directory, requirements or DEFAULT_REQUIREMENTS, also=also)
        if serve is not None:
            signals = {signal.SIGINT, signal.SIGTERM}
            signal.pthread_sigmask(signal.SIG_BLOCK, signals)
            with serve_channel(directory, serve) as url:
                click.echo(url)
                sys.stdout.flush()
                signal.sigwait(signals)
    except CondaStoreHubError as exc:
        click.echo(f"{exc.public_message}\n{exc.detail or ''}".strip(), err=True)
        _leave(exc.exit_code)
    _leave(0)


def _leave(code: int) -> None:
    """End without the interpreter's own clearing up, in which a process that used rattler may crash."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    main()
