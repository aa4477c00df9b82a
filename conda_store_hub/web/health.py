"""Whether the service is up: asked often, so it asks nobody."""

from __future__ import annotations

from conda_store_hub import __version__
from conda_store_hub.core import schemas
from conda_store_hub.web.base import ApiHandler
from conda_store_hub.web.operations import Operation


class HealthHandler(ApiHandler):
    """`GET /health`: 200 when the service can be used, 503 while it starts; the same body for both."""

    @Operation(answer=schemas.Health, public=True, statuses=(200, 503))
    def get(self) -> None:
        """Tell whether the service can be used: 200 when it can, 503 while it starts."""
        readiness = self.services.readiness
        if not readiness.ready:
            self.set_status(503)
            self.set_header("Retry-After", "1")
        self.write_model(schemas.Health(ready=readiness.ready, version=__version__, message=readiness.message))
