"""`GET /metrics`: the service's numbers for Prometheus, for who administers everything or has a token for them."""

from __future__ import annotations

from collections.abc import Iterable

from tornado.web import RequestHandler

from conda_store_hub.core.errors import CondaStoreHubError
from conda_store_hub.core.permissions import Permission
from conda_store_hub.services import rights
from conda_store_hub.services.metrics import CONTENT_TYPE
from conda_store_hub.web.base import ApiHandler
from conda_store_hub.web.operations import Operation

OTHER = "other"


class MetricsHandler(ApiHandler):
    """`GET /metrics`."""

    async def prepare(self) -> None:
        """Ask who wants to know, if the site did not open it to everybody."""
        if self.services.auth.authenticate_metrics:
            await super().prepare()
        else:
            self.require_ready()

    @Operation(needs=Permission.METRICS_READ, media=("text/plain",), error_media="text/plain")
    async def get(self) -> None:
        """Tell Prometheus how the service is: queue, builds, disks, requests and the process.

        For who administers everything, and for a token of the configuration with `metrics`.
        """
        if self.services.auth.authenticate_metrics and not self.identity.metrics:
            rights.require_service(self.identity, Permission.METRICS_READ)
        text = await self.services.metrics.render(self.services.db, self.services.data.root)
        self.set_header("Content-Type", CONTENT_TYPE)
        self.finish(text)

    def describe_error(self, error: CondaStoreHubError) -> str:
        """Return a line of text: who scrapes shows that."""
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        return f"{error.public_message}\n"


class RouteNames:
    """What the addresses of handlers are called in metrics: by template, so that there are no more than routes."""

    def __init__(self, known: Iterable[tuple[str, type[RequestHandler]]]) -> None:
        """`known`: templates of the API's routes, with parts in braces, and how other addresses begin."""
        self._names: dict[type[RequestHandler], str] = {}
        for name, handler in known:
            self._names.setdefault(handler, f"/{name}")

    def find(self, handler: RequestHandler) -> str:
        """Return what the address of a request is called."""
        return self._names.get(type(handler), OTHER)
