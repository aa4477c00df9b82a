"""`kernels`: environments for programs that look for kernels in folders."""

from __future__ import annotations

from pathlib import Path

import click

from conda_store_hub.client.commands.options import connect
from conda_store_hub.client.commands.output import Format, Look, note, output_option, show_list
from conda_store_hub.core.errors import InvalidRequestError


@click.group()
def kernels() -> None:
    """Use environments as Jupyter kernels."""


@kernels.command(name="export")
@click.option("--user", is_flag=True, help="For yourself: where Jupyter keeps your own kernels. The default.")
@click.option(
    "--prefix",
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="For all who use the installation at PATH, below PATH/share/jupyter.",
)
@output_option
@click.pass_context
def export_kernels(ctx: click.Context, user: bool, prefix: Path | None, output: Format) -> None:
    """Write a kernel for each environment that you may use.

    So nbconvert, papermill and editors see the kernels that a server of the Hub shows. Jupyter and conda-store-hub have
    to be installed together where they run. Kernels that were written before are removed where their environment is
    no more.
    """
    from conda_store_hub.client import kernel_export
    from conda_store_hub.client.commands.answers import ExportedKernel

    if user and prefix is not None:
        raise InvalidRequestError("Give --user or --prefix, not both.")
    folder = kernel_export.find_user_folder() if prefix is None else kernel_export.find_prefix_folder(prefix)
    with connect(ctx) as client:
        listed = client.kernels()
        found = listed.kernels if listed else []
        name = client.permission().primary_namespace
        done = kernel_export.export_kernels(found, server=client.url, user=name, folder=folder)
    look: Look[ExportedKernel] = Look(
        columns=(("KERNEL", lambda each: each.name), ("SHOWN AS", lambda each: each.display_name)),
        name=lambda each: each.name,
    )
    show_list((ExportedKernel(name=name, display_name=title) for name, title in done.shown.items()), look, output)
    for name in done.kept:
        note(f"{name} is there and was not made by this command: it stays.")
    for name in done.unusable:
        note(f"{name} has a kernel.json that cannot be used: it is left out.")
    note(f"{len(done.shown)} written to {folder}, {len(done.removed)} removed")
