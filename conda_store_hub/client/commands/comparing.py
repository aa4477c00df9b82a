"""`diff`: what two builds have differently."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from conda_store_hub.client.commands.options import REFERENCE, connect
from conda_store_hub.client.commands.output import Format, note, output_option, print_table, show_value

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conda_store_hub.client.references import Reference
    from conda_store_hub.core.schemas import PackageDiff, PackageVersion


@click.command()
@click.argument("old", type=REFERENCE)
@click.argument("new", type=REFERENCE)
@output_option
@click.pass_context
def diff(ctx: click.Context, old: Reference, new: Reference, output: Format) -> None:
    """Tell which packages changed from build OLD to build NEW.

    An environment stands for its active build.
    """
    from conda_store_hub.client.references import find_active_build

    with connect(ctx) as client:
        found = client.compare(find_active_build(client, new).id, find_active_build(client, old).id)
    show_diff(found, output)


def show_diff(found: PackageDiff, output: Format) -> None:
    """Print what changed."""
    match output:
        case Format.TABLE:
            print_table(("", "PACKAGE", "OLD", "NEW"), _list_rows(found))
            if not (found.added or found.removed or found.changed):
                note(f"the same {found.unchanged} packages")
        case Format.NAME:
            for _, name, _, _ in _list_rows(found):
                click.echo(name)
        case _:
            show_value(found, output)


def _list_rows(found: PackageDiff) -> Iterator[tuple[str, str, str, str]]:
    """Yield a row for each package that is not the same, by name."""
    rows = [
        *(("+", each.name, "", _version(each)) for each in found.added),
        *(("-", each.name, _version(each), "") for each in found.removed),
        *(("~", each.new.name, _version(each.old), _version(each.new)) for each in found.changed),
    ]
    yield from sorted(rows, key=lambda row: row[1])


def _version(package: PackageVersion) -> str:
    return f"{package.version} {package.build}".strip()
