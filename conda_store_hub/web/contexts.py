"""What stands around every page, and what several of them show; each page's own context stands beside it in `pages`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from conda_store_hub.core.schemas.notes import Banner


@dataclass(frozen=True, kw_only=True, slots=True)
class Layout:
    """What stands around every page. `user` and `xsrf` are empty for the anonymous, `xsrf` for scripts too.

    `help`: the part of the guide about this page, as `pages/#home`. `admin`: who looks administers the Hub.
    """

    title: str
    here: str
    prefix: str
    hub_home: str
    hub_logout: str
    logo: str
    has_hubs_logo: bool
    """Whether it is the one that comes with the Hub, whose letters are dark."""
    user: str
    xsrf: str
    help: str = ""
    admin: bool = False
    banner: Banner | None = None
    login: str = ""
    """Where the anonymous log in, to come back to this page."""
    registry: str = ""
    """What stands before the name of an image; empty where none are offered."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Context:
    """What a page shows."""

    template: ClassVar[str]
    layout: Layout


@dataclass(frozen=True, kw_only=True, slots=True)
class Pager:
    """Which page of a list is shown, and how many entries the list has."""

    page: int
    size: int
    count: int

    @property
    def last(self) -> int:
        """The number of the last page, at least 1."""
        return max(1, -(-self.count // self.size))


@dataclass(frozen=True, kw_only=True, slots=True)
class ErrorContext(Context):
    """What went wrong; `again` is after how many seconds a browser should try once more, 0 for never.

    `back` is the page whose form it was, `login` where to log in once more; each is empty where that is of no use.
    """

    template: ClassVar[str] = "error.html"
    status: int
    message: str
    again: int
    back: str = ""
    login: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class ShownField:
    """A field of a form that was sent: `label` is what stood beside it, empty where that was its name."""

    name: str
    label: str
    value: str


@dataclass(frozen=True, kw_only=True, slots=True)
class AgainContext(Context):
    """What was sent with a form that could not be taken: it can be sent once more, to where it went."""

    template: ClassVar[str] = "again.html"
    message: str
    action: str
    fields: tuple[tuple[str, str], ...]
    shown: tuple[ShownField, ...]
    """Those of them that somebody has typed or chosen."""
    back: str
    """Where one goes who does not send it."""
    login: str
    must_log_in: bool
    """Whether it was not taken because nobody was logged in."""


@dataclass(frozen=True, slots=True)
class Dated:
    """Words with a time in them, which is shown as the reader's."""

    before: str
    when: datetime
    after: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class ConfirmContext(Context):
    """What is asked before something goes: what that is in words, and where each answer leads.

    `action` is posted to with `fields`; `back` is where nothing happens. `error` says why it could not be done.
    """

    template: ClassVar[str] = "confirm.html"
    text: str
    consequences: tuple[str | Dated, ...]
    action: str
    button: str
    back: str
    fields: tuple[tuple[str, str], ...] = ()
    error: str = ""
