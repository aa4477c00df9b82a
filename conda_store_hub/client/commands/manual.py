"""`manual`: a manual page, made from the help of all commands."""

from __future__ import annotations

from collections.abc import Iterator

import click

from conda_store_hub import __version__

#: What each exit code means, as the guide has it too.
EXIT_CODES = {
    0: "It was done.",
    1: "Something else went wrong, which the message says.",
    2: "What was asked for cannot be understood, or is not allowed by a policy.",
    3: "You are not logged in, or your token has ended.",
    4: "You may not do this.",
    5: "It is not there, or you may not know of it; or it was deleted.",
    6: "It contradicts what is there: something is in use, or somebody else has changed it.",
    7: "The service or the Hub cannot be reached, or cannot answer now.",
    10: "The build failed, or nothing satisfies the specification.",
    11: "An environment could not be activated on this machine.",
    12: "An environment could not be made on this machine.",
    13: "The build was cancelled.",
    14: "What was waited for was not there in time.",
    78: "What is kept or configured on this machine cannot be used; the message says which file.",
    130: "It was interrupted with Ctrl-C.",
    141: "Who read the output has left.",
}
_FILLED = "\b"


@click.command()
@click.pass_context
def manual(ctx: click.Context) -> None:
    """Print the manual page of conda-store.

    Read it with `conda-store manual | man -l -`, or keep it as conda-store.1 where man looks for pages.
    """
    click.echo(format_manual(ctx.find_root().command), nl=False)


def format_manual(program: click.Command) -> str:
    """Return the page, in the language of man(7)."""
    ctx = click.Context(program, info_name="conda-store")
    head = [f'.TH CONDA-STORE 1 "" "conda-store-hub {__version__}" "conda-store"', ".SH NAME"]
    name = ["conda\\-store \\- environments on a JupyterHub", ".SH SYNOPSIS", ".B conda\\-store"]
    usage = [_escape("[OPTIONS] COMMAND [ARGS]..."), ".SH DESCRIPTION"]
    lines = [*head, *name, *usage, *_paragraphs(program.help or ""), ".SH OPTIONS", *_options(program, ctx)]
    lines += [".SH COMMANDS", *_commands(program, ctx)]
    lines += [".SH EXIT STATUS", *(line for code, text in EXIT_CODES.items() for line in (".TP", f"{code}", text))]
    return "".join(f"{line}\n" for line in lines)


def _commands(group: click.Command, ctx: click.Context) -> Iterator[str]:
    """Yield what there is on each command below a group."""
    if not isinstance(group, click.Group):
        return
    for name in group.list_commands(ctx):
        command = group.get_command(ctx, name)
        if command is None or command.hidden:
            continue
        inner = click.Context(command, info_name=name, parent=ctx)
        if isinstance(command, click.Group):
            yield f".SS {_escape(inner.command_path)}"
            yield from _paragraphs(command.help or "")
            yield from _commands(command, inner)
        else:
            usage = " ".join(command.collect_usage_pieces(inner))
            yield f".SS {_escape(f'{inner.command_path} {usage}')}"
            yield from _paragraphs(command.help or "")
            yield from _options(command, inner)


def _options(command: click.Command, ctx: click.Context) -> Iterator[str]:
    options = (each for each in command.get_params(ctx) if isinstance(each, click.Option))
    for parameter in options:  # some releases of click have records of arguments, too, with nothing in them
        record = parameter.get_help_record(ctx)
        if record is not None and (ctx.parent is None or "--help" not in parameter.opts):
            yield from (".TP", f".B {_escape(record[0])}", _escape(" ".join(record[1].split())))


def _paragraphs(text: str) -> Iterator[str]:
    """Yield paragraphs of a help; those that click leaves as they are stay so here."""
    for paragraph in text.split("\n\n"):
        yield ".PP"
        if paragraph.lstrip().startswith(_FILLED):
            yield from (".nf", *map(_escape, paragraph.lstrip().splitlines()[1:]), ".fi")
        else:
            yield _escape(" ".join(paragraph.split()))


def _escape(text: str) -> str:
    """Return text that means itself in a page."""
    plain = text.replace("\\", "\\e").replace("-", "\\-")
    return f"\\&{plain}" if plain.startswith((".", "'")) else plain
