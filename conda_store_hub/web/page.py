"""What every page stands on: log in first where one has to, then HTML; an error is a page too."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable
from typing import ClassVar, Concatenate, ParamSpec, TypeVar
from urllib.parse import urlencode, urlsplit, urlunsplit

from sqlalchemy.orm import Session
from tornado.web import Finish, RequestHandler

from conda_store_hub.core.errors import (
    CondaStoreHubError,
    ForbiddenError,
    LoginFailedError,
    NotAuthenticatedError,
    NotFoundError,
    RequestTooLargeError,
    UnavailableError,
)
from conda_store_hub.core.names import shorten
from conda_store_hub.core.permissions import Identity
from conda_store_hub.web import files, rendering
from conda_store_hub.web.auth import SESSION
from conda_store_hub.web.base import SERVER_FAULT, BaseHandler
from conda_store_hub.web.contexts import AgainContext, Context, ErrorContext, Layout
from conda_store_hub.web.fields import list_typed, show_fields
from conda_store_hub.web.registry.base import find_scheme

P = ParamSpec("P")
R = TypeVar("R")

_AGAIN_SECONDS = 5
_TITLES = {
    ForbiddenError.code: "Not allowed",
    NotFoundError.code: "Not found",
    LoginFailedError.code: "Not logged in",
    RequestTooLargeError.code: "Too large",
    UnavailableError.code: "Not now",
}
_LONGEST_NEXT = 2_000
_KEPT = "Nothing is lost: look at what stands below, and submit it again in a moment."
_GIVEN_BACK = (
    "You were logged out, or this page was too old. Nothing is lost: log in in another tab if you have to, look at what"
    " stands below, and submit it again."
)


def make_policy(form_target: str = "") -> str:
    """Return what a page may load, and where its forms may lead: here, and to a `form_target`."""
    targets = f"'self' {form_target}".strip()
    return (
        "default-src 'self'; img-src 'self' data:; base-uri 'none'; object-src 'none';"
        f" form-action {targets}; frame-ancestors 'none'"
    )


class PageHandler(BaseHandler):
    """A page for people who are logged in.

    `shareable`: where `allow_anonymous` is set, it is shown to others too, with what was shared with everybody.
    `asks_anew_for`: the methods for which the Hub's word of a moment ago is not enough; a page whose forms do what
    developers may, and no more, needs none.
    `live`: its script asks for it again while it is looked at, and is told when nothing has changed.
    `comes_back`: it can be loaded again, and come back to after a login.
    `help`: the part of the guide about it, which its link to the docs leads to.
    `asks_first`: nothing is typed into it, it says what will go: that is said again before its form is taken.
    `deed`: what its form asks for, with the parts of its address.
    """

    shareable: ClassVar[bool] = False
    asks_anew_for: ClassVar[frozenset[str]] = frozenset({"POST"})
    help: ClassVar[str] = ""
    live: ClassVar[bool] = False
    comes_back: ClassVar[bool] = True
    asks_first: ClassVar[bool] = False
    deed: ClassVar[str] = "Your form"
    _gives_back = False

    def set_default_headers(self) -> None:
        """Let a page load what is ours, and nothing else."""
        super().set_default_headers()
        self.set_header("Content-Security-Policy", make_policy())

    def compute_etag(self) -> str | None:
        """Tell one state of a live page from another, of all that it shows."""
        return RequestHandler.compute_etag(self) if self.live else None

    async def prepare(self) -> None:
        """Let in who may see the page; a form that comes while nobody can be let in is given back."""
        try:
            await self._let_in()
        except UnavailableError as exc:
            is_form = self.request.method == "POST" and self._is_from_here() and not self.asks_first
            if exc.status != UnavailableError.status or not is_form:
                raise
            self.log.warning("%s: %s", self.request.path, exc.detail or exc.message)
            self.set_header("Retry-After", str(exc.seconds))
            await self._return_form(exc, f"{exc.public_message} {_KEPT}")

    async def _let_in(self) -> None:
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

    async def recognise(self) -> None:
        """Find out who looks, if that can be known: for what everybody is shown, also before the service is ready."""
        await self.read_banner()
        with contextlib.suppress(CondaStoreHubError):
            await self.identify()

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

    async def take_form(
        self, doing: Awaitable[str | None], again: Callable[[CondaStoreHubError], Awaitable[None]]
    ) -> None:
        """Wait for what a form asks for, and go on at the address below ours that it returns; None has answered.

        If it cannot be done, `again` shows the page once more: with what was typed, and what is wrong with it. Where
        that page is gone meanwhile, what was typed is shown alone.
        """
        try:
            address = await doing
        except CondaStoreHubError as exc:
            if exc.status >= SERVER_FAULT:
                self.log.warning("%s: %s", self.request.path, exc.detail or exc.message)
            self.set_status(exc.status)
            await self._show_refusal(exc, again)
            return
        if address is not None:
            self.redirect(f"{self.prefix}{address}", status=303)

    async def _show_refusal(
        self, error: CondaStoreHubError, again: Callable[[CondaStoreHubError], Awaitable[None]]
    ) -> None:
        try:
            await again(error)
        except CondaStoreHubError as exc:
            said = dict.fromkeys((error.public_message, exc.public_message))
            self.set_status(exc.status)
            self._show_typed(" ".join(filter(None, said)), exc.status)

    async def ask_to_log_in(self) -> None:
        """Send a browser that goes somewhere to the Hub, and give a form back; refuse a script, and other sites' forms.

        A form that waited until its session had ended, or the service had other keys, is not lost by it. One that only
        confirms is asked for once more: it would come back without what it destroys.
        """
        is_form = self.request.method == "POST" and self._is_from_here()
        if is_form and self.asks_first and self.is_visited:
            asks = self._find_form() or self.request.path
            self.redirect(f"{self.prefix}login/?{urlencode({'next': asks})}", status=303)
        elif is_form:
            error = NotAuthenticatedError(_GIVEN_BACK)
            await self._return_form(error, _GIVEN_BACK)
        elif self.request.method in ("GET", "HEAD") and self.is_visited:
            self.redirect(await self.services.auth.hub.make_login_url(self))
        else:
            raise NotAuthenticatedError("You are no longer logged in, or this page was too old: load it again.")

    async def give_back(self, error: CondaStoreHubError) -> None:
        """Show what was sent, so that it can be sent again; a page with a form that one types much into shows that."""
        self._show_typed(error.public_message, error.status)

    async def _return_form(self, error: CondaStoreHubError, words: str) -> None:
        self._gives_back = True
        self.set_status(error.status)
        await self.give_back(type(error)(words))

    def say_deed(self) -> str:
        """Return what the form of this page asks for, in words, and where."""
        return self.deed.format(*map(shorten, self.path_args))

    def _show_typed(self, message: str, status: int) -> None:
        typed = list_typed(self)
        self.show(
            AgainContext(
                layout=self.lay_out(f"{self.say_deed()}: not done"),
                message=message,
                must_log_in=status == NotAuthenticatedError.status,
                action=self.request.uri or "",
                fields=typed,
                shown=show_fields(typed),
                back=self._find_form() or self.prefix,
                login=f"{self.prefix}login/",
            )
        )

    @property
    def is_visited(self) -> bool:
        """Whether a browser comes here, and no script asks: browsers tell which, unless it is http to another machine.

        Our own scripts always send the header of the token.
        """
        is_going = self.request.headers.get("Sec-Fetch-Mode", "navigate") == "navigate"
        return is_going and "X-XSRFToken" not in self.request.headers

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
            has_hubs_logo=self.services.pages.logo is None and (bool(hub.host) or self.services.auth.hub.has_own_logo),
            user=known,
            xsrf=self._find_token(),
            help=self.help,
            admin=self.identity.administers_all,
            banner=self.services.pages.shown_banner,
            login=self._find_login(),
            registry=self.services.registry.find_address(self.request.host, find_scheme(self.request)),
        )

    def _find_token(self) -> str:
        """Return the token of the forms. No script is told it: those of other people's servers are of our origin.

        Our own scripts have it from the cookie, which the others do not see.
        """
        is_to_send = self.identity.via == SESSION or self._gives_back
        return self.xsrf_token.decode() if is_to_send and self.is_visited else ""

    def _find_login(self) -> str:
        """Return the address at which one logs in and comes back; a form that was sent is no page to come back to."""
        here = self.request.uri or ""
        is_page = self.request.method == "GET" and here.startswith(self.prefix) and len(here) <= _LONGEST_NEXT
        return f"{self.prefix}login/{'?' + urlencode({'next': here}) if is_page and self.comes_back else ''}"

    def _find_logo(self) -> str:
        """Return the address of the site's logo, or of the Hub's own, where our pages may load it."""
        hub, logo = self.services.auth.environment, self.services.pages.logo
        if logo is not None:
            return f"{self.prefix}static/logo?v={logo.digest}"
        return files.url(self.prefix, files.HUB_LOGO) if hub.host else hub.hub_page("logo")

    def show(self, context: Context) -> None:
        """Answer with a page."""
        self.set_header("Content-Type", "text/html; charset=utf-8")
        self.finish(rendering.render(context))

    def describe_error(self, error: CondaStoreHubError) -> str:
        """Return a page that says what went wrong."""
        is_waited_for = error.status == UnavailableError.status and self.request.method == "GET" and self.comes_back
        layout = self.lay_out(_TITLES.get(error.code, "Something is wrong"))
        context = ErrorContext(
            layout=layout,
            status=error.status,
            message=error.public_message,
            again=_AGAIN_SECONDS if is_waited_for else 0,
            back=self._find_form(),
            login="" if self.comes_back else layout.login,
        )
        self.set_header("Content-Type", "text/html; charset=utf-8")
        return rendering.render(context)

    def _find_form(self) -> str:
        """Return the page of ours that sent a form, empty where none did."""
        sender = urlsplit(self.request.headers.get("Referer", ""))
        is_below = sender.path.startswith(self.prefix) and not sender.path.startswith("//")
        is_ours = is_below and sender.netloc == self.request.host
        return urlunsplit(("", "", sender.path, sender.query, "")) if is_ours and self.request.method == "POST" else ""


class PageNotFoundHandler(PageHandler):
    """An address that is none."""

    async def prepare(self) -> None:
        """Say so to everybody."""
        await self.recognise()
        raise NotFoundError("There is nothing at this address.")
