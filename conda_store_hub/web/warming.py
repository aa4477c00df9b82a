"""What is slow to load, loaded before anybody waits for it."""

from __future__ import annotations

from conda_store_hub.web import rendering
from conda_store_hub.web.base import Services
from conda_store_hub.web.pages.guide import load_guide


def warm_up(services: Services, prefix: str) -> None:
    """Load the Hub's library, the templates and the guide, in the calling thread; the Hub itself asks first."""
    services.auth.hub.load_oauth()
    rendering.load_templates()
    load_guide(f"{prefix}docs/")
