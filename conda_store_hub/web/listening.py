"""The ports that the service listens on: pages and API for the Hub's proxy, and one of the registry's own."""

from __future__ import annotations

import contextlib
import resource
import socket
from typing import Any, cast

from tornado.httpserver import HTTPServer
from tornado.httputil import HTTPServerRequest
from tornado.ioloop import IOLoop
from tornado.iostream import IOStream
from tornado.netutil import bind_sockets
from tornado.web import Application

from conda_store_hub.core.errors import ConfigurationError
from conda_store_hub.web.base import Services
from conda_store_hub.web.registry import routes as registry_routes
from conda_store_hub.web.registry.base import OWN_PORT
from conda_store_hub.web.registry.place import Registry
from conda_store_hub.web.routes import OutsideHandler, ServiceApplication

_MOST_BODY = 1 << 21
_HANDSHAKE = b"\x16"  # RFC 8446, 5.1: how TLS begins
_NOT_TLS = b"No TLS is spoken at this port.\n"
# In plain HTTP, for clients know this answer: they name the cause, or try again without TLS where they may.
_REFUSAL = b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n" + _NOT_TLS
_SAID_BY_PROXIES = ("X-Forwarded-For", "X-Forwarded-Proto", "X-Real-Ip", "X-Scheme")
_SILENT_SECONDS = 60.0
# At the port of pulls: nobody has anything to send there but what is asked for.
_MOST_BODY_OF_PULLS = 1 << 16
_BODY_SECONDS = 20.0
_MOST_HELLO = 1 << 16
_MOST_FILES = 1 << 16
_SPARED_FILES = 256


def raise_limit_of_files() -> None:
    """Let this process have as many files and connections open as the system allows; many give it 1,024 at first."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, _MOST_FILES)
    if soft not in (resource.RLIM_INFINITY, wanted) and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _count_spare_files() -> int:
    """Return how many connections the port of pulls may have: half of all files, and some are left in any case.

    Each one may have a file of the store open. Pages and builds need the others.
    """
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = _MOST_FILES if soft == resource.RLIM_INFINITY else min(soft, _MOST_FILES)
    return max(1, (limit - _SPARED_FILES) // 2)


class CappedServer(HTTPServer):
    """A server that hangs up on who comes when as many are connected as may be."""

    most_connections: int | None = None

    @property
    def connected(self) -> int:
        """How many are connected."""
        return len(self._connections)

    def turn_away(self, stream: IOStream) -> bool:
        """Hang up where there is no room; tell whether it was so."""
        is_full = self.most_connections is not None and self.connected >= self.most_connections
        if is_full:
            stream.close()
        return is_full

    def handle_stream(self, stream: IOStream, address: tuple[Any, ...]) -> None:
        """Answer what comes, if there is room."""
        if not self.turn_away(stream):
            super().handle_stream(stream, address)


class PlainServer(CappedServer):
    """A server of plain HTTP that tells who speaks TLS so at once; for it, no line of theirs would ever end."""

    def initialize(self, *args: Any, **kwargs: Any) -> None:
        """Have nobody waited for yet."""
        super().initialize(*args, **kwargs)
        self._silent: dict[socket.socket, IOStream] = {}

    def handle_stream(self, stream: IOStream, address: tuple[Any, ...]) -> None:
        """Answer what comes, once its first byte is there."""
        loop, connection = IOLoop.current(), stream.socket
        if connection is None or self.turn_away(stream):
            return
        self._silent[connection] = stream

        def begin(*_: object) -> None:
            loop.remove_timeout(patience)
            if self._forget(connection) and not _refuse_tls(connection, stream):
                super(PlainServer, self).handle_stream(stream, address)

        def give_up() -> None:
            if self._forget(connection):
                stream.close()

        patience = loop.call_later(_SILENT_SECONDS, give_up)
        loop.add_handler(connection, begin, IOLoop.READ)

    @property
    def connected(self) -> int:
        """How many are connected, with those from which nothing has come yet."""
        return super().connected + len(self._silent)

    def _forget(self, connection: socket.socket) -> bool:
        """Wait no longer for somebody; tell whether they were waited for."""
        if self._silent.pop(connection, None) is None:
            return False
        IOLoop.current().remove_handler(connection)
        return True

    async def close_all_connections(self) -> None:
        """End those, too, from which nothing has come yet."""
        for connection, stream in list(self._silent.items()):
            self._forget(connection)
            stream.close()
        await super().close_all_connections()


def _refuse_tls(connection: socket.socket, stream: IOStream) -> bool:
    """Answer who begins with TLS, and hang up; tell whether that was done."""
    with contextlib.suppress(OSError):  # whoever it was has left
        if connection.recv(1, socket.MSG_PEEK) != _HANDSHAKE:
            return False
        connection.recv(_MOST_HELLO)  # what is left unread would have the system take the answer back
        connection.send(_REFUSAL)
    stream.close()
    return True


class DirectApplication(ServiceApplication):
    """An application without a proxy before it: what clients say of proxies is made up."""

    def find_handler(self, request: HTTPServerRequest, **kwargs: Any) -> Any:
        """Find who answers, once that was forgotten."""
        for name in _SAID_BY_PROXIES:
            request.headers.pop(name, None)
        return super().find_handler(request, **kwargs)


def make_registry_application(application: Application) -> Application:
    """Return the application for a port of the registry's own: of the service, that and nothing else."""
    settings: dict[str, Any] = application.settings | {OWN_PORT: True}
    settings.pop("default_handler_class", None)
    behind_proxy = cast("Services", settings["services"]).registry.behind_proxy
    kind = ServiceApplication if behind_proxy else DirectApplication
    return kind([*registry_routes.RULES], default_handler_class=OutsideHandler, **settings)


def open_service(application: Application, host: str | None, port: int) -> HTTPServer:
    """Listen for the Hub's proxy, whose word on clients is taken; raise OSError where that cannot be."""
    server = PlainServer(application, xheaders=True, max_body_size=_MOST_BODY)
    server.add_sockets(bind_sockets(port, host))
    return server


def open_registry(application: Application, registry: Registry) -> HTTPServer | None:
    """Listen for container tools, if there is a port for them; raise ConfigurationError where that cannot be."""
    if registry.port is None:
        return None
    certificate = registry.load_certificate()
    options: dict[str, Any] = {
        "max_body_size": _MOST_BODY_OF_PULLS,
        "body_timeout": _BODY_SECONDS,
        "idle_connection_timeout": _SILENT_SECONDS,
    }
    if certificate is None:
        server = PlainServer(application, xheaders=registry.behind_proxy, **options)
    else:
        server = CappedServer(application, ssl_options=certificate.context, **options)
    server.most_connections = _count_spare_files()
    try:
        server.add_sockets(bind_sockets(registry.port, registry.bound or None))
    except OSError as exc:
        raise ConfigurationError(
            f"c.Registry.port {registry.port} cannot be opened: {exc.strerror}. Choose another one."
        ) from exc
    registry.log.info("images are served on port %s, %s", registry.port, "with TLS" if certificate else "without TLS")
    return server
