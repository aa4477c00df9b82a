"""`token`: tokens for programs, made, listed and revoked."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from conda_store_hub.client.commands import looks
from conda_store_hub.client.commands.durations import MOMENT
from conda_store_hub.client.commands.options import NAMESPACE, connect
from conda_store_hub.client.commands.output import Format, note, output_option, show_list, show_removed, show_value

if TYPE_CHECKING:
    from datetime import datetime

    from conda_store_hub.core.permissions import Role


@click.group()
def token() -> None:
    """Make, list and revoke tokens for programs."""


@token.command(name="make")
@click.option("--label", metavar="TEXT", default="", help="What it is for; shown where tokens are listed.")
@click.option(
    "--expiration",
    type=MOMENT,
    metavar="TIME",
    help="When it ends: seconds, or 15m, 12h, 30d, or a date; by default never.",
)
@click.option(
    "-n",
    "--namespace",
    "namespaces",
    multiple=True,
    type=NAMESPACE,
    metavar="NAMESPACE",
    help="Only for this namespace; may be given several times.",
)
@click.option(
    "--role", type=click.Choice(["viewer", "developer", "admin"]), help="What it may do at most; by default viewer."
)
@click.option(
    "--permission",
    "permissions",
    multiple=True,
    metavar="PLACE:ROLE[,ROLE]",
    help="Only for NAMESPACE/NAME or NAMESPACE/*, with these roles; may be given several times.",
)
@output_option
@click.pass_context
def make(
    ctx: click.Context,
    label: str,
    expiration: datetime | None,
    namespaces: tuple[str, ...],
    role: str | None,
    permissions: tuple[str, ...],
    output: Format,
) -> None:
    """Make a token, and print it: nothing shows it again.

    Without a namespace or a permission it is for everything that you have: to look at, and with --role developer to
    build.
    """
    from conda_store_hub.core.permissions import Role
    from conda_store_hub.core.schemas import MakeToken

    if permissions and (namespaces or role):
        raise click.UsageError("Give --permission, or --namespace and --role, not both.")
    request = MakeToken(
        label=label,
        namespaces=list(namespaces) or None,
        role=Role(role or Role.VIEWER),
        expiration=expiration,
        role_bindings=dict(map(_read_permission, permissions)) or None,
    )
    with connect(ctx) as client:
        made = client.make_token(request)
    if output in (Format.JSON, Format.YAML):
        show_value(made, output)
    else:
        click.echo(made.token)
    ends = "does not end by itself" if expiration is None else f"ends on {expiration:%Y-%m-%d at %H:%M} UTC"
    note(f"token {made.id} {ends}; `conda-store token revoke {made.id}` ends it")


def _read_permission(text: str) -> tuple[str, list[Role]]:
    from conda_store_hub.core.permissions import Role

    place, _, roles = text.rpartition(":")
    try:
        # conda-store has a newer name for one of them.
        return place, [Role.DEVELOPER if role == "editor" else Role(role) for role in roles.split(",")]
    except ValueError:
        raise click.BadParameter(
            f"“{text}” is not PLACE:ROLE, such as alice/*:viewer.", param_hint="--permission"
        ) from None


@token.command(name="list")
@output_option
@click.pass_context
def list_tokens(ctx: click.Context, output: Format) -> None:
    """List your tokens, with when each was used last."""
    with connect(ctx) as client:
        show_list(client.list_tokens(), looks.TOKENS, output)


@token.command(name="revoke")
@click.argument("number", type=click.IntRange(min=1), metavar="TOKEN")
@output_option
@click.pass_context
def revoke(ctx: click.Context, number: int, output: Format) -> None:
    """Revoke TOKEN, a number that `token list` shows.

    What has it is refused from now on.
    """
    with connect(ctx) as client:
        client.revoke_token(number)
        note(f"token {number} was revoked")
    show_removed(str(number), output)
