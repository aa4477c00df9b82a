"""What every page stands on: log in first where one has to, then HTML; an error is a page too."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import ClassVar, Concatenate, ParamSpec, TypeVar
from urllib.parse import urlsplit

from sqlalchemy.orm import Session
from tornado.web import Finish

from conda_store_hub.core.errors import CondaStoreHubError, NotAuthenticatedError, NotFoundError, UnavailableError
from conda_store_hub.core.permissions import Identity
from conda_store_hub.web import files, rendering
from conda_store_hub.web.auth import SESSION
from conda_store_hub.web.base import BaseHandler
from conda_store_hub.web.contexts import AgainContext, Context, ErrorContext, Layout

P = ParamSpec("P")
R = TypeVar("R")

_POLICY = (
    "default-src 'self'; img-src 'self' data:; base-uri 'none'; object-src 'none'; form-action 'self';"
    " frame-ancestors 'none'"
)
_AGAIN_SECONDS = 5
_GIVEN_BACK = (
    "You were logged out, or this page was too old. Nothing is lost: log in in another tab if you have to, look at what"
    " stands below, and submit it again."
)


class PageHandler(BaseHandler):
    """A page for people who are logged in.

    `shareable`: where `allow_anonymous` is set, it is shown to others too, with what was shared with everybody.
    `asks_anew_for`: the methods for which the Hub's word of a moment ago is not enough; a page whose forms do what
    developers may, and no more, needs none.
    `help`: the part of the guide about it, which its link to the docs leads to.
    """

    shareable: ClassVar[bool] = False
    asks_anew_for: ClassVar[frozenset[str]] = frozenset({"POST"})
    help: ClassVar[str] = ""
    _gives_back = False

    def set_default_headers(self) -> None:
        """Let a page load what is ours, and nothing else."""
        super().set_default_headers()
        self.set_header("Content-Security-Policy", _POLICY)

    async def prepare(self) -> None:
        """Send who is not logged in to the Hub, even while we start: the Hub waits for an answer below 500."""
        await self.read_banner()
        identity = await self.identify(fresh=self.request.method in self.asks_anew_for)
        if not identity.authenticated and not self._is_for_everybody():
            await self.ask_to_log_in()
            return
        self.require_ready()
        await self.welcome()

    async def read_banner(self) -> None:
        """Find out what all pages say on top, as soon as the database can be asked; no page fails for it."""
        if self.services.readiness.ready:
            with contextlib.suppress(CondaStoreHubError):
                await self.services.pages.read_banner(self.services.db)

    def _is_for_everybody(self) -> bool:
        """Tell whether the anonymous are shown this; who came with something that is worth nothing is to log in."""
        return (
            self.shareable
            and self.services.auth.allow_anonymous
            and self.services.readiness.ready
            and self.request.method in ("GET", "HEAD")
            and not self.tried_to_log_in
        )

    async def look_up(
        self, function: Callable[Concatenate[Session, Identity, P], R], *args: P.args, **options: P.kwargs
    ) -> R:
        """Return what the page shows, as far as who asks may see it; send those to the Hub who have to log in first."""
        try:
            return await self.services.db.read(function, self.identity, *args, **options)
        except NotAuthenticatedError:
            await self.ask_to_log_in()
            raise Finish from None

    async def ask_to_log_in(self) -> None:
        """Send a browser that goes somewhere to the Hub, and give a form back; refuse a script, and other sites' forms.

        A form that waited until its session had ended, or the service had other keys, is not lost by it.
        """
        going = self.request.headers.get("Sec-Fetch-Mode", "navigate") == "navigate"
        if self.request.method == "POST" and self._is_from_here():
            self._gives_back = True
            self.set_status(NotAuthenticatedError.status)
            await self.give_back(NotAuthenticatedError(_GIVEN_BACK))
        elif self.request.method in ("GET", "HEAD") and going:
            self.redirect(await self.services.auth.hub.make_login_url(self))
        else:
            raise NotAuthenticatedError("You are no longer logged in, or this page was too old: load it again.")

    async def give_back(self, error: NotAuthenticatedError) -> None:
        """Show what was sent, so that it can be sent again; a page with a form that one types much into shows that."""
        self.show(
            AgainContext(
                layout=self.lay_out("Not sent"),
                message=error.public_message,
                action=self.request.uri or "",
                fields=self._list_typed(),
                login=f"{self.prefix}login/",
            )
        )

    def _list_typed(self) -> tuple[tuple[str, str], ...]:
        names = (name for name in self.request.body_arguments if name != "_xsrf")
        return tuple((name, text) for name in names for text in self.get_body_arguments(name, strip=False))

    def _is_from_here(self) -> bool:
        """Tell whether one of our own pages sent this: what another site has filled in is never shown to be sent."""
        site = self.request.headers.get("Sec-Fetch-Site")
        origin = self.request.headers.get("Origin")
        return site == "same-origin" if site else origin is None or urlsplit(origin).netloc == self.request.host

    def lay_out(self, title: str, here: str = "") -> Layout:
        """Return what stands around a page; `here` names its entry in the navigation."""
        hub = self.services.auth.environment
        known = self.identity.name or ""
        return Layout(
            title=title,
            here=here,
            prefix=self.prefix,
            hub_home=hub.hub_page("home"),
            hub_logout=hub.hub_page("logout"),
            logo=self._find_logo(),
            user=known,
            xsrf=self.xsrf_token.decode() if self.identity.via == SESSION or self._gives_back else "",
            help=self.help,
            admin=self.identity.administers_all,
            banner=self.services.pages.shown_banner,
        )

    def _find_logo(self) -> str:
        """Return the address of the site's logo, or of the Hub's own, where our pages may load it."""
        hub, logo = self.services.auth.environment, self.services.pages.logo
        if logo is not None:
            return f"{self.prefix}static/logo?v={logo.digest}"
        return files.url(self.prefix, "hub/images/jupyterhub-80.png") if hub.host else hub.hub_page("logo")

    def show(self, context: Context) -> None:
        """Answer with a page."""
        self.set_header("Content-Type", "text/html; charset=utf-8")
        self.finish(rendering.render(context))

    def describe_error(self, error: CondaStoreHubError) -> str:
        """Return a page that says what went wrong."""
        again = _AGAIN_SECONDS if error.status == UnavailableError.status and self.request.method == "GET" else 0
        layout = self.lay_out("Not found" if error.status == NotFoundError.status else "Something is wrong")
        context = ErrorContext(layout=layout, status=error.status, message=error.public_message, again=again)
        self.set_header("Content-Type", "text/html; charset=utf-8")
        return rendering.render(context)


class PageNotFoundHandler(PageHandler):
    """An address that is none."""

    async def prepare(self) -> None:
        """Say so to everybody."""
        raise NotFoundError("There is nothing at this address.")
