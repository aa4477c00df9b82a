"""Leases for kernels that start outside of a user's server, as nbconvert starts them: kept up by a thread.

The loop of who starts such a kernel runs only now and then, so that nothing can be renewed on it.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading

from conda_store_hub.lab.leases import LeaseKeeper

# By process too: a thread does not come along to what is forked.
_keepers: dict[tuple[int, str, str], LeaseKeeper] = {}
_making = threading.Lock()


def find_keeper(url: str, token: str, log: logging.Logger) -> LeaseKeeper:
    """Return this process's keeper of leases at a service, started when it is first asked for.

    It ends with the process; a lease that was not released ends by itself within the hour.
    """
    key = os.getpid(), url, token
    with _making:
        if key not in _keepers:
            _keepers[key] = _start(LeaseKeeper(url=url, token=token, log=log))
        return _keepers[key]


def _start(keeper: LeaseKeeper) -> LeaseKeeper:
    started = threading.Event()

    async def keep() -> None:
        keeper.start()
        started.set()
        await asyncio.Event().wait()

    threading.Thread(target=lambda: asyncio.run(keep()), daemon=True, name="conda-store-hub-leases").start()
    started.wait()
    return keeper
