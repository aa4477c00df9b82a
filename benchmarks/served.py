"""The service as a process of its own over a database that is there, a Hub that knows who asks, and a bare client."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from urllib.parse import urlsplit

import psutil
from sqlalchemy.orm import Session

from conda_store_hub.core import schemas
from conda_store_hub.core.names import DataDirectory
from conda_store_hub.db.session import Database
from conda_store_hub.services import builds, users, work
from conda_store_hub.services.work import Ticket
from conda_store_hub.storage import prefixes
from tests.support import make
from tests.support.fake_hub import FakeHub, user
from tests.support.process import ServiceProcess

USER = "alice"
ADMIN = "root"
_TOKENS = {name: f"token-of-{name}" for name in (USER, ADMIN)}
HEADERS = {"Authorization": f"token {_TOKENS[USER]}"}
_LONGEST_ANSWER = 1 << 20


def make_usable_build(session: Session) -> Ticket:
    """Put in one build that can be used; its files are yet to be told of."""
    users.ensure_namespaces(session, make.ALICE)
    prepared = builds.prepare(schemas.SubmitSpecification(specification=make.text()), make.rules())
    builds.submit(session, make.ALICE, None, prepared, make.rules())
    claim = work.claim(session, "local:benchmark")
    if claim is None:
        raise SystemExit("nothing was queued")
    work.mark_usable(session, claim.ticket, make.usable())
    return claim.ticket


@dataclass(frozen=True, slots=True)
class Connection:
    """One connection that asks and reads as little as can be, so that it is the service that is measured."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    base: str
    user: str = USER

    async def ask(self, path: str) -> bytes:
        """Return the body of what stands at a path below the service's prefix; who asks is known to the service."""
        head = await self._send(path)
        if not head.startswith("HTTP/1.1 200"):
            raise SystemExit(f"{path}: {head}")
        return await self.reader.readexactly(_find_length(head))

    async def _send(self, path: str, headers: Mapping[str, str] = MappingProxyType({})) -> str:
        given = {"Host": "service", "Authorization": f"token {_TOKENS[self.user]}", **headers}
        lines = "".join(f"{name}: {value}\r\n" for name, value in given.items())
        self.writer.write(f"GET {self.base}{path} HTTP/1.1\r\n{lines}\r\n".encode())
        return (await self.reader.readuntil(b"\r\n\r\n")).decode()

    async def find_etag(self, path: str) -> str:
        """Return what a page is called that is asked for by its script."""
        head = await self._send(path, {"X-XSRFToken": "x"})
        await self.reader.readexactly(_find_length(head))
        return head.lower().partition("etag: ")[2].partition("\r\n")[0]

    async def look_again(self, path: str, etag: str) -> float:
        """Return how many milliseconds it takes to be told that a page is as it was."""
        began = time.perf_counter()
        head = await self._send(path, {"X-XSRFToken": "x", "If-None-Match": etag})
        if not head.startswith("HTTP/1.1 304"):
            raise SystemExit(f"{path}: {head}")
        return (time.perf_counter() - began) * 1000

    async def time(self, path: str) -> float:
        """Return how many milliseconds an answer takes."""
        began = time.perf_counter()
        await self.ask(path)
        return (time.perf_counter() - began) * 1000


def _find_length(head: str) -> int:
    return int(head.lower().partition("content-length:")[2].partition("\r\n")[0])


@dataclass(frozen=True, slots=True)
class Served:
    """A running service."""

    process: ServiceProcess

    @property
    def processor_seconds(self) -> float:
        """How long a processor has worked for it: that does not depend on what else the machine does."""
        times = psutil.Process(self.process.process.pid).cpu_times()
        return times.user + times.system

    @contextlib.asynccontextmanager
    async def connect(self, who: str = USER) -> AsyncGenerator[Connection]:
        """Open a connection of somebody."""
        address = urlsplit(self.process.url)
        reader, writer = await asyncio.open_connection(address.hostname, address.port, limit=_LONGEST_ANSWER)
        try:
            yield Connection(reader, writer, address.path, who)
        finally:
            writer.close()


@contextlib.asynccontextmanager
async def serving(scratch: Path, fill: Callable[[Session], None], config: str = "") -> AsyncGenerator[Served]:
    """Run the service over what `fill` puts into its database, with more lines of configuration."""
    data = DataDirectory(scratch / "data")
    prefixes.ensure_data_directory(data, publish_links=False)
    db = Database(f"sqlite:///{data.database}")
    db.upgrade()
    db.write_sync(fill)
    db.close()
    hub = FakeHub(tokens={token: user(name, admin=name == ADMIN) for name, token in _TOKENS.items()})
    hub.start()
    told = {
        "JUPYTERHUB_API_URL": f"{hub.url}/hub/api",
        "JUPYTERHUB_API_TOKEN": hub.api_token,
        "JUPYTERHUB_SERVICE_NAME": "conda-store-hub",
    }
    try:
        with ServiceProcess(scratch / "data", f"c.LocalExecutor.allow_root = True\n{config}", **told) as process:
            await asyncio.to_thread(process.wait_until_ready)
            yield Served(process)
    finally:
        await hub.stop()
