"""Locks on files: who excludes whom, who inherits, and what a file system without locks is told as."""

from __future__ import annotations

import errno
import fcntl
import subprocess
import sys
from pathlib import Path

import pytest

from conda_store_hub.client.filelocks import FileLock
from conda_store_hub.core.errors import LocalEnvironmentError


def test_several_share_a_lock_and_one_alone_excludes_all_others(tmp_path: Path) -> None:
    with FileLock(tmp_path / "l") as one, FileLock(tmp_path / "l") as two:
        assert one.try_lock(shared=True)
        assert two.try_lock(shared=True)
        assert not one.try_lock()
        two.close()
        assert one.try_lock()
        with FileLock(tmp_path / "l") as three:
            assert not three.try_lock(shared=True)
            assert one.try_lock(shared=True)
            assert three.try_lock(shared=True)


def test_a_child_that_inherits_a_lock_holds_it_until_it_ends(tmp_path: Path) -> None:
    first = FileLock(tmp_path / "l")
    assert first.try_lock()
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, pass_fds=(first.fileno(),))
    first.close()
    first.close()
    with FileLock(tmp_path / "l") as second:
        assert not second.try_lock(shared=True)
        child.communicate(b"\n")
        assert second.try_lock()


def test_who_opened_a_file_that_was_removed_finds_that_out(tmp_path: Path) -> None:
    with FileLock(tmp_path / "l") as old:
        assert old.is_current()
        old.remove()
        old.remove()
        assert not old.is_current()
        with FileLock(tmp_path / "l") as new:
            assert new.is_current()
            assert not old.is_current()


def test_a_link_that_somebody_planted_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "l").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic links"):
        FileLock(tmp_path / "l")
    assert not (tmp_path / "elsewhere").exists()


def test_a_file_system_without_locks_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    with FileLock(tmp_path / "l") as lock:
        monkeypatch.setattr(fcntl, "flock", refuse)
        with pytest.raises(LocalEnvironmentError, match="knows no locks: set CONDA_STORE_CACHE"):
            lock.try_lock()


def test_who_waits_has_the_lock_as_soon_as_the_other_lets_go_and_may_give_up(tmp_path: Path) -> None:
    def give_up() -> None:
        raise InterruptedError

    with FileLock(tmp_path / "l") as one, FileLock(tmp_path / "l") as two:
        assert one.try_lock()
        with pytest.raises(InterruptedError):
            two.lock(seconds=60, check=give_up)
        two.lock(seconds=60, check=one.close)
        with FileLock(tmp_path / "l") as three:
            assert not three.try_lock(shared=True)


def test_who_waits_in_vain_is_told_where_and_for_how_long(tmp_path: Path) -> None:
    with FileLock(tmp_path / "l") as one, FileLock(tmp_path / "l") as two:
        assert one.try_lock(shared=True)
        two.lock(seconds=0, shared=True)
        with pytest.raises(LocalEnvironmentError, match=f"at {tmp_path} for more than 0.2 s.*file l open"):
            two.lock(seconds=0.2)
