"""Lists that are looked at: while nothing that they show is written, nobody reads or renders them again."""

from __future__ import annotations

from collections.abc import Hashable
from typing import ClassVar

from conda_store_hub.web.contexts import Context
from conda_store_hub.web.page import PageHandler
from conda_store_hub.web.registry.base import find_scheme

_LONGEST_ADDRESS = 500


class ListPage(PageHandler):
    """A live page that shows what is in the database, and of builds no more than lists do."""

    live: ClassVar[bool] = True
    _version = 0

    async def prepare(self) -> None:
        """Let in who may see the page; answer whose page cannot look otherwise than when it was asked for last."""
        await super().prepare()
        if self._finished or not self._is_asked_again():
            return
        self._version = self.services.db.version
        etag = self.services.shown.find(self._make_key(), self._version)
        if etag is not None:
            self.set_header("Etag", etag)
            if self.check_etag_header():
                self.set_status(304)
                self.finish()

    def show(self, context: Context) -> None:
        """Answer with a page, and remember how it looks to whose script asks."""
        super().show(context)
        if self._is_asked_again():
            self.services.shown.note(self._make_key(), self._headers["Etag"], self._version)

    def _is_asked_again(self) -> bool:
        """Tell whether a script of a page asks: what a browser goes to has a token in its forms."""
        is_short = len(self.request.uri or "") <= _LONGEST_ADDRESS
        return self.request.method == "GET" and not self.is_visited and is_short

    def _make_key(self) -> Hashable:
        """Return what a page depends on beside the database."""
        request, banner = self.request, self.services.pages.shown_banner
        return self.identity, request.host, find_scheme(request), request.uri, banner
