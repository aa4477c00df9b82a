"""What the tests of the client share: a twin of the service, and a real build with all that is offered of it."""

from __future__ import annotations

from collections.abc import Generator

import pytest

from tests.builder.conftest import built, sample, tiny, wheels, workshop
from tests.support.service_twin import ServiceTwin, make_build, run_twin

__all__ = ["built", "sample", "tiny", "wheels", "workshop"]


@pytest.fixture
def homeless(monkeypatch: pytest.MonkeyPatch) -> None:
    """Be of a number that the machine has no account for."""
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr("pwd.getpwuid", {}.__getitem__)


@pytest.fixture
def twin() -> Generator[ServiceTwin]:
    with run_twin() as twin:
        twin.state.builds = {1: make_build(1)}
        yield twin
