"""The program as a whole: commands that are loaded when they are needed, and how each kind of failure ends."""

from __future__ import annotations

import importlib
import io
import os
import sys
import traceback
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NoReturn

import click

from conda_store_hub.client.commands.output import harmless_note, knows_all_letters
from conda_store_hub.client.connection import AuthKind, ConnectionOptions
from conda_store_hub.client.entry import INTERRUPTED
from conda_store_hub.client.shebang import expand
from conda_store_hub.core.errors import CondaStoreHubError, InvalidRequestError, NotAuthenticatedError

if TYPE_CHECKING:
    from pydantic import ValidationError

DEBUG = "CONDA_STORE_DEBUG"  # set to anything, what went wrong is told in full
BROKEN_PIPE = 141  # and of one that SIGPIPE ended

#: Headings of the help, and below each the commands with the places where they are.
Sections = Mapping[str, Mapping[str, str]]


class LazyGroup(click.Group):
    """Commands that are imported when somebody asks for them, shown below headings."""

    def __init__(self, *arguments: Any, sections: Sections, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._sections = sections
        self._places = {name: place for commands in sections.values() for name, place in commands.items()}

    def list_commands(self, ctx: click.Context) -> list[str]:
        """List them in the order in which the help shows them."""
        return [*self._places, *super().list_commands(ctx)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command, which is loaded now; None for what is none."""
        place = self._places.get(cmd_name)
        if place is None:
            return super().get_command(ctx, cmd_name)
        module, _, name = place.partition(":")
        command: click.Command = getattr(importlib.import_module(f"{__package__}.{module}"), name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write what each is for, below its heading."""
        width = formatter.width - 6 - max(map(len, self._places))
        for heading, names in self._sections.items():
            commands = ((name, self.get_command(ctx, name)) for name in names)
            rows = [(name, command.get_short_help_str(width)) for name, command in commands if command is not None]
            with formatter.section(heading):
                formatter.write_dl(rows)


class Program(LazyGroup):
    """The group at the top: what fails is one sentence on stderr, and an exit code that the guide lists."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; who reads its output may leave at any time, and who started it may stop it."""
        # Before click sees these, which has a word for each.
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            ctx.exit(BROKEN_PIPE)
        except KeyboardInterrupt:
            ctx.exit(INTERRUPTED)

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        """Run, and end the process."""
        if not standalone_mode:
            return super().main(args, prog_name, complete_var, standalone_mode=False, **extra)
        if "_CONDA_STORE_COMPLETE" in os.environ:
            importlib.import_module(f"{__package__}.completion")
        _show_what_can_be_shown()
        try:
            args = expand(sys.argv[1:] if args is None else args)
            code = super().main(args, prog_name, complete_var, standalone_mode=False, **extra)
            sys.stdout.flush()
        except click.ClickException as exc:
            with suppress(OSError):  # nobody is there to be told
                exc.show()
            code = exc.exit_code
        except CondaStoreHubError as exc:
            code = _say_error(exc)
        except (KeyboardInterrupt, click.Abort):
            code = INTERRUPTED
        except BrokenPipeError:
            code = BROKEN_PIPE
        except OSError as exc:
            code = _say_system_error(exc)
        except Exception as exc:  # noqa: BLE001 nobody is shown a trace that they did not ask for
            code = _say_error(_name_fault(exc), exc)
        return _end(code if isinstance(code, int) else 0)


def find_given_options(ctx: click.Context) -> ConnectionOptions:
    """Return the global options as they were given; there too where a shell completes, and nothing is called."""
    given = ctx.find_root().params
    return ConnectionOptions(
        url=given.get("conda_store_url"),
        auth=None if given.get("auth") is None else AuthKind(given["auth"].lower()),
        no_verify=bool(given.get("no_verify_ssl")),
        # A process that goes on beside a command is elsewhere.
        ca_file=None if given.get("ca_file") is None else given["ca_file"].absolute(),
    )


def explain(error: CondaStoreHubError) -> str:
    """Return what went wrong, and what to do where the service cannot know it."""
    told = "CONDA_STORE_TOKEN" in error.public_message or "conda-store login" in error.public_message
    if isinstance(error, NotAuthenticatedError) and not told:
        return f"{error.public_message} Log in with `conda-store login`, or set CONDA_STORE_TOKEN."
    return error.public_message


def _say_error(error: CondaStoreHubError, cause: BaseException | None = None) -> int:
    """Tell what went wrong, all of it where that is asked for, and return the exit code."""
    with suppress(OSError):  # nobody is there to be told
        if DEBUG in os.environ:
            trace = "".join(traceback.format_exception(cause or error))
            click.echo(harmless_note(trace + (error.detail or "")), err=True)
        click.echo(f"Error: {harmless_note(explain(error))}", err=True)
    return error.exit_code


def _say_system_error(error: OSError) -> int:
    what = f"{error.filename}: " if error.filename else ""
    return _say_error(CondaStoreHubError(f"{what}{error.strerror or error}."), error)


def _name_fault(exc: Exception) -> CondaStoreHubError:
    """Return an error for what nobody foresaw: a value that cannot be sent as it was given, or a fault of ours."""
    if "pydantic" in sys.modules and (invalid := _as_invalid(exc)) is not None:  # importing it would take long
        fault = invalid.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(map(str, fault["loc"])) or "This"
        return InvalidRequestError(f"{where} cannot be sent as it was given: {fault['msg']}.")
    if isinstance(exc, UnicodeError):
        return InvalidRequestError("What was given is not text in UTF-8.")
    return CondaStoreHubError(
        f"This should not have happened ({type(exc).__name__}: {exc}). With {DEBUG}=1 the details are shown."
    )


def _as_invalid(exc: Exception) -> ValidationError | None:
    from pydantic import ValidationError

    return exc if isinstance(exc, ValidationError) else None


def _show_what_can_be_shown() -> None:
    """Have letters replaced that an output does not know, instead of failing over them."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.errors in ("strict", "surrogateescape"):
            # Names of files that are no UTF-8 go out as the bytes that they are.
            stream.reconfigure(errors="surrogateescape" if knows_all_letters(stream) else "replace")


def _end(code: int) -> NoReturn:
    """End without a word of what nobody reads any more."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            # Python would complain of it once more while it ends.
            with suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    sys.exit(code)
