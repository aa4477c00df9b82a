"""`c.Pages`: how the pages look where a site has something of its own to show, and what they say on top."""

from __future__ import annotations

import functools
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from traitlets import Enum, TraitError, Unicode, validate
from traitlets.config import LoggingConfigurable

from conda_store_hub.core.schemas.notes import MAX_BANNER, Banner, BannerLevel
from conda_store_hub.db.session import Database
from conda_store_hub.services import notes

#: What browsers show as an image, and nothing that could hold a script but SVG, which an <img> does not run.
_KINDS = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".webp": "image/webp",
    ".svg": "image/svg+xml",
}
_LARGEST = 1_000_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Logo:
    """An image: its bytes, their media type, and a digest of them."""

    data: bytes
    kind: str
    digest: str


class Pages(LoggingConfigurable):
    """The logo and the banner of all pages."""

    logo_file = Unicode(
        help="""Path of an image that stands on top of the pages instead of the Hub's logo: PNG, JPEG, WebP or SVG, at
        most 1 MB; it is shown 28 pixels high.""",
    ).tag(config=True)

    banner = Unicode(
        help="""What all pages say on top, as plain text; addresses in it become links. Administrators of the Hub can
        set another one while the service runs.""",
    ).tag(config=True)

    banner_level = Enum(
        [str(level) for level in BannerLevel], default_value="info", help="How the banner looks: `info` or `warning`."
    ).tag(config=True)

    def __init__(self, **values: Any) -> None:
        super().__init__(**values)
        self._noted: Banner | None = None
        self._is_read = False

    @validate("logo_file")
    def _check_logo(self, proposal: dict[str, str]) -> str:
        path = Path(proposal["value"])
        if not proposal["value"]:
            return ""
        if path.suffix.lower() not in _KINDS:
            raise TraitError(f"c.Pages.logo_file: “{path}” is none of {', '.join(_KINDS)}.")
        if not path.is_file():
            raise TraitError(f"c.Pages.logo_file: there is no file “{path}”.")
        if path.stat().st_size > _LARGEST:
            raise TraitError(f"c.Pages.logo_file: “{path}” is larger than 1 MB.")
        return str(path.absolute())

    @validate("banner")
    def _check_banner(self, proposal: dict[str, str]) -> str:
        if len(proposal["value"]) > MAX_BANNER:
            raise TraitError(f"c.Pages.banner has at most {MAX_BANNER} characters.")
        return proposal["value"].strip()

    # The banner

    @property
    def configured_banner(self) -> Banner:
        """The banner of the configuration, which may be empty."""
        return Banner(message=self.banner, level=BannerLevel(self.banner_level))

    @property
    def shown_banner(self) -> Banner | None:
        """What pages say on top, as far as that was read; None is nothing."""
        banner = self._noted or self.configured_banner
        return banner if banner.message else None

    async def read_banner(self, db: Database) -> None:
        """Read, once, what somebody set; only this process sets it."""
        if not self._is_read:
            self.note_banner(await db.read(notes.find_banner))

    def note_banner(self, banner: Banner | None) -> None:
        """Show what somebody has set from now on; None is the configuration's."""
        self._noted, self._is_read = banner, True

    # The logo

    @functools.cached_property
    def logo(self) -> Logo | None:
        """The site's logo; None where the Hub's is shown."""
        if not self.logo_file:
            return None
        path = Path(self.logo_file)
        data = path.read_bytes()
        return Logo(data=data, kind=_KINDS[path.suffix.lower()], digest=hashlib.sha256(data).hexdigest()[:12])
