"""Everybody on a machine can read the process list: it does not tell where a prefix is."""

from __future__ import annotations

from pathlib import Path

import pytest

from conda_store_hub.core.protocol import ArtifactType
from tests.support.builder import Workshop, run_builder
from tests.support.cmdlines import watch_process_list

ALL = (ArtifactType.YAML, ArtifactType.LOCKFILE, ArtifactType.CONDA_PACK)


@pytest.fixture
def cold(tmp_path_factory: pytest.TempPathFactory, sample: str, tiny: str, wheels: str) -> Workshop:
    """A workshop with nothing in its caches, so that everything has to be started."""
    return Workshop(tmp_path_factory.mktemp("l"), [sample, tiny], pip_index=wheels)


@pytest.mark.parametrize("pip", [[], ["tiny-pip"]], ids=["conda", "pip"])
def test_a_build_does_not_show_its_prefix(cold: Workshop, pip: list[str]) -> None:
    request = cold.request("python", "click", pip=pip, artifacts=ALL)
    with watch_process_list() as seen:
        outcome = run_builder(request)
    assert outcome.succeeded, outcome.log
    started = ["bytecode_worker.py", "lockfile_writer", *(["get_interpreter_info", "pip install"] if pip else [])]
    assert [word for word in started if not any(word in line for line in seen)] == [], "it was not looked at"
    assert [line for line in seen if Path(request.directories.prefix).name in line] == []
