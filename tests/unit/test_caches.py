"""What goes from the caches: old, in no prefix, in use by nobody; and it goes as a whole."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path

from conda_store_hub.core.names import DataDirectory
from conda_store_hub.storage import caches

NOW = time.time()
DAY = 86_400.0


def make(path: Path, *names: str, days: float, read_days: float | None = None) -> Path:
    """Make an entry, a folder of files or a file, that was written and read so long ago."""
    for file in [path / name for name in names] or [path]:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("x")
    for each in [*path.rglob("*"), path]:
        os.utime(each, (NOW - DAY * (days if read_days is None else read_days), NOW - DAY * days))
    return path


def trim(data: DataDirectory, days: float = 30) -> list[str] | None:
    """Remove what is stale; what that was, or None if builders were at work."""
    before = NOW - DAY * days
    stale = list(caches.list_stale(data, before))
    if caches.remove_stale(data, stale, before) is None:
        return None
    assert not any(entry.path.exists() for entry in stale)
    assert not list(data.packages.glob(".trash-*"))
    return sorted(str(entry.path.relative_to(data.packages)) for entry in stale)


def test_a_package_goes_with_its_lock_when_it_is_old_and_in_no_prefix(data: DataDirectory) -> None:
    old = make(data.packages / "old-1-0", "lib/a", "info/index.json", days=31)
    make(data.packages / "old-1-0.lock", days=31)
    make(data.packages / "young-1-0", "lib/a", days=29)
    linked = make(data.packages / "linked-1-0", "lib/a", "info/index.json", days=99)
    (data.prefixes / "p").mkdir()
    (data.prefixes / "p" / "a").hardlink_to(linked / "lib" / "a")
    make(data.packages / "archive-1-0.conda", days=31)
    make(data.packages / "gone-1-0.lock", days=31)
    make(data.packages / ".cache.lock", days=99)
    assert trim(data) == ["archive-1-0.conda", "gone-1-0.lock", "old-1-0"]
    assert not old.with_name("old-1-0.lock").exists()
    assert (data.prefixes / "p" / "a").read_text() == "x"


def test_what_a_killed_process_left_half_made_goes_at_once(data: DataDirectory) -> None:
    make(data.packages / ".old-1-0Ab3dE", "half", days=0)
    make(data.packages / ".trash-x", "half", days=0)
    assert trim(data) == [".old-1-0Ab3dE", ".trash-x"]
    assert data.bytecode.is_dir()


def test_bytecode_goes_by_package_and_what_it_knows_of_pythons_stays(data: DataDirectory) -> None:
    make(data.bytecode / "cpython-311" / "aa", "0", "manifest.json", days=31)
    make(data.bytecode / "cpython-311" / "bb", "0", days=1)
    make(data.bytecode / "cpython-311" / ".lock", days=99)
    make(data.bytecode / "pythons", "aa.json", days=99)
    assert trim(data) == [".bytecode/cpython-311/aa"]


def test_indexes_and_wheels_go_when_nobody_has_read_them_and_never_in_parts(data: DataDirectory) -> None:
    make(data.repodata / "shards-v1" / "unread", days=99)
    make(data.repodata / "shards-v1" / "read", days=99, read_days=1)
    make(data.pip_cache / "archive-v0" / "unread", "pkg/a.py", "pkg.dist-info/RECORD", days=99)
    partly = make(data.pip_cache / "archive-v0" / "partly", "pkg/a.py", "pkg/b.py", days=99)
    os.utime(partly / "pkg" / "b.py", (NOW, NOW - DAY * 99))
    wheel = make(data.pip_cache / "wheels-v6" / "pypi" / "pkg", "1-py3-none-any.http", days=99)
    (wheel / "1-py3-none-any").symlink_to(partly)
    os.utime(wheel / "1-py3-none-any", (NOW - DAY * 99,) * 2, follow_symlinks=False)
    os.utime(wheel, (NOW - DAY * 99,) * 2)
    expected = [".repodata/shards-v1/unread", ".uv/archive-v0/unread", ".uv/wheels-v6/pypi/pkg"]
    assert trim(data) == expected
    assert (partly / "pkg" / "a.py").exists()


def test_nothing_is_taken_while_a_builder_uses_the_caches(data: DataDirectory) -> None:
    old = make(data.packages / "old-1-0", "lib/a", days=31)
    with data.packages_lock.open("ab") as builder:
        fcntl.flock(builder, fcntl.LOCK_SH)
        assert trim(data) is None
        assert old.exists()
    assert trim(data) == ["old-1-0"]


def test_what_was_used_after_it_was_found_stays(data: DataDirectory) -> None:
    old = make(data.packages / "old-1-0", "lib/a", days=31)
    before = NOW - DAY * 30
    found = list(caches.list_stale(data, before))
    os.utime(old)
    removed = caches.remove_stale(data, found, before)
    assert removed is not None
    assert (removed.entries, old.exists()) == (0, True)
