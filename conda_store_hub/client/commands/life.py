"""`activate`, `rollback`, `rebuild`, `cancel`, `delete`, `restore`: the life of environments and builds."""

from __future__ import annotations

import sys
from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from conda_store_hub.client.commands import looks
from conda_store_hub.client.commands.options import ENVIRONMENT, REFERENCE, connect
from conda_store_hub.client.commands.output import Format, harmless, note, output_option, show_one, show_removed
from conda_store_hub.client.commands.questions import confirm
from conda_store_hub.client.commands.waiting import show_build, wait_option

if TYPE_CHECKING:
    from conda_store_hub.client.api import Client
    from conda_store_hub.client.references import Reference
    from conda_store_hub.core.schemas import BuildSummary, Environment


@click.command()
@click.argument("build", type=REFERENCE)
@output_option
@click.pass_context
def activate(ctx: click.Context, build: Reference, output: Format) -> None:
    """Make BUILD the active one of its environment.

    It has to be named with its number. Kernels that start from now on run in it.
    """
    from conda_store_hub.client.references import find_newest_build

    if build.build_id is None:
        raise click.UsageError("Say which build: NAMESPACE/NAME:BUILD, or its number.")
    with connect(ctx) as client:
        found = find_newest_build(client, build)
        client.activate(found.namespace, found.environment, found.id)
        note(f"{looks.name_build(found)} is active")
        _show_changed(client, found, output)


@click.command()
@click.argument("environment", type=ENVIRONMENT)
@output_option
@click.pass_context
def rollback(ctx: click.Context, environment: Reference, output: Format) -> None:
    """Go back to the build before the active one.

    The newest completed one before it, of ENVIRONMENT, becomes the active build.
    """
    from conda_store_hub.client.references import find_environment
    from conda_store_hub.core.errors import ConflictError

    with connect(ctx) as client:
        found = find_environment(client, environment)
        before = _find_before(client, found)
        if before is None:
            raise ConflictError(f"{looks.name_environment(found)} has no completed build before the active one.")
        client.activate(before.namespace, before.environment, before.id)
        note(f"{looks.name_build(before)} is active, build {found.current_build_id} was")
        _show_changed(client, before, output)


def _find_before(client: Client, environment: Environment) -> BuildSummary | None:
    from conda_store_hub.core.states import BuildStatus

    active = environment.current_build_id or 0
    completed = client.list_builds(environment_id=environment.id, status=BuildStatus.COMPLETED)
    return next((each for each in completed if each.id < active and each.deleted_on is None), None)


def _show_changed(client: Client, build: BuildSummary, output: Format) -> None:
    if output is not Format.TABLE:
        show_one(client.get_environment(build.namespace, build.environment), looks.ENVIRONMENTS, output)


@click.command()
@click.argument("build", type=REFERENCE)
@click.option("--exact", is_flag=True, help="Take the very same packages, instead of choosing anew.")
@click.option("--no-activate", is_flag=True, help="Leave the active build what it is.")
@wait_option
@output_option
@click.pass_context
def rebuild(
    ctx: click.Context, build: Reference, exact: bool, no_activate: bool, wait_for_it: bool, output: Format
) -> None:
    """Build BUILD once more.

    Prints the number of the new build. Packages are chosen anew from its specification: newer ones, where there are.
    An environment stands for its newest build.
    """
    from conda_store_hub.client.references import find_newest_build

    with connect(ctx) as client:
        found = find_newest_build(client, build)
        made = client.rebuild(found.id, exact=exact, activate=not no_activate)
        show_build(client, made, output, wait_for_it=wait_for_it)


@click.command()
@click.argument("build", type=REFERENCE)
@output_option
@click.pass_context
def cancel(ctx: click.Context, build: Reference, output: Format) -> None:
    """Stop BUILD, which is queued or being built.

    An environment stands for its newest build.
    """
    from conda_store_hub.client.references import find_newest_build

    with connect(ctx) as client:
        found = find_newest_build(client, build)
        client.cancel(found.id)
        note(f"{looks.name_build(found)} is being cancelled")
        if output is not Format.TABLE:
            show_one(client.get_build(found.id), looks.BUILDS, output)


@click.command()
@click.argument("what", type=REFERENCE, metavar="ENVIRONMENT|BUILD")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@click.option("--force", is_flag=True, help="Delete it also while it is in use or being built.")
@output_option
@click.pass_context
def delete(ctx: click.Context, what: Reference, yes: bool, force: bool, output: Format) -> None:
    """Delete an ENVIRONMENT, or what one BUILD has on disk.

    An environment can be brought back for seven days: see `restore`.
    """
    from conda_store_hub.client.references import find_environment, find_newest_build, refuse_ambiguous

    with connect(ctx) as client:
        refuse_ambiguous(client, what)
        if what.build_id is not None:
            build = find_newest_build(client, what)
            name = looks.name_build(build)
            _ask_first(yes, f"Delete what build {name} has on disk? It stays listed, and cannot be activated again.")
            with _saying_force(force):
                client.delete_build(build.id, force=force)
            note(f"build {name} was deleted")
            show_removed(name, output)
            return
        environment = find_environment(client, what)
        name = looks.name_environment(environment)
        _ask_first(yes, f"Delete {name} with all its builds? Its kernels start no more.")
        with _saying_force(force):
            client.delete_environment(environment.namespace.name, environment.name, force=force)
        note(f"{name} was deleted; `conda-store restore {name}` brings it back within seven days")
        show_removed(name, output)


@contextmanager
def _saying_force(force: bool) -> Generator[None]:
    """Say how what is in use is deleted all the same."""
    from conda_store_hub.core.errors import InUseError

    try:
        yield
    except InUseError as exc:
        hint = "" if force else " With --force it is deleted all the same."
        raise InUseError(f"{exc.public_message}{hint}") from exc


def _ask_first(yes: bool, question: str) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        raise click.UsageError("Nobody can be asked here: give --yes to delete it.")
    if not confirm(harmless(question, on_terminal=True), instead="give --yes to delete it"):
        note("Nothing was deleted.")
        click.get_current_context().exit(1)


@click.command()
@click.argument("environment", type=ENVIRONMENT)
@click.option("--as", "new_name", metavar="NAME", help="Give it this name, where its own one is taken by now.")
@output_option
@click.pass_context
def restore(ctx: click.Context, environment: Reference, new_name: str | None, output: Format) -> None:
    """Bring back the ENVIRONMENT of this name that was deleted last."""
    from conda_store_hub.client.references import name_place

    with connect(ctx) as client:
        namespace, name = name_place(client, environment)
        found = client.restore_environment(namespace, name, new_name=new_name)
        note(f"{looks.name_environment(found)} is back")
        if output is not Format.TABLE:
            show_one(found, looks.ENVIRONMENTS, output)
