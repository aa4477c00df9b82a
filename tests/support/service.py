"""The real application on a random port: real database, real services, a fake Hub; on a loop and thread of its own."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import sys
import threading
from collections.abc import Awaitable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import quote

import httpx
import pytest
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application

from conda_store_hub.core.names import DataDirectory
from conda_store_hub.core.oci import LAYER_TYPE, Descriptor, Manifest
from conda_store_hub.core.permissions import Identity
from conda_store_hub.core.protocol import (
    ArtifactEvent,
    ArtifactType,
    BlobEvent,
    BuildEvent,
    LockEvent,
    Package,
    PhaseEvent,
    ProgressEvent,
    ResultEvent,
)
from conda_store_hub.db.session import Database
from conda_store_hub.queue.builders import Builders
from conda_store_hub.queue.executor import LocalExecutor
from conda_store_hub.queue.links import Links
from conda_store_hub.queue.process import BUILDER
from conda_store_hub.queue.runner import Runner
from conda_store_hub.queue.searcher import ProcessSearcher
from conda_store_hub.queue.solver import ProcessSolver
from conda_store_hub.services import work
from conda_store_hub.services.changes import Changes
from conda_store_hub.services.rules import BuildRules
from conda_store_hub.storage.base import LocalArtifactStore, artifact_key
from conda_store_hub.web.auth import HubAuthenticator
from conda_store_hub.web.base import MAX_BODY, Readiness, Services
from conda_store_hub.web.listening import PlainServer, make_registry_application, open_registry
from conda_store_hub.web.registry.place import Registry
from conda_store_hub.web.routes import make_application
from tests.support import make
from tests.support.bytecode import link_bytecode
from tests.support.fake_hub import FakeHub, user
from tests.support.sqlite import put_database

T = TypeVar("T")

PREFIX = "/services/conda-store-hub/"
WORKER = "local:test"

#: alice and carol are in `physics`, bob and carl in no group, the admin may do everything.
IDENTITIES = {
    "alice": Identity(name="alice", groups=frozenset({"physics"})),
    "carol": Identity(name="carol", groups=frozenset({"physics"})),
    "bob": Identity(name="bob"),
    "root": Identity(name="root", admin=True),
}


# What a builder says that has solved whatever it is asked for.
_SOLVED = (
    LockEvent(path="/nowhere", packages=(Package(manager="conda", name="python", version="3.11.7"),)),
    ResultEvent(),
)
# A builder that says it.
_SAYING = """
import os, sys
sys.stdin.read()
os.write(int(sys.argv[sys.argv.index("--events-fd") + 1]), {said!r})
"""


# A process that finds nothing, whatever it is asked.
_FOUND = """
import json, os, sys
descriptor = int(sys.argv[sys.argv.index("--events-fd") + 1])
for line in iter(sys.stdin.readline, ""):
    question = json.loads(line)
    if "ask" in question:
        found = {"kind": question["ask"]["kind"], "found": [], "count": 0}
        os.write(descriptor, json.dumps({"id": question["id"], "found": found}).encode() + b"\\n")
