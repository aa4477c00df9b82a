"""`wait`: until a build, or a file of it, is there."""

from __future__ import annotations

import sys
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import click

from conda_store_hub.client.commands import looks
from conda_store_hub.client.commands.durations import SECONDS
from conda_store_hub.client.commands.options import REFERENCE, artifact_option, connect
from conda_store_hub.client.commands.output import Format, note, output_option, show_one
from conda_store_hub.client.patience import answer_within

if TYPE_CHECKING:
    from conda_store_hub.client.api import Client
    from conda_store_hub.client.references import Reference
    from conda_store_hub.core.schemas import Build
    from conda_store_hub.core.states import ArtifactType


_LAST_SECONDS = 5.0
wait_option = click.option("--wait", "wait_for_it", is_flag=True, help="Wait for the build as `conda-store wait` does.")


@click.command()
@click.argument("build", type=REFERENCE)
@click.option("--timeout", type=SECONDS, metavar="SECONDS", help="How long to wait at most; by default for ever.")
@artifact_option("Wait for this file too, which is made if it is not there:", "build")
@click.option("--interval", hidden=True, help="As conda-store has it; news come without asking.")
@output_option
@click.pass_context
def wait(
    ctx: click.Context,
    build: Reference,
    timeout: float | None,
    artifact: ArtifactType | None,
    output: Format,
    **_: object,
) -> None:
    """Wait until BUILD can be used.

    An environment stands for its newest build. Exits with 0 when it can be used, 10 when it failed, 13 when it was
    cancelled, 14 after the time-out.
    """
    from conda_store_hub.client.references import find_newest_build
    from conda_store_hub.client.waits import ask_in_time, wait_for_artifact

    until = None if timeout is None else time.monotonic() + timeout
    with connect(ctx) as client:
        found = ask_in_time(lambda: find_newest_build(client, build), "The build", until)
        with _showing_in_the_end(client, found.id, output):
            follow_build(client, found, until)
            if artifact is not None:
                wait_for_artifact(client, found.id, artifact, until=until)


def follow_build(client: Client, build: Build, until: float | None = None) -> None:
    """Wait for a build, show how far it is, and say what became of it."""
    from conda_store_hub.client.commands.progress import showing_build
    from conda_store_hub.client.waits import wait_for_build
    from conda_store_hub.core.errors import BuildError

    name = looks.name_build(build)
    try:
        with showing_build(name) as show:
            wait_for_build(client, build.id, until=until, on_news=show)
    except BuildError:
        note(f"{name} failed: `conda-store logs {build.id}` shows its log")
        raise
    note(f"{name} can be used")


def show_build(client: Client, build_id: int, output: Format, *, wait_for_it: bool) -> None:
    """Print a build that was begun; for people, its number.

    The number is there before one waits: who gives up knows which build it was.
    """
    if output is Format.TABLE:
        click.echo(build_id)
        sys.stdout.flush()
    with _showing_in_the_end(client, build_id, output):
        if wait_for_it:
            follow_build(client, client.get_build(build_id))


@contextmanager
def _showing_in_the_end(client: Client, build_id: int, output: Format) -> Generator[None]:
    """Print to scripts what became of a build, also where that is not what was waited for."""
    from conda_store_hub.core.errors import BuildCancelledError, BuildError, UnavailableError, WaitTimedOutError

    try:
        yield
    except (BuildError, BuildCancelledError, WaitTimedOutError):
        with suppress(UnavailableError):  # which may be what was waited for in vain
            answer_within(_LAST_SECONDS, lambda: _show(client, build_id, output))
        raise
    _show(client, build_id, output)


def _show(client: Client, build_id: int, output: Format) -> None:
    if output is not Format.TABLE:
        show_one(client.get_build(build_id), looks.BUILDS, output)
