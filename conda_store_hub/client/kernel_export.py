"""Kernels as `kernel.json` files, for what knows no kernel spec manager of ours: nbconvert, papermill, editors.

Only what was written here, for the same service, is ever changed or removed; it says so in its metadata. Where several
people export into one installation, a kernel goes when the last of them has lost it.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import sys
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from conda_store_hub.client.addresses import name_server
from conda_store_hub.client.filelocks import FileLock
from conda_store_hub.client.homes import require_home
from conda_store_hub.client.kernelspecs import KernelJson, list_kernel_jsons
from conda_store_hub.core.errors import LocalEnvironmentError
from conda_store_hub.core.names import KernelName
from conda_store_hub.core.schemas import KernelView

_MARK = "exported_from"
_USERS = "exported_for"
_LOCK = ".conda-store-export.lock"
_STAGE = ".kernel.json-"
_MAX_LOGO = 1_000_000
EXPORT_SECONDS = 60.0  # another export writes a few small files


@dataclass(frozen=True, kw_only=True, slots=True)
class Exported:
    """What an export did, by name of kernel; `shown` is what each is called."""

    folder: Path
    shown: dict[str, str] = field(default_factory=dict[str, str])
    removed: list[str] = field(default_factory=list[str])
    kept: list[str] = field(default_factory=list[str])
    """Names that something else has, which stays."""
    unusable: list[str] = field(default_factory=list[str])


def find_user_folder() -> Path:
    """Return where Jupyter looks for a person's own kernels (jupyter_core, "Data files")."""
    if own := os.environ.get("JUPYTER_DATA_DIR"):
        return Path(own) / "kernels"
    data = os.environ.get("XDG_DATA_HOME")
    if data and sys.platform != "darwin":
        return Path(data) / "jupyter" / "kernels"
    home = require_home("name an installation with --prefix")
    if sys.platform == "darwin":
        return home / "Library" / "Jupyter" / "kernels"
    return home / ".local" / "share" / "jupyter" / "kernels"


def find_prefix_folder(prefix: Path) -> Path:
    """Return where Jupyter looks for the kernels of an installation."""
    return prefix / "share" / "jupyter" / "kernels"


def export_kernels(views: list[KernelView], *, server: str, user: str, folder: Path) -> Exported:
    """Write the kernels that a user of a service has into a folder, and remove those that they have no more.

    Two at once do it one after the other; one that is killed leaves whole kernels only. Raises LocalEnvironmentError.
    """
    # A name becomes a path.
    known = [view for view in views if KernelName.find(view.name) is not None]
    made, unusable = list_kernel_jsons(known)
    unusable += [view.name for view in views if view not in known]
    exported = Exported(folder=folder, unusable=unusable)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _alone(folder):
            for view, kernel in made:
                _export(view, kernel, name_server(server), user, exported)
            for path in sorted(folder.iterdir()):
                if path.name not in exported.shown and _is_ours(path, name_server(server)) and _leave(path, user):
                    exported.removed.append(path.name)
    except OSError as exc:
        raise LocalEnvironmentError(f"{exc.filename or folder} cannot be written: {exc.strerror}.") from exc
    return exported


@contextmanager
def _alone(folder: Path) -> Generator[None]:
    with FileLock(folder / _LOCK) as lock:
        lock.lock(seconds=EXPORT_SECONDS)
        yield


def _export(view: KernelView, kernel: KernelJson, server: str, user: str, exported: Exported) -> None:
    place = exported.folder / view.name
    if os.path.lexists(place) and not _is_ours(place, server):
        exported.kept.append(view.name)
        return
    place.mkdir(exist_ok=True)
    users = {*_list_users(place), user}
    _clear(place)
    for logo in sorted(Path(view.prefix, "share", "jupyter", "kernels", view.raw).glob("logo-*")):
        if logo.is_file() and not logo.is_symlink() and logo.stat().st_size <= _MAX_LOGO:
            shutil.copyfile(logo, place / logo.name)
    # Last, and whole: without it there is no kernel.
    _write(place, _describe(kernel, server, users))
    exported.shown[view.name] = kernel.display_name


def _write(place: Path, told: dict[str, Any]) -> None:
    stage = place / f"{_STAGE}{secrets.token_hex(4)}"
    stage.write_text(json.dumps(told, indent=1, ensure_ascii=False), encoding="utf-8")
    stage.replace(place / "kernel.json")


def _describe(kernel: KernelJson, server: str, users: set[str]) -> dict[str, Any]:
    told = kernel.model_dump()
    told["metadata"]["conda_store_hub"] |= {_MARK: server, _USERS: sorted(users)}
    # The provisioner asks it for the build that is active when the kernel starts.
    told["metadata"]["kernel_provisioner"]["config"]["service"] = server
    return told


def _is_ours(place: Path, server: str) -> bool:
    """Tell whether a folder is from an export of the same service, or from one that was killed before the end."""
    if place.is_symlink() or not place.is_dir():
        return False
    try:
        told = json.loads((place / "kernel.json").read_bytes())
        return told["metadata"]["conda_store_hub"][_MARK] == server
    except FileNotFoundError:
        return KernelName.find(place.name) is not None and all(map(_is_leftover, place.iterdir()))
    except (OSError, ValueError, LookupError, TypeError):
        return False


def _list_users(place: Path) -> list[str]:
    """Return whom a kernel of ours was exported for; nobody where that was never finished."""
    with suppress(OSError, ValueError, LookupError, TypeError):
        told = json.loads((place / "kernel.json").read_bytes())["metadata"]["conda_store_hub"][_USERS]
        return [user for user in told if isinstance(user, str)]
    return []


def _leave(place: Path, user: str) -> bool:
    """Take a kernel of ours from a user, and tell whether it is gone: others may have it still."""
    users = _list_users(place)
    others = sorted({*users} - {user})
    if not others:
        _remove(place)
    elif user in users:
        told = json.loads((place / "kernel.json").read_bytes())
        told["metadata"]["conda_store_hub"][_USERS] = others
        _write(place, told)
    return not others


def _is_leftover(path: Path) -> bool:
    return path.name.startswith(("logo-", _STAGE))


def _clear(place: Path) -> None:
    for path in place.iterdir():
        if _is_leftover(path):
            path.unlink()


def _remove(place: Path) -> None:
    """Remove a kernel, and its folder if nobody put something else into it."""
    (place / "kernel.json").unlink(missing_ok=True)
    _clear(place)
    with suppress(OSError):
        place.rmdir()
