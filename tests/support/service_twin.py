"""An in-memory twin of the service: a real HTTP server that speaks as much of its REST API as lab and client ask.

It is for what the real service cannot be made to do at will: answers that break off, outages, pages in place of
JSON. That client and lab work with the real service is for the acceptance tests.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any

from tornado import web
from tornado.httpserver import HTTPServer
from tornado.iostream import StreamClosedError
from tornado.netutil import bind_sockets

from conda_store_hub.core.names import KernelName

TOKEN = "a-token-of-alice"
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC).isoformat()
IPYKERNEL = {
    "argv": ["python", "-m", "ipykernel_launcher", "-f", "{connection_file}"],
    "display_name": "Python 3 (ipykernel)",
    "language": "python",
    "metadata": {"debugger": True},
}


def make_kernel(
    prefix: object,
    *,
    namespace: str = "alice",
    environment: str = "ml",
    build_id: int = 1,
    raw: str = "python3",
    spec: dict[str, Any] | None = None,
    aliases: tuple[str, ...] = (),
) -> dict[str, Any]:
    """Return a kernel as it stands in `kernels/`."""
    return {
        "name": str(KernelName(namespace=namespace, environment=environment, raw=raw)),
        "namespace": namespace,
        "environment": environment,
        "build_id": build_id,
        "raw": raw,
        "prefix": str(prefix),
        "spec": IPYKERNEL if spec is None else spec,
        "aliases": list(aliases),
    }


@dataclass
class Request:
    """A request that the twin got."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: str


@dataclass
class TwinState:
    """What the twin answers from; tests change it under `ServiceTwin.changing`."""

    kernels: list[dict[str, Any]] = field(default_factory=list)
    environments: list[dict[str, Any]] = field(default_factory=list)
    builds: dict[int, dict[str, Any]] = field(default_factory=dict)
    packages: list[dict[str, Any]] = field(default_factory=list)
    log: bytes = b""
    log_complete: bool = False
    artifacts: dict[str, bytes] = field(default_factory=dict)
    hold_seconds: float = 50.0
    page_size_limit: int = 100
    #: Answers every request in place of the API: status, headers, body.
    instead: tuple[int, dict[str, str], bytes] | None = None
    #: Ends each live log after so many events, without `end`.
    events_before_break: int | None = None
    #: Takes no specification until this is over.
    specifications_held: bool = False
    #: Sends so many bytes of an artifact, then breaks off.
    bytes_before_break: int | None = None
    #: Digests that an artifact is sent with which are not its own, by name.
    false_digests: dict[str, bytes] = field(default_factory=dict)

    @property
    def etag(self) -> str:
        return hashlib.sha256(json.dumps(self.kernels).encode()).hexdigest()[:16]


