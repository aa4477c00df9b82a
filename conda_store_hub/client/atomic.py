"""Files and folders that change in one step: who is killed meanwhile leaves the old or the new."""

from __future__ import annotations

import secrets
import shutil
from contextlib import suppress
from pathlib import Path

_STAGES = f".*-{'[0-9a-f]' * 8}"


def replace_text(path: Path, text: str) -> None:
    """Write a file, which has its old content or the new one at any time."""
    stage = path.with_name(f".{path.name}-{secrets.token_hex(4)}")
    try:
        stage.write_text(text, encoding="utf-8")
        stage.replace(path)
    finally:
        stage.unlink(missing_ok=True)


def remove_stages(folder: Path, *, before: float) -> None:
    """Remove what `replace_text` has left of those who were killed in it; who is at it now has begun after `before`."""
    for stage in folder.glob(_STAGES):
        with suppress(OSError):  # somebody else's, or gone
            if stage.lstat().st_mtime < before:
                stage.unlink()


def discard(path: Path) -> None:
    """Take a folder away in one step, then remove it; what is left if this is killed has a name of its own."""
    trash = path.parent / f".gone-{secrets.token_hex(8)}"
    with suppress(FileNotFoundError):
        path.rename(trash)
        remove_tree(trash)


def remove_tree(trash: Path) -> None:
    """Remove a folder with all in it; packages may bring folders that nobody may write."""
    shutil.rmtree(trash, ignore_errors=True)
    if trash.is_dir():
        _open_up(trash)
        shutil.rmtree(trash, ignore_errors=True)


def _open_up(folder: Path) -> None:
    with suppress(OSError):
        folder.chmod(0o700)
        for path in folder.iterdir():
            if path.is_dir() and not path.is_symlink():
                _open_up(path)
