"""Who has a role in a place: the list and its forms, on the pages of namespaces and of single environments alike."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import Final

from sqlalchemy.orm import Session

from conda_store_hub.core import schemas
from conda_store_hub.core.errors import CondaStoreHubError, InvalidRequestError, NotFoundError
from conda_store_hub.core.permissions import Identity, Role, SubjectKind
from conda_store_hub.services import grants
from conda_store_hub.services.grants import Place
from conda_store_hub.web import fields
from conda_store_hub.web.contexts import Pager
from conda_store_hub.web.page import PageHandler
from conda_store_hub.web.query import PagedQuery
from conda_store_hub.web.sharing import give_role

MEMBERS: Final = 100
ROLES: Final = {
    Role.VIEWER: "see, compute, download",
    Role.DEVELOPER: "and make, change and build",
    Role.ADMIN: "and delete and share",
}
SUBJECTS: Final = {
    SubjectKind.USER: "A person",
    SubjectKind.GROUP: "A group of the Hub",
    SubjectKind.AUTHENTICATED: "Everybody who is logged in",
    SubjectKind.ANYONE: "Everybody, logged in or not",
}
_LONGEST_NAME = 255
_FIELDS = ("subject", "name", "role", "until")


class InvalidFieldError(InvalidRequestError):
    """What was typed into a field cannot be."""

    code = "invalid-field"

    def __init__(self, field: str, message: str) -> None:
        """Keep the field of the form that is at fault."""
        super().__init__(message)
        self.field = field


@dataclass(frozen=True, kw_only=True, slots=True)
class TypedRole:
    """What the form holds, and what is wrong with it: `field` is where, empty for no single one."""

    subject: str = SubjectKind.USER
    name: str = ""
    role: str = Role.VIEWER
    until: str = ""
    error: str = ""
    field: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class MembersView:
    """Who has a role in a place; `address` is where its forms go, `back` the page that shows it.

    `typed` is None for who may not share here; `groups` are those of who looks, `subjects` to whom roles can be given.
    """

    members: tuple[schemas.Member, ...]
    pager: Pager
    address: str
    back: str
    typed: TypedRole | None
    groups: tuple[str, ...]
    subjects: tuple[SubjectKind, ...]
    refusal: str = ""
    """Why a role could not be changed or taken back."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MembersPage:
    """A page of those who have a role, and how many there are."""

    rows: tuple[schemas.Member, ...]
    pager: Pager


def read_members(session: Session, identity: Identity, place: Place, query: PagedQuery, *, scoped: bool) -> MembersPage:
    """Return those who have a role in a place; raise for who may not know."""
    rows, count = grants.list_members(session, identity, place, page=query.page, size=MEMBERS, scoped=scoped)
    return MembersPage(rows=tuple(rows), pager=Pager(page=query.page, size=MEMBERS, count=count))


def lay_out_members(
    handler: PageHandler,
    found: MembersPage,
    *,
    address: str,
    back: str,
    typed: TypedRole | None,
    refusal: CondaStoreHubError | None = None,
) -> MembersView:
    """Return the list as a page shows it."""
    anonymous = handler.services.auth.allow_anonymous
    return MembersView(
        members=found.rows,
        pager=found.pager,
        address=address,
        back=back,
        typed=typed,
        groups=tuple(sorted(handler.identity.groups)),
        subjects=tuple(kind for kind in SUBJECTS if anonymous or kind is not SubjectKind.ANYONE),
        refusal=refusal.public_message if refusal else "",
    )


async def give(handler: PageHandler, place: Place) -> None:
    """Give the role that a form asks for; raise for what cannot be."""
    await give_role(handler.services, handler.identity, place, _read_request(_read_typed(handler), datetime.now(UTC)))


async def change_or_remove(handler: PageHandler, place: Place, member: int) -> None:
    """Change the role that somebody was given, or take it back, as a form says."""
    services, wanted = handler.services, handler.get_body_argument("role", "")
    if fields.require_action(handler) == "remove":
        await services.db.write(grants.remove, handler.identity, place, member)
        return
    if wanted not in list(Role):
        raise InvalidFieldError("role", "Choose one of the roles.")
    allowed = services.auth.allow_anonymous
    await services.db.write(grants.change, handler.identity, place, member, Role(wanted), anonymous_allowed=allowed)


def say_change(handler: PageHandler) -> str:
    """Say which of the two a form asks for."""
    return "Take back" if handler.get_body_argument("action", "") == "remove" else "Change"


def read_refused(handler: PageHandler, error: CondaStoreHubError) -> TypedRole:
    """Return what was typed into the form, with what is wrong with it."""
    values = _read_typed(handler)
    return TypedRole(
        **values | {"until": _show_day(values["until"])}, error=error.public_message, field=_find_field(error)
    )


def _read_typed(handler: PageHandler) -> dict[str, str]:
    return {name: handler.get_body_argument(name, "") for name in _FIELDS}


def _find_field(error: CondaStoreHubError) -> str:
    if isinstance(error, InvalidFieldError):
        return error.field
    return "name" if isinstance(error, NotFoundError) else ""


def _read_request(values: dict[str, str], now: datetime) -> schemas.GrantRole:
    """Return the role that is to be given; raise InvalidFieldError in words for what cannot be."""
    if values["subject"] not in list(SubjectKind):
        raise InvalidFieldError("subject", "Choose who is meant.")
    if values["role"] not in list(Role):
        raise InvalidFieldError("role", "Choose one of the roles.")
    subject = SubjectKind(values["subject"])
    is_named = subject in (SubjectKind.USER, SubjectKind.GROUP)
    if is_named and not values["name"]:
        what = "group" if subject is SubjectKind.GROUP else "person"
        raise InvalidFieldError("name", f"Write how the Hub calls the {what}.")
    if len(values["name"]) > _LONGEST_NAME:
        raise InvalidFieldError("name", f"A name has at most {_LONGEST_NAME} characters.")
    return schemas.GrantRole(
        subject=subject,
        name=values["name"] if is_named else None,
        role=Role(values["role"]),
        expires_on=_read_end(values["until"], now),
    )


def _show_day(text: str) -> str:
    """Return the day of a moment: a field for days would show nothing of it, and the role be given for good."""
    try:
        return datetime.fromisoformat(text).date().isoformat()
    except ValueError:
        return text


def _read_end(text: str, now: datetime) -> datetime | None:
    """Return the end of a day in UTC, or a moment that was shown before; None without one."""
    if not text:
        return None
    try:
        found = datetime.fromisoformat(text)
        moment = found if found.tzinfo else datetime.combine(date.fromisoformat(text), time(23, 59, 59), UTC)
        end = moment.astimezone(UTC)
    except (ValueError, OverflowError) as exc:
        raise InvalidFieldError("until", "Write a day as YYYY-MM-DD, such as 2027-06-30.") from exc
    if end <= now:
        raise InvalidFieldError("until", "This day is over.")
    return end
