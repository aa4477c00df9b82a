"""API: what it is, for programs."""

from __future__ import annotations

from conda_store_hub.web import downloads
from conda_store_hub.web.base import ApiHandler
from conda_store_hub.web.openapi import write_description
from conda_store_hub.web.operations import JSON, Operation


class DescriptionHandler(ApiHandler):
    """`GET /api/v1/openapi.json`: no secret, so for everybody."""

    @Operation(public=True, statuses=(200, 304))
    def get(self) -> None:
        """Describe the API as OpenAPI 3.1: this document."""
        description = write_description(self.routes, self.prefix, self.services.auth.environment.cookie_name)
        self.set_header("ETag", description.etag)
        self.set_header("Cache-Control", "no-cache")
        if downloads.matches(self.request.headers.get("If-None-Match", ""), description.etag):
            self.set_status(304)
            self.finish()
            return
        self.set_header("Content-Type", JSON)
        self.finish(description.body)