"""


@dataclass
class RunningService:
    """A service that runs, and what a test does to it from outside its loop."""

    services: Services
    application: Application
    hub: FakeHub
    url: str
    loop: asyncio.AbstractEventLoop
    tickets: dict[int, work.Ticket] = field(default_factory=dict)

    @property
    def db(self) -> Database:
        return self.services.db

    @property
    def solver(self) -> ProcessSolver:
        assert isinstance(self.services.solver, ProcessSolver)
        return self.services.solver

    @property
    def root_url(self) -> str:
        """The root of the host, where the registry is."""
        return self.url.removesuffix(PREFIX)

    def call(self, awaitable: Awaitable[T]) -> T:
        """Run something on the service's loop and return what it gives."""

        async def run() -> T:
            return await awaitable

        return asyncio.run_coroutine_threadsafe(run(), self.loop).result(30)

    def settle(self) -> None:
        """Wait until the uses of tokens are written down."""

        async def wait() -> None:
            await asyncio.gather(*self.services.auth._touching)

        self.call(wait())

    def client(self, name: str | None = None, **options: Any) -> httpx.Client:
        """Return a client with a token of this user; None is the anonymous."""
        headers = {"Authorization": f"token {name}-token"} if name else {}
        return httpx.Client(base_url=self.url, headers=headers | options.pop("headers", {}), **_USUAL | options)

    @contextmanager
    def browser(self, name: str) -> Generator[httpx.Client]:
        """Give a client that logged in as a browser does: by redirects and cookies."""
        with httpx.Client(base_url=self.url, follow_redirects=True, **_USUAL) as client:
            client.cookies.set("fake-user", quote(name), domain="127.0.0.1")
            answer = client.get("", headers={"Sec-Fetch-Mode": "navigate"})
            assert answer.status_code == 200, answer.text
            yield client

    def solve_at_once(self, *said: BuildEvent) -> None:
        """Have dry runs come to one package, or to what is `said`, without the engine and a channel."""
        lines = "".join(f"{event.model_dump_json()}\n" for event in said or _SOLVED)
        self.solve_by(_SAYING.format(said=lines.encode()))

    def solve_by(self, program: str, *arguments: str) -> None:
        """Have another program be what solves."""
        self.call(self.solver._builders.stop())
        self.solver._builders = Builders(self.services.data, (sys.executable, "-S", "-c", program, *arguments))

    def search_at_once(self) -> None:
        """Have searches find nothing, without the engine and a channel."""
        assert isinstance(self.services.searcher, ProcessSearcher)
        self.services.searcher._command = (sys.executable, "-S", "-c", _FOUND)

    @contextmanager
    def building(self, command: Sequence[str] = BUILDER) -> Generator[None]:
        """Have queued builds built as the service does it, by the real builder or by another program."""
        builders = Builders(self.services.data, command)
        if command == BUILDER:
            link_bytecode(self.services.data)
        executor = self.call(self._start_executor(builders))
        try:
            yield
        finally:
            self.call(executor.stop())
            self.call(builders.stop())

    async def _start_executor(self, builders: Builders) -> LocalExecutor:
        services, log = self.services, logging.getLogger("test")
        executor = LocalExecutor(concurrency=1, allow_root=True)
        runner = Runner(
            db=services.db,
            store=services.store,
            data=services.data,
            links=Links(db=services.db, data=services.data, log=log),
            rules=services.rules,
            log=log,
            builders=builders,
        )
        executor.start(db=services.db, changes=services.changes, runner=runner)
        return executor

    # What a runner would do

    def submit(self, name: str = "ml", *, user: str = "alice", namespace: str | None = None, yaml: str = "") -> int:
        return make.submit(self.db, IDENTITIES[user], yaml=yaml or make.text(name), namespace=namespace)

    def claim(self, build_id: int) -> None:
        claim = self.db.write_sync(work.claim, WORKER)
        assert claim is not None
        assert claim.build_id == build_id
        self.tickets[build_id] = claim.ticket

    def log(
        self,
        build_id: int,
        text: str | bytes,
        *,
        phases: tuple[PhaseEvent, ...] = (),
        progress: ProgressEvent | None = None,
    ) -> None:
        data = text.encode() if isinstance(text, str) else text
        self.db.write_sync(work.tick, self.tickets[build_id], log=data, phases=phases, progress=progress)

    def use(self, build_id: int, *packages: str) -> None:
        self.db.write_sync(work.mark_usable, self.tickets[build_id], make.usable(*packages))

    def store(self, build_id: int, kind: ArtifactType, data: bytes) -> str:
        """Keep an artifact's bytes and say so; returns their digest."""
        digest = hashlib.sha256(data).hexdigest()
        path = self.services.data.work / digest
        path.write_bytes(data)
        self.services.store.adopt(path, artifact_key(digest))
        event = ArtifactEvent(artifact=kind, path=str(path), sha256=digest, size=len(data))
        self.db.write_sync(work.record_artifact, self.tickets[build_id], event, artifact_key(digest))
        return digest

    def store_image(self, build_id: int, *layers: bytes) -> Manifest:
        """Keep an image of a build with these layers, which need not be any, and say so."""
        config, *made = (self._store_blob(build_id, data) for data in (f'{{"of": {build_id}}}'.encode(), *layers))
        manifest = Manifest(config=config, layers=tuple(made))
        self.store(build_id, ArtifactType.DOCKER_MANIFEST, manifest.to_json())
        return manifest

    def _store_blob(self, build_id: int, data: bytes) -> Descriptor:
        digest = hashlib.sha256(data).hexdigest()
        path = self.services.data.work / digest
        path.write_bytes(data)
        self.services.store.adopt(path, artifact_key(digest))
        event = BlobEvent(path=str(path), digest=f"sha256:{digest}", size=len(data))
        self.db.write_sync(work.record_blob, self.tickets[build_id], event, artifact_key(digest))
        return Descriptor(media_type=LAYER_TYPE, digest=event.digest, size=len(data))

    def finish(self, build_id: int, error: Any = None) -> None:
        self.db.write_sync(work.finish, self.tickets[build_id], error)

    def completed(self, name: str = "ml", *, user: str = "alice", namespace: str | None = None) -> int:
        """Return a build that is completed and active, without artifacts."""
        build_id = self.submit(name, user=user, namespace=namespace)
        self.claim(build_id)
        self.use(build_id)
        return build_id