class ServiceTwin:
    """The server, on a thread and a loop of its own; `stop` and `start` keep its port and its state."""

    def __init__(self) -> None:
        self.state = TwinState()
        self.requests: list[Request] = []
        self._port = 0
        self._loop = asyncio.new_event_loop()
        self._changed = asyncio.Condition()
        self._server: HTTPServer | None = None
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}/services/conda-store-hub/"

    @contextmanager
    def changing(self) -> Generator[TwinState]:
        """Change the state and wake whoever waits for a change."""
        yield self.state
        self._call(self._announce())

    def start(self) -> None:
        self._call(self._start())

    def stop(self) -> None:
        """Be gone, as a service that crashed: open connections break."""
        self._call(self._stop())

    def close(self) -> None:
        self.stop()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def asked(self, path: str) -> list[Request]:
        """Return the requests for a path below `api/v1/`, or `api/v2/`."""
        ends = (f"/api/v1/{path}", f"/api/v2/{path}")
        return [request for request in list(self.requests) if request.path.endswith(ends)]

    async def wait_for_change(self, seconds: float, unless: Callable[[], bool]) -> bool:
        """Wait until a change after which `unless` holds; tell whether one came."""
        async with self._changed:
            try:
                await asyncio.wait_for(self._changed.wait_for(unless), seconds)
            except TimeoutError:
                return False
            return True

    def _call(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(10)

    async def _announce(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    async def _start(self) -> None:
        sockets = bind_sockets(self._port, "127.0.0.1")
        self._port = sockets[0].getsockname()[1]
        handler = {"twin": self}
        base = r"/services/conda-store-hub/api/v1/"
        routes = [
            ("", VersionHandler),
            ("permission/", PermissionHandler),
            ("namespace/", NamespacesHandler),
            ("environment/", EnvironmentsHandler),
            ("environment/([^/]+)/([^/]+)/", EnvironmentHandler),
            ("specification/", SpecificationHandler),
            ("build/", BuildsHandler),
            (r"build/(\d+)/", BuildHandler),
            (r"build/(\d+)/packages/", PackagesHandler),
            (r"build/(\d+)/kernels/", BuildKernelsHandler),
            (r"build/(\d+)/lease/", LeaseHandler),
            (r"build/(\d+)/logs/", LogsHandler),
            (r"build/(\d+)/(yaml|lockfile|archive)/", ArtifactHandler),
            (r"build/(\d+)/(environment\.tar\.gz)", ArtifactHandler),
            ("kernels/", KernelsHandler),
        ]
        by_cursor = (base.replace("v1", "v2") + "environment/", EnvironmentsByCursorHandler, handler)
        application = web.Application(
            [by_cursor, *((base + path, kind, handler) for path, kind in routes), (".*", NowhereHandler, handler)],
            log_function=lambda _: None,
        )
        self._server = HTTPServer(application)
        self._server.add_sockets(sockets)

    async def _stop(self) -> None:
        if self._server is not None:
            self._server.stop()
            await self._server.close_all_connections()
            self._server = None


class TwinHandler(web.RequestHandler):
    """Knows the twin, records the request, and refuses what has no token."""

    def initialize(self, twin: ServiceTwin) -> None:
        self.twin = twin

    @property
    def state(self) -> TwinState:
        return self.twin.state

    def prepare(self) -> None:
        if not self.answer_instead() and not self.is_known():
            self.fail(401, "not-authenticated", "Log in first.")

    def is_known(self) -> bool:
        return self.request.headers.get("Authorization") in (f"token {TOKEN}", f"Bearer {TOKEN}")

    def answer_instead(self) -> bool:
        request = self.request
        query = {name: self.get_query_argument(name) for name in request.query_arguments}
        self.twin.requests.append(
            Request(request.method or "", request.path, query, dict(request.headers), request.body.decode())
        )
        if self.state.instead is None:
            return False
        status, headers, body = self.state.instead
        self.set_status(status)
        for name, value in headers.items():
            self.set_header(name, value)
        self.finish(body or None)
        return True

    def answer(self, data: Any, **more: Any) -> None:
        self.finish({"status": "ok", "data": data, "message": None, **more})

    def fail(self, status: int, code: str, message: str, **more: Any) -> None:
        self.set_status(status)
        self.finish({"status": "error", "code": code, "message": message, **more})

    def answer_page(self, items: list[Any]) -> None:
        number = int(self.get_query_argument("page", "1"))
        size = min(int(self.get_query_argument("size", "10")), self.state.page_size_limit)
        part = items[(number - 1) * size : number * size]
        self.answer(part, page=number, size=size, count=min(len(items), 10_000))


class NowhereHandler(TwinHandler):
    """What is not below the API."""

    def prepare(self) -> None:
        if not self.answer_instead():
            self.set_status(404)
            self.finish("<html>Nothing here")


class VersionHandler(TwinHandler):
    def get(self) -> None:
        self.answer({"version": "0.1.0"})


class PermissionHandler(TwinHandler):
    def get(self) -> None:
        self.answer(
            {
                "authenticated": True,
                "primary_namespace": "alice",
                "entity_permissions": {"alice/*": ["environment:create"]},
                "entity_roles": {"alice/*": ["admin"]},
                "expiration": None,
            }
        )


class NamespacesHandler(TwinHandler):
    def get(self) -> None:
        self.answer_page([make_namespace("alice"), {**make_namespace("group.team"), "id": 2, "kind": "group"}])


class EnvironmentsHandler(TwinHandler):
    def get(self) -> None:
        self.answer_page(self.find())

    def find(self) -> list[dict[str, Any]]:
        namespace, name = (self.get_query_argument(key, None) for key in ("namespace", "name"))
        search = self.get_query_argument("search", "")
        return [
            item
            for item in self.state.environments
            if namespace in (None, item["namespace"]["name"])
            and name in (None, item["name"])
            and search in item["name"]
        ]


class EnvironmentsByCursorHandler(EnvironmentsHandler):
    def get(self) -> None:
        """Answer what stands behind a cursor, which is the place of an entry here."""
        found, start = self.find(), int(self.get_query_argument("cursor", "0"))
        size = min(int(self.get_query_argument("limit", "10")), self.state.page_size_limit)
        part = found[start : start + size]
        self.answer(part, cursor=str(start + len(part)) if part else None, count=None if start else len(found))


class EnvironmentHandler(TwinHandler):
    def find(self, namespace: str, name: str) -> dict[str, Any] | None:
        for item in self.state.environments:
            if (item["namespace"]["name"], item["name"]) == (namespace, name):
                return item
        self.fail(404, "not-found", f"There is no environment {namespace}/{name}.")
        return None

    def get(self, namespace: str, name: str) -> None:
        if (item := self.find(namespace, name)) is not None:
            self.answer(item)

    def put(self, namespace: str, name: str) -> None:
        if (item := self.find(namespace, name)) is not None:
            item["current_build_id"] = json.loads(self.request.body)["build_id"]
            self.answer(None)

    def delete(self, namespace: str, name: str) -> None:
        if (item := self.find(namespace, name)) is not None:
            self.state.environments.remove(item)
            self.answer(None)


class SpecificationHandler(TwinHandler):
    async def post(self) -> None:
        await self.twin.wait_for_change(30, lambda: not self.state.specifications_held)
        if self.request.connection.stream.closed():  # type: ignore[union-attr]
            return
        body = json.loads(self.request.body)
        if "name:" not in body["specification"]:
            said = "The specification has no name. (line 1, column 3)"
            self.fail(400, "invalid-specification", said, line=1, column=3)
            return
        build_id = len(self.state.builds) + 1
        self.state.builds[build_id] = make_build(build_id, namespace=body["namespace"])
        self.answer({"build_id": build_id})


class BuildsHandler(TwinHandler):
    def get(self) -> None:
        status = self.get_query_argument("status", None)
        after = int(self.get_query_argument("after", "0"))
        builds = sorted(self.state.builds.values(), key=lambda item: -item["id"])
        self.answer_page(
            [item for item in builds if status in (None, item["status"]) and (not after or item["id"] < after)]
        )


class BuildHandler(TwinHandler):
    def get(self, build_id: str) -> None:
        build = self.state.builds.get(int(build_id))
        if build is None:
            self.fail(404, "not-found", f"There is no build {build_id}.")
        else:
            self.answer(build)


class PackagesHandler(TwinHandler):
    def get(self, build_id: str) -> None:
        self.answer_page(self.state.packages)


class BuildKernelsHandler(TwinHandler):
    def get(self, build_id: str) -> None:
        self.answer([kernel for kernel in self.state.kernels if kernel["build_id"] == int(build_id)])


class LeaseHandler(TwinHandler):
    def put(self, build_id: str) -> None:
        holder = json.loads(self.request.body)["holder"]
        self.answer({"build_id": int(build_id), "holder": holder, "expires_on": NOW})

    def delete(self, build_id: str) -> None:
        self.answer(None)


class ArtifactHandler(TwinHandler):
    async def get(self, build_id: str, name: str) -> None:
        content = self.state.artifacts.get(name)
        if content is None:
            self.fail(404, "not-found", f"Build {build_id} has no {name}.")
            return
        self.set_header("Content-Type", "application/octet-stream")
        self.set_header("Content-Length", len(content))
        digest = self.state.false_digests.get(name) or hashlib.sha256(content).digest()
        self.set_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
        self.set_header("Repr-Digest", f"sha-256=:{base64.b64encode(digest).decode()}:")
        if self.state.bytes_before_break is None:
            await self.finish(content)
            return
        self.write(content[: self.state.bytes_before_break])
        await self.flush()
        stream = self.request.connection.detach()  # type: ignore[union-attr]
        stream.close()


class LogsHandler(TwinHandler):
    """The log by offset, and live as server-sent events."""

    async def get(self, build_id: str) -> None:
        if int(build_id) not in self.state.builds:
            self.fail(404, "not-found", f"There is no build {build_id}.")
            return
        offset = int(self.request.headers.get("Last-Event-ID") or self.get_query_argument("offset", "0"))
        if self.request.headers.get("Accept") == "text/event-stream":
            await self.stream(offset)
            return
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        self.set_header("X-Log-Offset", len(self.state.log))
        self.set_header("X-Log-Complete", str(self.state.log_complete).lower())
        await self.finish(self.state.log[offset:])

    async def stream(self, offset: int) -> None:
        self.set_header("Content-Type", "text/event-stream")
        try:
            await self.send("state", json.dumps({"status": "BUILDING"}))
            if await self.follow(offset):
                await self.send("state", json.dumps({"status": "COMPLETED"}))
                await self.send("end", "{}")
                return
            self.request.connection.detach().close()  # type: ignore[union-attr]
        except StreamClosedError:
            return

    async def follow(self, offset: int) -> bool:
        """Send the log until it is complete; False when it is time to break off."""
        sent = 0
        while sent != self.state.events_before_break:
            if offset < len(self.state.log):
                end = self.state.log.find(b"\n", offset) + 1 or len(self.state.log)
                await self.send("log", self.state.log[offset:end].decode(), end)
                offset, sent = end, sent + 1
            elif self.state.log_complete:
                return True
            else:
                self.write(": still here\n\n")
                await self.flush()
                await self.twin.wait_for_change(10, partial(self.is_news, offset))
        return False

    def is_news(self, offset: int) -> bool:
        return offset < len(self.state.log) or self.state.log_complete

    async def send(self, name: str, data: str, identifier: int | None = None) -> None:
        lines = [f"event: {name}"] if identifier is None else [f"event: {name}", f"id: {identifier}"]
        lines += [f"data: {line}" for line in data.split("\n")]
        self.write("\n".join(lines) + "\n\n")
        await self.flush()


class KernelsHandler(TwinHandler):
    """The long poll."""

    async def get(self) -> None:
        since = self.get_query_argument("since", None)
        if since == self.state.etag:
            await self.twin.wait_for_change(self.state.hold_seconds, lambda: since != self.state.etag)
        if self.request.connection.stream.closed():  # type: ignore[union-attr]
            return
        if since == self.state.etag:
            self.set_status(304)
            await self.finish()
        else:
            self.answer({"etag": self.state.etag, "kernels": self.state.kernels})


def make_namespace(name: str) -> dict[str, Any]:
    return {"id": 1, "name": name, "kind": "user", "hub_name": name}


def make_environment(name: str, *, namespace: str = "alice", number: int = 1) -> dict[str, Any]:
    return {
        "id": number,
        "namespace": make_namespace(namespace),
        "name": name,
        "current_build_id": None,
        "latest_build_id": 1,
        "latest_status": "COMPLETED",
    }


def make_build(
    build_id: int, *, namespace: str = "alice", name: str = "ml", status: str = "COMPLETED", **more: Any
) -> dict[str, Any]:
    return {
        "id": build_id,
        "environment_id": 1,
        "specification_id": 1,
        "status": status,
        "scheduled_on": NOW,
        "build_key": f"{'0' * 64}-20260102-030405-000000-{build_id}-{name}",
        "namespace": namespace,
        "environment": name,
        "specification": {
            "id": 1,
            "name": name,
            "sha256": "0" * 64,
            "created_on": NOW,
            "spec": {"name": name},
            "text": f"name: {name}\n",
        },
        "build_artifacts": [],
        "phases": [],
        **more,
    }


@contextmanager
def run_twin() -> Generator[ServiceTwin]:
    """Run a twin until the end of the block."""
    twin = ServiceTwin()
    twin.start()
    try:
        yield twin
    finally:
        twin.close()
