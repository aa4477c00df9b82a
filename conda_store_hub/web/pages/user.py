"""The page of who is logged in: who they are, what they may do, and the tokens that they make for their programs."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import ClassVar

from sqlalchemy.orm import Session

from conda_store_hub.core import schemas
from conda_store_hub.core.errors import CondaStoreHubError, FormUsedError, InvalidRequestError
from conda_store_hub.core.permissions import Identity, Role
from conda_store_hub.services import tokens, users
from conda_store_hub.web import arguments
from conda_store_hub.web.auth import SESSION
from conda_store_hub.web.contexts import ConfirmContext, Context, Dated, Pager
from conda_store_hub.web.page import PageHandler
from conda_store_hub.web.pages.members import ROLES
from conda_store_hub.web.query import PagedQuery, Size

_TOKENS = 50
MARK = "mark"
"""The hidden field that tells one form from another."""
ENDS = {"7": "after 7 days", "30": "after 30 days", "90": "after 90 days", "365": "after a year", "never": "never"}
_MAY = {
    Role.VIEWER: "see environments, compute in them and download them",
    Role.DEVELOPER: "see, compute, download, make, change and build environments",
    Role.ADMIN: "see, compute, download, make, change, build, delete and share environments",
}
_MAY_WITH_ONE = {
    Role.VIEWER: "see it, compute in it and download it",
    Role.DEVELOPER: "see, compute, download, change and build it",
    Role.ADMIN: "see, compute, download, change, build, delete and share it",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """One of the values of a field, as a form offers it; `note` says what it means."""

    value: str
    label: str
    chosen: bool
    note: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class TokenForm:
    """The form for a new token, with what was typed, and what is wrong with it."""

    label: str
    namespaces: tuple[Choice, ...]
    roles: tuple[Choice, ...]
    ends: tuple[Choice, ...]
    mark: str
    """What tells this form from others: one that is sent again, as when its page is loaded again, makes nothing."""
    error: CondaStoreHubError | None


@dataclass(frozen=True, kw_only=True, slots=True)
class PlaceEntry:
    """A place as people read it; `may` says what they may do there."""

    place: users.Place
    may: str


@dataclass(frozen=True, kw_only=True, slots=True)
class TokenEntry:
    """A token as people read it; `reach` says what it is for."""

    token: schemas.TokenView
    reach: str


@dataclass(frozen=True, kw_only=True, slots=True)
class MadeToken:
    """A token that was just made, on the one page that shows its text."""

    text: str
    label: str
    reach: str
    expires_on: datetime | None


@dataclass(frozen=True, kw_only=True, slots=True)
class UserContext(Context):
    """Who the Hub says one is, what one may do, and one's tokens; `form` is None for who has no session."""

    template: ClassVar[str] = "user.html"
    groups: tuple[str, ...]
    everything: bool
    places: tuple[PlaceEntry, ...]
    form: TokenForm | None
    tokens: tuple[TokenEntry, ...]
    pager: Pager
    made: MadeToken | None
    address: str


class UserQuery(PagedQuery):
    """Which of one's tokens are shown."""

    size: Size = _TOKENS


@dataclass(frozen=True, kw_only=True, slots=True)
class _Typed:
    """What the form holds."""

    label: str = ""
    namespaces: tuple[str, ...] = ()
    role: str = Role.VIEWER
    end: str = "90"


@dataclass(frozen=True, kw_only=True, slots=True)
class _UserView:
    places: list[users.Place]
    tokens: list[schemas.TokenView] = field(default_factory=list[schemas.TokenView])
    count: int = 0


def _read_user(session: Session, identity: Identity, query: UserQuery) -> _UserView:
    places = users.list_places(session, identity)
    if identity.user_id is None:
        return _UserView(places=places)  # tokens belong to users of the Hub
    rows, count = tokens.list_tokens(session, identity, user=None, page=query.page, size=query.size)
    return _UserView(places=places, tokens=rows, count=count)


def _make_request(typed: _Typed, now: datetime) -> schemas.MakeToken:
    """Return the token that was asked for; raise InvalidRequestError in words for what cannot be."""
    if not typed.label:
        raise InvalidRequestError("Give the token a label: it tells you later what the token is for.")
    if len(typed.label) > schemas.MAX_LABEL:
        raise InvalidRequestError(f"A label has at most {schemas.MAX_LABEL} characters.")
    if len(typed.namespaces) > schemas.MAX_TOKEN_NAMESPACES:
        raise InvalidRequestError(f"Choose at most {schemas.MAX_TOKEN_NAMESPACES} namespaces.")
    if typed.role not in list(Role):
        raise InvalidRequestError("Choose one of the roles.")
    if typed.end not in ENDS:
        raise InvalidRequestError("Choose one of the ends.")
    return schemas.MakeToken(
        label=typed.label,
        namespaces=list(typed.namespaces) or None,
        role=Role(typed.role),
        expiration=None if typed.end == "never" else now + timedelta(days=int(typed.end)),
    )


