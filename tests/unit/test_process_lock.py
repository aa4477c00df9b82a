"""A lock between processes: another open file is what another process is to flock(2)."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
from pathlib import Path

from conda_store_hub.storage.locks import ProcessLock


def is_free(path: Path) -> bool:
    with path.open("ab") as other:
        try:
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


def test_it_is_held_by_one_task_of_one_process(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    lock, elsewhere, inside = ProcessLock(path), ProcessLock(path), 0

    async def hold(one: ProcessLock) -> None:
        nonlocal inside
        async with one:
            inside += 1
            assert inside == 1
            assert not is_free(path)
            await asyncio.sleep(0)
            inside -= 1

    async def scenario() -> None:
        await asyncio.gather(*(hold(one) for _ in range(10) for one in (lock, elsewhere)))

    asyncio.run(scenario())
    assert is_free(path)


def test_who_stops_waiting_does_not_hold_it_later(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    lock = ProcessLock(path)

    async def wait_for_it() -> None:
        async with lock:
            raise AssertionError

    async def scenario() -> None:
        with path.open("ab") as other:
            fcntl.flock(other, fcntl.LOCK_EX)
            waiting = asyncio.create_task(wait_for_it())
            done, _ = await asyncio.wait([waiting], timeout=0.05)
            assert not done
            waiting.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await waiting
        async with lock:
            assert not is_free(path)

    asyncio.run(scenario())
    assert is_free(path)
