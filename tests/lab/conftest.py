"""What the tests of the lab part share: a twin of the service, and a real conda prefix with a kernel."""

from __future__ import annotations

import json
from collections.abc import Generator
from pathlib import Path

import pytest

from tests.support.channel import install, sample_channel_dir, solve
from tests.support.service_twin import ServiceTwin, run_twin


@pytest.fixture
def twin() -> Generator[ServiceTwin]:
    with run_twin() as twin:
        yield twin


@pytest.fixture(scope="session")
def prefix(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A prefix with Python, ipykernel and an activation script, as a build would leave it."""
    work = tmp_path_factory.mktemp("conda")
    records = solve([sample_channel_dir().as_uri()], ["python", "ipykernel"], work)
    install(records, work / "prefix", work)
    add_activation(work / "prefix", "export FROM_SCRIPT=$CONDA_DEFAULT_ENV; echo chatter")
    (work / "prefix" / "conda-meta" / "state").write_text(json.dumps({"version": 1, "env_vars": {"FROM_STATE": "a b"}}))
    return work / "prefix"


def add_activation(prefix: Path, script: str, name: str = "a.sh", folder: str = "activate.d") -> None:
    """Put an activation script into a prefix."""
    path = prefix / "etc" / "conda" / folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(script + "\n")
