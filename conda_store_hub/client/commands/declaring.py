"""`apply` and `edit`: an environment as a text says it, whatever it is now."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING

import click

from conda_store_hub.client.commands.options import ENVIRONMENT, connect, namespace_option
from conda_store_hub.client.commands.output import Format, note, note_diff, output_option, show_value
from conda_store_hub.client.commands.submission import file_argument, name_option, read_text
from conda_store_hub.client.commands.waiting import show_build, wait_option
from conda_store_hub.core.errors import (
    CondaStoreHubError,
    EditConflictError,
    InvalidRequestError,
    InvalidSpecificationError,
)

if TYPE_CHECKING:
    from conda_store_hub.client.api import Client
    from conda_store_hub.client.references import Reference
    from conda_store_hub.client.wanted import Plan
    from conda_store_hub.core.schemas import Build

_MARK = "#! refused: "


@click.command()
@file_argument
@namespace_option("Where it is; by default your own namespace.")
@name_option
@click.option("--dry-run", is_flag=True, help="Say what would change, also of packages, and change nothing.")
@wait_option
@output_option
@click.pass_context
def apply(
    ctx: click.Context,
    file: IO[bytes],
    namespace: str | None,
    name: str | None,
    dry_run: bool,
    wait_for_it: bool,
    output: Format,
) -> None:
    """Make an environment what FILE says.

    Builds nothing where it is that already. Prints what changes on standard error, and the build on standard output.
    "-" is standard input.
    """
    from conda_store_hub.client import wanted

    text = read_text(file)
    with connect(ctx) as client:
        place = namespace or client.permission().primary_namespace
        plan = wanted.plan(client, text, namespace=place, name=name)
        if plan.step is wanted.Step.SUBMIT:
            note_diff(plan.diff())
        if dry_run:
            note(f"{plan.place} {_would(plan)}")
            _show_plan(client, plan, output)
            return
        plan, build_id = _carry_out(client, plan)
        note(f"{plan.place} {plan.step}: build {build_id}")
        show_build(client, build_id, output, wait_for_it=wait_for_it)


def _carry_out(client: Client, plan: Plan) -> tuple[Plan, int]:
    """Do what is planned; where somebody else has just had the very same done, there is no more to do than that."""
    from conda_store_hub.client import wanted

    try:
        return plan, wanted.carry_out(client, plan)
    except EditConflictError:
        anew = wanted.plan(client, plan.text, namespace=plan.namespace, name=plan.name)
        if anew.step is wanted.Step.SUBMIT:
            raise
        return anew, wanted.carry_out(client, anew)


def _would(plan: Plan) -> str:
    from conda_store_hub.client.wanted import Step

    number = plan.build.id if plan.build is not None else 0
    said = {
        Step.NOTHING: "is what the file says",
        Step.WAIT: f"is being built as the file says: build {number}",
        Step.DESCRIBE: "would get another description",
        Step.ACTIVATE: f"would have build {number} activated, which is what the file says",
        Step.SUBMIT: "would be built",
    }[plan.step]
    is_said = plan.description is None or plan.step in (Step.DESCRIBE, Step.SUBMIT)
    return said if is_said else f"{said}, and would get another description"


def _show_plan(client: Client, plan: Plan, output: Format) -> None:
    """Print what would be done, with the packages where something would be built."""
    from conda_store_hub.client.commands.answers import PlannedChange
    from conda_store_hub.client.commands.solving import show_solved
    from conda_store_hub.client.wanted import Step

    solved = None
    if plan.step is Step.SUBMIT:
        solved = client.solve(plan.text, namespace=plan.namespace, environment_name=plan.name)
    if output in (Format.JSON, Format.YAML):
        change = PlannedChange(
            environment=plan.place,
            step=plan.step,
            build_id=plan.latest_build_id or None,
            description=plan.description,
            diff="\n".join(plan.diff()) if solved else "",
            solved=solved,
        )
        show_value(change, output)
    elif solved is not None:
        show_solved(solved, output, changes_only=True)


@click.command()
@click.argument("environment", type=ENVIRONMENT)
@wait_option
@output_option
@click.pass_context
def edit(ctx: click.Context, environment: Reference, wait_for_it: bool, output: Format) -> None:
    """Edit ENVIRONMENT in $EDITOR, and build it.

    What is edited is its specification. Where somebody else changed it meanwhile, nothing is built, and your text is
    kept in a file.
    """
    from conda_store_hub.client.references import find_environment, find_newest_build

    with connect(ctx) as client:
        found = find_environment(client, environment)
        build = find_newest_build(client, environment)
        build_id = _edit(client, build, found.namespace.name, found.name)
        if build_id is None:
            note("Nothing was changed.")
            return
        show_build(client, build_id, output, wait_for_it=wait_for_it)


def _edit(client: Client, build: Build, namespace: str, name: str) -> int | None:
    """Have a text edited until it can be built; None where nothing was changed.

    It stays in its file until it is the service's.
    """
    descriptor, path = tempfile.mkstemp(prefix="conda-store-", suffix=".yaml")
    os.close(descriptor)
    file = Path(path)
    try:
        build_id = _submit_edited(client, build, namespace, name, file)
    except CondaStoreHubError as exc:
        raise type(exc)(f"{exc.public_message} Your text is kept in {path}.") from exc
    except BaseException:
        note(f"Your text is kept in {path}.")
        raise
    file.unlink(missing_ok=True)
    return build_id


def _submit_edited(client: Client, build: Build, namespace: str, name: str, file: Path) -> int | None:
    before = build.specification.text
    file.write_text(before, encoding="utf-8")
    fault, refused = None, ""
    while True:
        with _showing_elsewhere():
            click.edit(filename=str(file))
        text = _read_edited(file, refused)
        file.write_text(text, encoding="utf-8")
        if fault is not None and text == refused:
            raise fault
        if text == before or not text.strip():
            return None
        try:
            return client.submit(namespace, text, environment_name=name, latest_build_id=build.id)
        except InvalidSpecificationError as exc:
            if not sys.stdin.isatty():
                raise
            fault, refused = exc, text
            file.write_text(f"{_mark(exc)}{text}", encoding="utf-8")


@contextmanager
def _showing_elsewhere() -> Generator[None]:
    """Have an editor draw on the terminal also where the answer goes into a file or a pipe."""
    sys.stdout.flush()
    kept = os.dup(1)
    try:
        try:
            terminal = os.open("/dev/tty", os.O_WRONLY)
        except OSError:
            os.dup2(2, 1)
        else:
            os.dup2(terminal, 1)
            os.close(terminal)
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)


def _mark(fault: CondaStoreHubError) -> str:
    """Return lines before a text that say why it was refused."""
    said = " ".join(fault.public_message.split())
    return f"{_MARK}{said}\n{_MARK}Change it, or leave it as it is to give up.\n"


def _read_edited(file: Path, refused: str) -> str:
    """Return what somebody wrote, without the lines that say why it was refused before."""
    try:
        lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
    except UnicodeDecodeError as exc:
        raise InvalidRequestError("What was written is not text in UTF-8.") from exc
    if refused:
        lines = [line for line in lines if not line.startswith(_MARK)]
    return "".join(lines)
