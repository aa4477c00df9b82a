"""`/build/ID/specification/`: what was typed, as it is; pages show how it begins."""

from __future__ import annotations

from conda_store_hub.services import builds
from conda_store_hub.web import arguments
from conda_store_hub.web.page import PageHandler


class SpecificationHandler(PageHandler):
    """`/build/ID/specification/`."""

    help = "pages/#build"
    shareable = True

    async def get(self, build_id: str) -> None:
        """Send it as a text, of which a browser makes nothing else."""
        build = await self.look_up(builds.get_build, arguments.read_id(build_id), data=self.services.data)
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        self.set_header("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
        self.finish(build.specification.text)
