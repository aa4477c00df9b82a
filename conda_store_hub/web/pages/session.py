"""Logging in, and the address that people type without its last slash."""

from __future__ import annotations

from conda_store_hub.web.base import BaseHandler
from conda_store_hub.web.page import PageHandler


class LoginHandler(PageHandler):
    """`/login/`: through the Hub, and home."""

    async def get(self) -> None:
        """Go home: who comes here is logged in."""
        self.redirect(self.prefix)


class SlashHandler(BaseHandler):
    """Our prefix without its last slash."""

    def get(self) -> None:
        """Add it."""
        self.redirect(self.prefix, permanent=True)
