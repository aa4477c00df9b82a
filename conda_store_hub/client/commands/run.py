"""`run`: a command in an environment."""

from __future__ import annotations

import functools
import hashlib
import os
import secrets
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from conda_store_hub.client.commands.options import REFERENCE, find_service
from conda_store_hub.client.commands.output import note
from conda_store_hub.client.commands.program import find_given_options
from conda_store_hub.client.connection import AuthKind, Connection, Credentials, find_connection
from conda_store_hub.client.patience import answer_within
from conda_store_hub.core.errors import CondaStoreHubError, InvalidRequestError
from conda_store_hub.core.names import shorten

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from conda_store_hub.client.keeper import LeaseWish
    from conda_store_hub.client.references import Reference
    from conda_store_hub.client.runs import Ready

_ORIGINS = ("auto", "lock", "archive")


def _complete_files(_ctx: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Have the shell complete files: what a command takes is not known here."""
    from click.shell_completion import CompletionItem

    return [CompletionItem(incomplete, type="file")]


@click.command(context_settings={"allow_interspersed_args": False})
@click.argument("environment", metavar="NAMESPACE/ENVIRONMENT[:BUILD]", type=REFERENCE)
@click.argument(
    "command",
    nargs=-1,
    type=click.UNPROCESSED,
    metavar="[--] COMMAND [ARGUMENTS]...",
    shell_complete=_complete_files,
)
@click.option(
    "--from",
    "origin",
    type=click.Choice(_ORIGINS),
    default="auto",
    help="What to make it of where it is not on this machine: its lock, which needs the channels, or its archive."
    " `auto`, the default, takes the lock, and the archive where that fails.",
)
@click.pass_context
def run(ctx: click.Context, environment: Reference, command: tuple[str, ...], origin: str) -> None:
    """Run COMMAND in an environment, as if that were activated here.

    \b
    conda-store run alice/ml -- python train.py --epochs 3

    It ends as COMMAND does; with 127 where there is no such command, and with 126 where it cannot be run.

    Where the service's disk is not on this machine, the environment is made once, in a cache of your own: in
    ~/.cache/conda-store, or what CONDA_STORE_CACHE names. With the number of a build, the service is asked nothing once
    it is there. Without one, it is asked which build is active; if it does not answer in half a second, the last known
    one is taken.

    A script can say its environment itself. It begins so, and its path and your arguments come last:

    \b
    #!/usr/bin/env conda-store
    #! conda-store run alice/ml:12 -- python
    """  # noqa: D301 click reads the character
    from conda_store_hub.client import starting

    command = _read_command(command)
    # The token may be in a keyring, which takes time: it is looked for only when the service is asked.
    service = functools.cache(lambda: find_service(ctx))
    ready = _open(ctx, service, environment, origin)
    descriptors = [] if ready.hold is None else [ready.hold.fileno()]
    keeper = _start_keeper(service, ready)
    sys.stdout.flush()
    sys.stderr.flush()
    try:
        starting.become(
            command,
            ready.prefix,
            environment=ready.place,
            variables=os.environ,
            descriptors=[*descriptors, *([] if keeper is None else [keeper])],
        )
    except FileNotFoundError:
        note(f"Error: {ready.place} has no command {command[0]}, and neither has this machine.")
        ctx.exit(starting.NOT_FOUND)
    except OSError as exc:
        note(f"Error: {command[0]} cannot be run: {exc.strerror}.")
        ctx.exit(starting.NOT_EXECUTABLE)


def _read_command(words: tuple[str, ...]) -> tuple[str, ...]:
    """Return the command behind the environment: with `--` before it or without, all of it is the command's own."""
    if words[:1] == ("--",):
        words = words[1:]
    elif words and words[0].startswith("-"):
        raise InvalidRequestError(f"{shorten(words[0])} stands behind the environment: options of `run` go before it.")
    if not any(words[:1]):  # `"$COMMAND"` where that is not set
        raise InvalidRequestError("What is to be run? Say `conda-store run NAMESPACE/ENVIRONMENT -- COMMAND`.")
    return words


def _open(ctx: click.Context, service: Callable[[], Connection], reference: Reference, origin: str) -> Ready:
    from conda_store_hub.client.cached import Origin
    from conda_store_hub.client.commands.progress import showing_making
    from conda_store_hub.client.envcache import EnvironmentCache
    from conda_store_hub.client.runs import Runs

    given = find_given_options(ctx)
    nameless = replace(given, auth=AuthKind.NONE)
    with showing_making() as show:
        return Runs(
            server=find_connection(nameless).url,
            connect=functools.cache(lambda: service().connect()),
            identify=lambda: _identify(service().credentials),
            say=note,
            on_making=show,
            cache=EnvironmentCache(),
            origin=Origin(origin),
            ca_file=given.ca_file,
        ).open(reference)


def _identify(shown: Credentials | None) -> str:
    """Return what tells logins apart, and nothing that lets anybody in."""
    secret = "" if shown is None else shown.token or ":".join(shown.basic or ())
    return hashlib.sha256(secret.encode(errors="surrogateescape")).hexdigest()


def _start_keeper(service: Callable[[], Connection], ready: Ready) -> int | None:
    """Have a lease kept on the service's own prefix, and the cache tidied where something was put into it.

    The command needs none of it, so what is in the way of it is said and no more.
    """
    if ready.hold is not None and not ready.is_new:
        return None
    from conda_store_hub.client.envcache import find_root
    from conda_store_hub.client.keeper import KeeperTask, start_keeper
    from conda_store_hub.client.runs import CONNECT_SECONDS, KEEPER

    try:
        if ready.hold is not None:
            return start_keeper(KeeperTask(trim=find_root()))
        wish = _wish_for_lease(answer_within(CONNECT_SECONDS, service, KEEPER), ready)
        return None if wish is None else start_keeper(KeeperTask(lease=wish))
    except (CondaStoreHubError, OSError) as exc:
        why = exc.public_message if isinstance(exc, CondaStoreHubError) else f"{exc.strerror}."
        note(f"{why} The service is not told that this is in use.")
        return None


def _wish_for_lease(found: Connection, ready: Ready) -> LeaseWish | None:
    """Return what a keeper has to know; None where the service knows nobody who could hold a lease."""
    from conda_store_hub.client.keeper import LeaseWish

    shown = found.credentials
    if shown is None:
        return None
    return LeaseWish(
        url=found.url,
        build_id=ready.build_id,
        holder=f"run-{secrets.token_hex(8)}",
        token=shown.token,
        basic=shown.basic,
        no_verify=found.no_verify,
        ca_file=found.ca_file,
    )
