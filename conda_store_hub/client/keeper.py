"""What goes on beside a command: a lease on its build, and the cache that is tidied. A program of its own.

`conda-store run` becomes the command, so that nothing of it is left that could do this. The keeper reads what to do as
a line of JSON from a pipe whose other end the command and all that it starts inherit; the end of that pipe is theirs.
"""

from __future__ import annotations

import os
import select
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import IO

from pydantic import BaseModel, ConfigDict

from conda_store_hub.client.connection import Connection, Credentials, Source
from conda_store_hub.client.envcache import EnvironmentCache
from conda_store_hub.client.sparing import spare_httpx_command
from conda_store_hub.client.variables import make_absolute
from conda_store_hub.core.errors import CondaStoreHubError, ForbiddenError, GoneError, NotAuthenticatedError

LEASE_SECONDS = 3600
RENEW_SECONDS = 1200.0
RETRY_SECONDS = 60.0
_LINE = 1 << 16


class LeaseWish(BaseModel):
    """A lease to be kept up while the command runs, and how the service is asked."""

    model_config = ConfigDict(frozen=True)

    url: str
    build_id: int
    holder: str
    token: str | None = None
    basic: tuple[str, str] | None = None
    no_verify: bool = False
    ca_file: Path | None = None

    def connect(self) -> Connection:
        """Return the connection that was told."""
        shown = Credentials(source=Source.NONE, token=self.token, basic=self.basic)
        return Connection(
            url=self.url, source=Source.NONE, credentials=shown, no_verify=self.no_verify, ca_file=self.ca_file
        )


class KeeperTask(BaseModel):
    """What to do: `trim` is the cache to be tidied."""

    model_config = ConfigDict(frozen=True)

    lease: LeaseWish | None = None
    trim: Path | None = None


def start_keeper(task: KeeperTask) -> int:
    """Start one that is nobody's child, and return the descriptor whose end is its own, for the command to inherit."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        _become_keeper(reading, writing)
    os.close(reading)
    os.waitpid(child, 0)
    try:
        os.write(writing, task.model_dump_json().encode() + b"\n")
    except OSError:  # it is not there
        os.close(writing)
        raise
    return writing


def _become_keeper(reading: int, writing: int) -> None:
    """Run in the child: start the keeper and end, so that the command has no child that it does not know of."""
    try:
        os.setsid()
        if os.fork() == 0:
            os.close(writing)
            nothing = os.open(os.devnull, os.O_RDWR)
            for source, target in ((reading, 0), (nothing, 1), (nothing, 2)):
                os.dup2(source, target)
            os.closerange(3, 256)
            variables = make_absolute(os.environ)
            os.chdir("/")
            os.execve(sys.executable, [sys.executable, "-P", "-m", __name__], variables)  # noqa: S606
    finally:
        os._exit(0)


def main() -> int:
    """Do what the first line of standard input asks for, until that ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    spare_httpx_command()
    stream = os.fdopen(0, "rb", buffering=0)
    task = KeeperTask.model_validate_json(stream.readline(_LINE))
    if task.trim is not None:
        with suppress(OSError, CondaStoreHubError):
            EnvironmentCache(task.trim).trim()
    if task.lease is not None:
        _keep_lease(task.lease, stream)
    return 0


def _keep_lease(wish: LeaseWish, stream: IO[bytes]) -> None:
    with wish.connect().connect() as client:
        seconds = 0.0
        while not select.select([stream], [], [], seconds)[0]:
            try:
                client.take_lease(wish.build_id, wish.holder, LEASE_SECONDS)
                seconds = RENEW_SECONDS
            except GoneError:
                return
            except (NotAuthenticatedError, ForbiddenError):
                seconds = RENEW_SECONDS  # a minute changes nothing of that
            except CondaStoreHubError:
                seconds = RETRY_SECONDS
        with suppress(CondaStoreHubError):
            client.end_lease(wish.build_id, wish.holder)


if __name__ == "__main__":
    sys.exit(main())
