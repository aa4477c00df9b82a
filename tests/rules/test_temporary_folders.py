"""What a run of the suite leaves on the disk: Hubs, builds and images would be tens of gigabytes together."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

_USES = """
import pytest

@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp({name!r})
    yield path
    (path / "late").touch()  # whoever works in there may do so until it has ended

def test_uses_it(folder, tmp_path):
    assert folder.is_dir() and tmp_path.is_dir()
    assert {passes}
"""
_LOOKS = """
def test_comes_last(tmp_path_factory):
    places = tmp_path_factory.getbasetemp().iterdir()
    print("left:", *sorted(path.name[:6] for path in places if not path.is_symlink()))
"""


def test_what_a_fixture_made_goes_with_it_unless_a_test_failed(tmp_path: Path) -> None:
    modules = (_USES.format(name="passed", passes=True), _USES.format(name="failed", passes=False), _LOOKS)
    assert "left: failed test_u\n" in _run(tmp_path, modules)


def _run(place: Path, modules: tuple[str, ...]) -> str:
    files = [place / f"test_{number}.py" for number in range(len(modules))]
    for file, text in zip(files, modules, strict=True):
        file.write_text(text)
    options = ("-q", "-s", "-p", "tests.conftest", "-c", "pyproject.toml", f"--basetemp={place / 'temporary'}")
    command = [sys.executable, "-m", "pytest", *options, *map(str, files)]
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=120).stdout
