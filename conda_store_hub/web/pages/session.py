"""Logging in, and the address that people type without its last slash."""

from __future__ import annotations

from urllib.parse import unquote, urlsplit

from conda_store_hub.web.base import BaseHandler
from conda_store_hub.web.page import PageHandler


class LoginHandler(PageHandler):
    """`/login/`: through the Hub, and back to where somebody was."""

    async def get(self) -> None:
        """Go on to the page of ours that `next` names, or home: who comes here is logged in."""
        wanted = self.get_query_argument("next", "", strip=False)
        self.redirect(wanted if is_ours(wanted, self.prefix) else self.prefix)


class CallbackHandler(PageHandler):
    """`/oauth_callback`: where the Hub sends a browser that has logged in."""

    comes_back = False

    async def prepare(self) -> None:
        """Let everybody pass: who was logged in before needs no other session."""
        await self.recognise()
        self.current_user = self.identity.name

    async def get(self) -> None:
        """Go on to where somebody was going, logged in."""
        await self.services.auth.hub.finish_login(self)


class SlashHandler(BaseHandler):
    """Our prefix without its last slash."""

    def get(self) -> None:
        """Add it."""
        self.redirect(self.prefix, permanent=True)


def is_ours(address: str, prefix: str) -> bool:
    """Tell whether an address is one below ours, for every browser: anybody may have made the link with it."""
    path = unquote(urlsplit(address).path) if address.startswith(prefix) else ""
    return (
        path.startswith(prefix)
        and not address.startswith("//")
        and address.isascii()
        and address.isprintable()
        and "\\" not in path
        and not {".", ".."} & set(path.split("/"))
    )
