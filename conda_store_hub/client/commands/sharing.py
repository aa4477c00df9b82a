"""`share`: who may do what with an environment, or in a namespace."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import click

from conda_store_hub.client.commands import looks
from conda_store_hub.client.commands.durations import END, NEVER
from conda_store_hub.client.commands.options import PLACE, connect
from conda_store_hub.client.commands.output import Format, note, output_option, show_list, show_one, show_removed
from conda_store_hub.core.errors import InvalidRequestError, NotFoundError

if TYPE_CHECKING:
    from datetime import datetime

    from conda_store_hub.client.api import Client
    from conda_store_hub.core.schemas import GrantRole, Member

_SUBJECTS = ("user", "group", "authenticated", "anyone")

place_argument = click.argument("place", type=PLACE, metavar="ENVIRONMENT|NAMESPACE/")
who_argument = click.argument("who")


@click.group()
def share() -> None:
    """Say who may use an environment, or a whole namespace.

    A place is NAMESPACE/NAME, or NAMESPACE/ for all that is in it. WHO is the name of a user, group:NAME,
    `authenticated` for everybody with an account, or `anyone`.
    """


@share.command(name="list")
@place_argument
@output_option
@click.pass_context
def list_members(ctx: click.Context, place: str, output: Format) -> None:
    """List who has a role on a place."""
    with connect(ctx) as client:
        show_list(client.list_members(*_find_place(client, place)), looks.MEMBERS, output)


@share.command(name="give")
@place_argument
@who_argument
@click.argument("role", type=click.Choice(["viewer", "developer", "admin"]))
@click.option(
    "--until",
    type=END,
    metavar="TIME",
    help="When it ends: 12h, 30d, a date, or `never`. By default when the role that they have ends, and else never.",
)
@output_option
@click.pass_context
def give(
    ctx: click.Context, place: str, who: str, role: str, until: datetime | Literal["never"] | None, output: Format
) -> None:
    """Give WHO a role on a place, or change the one they have.

    WHO is the name of a user, group:NAME, `authenticated` or `anyone`. A viewer uses environments, a developer builds
    them too, an admin also deletes and shares them.
    """
    from conda_store_hub.core.permissions import Role

    request = _read_subject(who, Role(role), until)
    with connect(ctx) as client:
        namespace, name = _find_place(client, place)
        made = client.grant(namespace, name, request)
        note(f"{looks.name_member(made)} is {made.role} of {_say(namespace, name)}")
    if output is not Format.TABLE:
        show_one(made, looks.MEMBERS, output)


@share.command(name="remove")
@place_argument
@who_argument
@output_option
@click.pass_context
def remove(ctx: click.Context, place: str, who: str, output: Format) -> None:
    """Take the role of WHO on a place back.

    WHO is the name of a user, group:NAME, `authenticated` or `anyone`.
    """
    from conda_store_hub.core.permissions import Role

    wanted = _read_subject(who, Role.VIEWER, None)
    with connect(ctx) as client:
        namespace, name = _find_place(client, place)
        found = _find_member(client, namespace, name, wanted)
        if found is None:
            raise NotFoundError(f"“{who}” has no role on {_say(namespace, name)} of its own.")
        if found.id is None:
            raise InvalidRequestError(f"{_say(namespace, name)} belongs to “{who}”: that role cannot be taken back.")
        client.remove_member(namespace, name, found.id)
        note(f"{looks.name_member(found)} has no role on {_say(namespace, name)} any more")
    show_removed(looks.name_member(found), output)


def _find_place(client: Client, text: str) -> tuple[str, str | None]:
    """Return a namespace, and the environment in it if one is meant."""
    from conda_store_hub.client.references import Reference, name_place

    if text.endswith(("/", "/*")):
        return text.rpartition("/")[0], None
    return name_place(client, Reference.parse_environment(text))


def _read_subject(text: str, role: str, until: datetime | Literal["never"] | None) -> GrantRole:
    from pydantic import ValidationError

    from conda_store_hub.core.permissions import Role, SubjectKind
    from conda_store_hub.core.schemas import GrantRole

    kind, colon, name = text.partition(":")
    if kind not in _SUBJECTS or (not colon and kind in ("user", "group")):
        kind, name = "user", text
    end = {} if until is None else {"expires_on": None if until == NEVER else until}
    try:
        return GrantRole(subject=SubjectKind(kind), name=name or None, role=Role(role), **end)
    except ValidationError as exc:
        raise InvalidRequestError(
            f"“{text}” names nobody: write the name of a user, group:NAME, `authenticated` or `anyone`."
        ) from exc


def _find_member(client: Client, namespace: str, name: str | None, wanted: GrantRole) -> Member | None:
    members = client.list_members(namespace, name)
    return next((each for each in members if (each.subject, each.name) == (wanted.subject, wanted.name)), None)


def _say(namespace: str, name: str | None) -> str:
    return f"{namespace}/{name}" if name else f"the namespace {namespace}"
