"""`info` and `whoami`: which service this is, and who is there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from conda_store_hub.client.commands.options import find_service
from conda_store_hub.client.commands.output import Format, Look, note, output_option, show_one
from conda_store_hub.client.connection import Connection, Source

if TYPE_CHECKING:
    from conda_store_hub.core.schemas import PermissionSummary


@click.command()
@output_option
@click.pass_context
def info(ctx: click.Context, output: Format) -> None:
    """Say which service this talks to, as whom, and how it knows."""
    from conda_store_hub.client.commands.answers import ServiceInfo

    found = find_service(ctx)
    with found.connect() as client:
        version, who = client.version().version, client.permission()
        answer = ServiceInfo(
            service=client.url,
            version=version,
            namespace=who.primary_namespace if who.authenticated else None,
            authenticated=who.authenticated,
            address_from=found.source,
            credentials_from=_source(found),
            expires_on=who.expiration,
            roles={place: sorted(roles) for place, roles in sorted(who.entity_roles.items())},
        )
    look: Look[ServiceInfo] = Look(
        columns=(
            ("SERVICE", lambda each: each.service),
            ("VERSION", lambda each: each.version),
            ("NAMESPACE", lambda each: each.namespace or "none: you are not logged in"),
            ("ADDRESS", lambda each: f"from {each.address_from}"),
            ("TOKEN", lambda each: f"from {each.credentials_from}"),
            ("EXPIRES", lambda each: each.expires_on),
            ("ROLES", lambda each: ", ".join(f"{place} {'+'.join(roles)}" for place, roles in each.roles.items())),
        ),
        name=lambda each: each.service,
    )
    show_one(answer, look, output)
    _warn_of_namesake()


@click.command()
@output_option
@click.pass_context
def whoami(ctx: click.Context, output: Format) -> None:
    """Say who you are to the service; fails where you are nobody."""
    from conda_store_hub.core.errors import NotAuthenticatedError

    with find_service(ctx).connect() as client:
        who = client.permission()
    if not who.authenticated:
        raise NotAuthenticatedError("You are not logged in.")
    look: Look[PermissionSummary] = Look(
        columns=(("NAMESPACE", lambda each: each.primary_namespace),), name=lambda each: each.primary_namespace
    )
    show_one(who, look, Format.NAME if output is Format.TABLE else output)


def _source(found: Connection) -> Source:
    return Source.NONE if found.credentials is None else found.credentials.source


def _warn_of_namesake() -> None:
    """Say that the distribution `conda-store`, whose command has the same name, is here too."""
    from importlib.metadata import PackageNotFoundError, distribution

    try:
        other = distribution("conda-store")
    except PackageNotFoundError:
        return
    note(
        f"The distribution conda-store {other.version} is installed in the same environment, and its command has"
        " the same name: which one runs is chance. Install one of the two elsewhere."
    )
