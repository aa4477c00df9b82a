"""Fixtures that every part of the suite may use."""

from __future__ import annotations

import os
import shutil
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from conda_store_hub.core.names import DataDirectory
from conda_store_hub.db.session import Database
from conda_store_hub.services.rules import BuildRules
from conda_store_hub.storage import prefixes
from tests.support import make
from tests.support.sqlite import open_database


@pytest.fixture
def data(tmp_path_factory: pytest.TempPathFactory) -> DataDirectory:
    """A data directory with a path short enough for prefixes."""
    directory = DataDirectory(tmp_path_factory.mktemp("d"))
    prefixes.ensure_data_directory(directory, publish_links=False)
    return directory


@pytest.fixture
def db(data: DataDirectory) -> Iterator[Database]:
    """A migrated database in a file of its own."""
    with open_database(data) as database:
        yield database


@pytest.fixture
def rules() -> BuildRules:
    """Rules that allow what stands under one alias."""
    return make.rules()


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(fixturedef: pytest.FixtureDef[object], request: pytest.FixtureRequest) -> Generator[None]:
    """What a fixture puts into the temporary folder goes with it, unless a test failed meanwhile.

    Hubs, builds and images of a whole run would be tens of gigabytes together.
    """
    if "tmp_path_factory" not in fixturedef.argnames:
        return (yield)
    place = request.getfixturevalue("tmp_path_factory").getbasetemp()
    before, failed = set(place.iterdir()), request.session.testsfailed

    def remove() -> None:
        if request.session.testsfailed == failed:
            for directory in made:
                shutil.rmtree(directory, ignore_errors=True)

    made: set[Path] = set()
    request.addfinalizer(remove)  # the first to be added is the last to be called: whoever works in there has ended
    try:
        return (yield)
    finally:
        made |= set(place.iterdir()) - before


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """In CI nothing may be skipped: a part that is missing there is a failure."""
    report = yield
    if os.environ.get("CI") and report.skipped:
        report.outcome = "failed"
        report.longrepr = f"skipped in CI, where nothing is skipped: {report.longrepr}"
    return report
