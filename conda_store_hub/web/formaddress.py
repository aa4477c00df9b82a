"""An address that a form is sent to, and that is no page: the form stands on another one."""

from __future__ import annotations

from typing import ClassVar

from conda_store_hub.web import arguments
from conda_store_hub.web.page import PageHandler


class FormAddress(PageHandler):
    """Takes a form of another page.

    `stands_on`: the address of that page below ours, with braces for the names in the address of this one.
    """

    stands_on: ClassVar[str]

    async def get(self, *_: str) -> None:
        """Lead to the page that the form stands on: after a refusal this address is the browser's."""
        self.redirect(f"{self.prefix}{self.find_page()}")

    def find_page(self) -> str:
        """Return the address of the page that the form stands on, below ours."""
        return self.stands_on.format(*arguments.read_place(*self.path_args[: self.stands_on.count("{}")]))
