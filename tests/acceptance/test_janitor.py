"""`conda-store-hub janitor`: one round beside a running service and without one, and what it says."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Generator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy.orm import Session

from conda_store_hub.core.audit import AuditAction
from conda_store_hub.core.names import DataDirectory
from conda_store_hub.core.protocol import BuildStatus
from conda_store_hub.db.session import Database
from conda_store_hub.db.tables import Build
from conda_store_hub.queue.executor import LocalExecutor
from conda_store_hub.services import audit, work
from conda_store_hub.storage import prefixes
from tests.services.test_life import built, row_of
from tests.support import make
from tests.support.make import ADMIN
from tests.support.process import COMMAND, ServiceProcess, until
from tests.support.sqlite import open_database


@pytest.fixture
def data(tmp_path_factory: pytest.TempPathFactory) -> DataDirectory:
    directory = DataDirectory(tmp_path_factory.mktemp("j") / "d")
    prefixes.ensure_data_directory(directory, publish_links=False)
    return directory


@pytest.fixture
def db(data: DataDirectory) -> Generator[Database]:
    with open_database(data) as database:
        yield database


def clean(data: DataDirectory, config: str) -> tuple[int, str]:
    """Run the command; its exit code and all that it said."""
    file = data.root.parent / "janitor-config.py"
    file.write_text(config)
    environment = {"PATH": os.environ["PATH"], "CONDA_STORE_HUB_DATA": str(data.root)}
    done = subprocess.run(
        [*COMMAND, "janitor", "--config", str(file)], env=environment, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout + done.stderr


def test_it_frees_beside_a_running_service_and_leaves_its_builds_alone(db: Database, data: DataDirectory) -> None:
    builds = [built(db) for _ in range(3)]
    paths = [data.prefix(row_of(db, number).prefix_name or "") for number in builds]
    found_at_start = data.prefixes / "found-at-start"
    for path in (*paths, found_at_start):
        path.mkdir()
    config = "c.CondaStore.keep_builds = 1\nc.LocalExecutor.allow_root = True\n"
    with ServiceProcess(data.root, "c.LocalExecutor.allow_root = True\n") as service:
        until(lambda: not found_at_start.exists())
        running = _run_a_build(db)
        (data.prefixes / "orphan").mkdir()
        code, said = clean(data, config)
        assert code == 0, said
        assert "Traceback" not in said
        assert "not kept: 2 builds\n" in said
        assert "without a build: 1 prefixes\n" in said
        assert "freed: 2 prefixes, 2 files, 2,002 bytes\n" in said
        assert [path.is_dir() for path in paths] == [False, False, True]
        assert data.link("alice", "ml").readlink() == paths[2]
        assert (row_of(db, running).status, row_of(db, running).turn) == (BuildStatus.BUILDING, 1)
        answer = service.health()
        assert answer is not None
        assert answer.status_code == 200
    assert clean(data, config)[1].count(": nothing\n") == 6
    told = db.read_sync(audit.list_entries, ADMIN, actor=audit.ITSELF.name, size=9)
    actions = [AuditAction.STORAGE_FREE] * 4 + [AuditAction.BUILD_DELETE] * 2
    assert [entry.action for entry in told][: len(actions)] == actions


def _run_a_build(db: Database) -> int:
    """Have the service's own worker build something that it has not spoken of for a while."""
    build_id = make.submit(db, yaml=make.text("other"))
    claim = db.write_sync(work.claim, LocalExecutor().worker)
    assert claim is not None

    def fall_silent(session: Session) -> None:
        session.query(Build).filter_by(id=build_id).one().heartbeat_at = datetime.now(UTC) - timedelta(minutes=9)

    db.write_sync(fall_silent)
    return build_id


def test_a_job_that_fails_holds_up_no_other_and_shows_in_the_exit_code(db: Database, data: DataDirectory) -> None:
    (data.packages / "old-1-0").mkdir()
    os.utime(data.packages / "old-1-0", (0, 0))
    (data.objects / "sha256").write_text("no folder")
    code, said = clean(data, "")
    assert code == 1, said
    assert "without a build: failed: " in said
    assert "caches: 1 entries\n" in said
    assert "Traceback" not in said


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory away")
def test_it_makes_no_files_that_the_service_could_not_use(data: DataDirectory) -> None:
    os.chown(data.root, 65534, 65534)
    before = sorted(data.root.rglob("*"))
    code, said = clean(data, "")
    assert code == 78
    assert "run this as the account of the service" in said
    assert sorted(Path(data.root).rglob("*")) == before
