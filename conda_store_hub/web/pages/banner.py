"""`/admin/banner/`: what all pages say on top, changed while the service runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from pydantic import ValidationError

from conda_store_hub.core.errors import (
    CondaStoreHubError,
    EditConflictError,
    InvalidRequestError,
)
from conda_store_hub.core.schemas.notes import MAX_BANNER, Banner, BannerLevel
from conda_store_hub.services import notes
from conda_store_hub.web.pages.admin import AdminContext, AdminHandler
from conda_store_hub.web.seen import is_sent, read, write

_RESET = "configuration"


@dataclass(frozen=True, kw_only=True, slots=True)
class BannerContext(AdminContext):
    """The form, with what is shown or was typed; `changed`: somebody set it, over the configuration.

    `seen`: what all pages said when the form was made. `theirs`: what somebody else has set meanwhile.
    """

    template: ClassVar[str] = "admin_banner.html"
    message: str
    level: str
    levels: tuple[BannerLevel, ...]
    longest: int
    seen: str
    changed: bool
    error: CondaStoreHubError | None
    theirs: Banner | None


class BannerHandler(AdminHandler):
    """`/admin/banner/`."""

    deed = "Set the banner"
    help = "pages/#banner"

    async def give_back(self, error: CondaStoreHubError) -> None:
        """Show what was typed when the session ended meanwhile, or the page was too old."""
        self._show_form(*self._read_form(), seen=self._read_seen(), changed=False, error=error)

    async def get(self) -> None:
        """Show what pages say now."""
        noted = await self.services.db.read(notes.find_banner)
        shown = noted or self.services.pages.configured_banner
        self._show_form(shown.message, shown.level, seen=shown, changed=noted is not None)

    async def post(self) -> None:
        """Show it from now on, or go back to the configuration's."""
        await self.take_form(self._set(), self._show_refused)

    async def _set(self) -> str:
        wants_configuration = self.get_body_argument("action", "") == _RESET
        banner = None if wants_configuration else _make_banner(*self._read_form())
        configured = self.services.pages.configured_banner
        await self.services.db.write(
            notes.set_banner, self.identity, banner, seen=self._read_seen(), configured=configured
        )
        self.services.pages.note_banner(banner)
        return "admin/banner/"

    async def _show_refused(self, error: CondaStoreHubError) -> None:
        noted = await self.services.db.read(notes.find_banner)
        theirs = (noted or self.services.pages.configured_banner) if isinstance(error, EditConflictError) else None
        known = theirs or self._read_seen()
        self._show_form(*self._read_form(), seen=known, changed=noted is not None, error=error, theirs=theirs)

    def _read_form(self) -> tuple[str, str]:
        message = self.get_body_argument("message", "").replace("\r\n", "\n")
        return message, self.get_body_argument("level", "")

    def _read_seen(self) -> Banner | None:
        try:
            return Banner.model_validate(read(self, "message")) if is_sent(self, "message") else None
        except ValidationError as exc:
            raise InvalidRequestError("This form is not as it was made: load its page again.") from exc

    def _show_form(
        self,
        message: str,
        level: str,
        *,
        seen: Banner | None,
        changed: bool,
        error: CondaStoreHubError | None = None,
        theirs: Banner | None = None,
    ) -> None:
        self.show(
            BannerContext(
                layout=self.lay_out("Banner", "admin"),
                tab="banner",
                message=message,
                level=level,
                levels=tuple(BannerLevel),
                longest=MAX_BANNER,
                seen=write(seen.model_dump(mode="json")) if seen else "",
                changed=changed,
                error=error,
                theirs=theirs,
            )
        )


def _make_banner(message: str, level: str) -> Banner:
    if level not in list(BannerLevel):
        raise InvalidRequestError("Choose one of the looks.")
    return Banner(message=message.strip(), level=BannerLevel(level))