# Nothing is encrypted here, and to read the machine's certificates takes longer than a request.
_USUAL: dict[str, Any] = {"trust_env": False, "timeout": 30, "verify": False}


@contextmanager
def run_service(
    data: DataDirectory,
    *,
    rules: BuildRules | None = None,
    ready: bool = True,
    database_url: str | None = None,
    registry: Registry | None = None,
    public_url: str = "",
    **authenticator: Any,
) -> Generator[RunningService]:
    """Run the application; `authenticator` are traits of HubAuthenticator. A `registry` may have a port of its own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="service", daemon=True)
    thread.start()

    def call(awaitable: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(awaitable, loop).result(30)

    given = (data, rules or make.rules(), ready, database_url, registry, public_url, authenticator)
    running, servers = call(_start(*given))
    try:
        yield running
    finally:
        call(_stop(running, servers))
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
        running.db.close()


async def _start(
    data: DataDirectory,
    rules: BuildRules,
    ready: bool,
    database_url: str | None,
    registry: Registry | None,
    public_url: str,
    authenticator: dict[str, Any],
) -> tuple[RunningService, list[HTTPServer]]:
    hub = FakeHub(
        tokens={
            "alice-token": user("alice", "physics"),
            "bob-token": user("bob"),
            "carol-token": user("carol", "physics"),
            "root-token": user("root", admin=True),
        }
    )
    hub.start()
    sockets = bind_sockets(0, "127.0.0.1")
    url = f"http://127.0.0.1:{sockets[0].getsockname()[1]}{PREFIX}"
    environment = {
        "JUPYTERHUB_API_URL": f"{hub.url}/hub/api",
        "JUPYTERHUB_API_TOKEN": hub.api_token,
        "JUPYTERHUB_SERVICE_NAME": "conda-store-hub",
        "JUPYTERHUB_SERVICE_PREFIX": PREFIX,
        "JUPYTERHUB_HOST": hub.url,
        "JUPYTERHUB_PUBLIC_URL": public_url,
        "JUPYTERHUB_OAUTH_CALLBACK_URL": f"{url}oauth_callback",
    }
    changes = Changes()
    if ready and database_url is None:
        put_database(data)
    db = Database(database_url or f"sqlite:///{data.database}", listener=changes.publish)
    store = LocalArtifactStore(data.objects)
    services = Services(
        db=db,
        store=store,
        changes=changes,
        data=data,
        rules=rules,
        solver=ProcessSolver(db=db, store=store, data=data, builders=Builders(data), slots=2),
        searcher=ProcessSearcher(data),
        auth=HubAuthenticator(environment, pepper=b"pepper", **authenticator),
        readiness=Readiness(ready=ready),
        registry=registry or Registry(),
    )
    application = make_application(services, prefix=PREFIX, cookie_secret=b"0" * 32)
    server = PlainServer(application, xheaders=True, max_body_size=4 * MAX_BODY)
    server.add_sockets(sockets)
    images = open_registry(make_registry_application(application), services.registry)
    running = RunningService(
        services=services, application=application, hub=hub, url=url, loop=asyncio.get_running_loop()
    )
    return running, [server] if images is None else [server, images]


async def _stop(running: RunningService, servers: list[HTTPServer]) -> None:
    for server in servers:
        server.stop()
        await server.close_all_connections()
    await running.solver.stop()
    await running.services.searcher.stop()
    await running.solver._builders.stop()
    await running.services.auth.close()
    await running.hub.stop()
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    for _ in range(3):
        await asyncio.sleep(0)  # transports close on the loop's next turn


@pytest.fixture
def service(data: DataDirectory) -> Generator[RunningService]:
    """One service, ready."""
    with run_service(data) as running:
        yield running
