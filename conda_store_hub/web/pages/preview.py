"""A preview that goes on while the page of its form is open, left or loaded again: how it stands, and its end."""

from __future__ import annotations

from conda_store_hub.web.following import Following
from conda_store_hub.web.page import PageHandler
from conda_store_hub.web.previews import describe_held
from conda_store_hub.web.submission import name_asker

_PATIENCE = 1.0  # seconds, after which it is told how it stands


class PreviewHandler(Following, PageHandler):
    """`/create/preview/KEY/`: one's own, for the script of the form."""

    comes_back = False

    async def get(self, key: str) -> None:
        """Tell how it stands, as soon as it has ended or in a moment."""
        held = self.services.held.find(name_asker(self.identity), key)
        await self.follow(held.wait(_PATIENCE))
        self.write_model(describe_held(held, self.services.solver))

    async def delete(self, key: str) -> None:
        """End it."""
        self.services.held.give_up(name_asker(self.identity), key)
        self.set_status(204)
        await self.finish()
