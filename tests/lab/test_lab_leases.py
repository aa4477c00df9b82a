"""The keeper of leases: with the real service what it says, with a twin what it does when nobody listens."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

import pytest

from conda_store_hub.core.errors import GoneError
from conda_store_hub.core.protocol import ArtifactType
from conda_store_hub.db.tables import Lease
from conda_store_hub.lab import leases as module
from conda_store_hub.lab.leases import LeaseKeeper
from conda_store_hub.lab.outside import find_keeper
from conda_store_hub.services import removals
from tests.support.make import ALICE
from tests.support.process import until
from tests.support.service import RunningService, service
from tests.support.service_twin import TOKEN, ServiceTwin

__all__ = ["service"]

LOG = logging.getLogger("keeper-under-test")


@asynccontextmanager
async def keeping(url: str, token: str = "alice-token") -> AsyncGenerator[LeaseKeeper]:
    keeper = LeaseKeeper(url=url, token=token, log=LOG)
    keeper.start()
    try:
        yield keeper
    finally:
        await keeper.stop()


async def until_true(condition: Callable[[], object]) -> None:
    await asyncio.to_thread(until, condition)


def leases(service: RunningService) -> set[tuple[str, int]]:
    """Return who uses what, without the user in front."""
    return service.db.read_sync(
        lambda session: {(row.holder.partition("/")[2], row.build_id) for row in session.query(Lease)}
    )


def delete(service: RunningService, build_id: int) -> None:
    """Delete a build that is active, by force."""
    kept: list[ArtifactType] = []
    service.completed()
    service.db.write_sync(removals.delete_build, ALICE, build_id, kept, force=True)


def test_a_process_without_a_server_keeps_leases_too(service: RunningService) -> None:
    build_id = service.completed()
    keeper = find_keeper(service.url, "alice-token", LOG)
    assert find_keeper(service.url, "alice-token", LOG) is keeper
    asyncio.run(keeper.hold("kernel a", build_id))  # on a loop that has ended by now
    assert leases(service) == {("kernel a", build_id)}
    ended = keeper.release("kernel a")
    assert ended is not None
    ended.result(timeout=30)
    assert leases(service) == set()
    assert keeper.release("kernel a") is None


@pytest.fixture
def _hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RETRY_SECONDS", 0.02)
    monkeypatch.setattr(module, "RENEW_SECONDS", 0.0)


def test_a_holder_has_a_lease_on_one_build_until_it_is_released(service: RunningService) -> None:
    first, second = service.completed(), service.completed()

    async def follow() -> None:
        async with keeping(service.url) as keeper:
            await keeper.hold("kernel a", first)
            await keeper.hold("kernel b", first)
            assert leases(service) == {("kernel a", first), ("kernel b", first)}
            await keeper.hold("kernel a", first)
            await keeper.hold("kernel a", second)
            await until_true(lambda: leases(service) == {("kernel a", second), ("kernel b", first)})
            for _ in range(2):
                keeper.release("kernel b")
            await until_true(lambda: leases(service) == {("kernel a", second)})
        assert leases(service) == set()

    asyncio.run(follow())


def test_what_is_released_while_it_is_asked_for_is_not_held(service: RunningService) -> None:
    build_id = service.completed()

    async def follow() -> None:
        async with keeping(service.url) as keeper:
            start = asyncio.create_task(keeper.hold("kernel a", build_id))
            await asyncio.sleep(0)
            start.cancel()
            keeper.release("kernel a")
            await until_true(lambda: not keeper._asking)
            assert leases(service) == set()

    asyncio.run(follow())


def test_only_a_build_that_was_deleted_is_an_error(service: RunningService, caplog: pytest.LogCaptureFixture) -> None:
    build_id = service.completed()
    delete(service, build_id)

    async def follow() -> None:
        async with keeping(service.url) as keeper:
            with pytest.raises(GoneError, match=f"Build {build_id} has nothing on disk"):
                await keeper.hold("kernel a", build_id)
            assert keeper._uses == {}
            await keeper.hold("kernel b", 999)
            assert "kernel b uses build 999" in caplog.text

    asyncio.run(follow())


@pytest.mark.usefixtures("_hasty")
def test_a_build_that_is_deleted_by_force_is_told_once_and_not_asked_for_again(
    service: RunningService, caplog: pytest.LogCaptureFixture
) -> None:
    build_id = service.completed()

    async def follow() -> None:
        async with keeping(service.url) as keeper:
            await keeper.hold("kernel a", build_id)
            await asyncio.to_thread(delete, service, build_id)
            await until_true(lambda: not keeper._uses)

    asyncio.run(follow())
    assert [record.getMessage().split(": ")[1] for record in caplog.records if record.name == LOG.name] == [
        "the build of kernel a is gone"
    ]


@pytest.mark.usefixtures("_hasty")
def test_a_service_that_is_away_is_asked_again_and_told_of_once(
    twin: ServiceTwin, caplog: pytest.LogCaptureFixture
) -> None:
    async def follow() -> None:
        async with keeping(twin.url, TOKEN) as keeper:
            await asyncio.to_thread(twin.stop)
            await keeper.hold("kernel a", 7)
            assert keeper._uses["kernel a"].complained
            await asyncio.to_thread(twin.start)
            await until_true(lambda: len(twin.asked("build/7/lease/")) >= 3)

    asyncio.run(follow())
    assert [record.levelname for record in caplog.records if record.name == LOG.name] == ["WARNING"]
    asked = [(request.method, json.loads(request.body)) for request in twin.asked("build/7/lease/")]
    assert asked[0] == ("PUT", {"holder": "kernel a", "seconds": 3600})
    assert asked[-1] == ("DELETE", {"holder": "kernel a"})


def test_a_service_that_does_not_answer_keeps_no_kernel_waiting(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "FIRST_ANSWER_SECONDS", 0.05)
    monkeypatch.setattr(module, "GOODBYE_SECONDS", 0.05)

    async def follow() -> None:
        async with keeping(f"http://127.0.0.1:{silent.getsockname()[1]}/") as keeper:
            await keeper.hold("kernel a", 7)
            assert keeper._asking

    with socket.create_server(("127.0.0.1", 0)) as silent:
        asyncio.run(follow())
    assert caplog.records == []
