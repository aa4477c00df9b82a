"""The data directory on disk: made, checked, links swapped, prefixes removed."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
from pathlib import Path

from conda_store_hub.core.errors import ConfigurationError
from conda_store_hub.core.names import DataDirectory, new_prefix_name

_PRIVATE = 0o700
_TRAVERSE = 0o711
_OPEN = 0o755


def ensure_data_directory(data: DataDirectory, *, publish_links: bool) -> None:
    """Make the data directory with its modes; raise ConfigurationError when it cannot serve."""
    data.check()
    modes = {
        data.root: _TRAVERSE,
        data.secrets: _PRIVATE,
        data.packages: _PRIVATE,
        data.bytecode: _PRIVATE,
        data.repodata: _PRIVATE,
        data.pip_cache: _PRIVATE,
        data.bases: _PRIVATE,
        data.prefixes: _TRAVERSE,
        data.links: _OPEN if publish_links else _PRIVATE,
        data.objects: _PRIVATE,
        data.work: _PRIVATE,
    }
    try:
        for directory, mode in modes.items():
            directory.mkdir(mode=mode, parents=True, exist_ok=True)
            directory.chmod(mode)
    except OSError as exc:
        raise ConfigurationError(f"The data directory {data.root} cannot be used: {exc.strerror}.") from exc
    _check_hard_links(data)


def require_own(data: DataDirectory) -> None:
    """Raise ConfigurationError when the data directory is another account's: the service could not use what we make."""
    if data.root.exists() and data.root.stat().st_uid != os.geteuid():
        raise ConfigurationError(
            f"The data directory {data.root} is not this account's; run this as the account of the service."
        )


def _check_hard_links(data: DataDirectory) -> None:
    probe, link = data.packages / f".probe-{new_prefix_name()}", data.prefixes / f".probe-{new_prefix_name()}"
    try:
        probe.touch()
        link.hardlink_to(probe)
    except OSError as exc:
        raise ConfigurationError(
            f"{data.packages} and {data.prefixes} must be on one file system that has hard links: {exc.strerror}."
        ) from exc
    finally:
        probe.unlink(missing_ok=True)
        link.unlink(missing_ok=True)


def remove_link(data: DataDirectory, namespace: str, environment: str, prefix_name: str | None) -> None:
    """Remove the environment's link if it shows that prefix."""
    link = data.link(namespace, environment)
    if prefix_name is not None and link.is_symlink() and link.readlink() == data.prefix(prefix_name):
        link.unlink()


def swap_link(data: DataDirectory, namespace: str, environment: str, prefix_name: str) -> None:
    """Make the environment's link show a prefix; a reader sees the old or the new, never none."""
    link = data.link(namespace, environment)
    if not link.parent.exists():
        link.parent.mkdir()
        link.parent.chmod(stat.S_IMODE(data.links.stat().st_mode))
    staged = link.with_name(f".{environment}.{new_prefix_name()}")
    staged.symlink_to(data.prefix(prefix_name))
    staged.replace(link)


def list_prefixes(data: DataDirectory) -> list[str]:
    """Return the names of all prefixes on disk."""
    return [entry.name for entry in os.scandir(data.prefixes) if entry.is_dir(follow_symlinks=False)]


def list_work(data: DataDirectory) -> list[str]:
    """Return the names of the folders that builds work in, or worked in when the service was killed."""
    return [entry.name for entry in os.scandir(data.work)]


def remove_work(data: DataDirectory, name: str) -> None:
    """Remove the folder of a build that nobody works on."""
    remove_tree(data.work / name)


def remove_prefix(data: DataDirectory, prefix_name: str) -> None:
    """Remove a prefix; under another name first, so that a half-removed one is never taken for whole."""
    prefix = data.prefix(prefix_name)
    doomed = prefix if prefix_name.startswith(".") else data.prefixes / f".{prefix_name}"
    if prefix != doomed and prefix.exists():
        prefix.replace(doomed)
    remove_tree(doomed)


def remove_tree(directory: Path) -> None:
    """Remove a directory; gone already is fine. Its folders are writable: only files are read-only."""
    while directory.exists():
        with contextlib.suppress(FileNotFoundError):  # another process removes it too
            shutil.rmtree(directory)