class UserHandler(PageHandler):
    """`/user/`."""

    deed = "Make a token"
    help = "pages/#user"

    async def get(self) -> None:
        """Show who the Hub says one is, what one may do, and one's tokens."""
        await self._show_user(_Typed(), self.read_query(UserQuery))

    async def post(self) -> None:
        """Make a token and show its text, this once; or show again what was typed, with what is wrong."""
        typed = _Typed(
            label=self.get_body_argument("label", ""),
            namespaces=tuple(dict.fromkeys(self.get_body_arguments("namespace"))),
            role=self.get_body_argument("role", ""),
            end=self.get_body_argument("end", ""),
        )
        await self.take_form(self._make(typed), lambda exc: self._show_refused(typed, exc))

    async def _show_refused(self, typed: _Typed, error: CondaStoreHubError) -> None:
        is_made = isinstance(error, FormUsedError)
        await self._show_user(_Typed() if is_made else typed, UserQuery(page=1), error=error)

    async def _make(self, typed: _Typed) -> None:
        request = _make_request(typed, datetime.now(UTC))
        pepper, mark = self.services.auth.pepper, self.get_body_argument(MARK, "")
        made = await self.services.db.write(tokens.make, self.identity, request, pepper=pepper, form=mark)
        await self._show_user(_Typed(), UserQuery(page=1), made=_say_made(made, request))

    async def _show_user(
        self,
        typed: _Typed,
        query: UserQuery,
        *,
        made: MadeToken | None = None,
        error: CondaStoreHubError | None = None,
    ) -> None:
        view = await self.look_up(_read_user, query)
        self.show(
            UserContext(
                layout=self.lay_out("You", "user"),
                groups=tuple(sorted(self.identity.groups)),
                everything=self.identity.administers_all,
                places=tuple(_say_place_of(place) for place in view.places),
                form=_lay_out_form(typed, view.places, error) if self.identity.via == SESSION else None,
                tokens=tuple(TokenEntry(token=row, reach=say_reach(row.scopes)) for row in view.tokens),
                pager=Pager(page=query.page, size=query.size, count=view.count),
                made=made,
                address=f"{self.request.protocol}://{self.request.host}{self.prefix}",
            )
        )


class TokenHandler(PageHandler):
    """`/user/token/ID/`."""

    asks_first = True
    deed = "Revoke a token"
    help = "sharing/#tokens"

    async def get(self, token_id: str) -> None:
        """Say what a token is for, and ask whether it is to go."""
        await self._ask(arguments.read_token(token_id))

    async def _ask(self, number: int, error: CondaStoreHubError | None = None) -> None:
        token = await self.look_up(tokens.describe, number)
        self.show(
            ConfirmContext(
                layout=self.lay_out(f"Revoke the token “{token.label}”?", "user"),
                text="Whatever uses it is let in no more, from this moment on. It cannot be brought back.",
                consequences=(f"It ends in …{token.hint} and is {say_reach(token.scopes)}.", _say_use(token)),
                action=f"{self.prefix}user/token/{token.id}/",
                button="Revoke it",
                back=f"{self.prefix}user/#tokens",
                error=error.public_message if error else "",
            )
        )

    async def post(self, token_id: str) -> None:
        """Revoke the token: it is worth nothing from now on."""
        number = arguments.read_token(token_id)
        await self.take_form(self._revoke(number), lambda exc: self._ask(number, exc))

    async def _revoke(self, number: int) -> str:
        await self.services.db.write(tokens.revoke, self.identity, number)
        return "user/#tokens"


def _say_place_of(place: users.Place) -> PlaceEntry:
    return PlaceEntry(place=place, may=(_MAY if place.environment is None else _MAY_WITH_ONE)[place.role])


def _lay_out_form(typed: _Typed, places: list[users.Place], error: CondaStoreHubError | None) -> TokenForm:
    return TokenForm(
        label=typed.label,
        namespaces=tuple(
            Choice(
                value=place.namespace,
                label=place.namespace,
                chosen=place.namespace in typed.namespaces,
                note=place.role,
            )
            for place in places
            if place.environment is None
        ),
        roles=tuple(
            Choice(value=role, label=role, chosen=role == typed.role, note=note) for role, note in ROLES.items()
        ),
        ends=tuple(Choice(value=value, label=label, chosen=value == typed.end) for value, label in ENDS.items()),
        mark=secrets.token_urlsafe(16),
        error=error,
    )


def _say_made(made: schemas.NewToken, request: schemas.MakeToken) -> MadeToken:
    keys = [f"{name}/*" for name in request.namespaces or ()] or ["*/*"]
    scopes = [schemas.TokenScope(on=key, role=request.role) for key in keys]
    return MadeToken(text=made.token, label=request.label, reach=say_reach(scopes), expires_on=request.expiration)


def say_reach(scopes: list[schemas.TokenScope]) -> str:
    """Say what a token is for: `viewer on alice, group.physics`."""
    if not scopes:
        return "nothing any more: what it was for is gone"
    ordered = sorted(scopes, key=lambda scope: (scope.role.rank, scope.on))
    parts = groupby(ordered, key=lambda scope: scope.role)
    return "; ".join(f"{role} on {', '.join(_say_place(scope.on) for scope in same)}" for role, same in parts)


def _say_use(token: schemas.TokenView) -> str | Dated:
    """Say whether anybody would notice."""
    if token.last_used_on is None:
        return "It was never used."
    place = f" from {token.last_used_from}" if token.last_used_from else ""
    return Dated("It was used last on ", token.last_used_on, f"{place}.")


def _say_place(key: str) -> str:
    return "everything you have" if key == "*/*" else key.removesuffix("/*")
