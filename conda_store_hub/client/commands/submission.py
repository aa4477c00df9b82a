"""`create`: a specification, built."""

from __future__ import annotations

from typing import IO

import click

from conda_store_hub.client.commands.options import connect, namespace_option
from conda_store_hub.client.commands.output import Format, output_option
from conda_store_hub.client.commands.waiting import show_build, wait_option
from conda_store_hub.core.errors import InvalidRequestError, SpecificationTooLargeError

MAX_FILE = 4_000_000  # the service takes no larger lock file; a device file would never end

file_argument = click.argument("file", type=click.File("rb"))
name_option = click.option(
    "--name", metavar="NAME", help="The environment, for a FILE that names none: a lock file."
)


@click.command()
@file_argument
@namespace_option("Where to put it; by default your own namespace.")
@name_option
@click.option("--description", metavar="TEXT", help="What it is for, instead of what FILE says.")
@click.option("--no-activate", is_flag=True, help="Leave the active build what it is.")
@click.option("--fresh", is_flag=True, help="Choose packages anew, also where nothing changed since the last time.")
@wait_option
@output_option
@click.pass_context
def create(
    ctx: click.Context,
    file: IO[bytes],
    namespace: str | None,
    name: str | None,
    description: str | None,
    no_activate: bool,
    fresh: bool,
    wait_for_it: bool,
    output: Format,
) -> None:
    """Build FILE, an environment.yaml or a lock file.

    Prints the number of the build. "-" is standard input. The environment is made if it is new. Each call makes one
    more build, where `apply` makes one only if it is needed.
    """
    text = read_text(file)
    with connect(ctx) as client:
        build_id = client.submit(
            namespace or client.permission().primary_namespace,
            text,
            environment_name=name,
            description=description,
            activate=not no_activate,
            fresh=fresh,
        )
        show_build(client, build_id, output, wait_for_it=wait_for_it)


def read_text(file: IO[bytes]) -> str:
    """Return what is in a file; raise InvalidRequestError for what is no text."""
    data = file.read(MAX_FILE + 1)
    if len(data) > MAX_FILE:
        raise SpecificationTooLargeError(f"{file.name} is larger than {MAX_FILE // 1_000_000} MB.")
    try:
        return data.decode()
    except UnicodeDecodeError as exc:
        raise InvalidRequestError(f"{file.name} is not text in UTF-8.") from exc
