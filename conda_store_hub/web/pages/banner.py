"""`/admin/banner/`: what all pages say on top, changed while the service runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from conda_store_hub.core.errors import CondaStoreHubError, InvalidRequestError, NotAuthenticatedError
from conda_store_hub.core.schemas.notes import MAX_BANNER, Banner, BannerLevel
from conda_store_hub.services import notes
from conda_store_hub.web.base import SERVER_FAULT
from conda_store_hub.web.pages.admin import AdminContext, AdminHandler

_RESET = "configuration"


@dataclass(frozen=True, kw_only=True, slots=True)
class BannerContext(AdminContext):
    """The form, with what is shown or was typed; `changed`: somebody set it, over the configuration."""

    template: ClassVar[str] = "admin_banner.html"
    message: str
    level: str
    levels: tuple[BannerLevel, ...]
    longest: int
    changed: bool
    error: CondaStoreHubError | None


class BannerHandler(AdminHandler):
    """`/admin/banner/`."""

    async def give_back(self, error: NotAuthenticatedError) -> None:
        """Show what was typed when the session ended meanwhile, or the page was too old."""
        self._show_form(*self._read_form(), changed=False, error=error)

    async def get(self) -> None:
        """Show what pages say now."""
        noted = await self.services.db.read(notes.find_banner)
        shown = noted or self.services.pages.configured_banner
        self._show_form(shown.message, shown.level, changed=noted is not None)

    async def post(self) -> None:
        """Show it from now on, or go back to the configuration's."""
        message, level = self._read_form()
        try:
            banner = None if self.get_body_argument("action", "") == _RESET else _make_banner(message, level)
            await self.services.db.write(notes.set_banner, self.identity, banner)
        except CondaStoreHubError as exc:
            if exc.status >= SERVER_FAULT:
                self.log.warning("a banner could not be set: %s", exc.detail or exc.message)
            self.set_status(exc.status)
            self._show_form(message, level, changed=False, error=exc)
            return
        self.services.pages.note_banner(banner)
        self.redirect(f"{self.prefix}admin/banner/", status=303)

    def _read_form(self) -> tuple[str, str]:
        message = self.get_body_argument("message", "").replace("\r\n", "\n")
        return message, self.get_body_argument("level", "")

    def _show_form(self, message: str, level: str, *, changed: bool, error: CondaStoreHubError | None = None) -> None:
        self.show(
            BannerContext(
                layout=self.lay_out("Banner", "admin"),
                tab="banner",
                message=message,
                level=level,
                levels=tuple(BannerLevel),
                longest=MAX_BANNER,
                changed=changed,
                error=error,
            )
        )


def _make_banner(message: str, level: str) -> Banner:
    if level not in list(BannerLevel):
        raise InvalidRequestError("Choose one of the looks.")
    return Banner(message=message.strip(), level=BannerLevel(level))
