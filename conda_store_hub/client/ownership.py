"""Who else could have put something at a path, or could put it there: on machines that many log in to."""

from __future__ import annotations

import functools
import grp
import os
import pwd
import stat
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from conda_store_hub.client.homes import find_home
from conda_store_hub.core.errors import LocalEnvironmentError

_MOST_LINKS = 40  # as the system has it
_NOWHERE = Path("/nonexistent")


def require_own(root: Path, list_folders: Callable[[], Iterable[Path]]) -> None:
    """Make a folder that is one's own, or raise LocalEnvironmentError for one that others have a hand in.

    list_folders: what is in it that has to be one's own where others can enter: an open umask may have made it.
    """
    strange = find_replaceable(root)
    if strange is not None:
        raise _refuse(strange)
    root.mkdir(parents=True, exist_ok=True, mode=0o700)
    status = root.stat()
    if status.st_uid != os.geteuid() or status.st_mode & stat.S_IWOTH:
        raise _refuse(root)
    if _is_opened_by_mount(status):
        root.chmod(0o700)
    elif status.st_mode & stat.S_IWGRP:
        raise _refuse(root)
    elif status.st_mode & (stat.S_IXGRP | stat.S_IXOTH):
        for folder in list_folders():
            with suppress(FileNotFoundError):
                status = folder.lstat()
                if status.st_uid != os.geteuid() or _is_opened_to_others(status):
                    raise _refuse(folder)


def _refuse(folder: Path) -> LocalEnvironmentError:
    return LocalEnvironmentError(
        f"{folder} belongs to somebody else or can be written by others, who could put into it what you would run:"
        " remove it, or set CONDA_STORE_CACHE to a folder of your own."
    )


def find_replaceable(path: Path, *, of_service: bool = False) -> Path | None:
    """Return the first part of an absolute path in whose place somebody else could put another one; None without any.

    What is above the person's home, and the home itself, is taken as it is: their shell reads it, too. Below it the
    owner of a folder does not count: in some containers a home is made for another number than one runs as.
    of_service: what is the service's has the owner that the service has, wherever not everybody may write.
    """
    home = find_home() or _NOWHERE
    waiting, links = [*reversed(path.parents), path][1:], 0
    while waiting:
        entry = waiting.pop(0)
        if home.is_relative_to(entry):
            continue
        status = _find_status(entry)
        has_any_owner = of_service or entry.is_relative_to(home)
        if _is_replaceable(status, entry.parent.stat(), has_any_owner=has_any_owner):
            return entry
        if status is None:
            return None  # what is made there is one's own
        if stat.S_ISLNK(status.st_mode) and (links := links + 1) <= _MOST_LINKS:
            waiting = _follow(entry, waiting)
    return None


def _is_opened_to_others(status: os.stat_result) -> bool:
    """Tell whether somebody else may write a folder."""
    return bool(status.st_mode & stat.S_IWOTH) or bool(status.st_mode & stat.S_IWGRP and _has_others(status.st_gid))


def _is_opened_by_mount(status: os.stat_result) -> bool:
    """Tell whether a volume's mount opened a folder to a group in which there is nobody else.

    Kubernetes adds g+rwxs to each folder of a volume for a pod with an `fsGroup` (kubelet, `volume_linux.go`).
    """
    added = stat.S_ISGID | stat.S_IRWXG
    return status.st_mode & added == added and not _has_others(status.st_gid)


def _find_status(path: Path) -> os.stat_result | None:
    with suppress(FileNotFoundError):
        return path.lstat()
    return None


def _is_replaceable(status: os.stat_result | None, folder: os.stat_result, *, has_any_owner: bool) -> bool:
    """Tell whether what has one status, or is not there yet, could be replaced in a folder of the other."""
    is_strange = status is not None and status.st_uid not in _list_trusted()
    if folder.st_mode & stat.S_IWOTH:  # /tmp is like that, and has others' entries left alone
        return is_strange or not folder.st_mode & stat.S_ISVTX
    if has_any_owner:
        return False
    return is_strange or (_is_opened_to_others(folder) and not folder.st_mode & stat.S_ISVTX)


def _follow(link: Path, behind: list[Path]) -> list[Path]:
    """Return the parts of the path that a link stands for, with those that come behind it."""
    target = link.parent / link.readlink()
    parts = [*reversed(target.parents), target][1:]
    return [*parts, *(target / path.relative_to(link) for path in behind)]


def _list_trusted() -> set[int]:
    """Return who one is, and whom one cannot help but trust."""
    return {0, os.geteuid(), *_list_unmapped()}


@functools.cache
def _list_unmapped() -> tuple[int, ...]:
    """Return the number that all have who have none here: in containers without privileges, the machine's root."""
    with suppress(OSError, ValueError):
        first, _, count = map(int, Path("/proc/self/uid_map").read_text().split()[:3])
        if first or count < 1 << 31:
            return (int(Path("/proc/sys/kernel/overflowuid").read_text()),)
    return ()


def _has_others(gid: int) -> bool:
    """Tell whether this machine knows of somebody else in a group."""
    named: set[str] = set()
    with suppress(KeyError):  # a group without a name, as of most pods
        named = set(grp.getgrgid(gid).gr_mem)
    accounts = pwd.getpwall()
    trusted = {0, os.geteuid()}
    own = {each.pw_name for each in accounts if each.pw_uid in trusted}
    return bool(named - own) or any(each.pw_gid == gid and each.pw_uid not in trusted for each in accounts)
