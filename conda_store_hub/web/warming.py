"""What is slow to load, loaded before anybody waits for it."""

from __future__ import annotations

from conda_store_hub.web import files, rendering
from conda_store_hub.web.base import Services
from conda_store_hub.web.pages.guide import load_guide


def warm_up(services: Services, prefix: str) -> None:
    """Load the Hub's library, the templates and the guide, in the calling thread; the Hub itself asks first."""
    services.auth.hub.load_oauth()
    rendering.load_templates()
    load_guide(f"{prefix}docs/")


async def look_at_hub(services: Services) -> None:
    """Ask the Hub what its pages show that ours show too."""
    await services.auth.hub.look_at_logo(files.read(files.HUB_LOGO))
