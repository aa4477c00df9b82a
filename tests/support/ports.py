"""Ports for what a test starts, each given once: a server that is slow to bind finds its port still free.

They are from a range that the system does not give to those who ask for any port, which tests beside do all the time,
and each process of the suite has a share of it.
"""

from __future__ import annotations

import os
import socket
from itertools import cycle
from random import SystemRandom

from conda_store_hub.demo.hub import Ports

_FIRST, _SHARE, _SHARES = 20_000, 1_500, 8


def _count() -> cycle[int]:
    """Go round in this process's share, from anywhere: there may be another run on this machine."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    first = _FIRST + worker % _SHARES * _SHARE
    start = SystemRandom().randrange(_SHARE)
    return cycle(first + (start + number) % _SHARE for number in range(_SHARE))


_numbers = _count()


def find_port() -> int:
    """Return a port of 127.0.0.1 that is free and that nobody else in the suite is given."""
    return next(port for port in _numbers if _is_free(port))


def find_ports() -> Ports:
    """Return what a Hub and all that it starts listen on."""
    return Ports(public=find_port(), hub=find_port(), proxy=find_port(), service=find_port())


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
