"""`solve`: which packages a specification comes to, with nothing built."""

from __future__ import annotations

from typing import IO, TYPE_CHECKING

import click

from conda_store_hub.client.commands.comparing import show_diff
from conda_store_hub.client.commands.looks import SOLVED_PACKAGES
from conda_store_hub.client.commands.options import connect, namespace_option
from conda_store_hub.client.commands.output import Format, harmless, note, show_list, show_value
from conda_store_hub.client.commands.submission import file_argument, name_option, read_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from conda_store_hub.core.schemas import SolvedPackage, SolvedSpecification

_LOCK = "lock"


@click.command()
@file_argument
@namespace_option("The namespace whose rules hold; by default your own.")
@name_option
@click.option("--fresh", is_flag=True, help="Choose anew, also where an earlier answer still holds.")
@click.option("--platform", metavar="PLATFORM", help="For this platform, such as osx-arm64; by default the service's.")
@click.option(
    "-o",
    "--output",
    type=click.Choice([*(each.value for each in Format), _LOCK]),
    default=Format.TABLE.value,
    help="How to print the answer; `lock` is conda's @EXPLICIT list, with hashes.",
)
@click.pass_context
def solve(
    ctx: click.Context,
    file: IO[bytes],
    namespace: str | None,
    name: str | None,
    fresh: bool,
    platform: str | None,
    output: str,
) -> None:
    """Print the packages that FILE comes to, with nothing built.

    They are chosen on the service, without what pip would install. "-" is standard input.
    """
    text = read_text(file)
    with connect(ctx) as client:
        solved = client.solve(text, namespace=namespace, environment_name=name, fresh=fresh, platform=platform)
    if output == _LOCK:
        _print_lock(solved.packages)
    else:
        show_solved(solved, Format(output))
    if left_out := _count_pip_lines(text):
        note(f"{left_out} of pip left out: what they come to is known once they are built.")


def _count_pip_lines(text: str) -> str:
    from conda_store_hub.core import source, spec

    lines = len(spec.parse(text, may_be_empty=True).pip) if source.has_name(text) else 0
    return f"{lines} lines" if lines > 1 else "1 line" if lines else ""


def show_solved(solved: SolvedSpecification, output: Format, *, changes_only: bool = False) -> None:
    """Print what a solve came to; for people, only what changes where that is asked for."""
    if output in (Format.JSON, Format.YAML):
        show_value(solved, output)
    elif changes_only and solved.diff is not None:
        show_diff(solved.diff, output)
    else:
        show_list(solved.packages, SOLVED_PACKAGES, output)
    how = "from an earlier solve" if solved.reused else f"in {solved.seconds:.1f} s"
    note(f"{len(solved.packages)} packages, {how}")


def _print_lock(packages: Sequence[SolvedPackage]) -> None:
    """Print what `conda create --file` takes."""
    click.echo("@EXPLICIT")
    for each in packages:
        if each.manager == "conda":
            click.echo(harmless(f"{each.url}#sha256:{each.sha256}" if each.sha256 else each.url))
