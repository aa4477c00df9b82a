"""Kernels as `kernel.json` files, for what knows no kernel spec manager of ours: nbconvert, papermill, editors.

Only what was written here, for the same service, is ever changed or removed; it says so in its metadata.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from conda_store_hub.client.envcache import name_server
from conda_store_hub.client.filelocks import FileLock
from conda_store_hub.client.kernelspecs import KernelJson, list_kernel_jsons
from conda_store_hub.core.errors import LocalEnvironmentError
from conda_store_hub.core.names import KernelName
from conda_store_hub.core.schemas import KernelView

_MARK = "exported_from"
_LOCK = ".conda-store-export.lock"
_STAGE = ".kernel.json-"
_MAX_LOGO = 1_000_000
_LOOK_SECONDS = 0.05


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
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Jupyter" / "kernels"
    data = os.environ.get("XDG_DATA_HOME")
    return (Path(data) if data else Path.home() / ".local" / "share") / "jupyter" / "kernels"


def find_prefix_folder(prefix: Path) -> Path:
    """Return where Jupyter looks for the kernels of an installation."""
    return prefix / "share" / "jupyter" / "kernels"


def export_kernels(views: list[KernelView], *, server: str, folder: Path) -> Exported:
    """Write the kernels of a service into a folder, and remove those of it that are no more.

    Two at once do it one after the other; one that is killed leaves whole kernels only. Raises LocalEnvironmentError.
    """
    made, unusable = list_kernel_jsons(views)
    exported = Exported(folder=folder, unusable=unusable)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _alone(folder):
            for view, kernel in made:
                _export(view, kernel, name_server(server), exported)
            for path in sorted(folder.iterdir()):
                if path.name not in exported.shown and _is_ours(path, name_server(server)):
                    _remove(path)
                    exported.removed.append(path.name)
    except OSError as exc:
        raise LocalEnvironmentError(f"{exc.filename or folder} cannot be written: {exc.strerror}.") from exc
    return exported


@contextmanager
def _alone(folder: Path) -> Generator[None]:
    with FileLock(folder / _LOCK) as lock:
        while not lock.try_lock():
            time.sleep(_LOOK_SECONDS)
        yield


def _export(view: KernelView, kernel: KernelJson, server: str, exported: Exported) -> None:
    place = exported.folder / view.name
    if place.exists() and not _is_ours(place, server):
        exported.kept.append(view.name)
        return
    place.mkdir(exist_ok=True)
    _clear(place)
    for logo in sorted(Path(view.prefix, "share", "jupyter", "kernels", view.raw).glob("logo-*")):
        if logo.is_file() and not logo.is_symlink() and logo.stat().st_size <= _MAX_LOGO:
            shutil.copyfile(logo, place / logo.name)
    # Last, and whole: without it there is no kernel.
    stage = place / f"{_STAGE}{secrets.token_hex(4)}"
    stage.write_text(json.dumps(_describe(kernel, server), indent=1, ensure_ascii=False), encoding="utf-8")
    stage.replace(place / "kernel.json")
    exported.shown[view.name] = kernel.display_name


def _describe(kernel: KernelJson, server: str) -> dict[str, Any]:
    told = kernel.model_dump()
    told["metadata"]["conda_store_hub"][_MARK] = server
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
