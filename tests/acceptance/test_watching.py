"""The service is killed in the middle of taking files: nothing is lost, and nothing is built twice."""

from __future__ import annotations

import sqlite3
from contextlib import closing

from conda_store_hub.core.names import DataDirectory
from tests.support import make
from tests.support.hub import allow_root
from tests.support.process import ServiceProcess, until


def submitted(data: DataDirectory) -> list[str]:
    """Return the environment of each build."""
    statement = "SELECT name FROM build JOIN environment ON environment.id = environment_id"
    with closing(sqlite3.connect(data.database)) as db:
        return [name for (name,) in db.execute(statement)]


def test_a_service_that_is_killed_takes_each_file_once(data: DataDirectory) -> None:
    folder = data.root.parent / f"{data.root.name}-files"
    folder.mkdir()
    for number in range(20):
        (folder / f"{number}.yaml").write_text(make.text(f"e{number}"))
    config = (
        f"{allow_root()}c.CondaStore.conda_channel_alias = 'http://127.0.0.1:9'\n"
        f"c.CondaStore.watch_paths = ['{folder}']\n"
    )
    with ServiceProcess(data.root, config) as service:
        service.wait_until_ready()
        until(lambda: submitted(data))
    with ServiceProcess(data.root, config) as service:
        service.wait_until_ready()
        until(lambda: len(submitted(data)) >= 20)
        (folder / "last.yaml").write_text(make.text("last"))
        until(lambda: "last" in submitted(data))
    assert sorted(submitted(data)) == sorted(["last", *(f"e{number}" for number in range(20))])
