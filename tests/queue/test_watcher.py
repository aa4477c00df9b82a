"""A real directory, real notices, and a real database: what happens on disk becomes environments, and nothing else."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import sqlite3
import tempfile
import threading
from collections.abc import Callable, Generator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
import watchfiles.main

from conda_store_hub.core.errors import StorageError
from conda_store_hub.core.names import DataDirectory
from conda_store_hub.db.session import Database
from conda_store_hub.queue.notices import Pace
from conda_store_hub.queue.watcher import Watcher
from conda_store_hub.services import builds, environments, watched
from conda_store_hub.services.rules import BuildRules
from conda_store_hub.services.watched import NAMESPACE
from conda_store_hub.storage import folders
from conda_store_hub.storage.folders import WatchedPath
from tests.support import make
from tests.support.make import ADMIN
from tests.support.process import as_nobody, until

LOG = logging.getLogger("test-watcher")
#: As soon as can be, and never without a notice: what a test sees was noticed.
QUICK = Pace(settle=0.05, every=3600, again=0.1, poll=0.1)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "environments"
    path.mkdir()
    return path


@contextmanager
def watching(db: Database, *paths: Path, rules: BuildRules | None = None, pace: Pace = QUICK) -> Generator[None]:
    """Run a watcher on a loop and thread of its own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    async def start() -> Watcher:
        names = [str(path) for path in paths]
        watcher = Watcher(db=db, rules=rules or make.rules(), paths=names, log=LOG, pace=pace)
        watcher.start()
        return watcher

    watcher = asyncio.run_coroutine_threadsafe(start(), loop).result(10)
    try:
        yield
    finally:
        asyncio.run_coroutine_threadsafe(watcher.stop(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def files(db: Database) -> dict[str, tuple[str | None, str | None]]:
    """Return environment and problem of each file."""
    found, _, _ = db.read_sync(watched.list_files, ADMIN, page=1, size=10_000)
    return {row.path: (row.environment, row.problem) for row in found}


def names(db: Database) -> list[str]:
    rows, _ = db.read_sync(environments.list_environments, ADMIN, page=1, size=10_000, namespace=NAMESPACE)
    return [row.name for row in rows]


def count_builds(db: Database) -> int:
    return db.read_sync(builds.list_builds, ADMIN, page=1, size=1, namespace=NAMESPACE)[1]


def folder_problem(db: Database) -> str | None:
    _, _, (found,) = db.read_sync(watched.list_files, ADMIN, page=1, size=1)
    return found.problem


def problem(db: Database, path: str) -> str:
    """Wait for a problem of a file and return it."""
    until(lambda: files(db).get(path, (None, None))[1])
    return files(db)[path][1] or ""


def test_files_come_change_go_and_come_back(db: Database, folder: Path, data: DataDirectory) -> None:
    file = folder / "deep" / "er" / "ml.yaml"
    with watching(db, folder):
        file.parent.mkdir(parents=True)
        file.write_text(make.text())
        until(lambda: names(db) == ["ml"])
        make.complete(db, 1)
        file.write_text(make.text("ml", "numpy"))
        until(lambda: count_builds(db) == 2)
        make.complete(db, 2)
        file.write_text(make.text())
        until(lambda: active(db, data) == 1)
        file.rename(folder / "other.yml")
        until(lambda: list(files(db)) == ["other.yml"])
        (folder / "other.yml").unlink()
        until(lambda: names(db) == [])
        file.write_text(make.text())
        until(lambda: names(db) == ["ml"])
    assert active(db, data) == 1
    assert count_builds(db) == 2


def active(db: Database, data: DataDirectory) -> int | None:
    return db.read_sync(environments.get_environment, ADMIN, NAMESPACE, "ml", data=data).current_build_id


def test_a_restart_builds_what_changed_meanwhile_and_nothing_twice(db: Database, folder: Path) -> None:
    for name in ("same", "changed", "removed"):
        (folder / f"{name}.yaml").write_text(make.text(name))
    with watching(db, folder):
        until(lambda: len(names(db)) == 3)
    (folder / "changed.yaml").write_text(make.text("changed", "numpy"))
    (folder / "removed.yaml").unlink()
    (folder / "added.yaml").write_text(make.text("added"))
    with watching(db, folder):
        until(lambda: names(db) == ["added", "changed", "same"])
        until(lambda: count_builds(db) == 4)  # a deleted environment's are not listed
    with watching(db, folder):
        (folder / "last.yaml").write_text(make.text("last"))
        until(lambda: "last" in names(db))
    assert count_builds(db) == 5


def _half(path: Path) -> None:
    path.write_text("name: ml\ndependencies:\n  - [")


def _bytes(path: Path) -> None:
    path.write_bytes(b"name: ml\n\xff\xfe")


def _huge(path: Path) -> None:
    path.write_bytes(b"#" * 4_000_001)


def _large(path: Path) -> None:
    path.write_bytes(b"#" * 1_000_001)


def _fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _link_out(path: Path) -> None:
    path.unlink()
    path.symlink_to("/etc/passwd")


def _link_nowhere(path: Path) -> None:
    path.unlink()
    path.symlink_to("nowhere")


def _lock(path: Path) -> None:
    path.write_text(f"@EXPLICIT\nhttps://channels.example/main/noarch/a-1-0.conda#{'0' * 32}\n")


def _closed(path: Path) -> None:
    path.chmod(0)


def _forbidden(path: Path) -> None:
    path.write_text(make.text("ml", "leftpad"))


def _invalid_name(path: Path) -> None:
    path.write_text(make.text("../ml"))


BAD: list[tuple[Callable[[Path], None], str]] = [
    (_half, "not valid YAML"),
    (_bytes, "not UTF-8: byte 10"),
    (_huge, "larger than 4 MB"),
    (_large, "larger than 1 MB"),
    (_fifo, "not a regular file"),
    (_link_out, "a link out of the watched directory"),
    (_link_nowhere, "No such file"),
    (_lock, "NAME.conda-lock.yml"),
    (_forbidden, "leftpad"),
    (_invalid_name, "An environment name has"),
    (_closed, "Permission denied"),
]


def test_what_cannot_be_taken_is_said_once_and_leaves_the_environment(
    db: Database, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bad = [case for case in BAD if case[0] is not _closed or os.geteuid()]
    for number, _ in enumerate(bad):
        (folder / f"{number}.yaml").write_text(make.text(f"e{number}"))
    with watching(db, folder, rules=make.rules(forbidden_packages=["leftpad"])):
        until(lambda: len(names(db)) == len(bad))
        before = names(db)
        for number, (spoil, words) in enumerate(bad):
            spoil(folder / f"{number}.yaml")
            assert words in problem(db, f"{number}.yaml")
        assert names(db) == before
        assert count_builds(db) == len(bad)
        assert str(folder) not in str(files(db))
        for number, _ in enumerate(bad):
            (folder / f"{number}.yaml").unlink()
            (folder / f"{number}.yaml").write_text(make.text(f"e{number}"))
        until(lambda: not any(said for _, said in files(db).values()))
    assert count_builds(db) == len(bad)
    warned = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(warned) == len(set(warned)) == len(bad)


def test_a_file_that_is_still_written_is_not_read(db: Database, folder: Path) -> None:
    whole, grown = make.text("ml", "numpy"), ""
    slow = Pace(settle=0.5, every=3600, again=0.1, poll=0.1)
    with watching(db, folder, pace=slow):
        for line in whole.splitlines(keepends=True):
            grown += line
            (folder / "ml.yaml").write_text(grown)
        until(lambda: names(db) == ["ml"])
    assert files(db) == {"ml.yaml": ("ml", None)}
    assert count_builds(db) == 1


def test_a_mounted_configmap_is_seen_once_and_its_swap_noticed(db: Database, folder: Path) -> None:
    for version, packages in (("..1", ()), ("..2", ("numpy",))):
        (folder / version).mkdir()
        (folder / version / "ml.yaml").write_text(make.text("ml", *packages))
    (folder / "..data").symlink_to("..1")
    (folder / "ml.yaml").symlink_to("..data/ml.yaml")
    (folder / ".ml.yaml").write_text(make.text("editor"))
    (folder / "ml.yaml~").write_text(make.text("backup"))
    (folder / "linked").symlink_to("..1")
    with watching(db, folder):
        until(lambda: names(db) == ["ml"])
        (folder / "..data_tmp").symlink_to("..2")
        (folder / "..data_tmp").rename(folder / "..data")
        until(lambda: count_builds(db) == 2)
    assert files(db) == {"ml.yaml": ("ml", None)}


def test_a_path_that_leads_elsewhere_now_is_followed(db: Database, tmp_path: Path) -> None:
    for version in ("one", "two"):
        (tmp_path / version).mkdir()
        (tmp_path / version / f"{version}.yaml").write_text(make.text(version))
    (tmp_path / "current").symlink_to("one")
    with watching(db, tmp_path / "current"):
        until(lambda: names(db) == ["one"])
        (tmp_path / "next").symlink_to("two")
        (tmp_path / "next").rename(tmp_path / "current")
        until(lambda: names(db) == ["two"])


def test_environments_of_a_directory_that_is_not_there_stay(
    db: Database, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (folder / "ml.yaml").write_text(make.text())
    away = folder.with_name("away")
    with watching(db, folder):
        until(lambda: names(db) == ["ml"])
        folder.rename(away)
        until(lambda: folder_problem(db))
        folder.mkdir()  # where something is mounted when it is mounted
        until(lambda: "not mounted" in (folder_problem(db) or ""))
    with watching(db, folder):
        folder.rmdir()
        until(lambda: "no such directory" in (folder_problem(db) or ""))
        assert names(db) == ["ml"]
        away.rename(folder)
        until(lambda: folder_problem(db) is None)
        (folder / "ml.yaml").write_text(make.text("ml", "numpy"))
        until(lambda: count_builds(db) == 2)
        (folder / "ml.yaml").unlink()  # the last of all, and in the directory that it was
        until(lambda: names(db) == [])
    warned = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(warned) == 3


def test_single_files_are_watched_alone(db: Database, folder: Path) -> None:
    (folder / "ml.yaml").write_text(make.text())
    (folder / "beside.yaml").write_text(make.text("beside"))
    with watching(db, folder / "ml.yaml", folder / "later.yaml"):
        until(lambda: names(db) == ["ml"])
        (folder / "later.yaml").write_text(make.text("later"))
        until(lambda: names(db) == ["later", "ml"])
        (folder / "ml.yaml").unlink()
        until(lambda: names(db) == ["later"])


def test_without_notices_the_directory_is_looked_at_regularly(
    db: Database, folder: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin = watchfiles.main.RustNotify

    def find_none_left(paths: list[str], debug: bool, polls: bool, *more: Any) -> object:
        if not polls:
            raise OSError("OS file watch limit reached")
        return begin(paths, debug, polls, *more)

    monkeypatch.setattr(watchfiles.main, "RustNotify", find_none_left)
    with watching(db, folder):
        until(lambda: "file watch limit" in caplog.text)
        (folder / "ml.yaml").write_text(make.text())
        until(lambda: names(db) == ["ml"])
    assert caplog.text.count("file watch limit") == 1


def test_a_name_that_is_not_utf8_ends_no_notices(db: Database, folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    (folder / "a.yaml").write_text(make.text("a"))
    with watching(db, folder):
        until(lambda: names(db) == ["a"])
        for number in range(2):
            (folder / os.fsdecode(b"data-\xff-%d.csv" % number)).touch()  # what the watcher has no words for
            until(lambda: "Unable to decode path" in caplog.text)
            (folder / f"{number}.yaml").write_text(make.text(f"e{number}"))
            until(lambda name=f"e{number}": name in names(db))
        (folder / os.fsdecode(b"\xff.yaml")).write_text(make.text("b"))
        until(lambda: "b" in names(db))
    assert names(db) == ["a", "b", "e0", "e1"]


def test_a_name_that_comes_free_and_a_rule_that_goes_are_noticed(db: Database, folder: Path) -> None:
    (folder / "a.yaml").write_text(make.text())
    (folder / "b.yaml").write_text(make.text("ml", "numpy"))
    with watching(db, folder):
        assert "“a.yaml” describes “ml” already" in problem(db, "b.yaml")
        (folder / "a.yaml").unlink()
        until(lambda: files(db) == {"b.yaml": ("ml", None)})
    assert count_builds(db) == 2
    with watching(db, folder, pace=Pace(settle=0.05, every=0.2, again=0.1), rules=make.rules(refusal="Not here.")):
        (folder / "c.yaml").write_text(make.text("c"))
        assert problem(db, "c.yaml") == "Not here."
    with watching(db, folder):
        until(lambda: names(db) == ["c", "ml"])


def test_what_the_database_could_not_keep_is_tried_again(
    db: Database, folder: Path, data: DataDirectory, caplog: pytest.LogCaptureFixture
) -> None:
    (folder / "first.yaml").write_text(make.text("first"))
    with watching(db, folder), closing(sqlite3.connect(data.database, isolation_level=None)) as other:
        until(lambda: names(db) == ["first"])
        other.execute("ALTER TABLE watched_file RENAME TO away")
        (folder / "second.yaml").write_text(make.text("second"))
        until(lambda: "trying again" in caplog.text)
        other.execute("ALTER TABLE away RENAME TO watched_file")
        until(lambda: names(db) == ["first", "second"])
    assert count_builds(db) == 2


def test_many_at_once_are_taken_while_others_write(db: Database, folder: Path) -> None:
    for number in range(120):
        (folder / f"{number}.yaml").write_text(make.text(f"e{number}"))
    with watching(db, folder):
        until(lambda: len(names(db)) > 5)
        make.submit(db)
        assert len(names(db)) < 120
        until(lambda: len(names(db)) == 120)


def test_names_that_are_no_text_have_one(tmp_path: Path) -> None:
    (tmp_path / "n\nl.yaml").touch()
    (tmp_path / os.fsdecode(b"\xff.yml")).touch()
    folders_of_long = tmp_path / ("d" * 200) / ("e" * 200) / ("f" * 200)
    folders_of_long.mkdir(parents=True)
    (folders_of_long / "x.yaml").touch()
    found = folders.list_files(WatchedPath.of(tmp_path)).files
    assert sorted(map(len, found)) == [len("\\xff.yml"), len("n\\x0al.yaml"), 500]
    assert {"\\xff.yml", "n\\x0al.yaml"} < set(found)


def test_a_folder_that_cannot_be_read_may_have_its_files_still() -> None:
    unread = folders.Listing(identity="1", files={}, unread=("closed",))
    assert unread.may_have("closed/ml.yaml")
    assert not unread.may_have("open/ml.yaml")


@pytest.mark.parametrize("error", [errno.EACCES, errno.EIO, errno.ESTALE])
def test_environments_of_files_of_which_nothing_is_told_stay(
    db: Database, folder: Path, monkeypatch: pytest.MonkeyPatch, error: int
) -> None:
    (folder / "sub").mkdir()
    (folder / "sub" / "a.yaml").write_text(make.text("a"))
    (folder / "b.yaml").write_text(make.text("b"))
    lstat, closed = os.lstat, {"sub/a.yaml"}

    def fail(path: str) -> os.stat_result:
        if os.path.relpath(path, folder) in closed:
            raise OSError(error, os.strerror(error))
        return lstat(path)

    with watching(db, folder):
        until(lambda: names(db) == ["a", "b"])
        monkeypatch.setattr(os, "lstat", fail)
        (folder / "b.yaml").unlink()
        (folder / "c.yaml").write_text(make.text("c"))
        until(lambda: names(db) == ["a", "c"])
        assert "Not all of it can be read: sub." in (folder_problem(db) or "")
        closed.add("c.yaml")
        (folder / "d.yaml").write_text(make.text("d"))
        until(lambda: os.strerror(error) in (folder_problem(db) or ""))
        assert names(db) == ["a", "c"]
        closed.clear()
        (folder / "sub" / "a.yaml").unlink()
        until(lambda: names(db) == ["c", "d"])
    assert folder_problem(db) is None


def test_files_of_a_directory_that_may_be_listed_but_not_entered_may_be_there() -> None:
    with tempfile.TemporaryDirectory(dir="/var/tmp") as name:  # those of tests are root's alone
        root, sub = Path(name), Path(name) / "sub"
        sub.mkdir()
        (sub / "a.yaml").touch()
        (root / "b.yaml").touch()
        with as_nobody(root, sub):
            watched_path = WatchedPath.of(root)
            sub.chmod(0o600)
            listing = folders.list_files(watched_path)
            assert (list(listing.files), listing.unread) == (["b.yaml"], ("sub",))
            assert listing.may_have("sub/a.yaml")
            root.chmod(0o600)
            with pytest.raises(StorageError, match="cannot be read: Permission denied"):
                folders.list_files(watched_path)
            assert WatchedPath.of(sub) == WatchedPath(folder=sub)
            root.chmod(0o700)
            sub.chmod(0o700)


def test_two_files_that_exchange_their_names_keep_what_was_built(db: Database, folder: Path) -> None:
    a, b, aside = folder / "a.yaml", folder / "b.yaml", folder.with_name("aside")
    a.write_text(make.text("x"))
    b.write_text(make.text("y", "numpy"))
    with watching(db, folder):
        until(lambda: count_builds(db) == 2)
        for build_id in (1, 2):
            make.complete(db, build_id)
        a.rename(aside)
        b.rename(a)
        aside.rename(b)
        until(lambda: files(db) == {"a.yaml": ("y", None), "b.yaml": ("x", None)})
        a.write_text(make.text("x", "numpy"))
        b.write_text(make.text("y"))
        until(lambda: files(db) == {"a.yaml": ("x", None), "b.yaml": ("y", None)})
    assert names(db) == ["x", "y"]
    assert count_builds(db) == 2
