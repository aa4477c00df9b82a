"""The builder that waits: loaded, taken by who comes next, replaced when it died, gone after a while."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from conda_store_hub.core.names import DataDirectory
from conda_store_hub.core.protocol import BuildRequest, Directories, ErrorEvent
from conda_store_hub.queue import builders as module
from conda_store_hub.queue.builders import Builders
from conda_store_hub.queue.process import BuilderProcess
from tests.support.process import is_alive, until


def request(data: DataDirectory, home: Path) -> BuildRequest:
    """Return a request that is refused at once: nothing is built for another platform."""
    places = {name: str(data.root) for name in ("packages", "bytecode", "repodata", "pip_cache")}
    directories = Directories(**places, prefix=str(data.prefix("x")), work=str(home))
    return BuildRequest(
        build_id=1, name="ml", channels=(), dependencies=(), platform="osx-arm64", directories=directories
    )


async def ask(builders: Builders, data: DataDirectory, name: str = "home") -> tuple[int, str]:
    """Return the process of the builder that answered, and what it said."""
    home = data.work / name
    home.mkdir()
    builder = await builders.start(request(data, home), home)
    said = [event.message async for event in builder.events() if isinstance(event, ErrorEvent)]
    await builder.stop()
    builder.close()
    return pid_of(builder), said[0]


def pid_of(builder: BuilderProcess | None) -> int:
    assert builder is not None
    return builder._process.pid


def run(data: DataDirectory, scenario: Callable[[Builders], Awaitable[None]]) -> None:
    async def whole() -> None:
        builders = Builders(data)
        try:
            await scenario(builders)
        finally:
            await builders.stop()

    asyncio.run(whole())


def test_the_one_that_waits_does_what_comes_next_in_the_folder_of_that(data: DataDirectory) -> None:
    async def scenario(builders: Builders) -> None:
        await builders.make_ready()
        await builders.make_ready()
        ready = pid_of(builders._ready)
        assert Path(f"/proc/{ready}/cwd").readlink() == data.work
        answered, said = await ask(builders, data)
        assert (answered, "not for osx-arm64" in said) == (ready, True)
        another, _ = await ask(builders, data, "other")
        assert another != ready

    run(data, scenario)


def test_one_that_died_while_it_waited_is_missed_by_nobody(data: DataDirectory) -> None:
    async def scenario(builders: Builders) -> None:
        await builders.make_ready()
        ready = pid_of(builders._ready)
        os.kill(ready, signal.SIGKILL)
        assert builders._ready is not None
        await builders._ready.wait()
        assert (await ask(builders, data))[0] != ready

    run(data, scenario)


def test_none_waits_for_ever_and_none_is_left_behind(data: DataDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    pids: list[int] = []

    async def scenario(builders: Builders) -> None:
        await builders.make_ready()
        pids.append(pid_of(builders._ready))
        monkeypatch.setattr(module, "_READY_SECONDS", 0.1)
        async with asyncio.timeout(10):
            await ask(builders, data)
            await builders.make_ready()
            unused = builders._ready
            pids.append(pid_of(unused))
            while builders._ready is not None:
                await asyncio.sleep(0.02)
            assert unused is not None
            await unused.wait()  # else this loop may close before it hears of the end
        await builders.make_ready()
        pids.append(pid_of(builders._ready))

    run(data, scenario)
    for pid in pids:
        until(lambda pid=pid: not is_alive(pid))
