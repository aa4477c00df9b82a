"""The caches are trimmed beside running builders, and no build notices."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest

from conda_store_hub.storage import caches
from tests.builder.test_bytecode import run_python
from tests.support.builder import Workshop, run_builder
from tests.support.process import until

TOMORROW = time.time() + 86_400


class Trimmer:
    """Takes away all that no prefix has, whenever it may, until the block ends."""

    def __init__(self, workshop: Workshop) -> None:
        self._data = workshop.data
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._trim)
        self.refused = 0
        self.removed = 0

    def __enter__(self) -> Trimmer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def has_nothing_to_do(self) -> bool:
        return not list(caches.list_stale(self._data, TOMORROW))

    def _trim(self) -> None:
        while not self._end.is_set():
            stale = list(caches.list_stale(self._data, TOMORROW))
            removed = caches.remove_stale(self._data, stale, TOMORROW)
            if removed is None:
                self.refused += 1
            else:
                self.removed += removed.entries


def test_trimming_beside_a_running_build_does_not_break_it(
    tmp_path_factory: pytest.TempPathFactory, sample: str, tiny: str, wheels: str
) -> None:
    workshop = Workshop(tmp_path_factory.mktemp("t"), [sample, tiny], pip_index=wheels)
    workshop.data.packages.mkdir()
    with Trimmer(workshop) as trimmer:
        for _ in range(2):
            request = workshop.request("python", "flask", "odd-modules", pip=["tiny-pip"])
            outcome = run_builder(request)
            assert outcome.succeeded, outcome.log
            done = run_python(Path(request.directories.prefix), "-c", "import flask, odd_modules, tiny_pip")
            assert done.returncode == 0, done.stderr
            until(trimmer.has_nothing_to_do)
        assert trimmer.refused > 0
        assert trimmer.removed > 0
    packages = [path for path in workshop.data.packages.iterdir() if path.is_dir() and path.name[0] != "."]
    assert packages, "what a prefix has stays"
    shared = [*packages, *workshop.data.bytecode.glob("*-*/*/")]
    for path in shared:
        os.utime(path, (0, 0))
    assert workshop.build("python", "flask", "odd-modules").succeeded
    assert all(path.stat().st_mtime > 0 for path in shared if "tiny" not in path.name), "builders note their use"
