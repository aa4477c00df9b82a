"""What the lab extension and scripts of pages are built of, and whether what is there was built of these very files.

Of the standard library alone: building a wheel asks it too, where nothing of the project is installed.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).parents[2]
LOCK = ("package.json", "yarn.lock", ".yarnrc.yml")
MAKES = ("tsconfig.json", "schema", "src", "style", "pages", "scripts/pages.mjs")

EXTENSION = Path("conda_store_hub", "labextension")
PAGES = Path("conda_store_hub", "web", "static", "built")
"""What pages of the service load of the same sources."""


def is_current(root: Path = ROOT) -> bool:
    """Tell whether what is built is there, and built of what is there."""
    stamp = _find_stamp(root)
    is_built = (root / EXTENSION / "package.json").is_file() and (root / PAGES / "create.js").is_file()
    return is_built and stamp.is_file() and stamp.read_text() == digest_sources((*LOCK, *MAKES), root)


def note_built(root: Path = ROOT) -> None:
    """Note that what is there was built of what is there."""
    if _is_sdist(root):
        return
    stamp = _find_stamp(root)
    stamp.parent.mkdir(exist_ok=True)
    stamp.write_text(digest_sources((*LOCK, *MAKES), root))


def remove_stale(root: Path = ROOT) -> None:
    """Remove what was built of other files."""
    if not _is_sdist(root) and not is_current(root):
        for built in (EXTENSION, PAGES):
            shutil.rmtree(root / built, ignore_errors=True)


def digest_sources(names: Iterable[str], root: Path = ROOT) -> str:
    """Return a digest of files and folders below `labextension/`, as hexadecimal digits."""
    source = root / "labextension"
    digest = hashlib.sha256()
    for place in (source / name for name in names):
        files = sorted(path for path in place.rglob("*") if path.is_file()) if place.is_dir() else [place]
        for file in files:
            digest.update(f"{file.relative_to(source)}\0".encode())
            digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


def _is_sdist(root: Path) -> bool:
    # It has what was built of its files, and never changes.
    return (root / "PKG-INFO").is_file()


def _find_stamp(root: Path) -> Path:
    return root / ".cache" / "labextension-built"
