"""The `conda-store` command, as thin as it can be over the client."""

# httpx, pydantic and rich are imported where they are used: `--help` and completion stay quick.

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from conda_store_hub import __version__
from conda_store_hub.core.errors import BuildError, CondaStoreHubError, InvalidRequestError

if TYPE_CHECKING:
    from conda_store_hub.client.api import Client
    from conda_store_hub.core.schemas import Build

MAX_SPECIFICATION = 1 << 20  # the service takes no more; a device file would never end


@dataclass(frozen=True, kw_only=True, slots=True)
class Address:
    """Where the service is, and the token to show it."""

    url: str
    token: str | None

    def connect(self) -> Client:
        """Return a client."""
        from conda_store_hub.client.api import Client

        return Client(self.url, token=self.token)


class _Group(click.Group):
    """Commands whose errors are one sentence on stderr and an exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except CondaStoreHubError as exc:
            click.echo(f"Error: {exc.public_message}", err=True)
            ctx.exit(exc.exit_code)


def find_address(url: str | None, token: str | None) -> Address | None:
    """Return the address given, or in a Hub's server the one that it was told; the Hub's token goes nowhere else."""
    if url:
        return Address(url=url, token=token)
    hub_url = os.environ.get("CONDA_STORE_HUB_URL")
    if not hub_url:
        return None
    return Address(url=hub_url, token=token or os.environ.get("JUPYTERHUB_API_TOKEN"))


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--conda-store-url",
    envvar="CONDA_STORE_URL",
    metavar="URL",
    help="Address of the service; in a server that the Hub started it is known.  [env: CONDA_STORE_URL]",
)
@click.version_option(__version__, prog_name="conda-store")
@click.pass_context
def main(ctx: click.Context, conda_store_url: str | None) -> None:
    """Specify, build and follow conda environments on a JupyterHub.

    The token is read from CONDA_STORE_TOKEN.
    """
    ctx.obj = find_address(conda_store_url, os.environ.get("CONDA_STORE_TOKEN"))


def _connect(ctx: click.Context) -> Client:
    address = ctx.find_object(Address)
    if address is None:
        raise InvalidRequestError(
            "Where is the service? Give --conda-store-url, or set CONDA_STORE_URL and CONDA_STORE_TOKEN."
        )
    return address.connect()


@main.command()
@click.pass_context
def info(ctx: click.Context) -> None:
    """Say which service this talks to, and as whom."""
    with _connect(ctx) as client:
        address, version, who = ctx.find_object(Address), client.version().version, client.permission()
    click.echo(f"service    {address.url if address else ''}")
    click.echo(f"version    {version}")
    click.echo(f"namespace  {who.primary_namespace if who.authenticated else 'none: you are not logged in'}")
    _warn_of_namesake()


@main.group(name="list")
def list_() -> None:
    """List what you may see."""


@list_.command(name="namespace")
@click.pass_context
def list_namespace(ctx: click.Context) -> None:
    """List namespaces."""
    with _connect(ctx) as client:
        rows = ((item.name, item.kind) for item in client.list_namespaces())
        _print_table(("NAMESPACE", "KIND"), rows)


@list_.command(name="environment")
@click.option("-n", "--namespace", help="Only of this namespace.")
@click.option("--search", help="Only with this text in the name.")
@click.pass_context
def list_environment(ctx: click.Context, namespace: str | None, search: str | None) -> None:
    """List environments."""
    with _connect(ctx) as client:
        rows = (
            (f"{item.namespace.name}/{item.name}", item.current_build_id, item.latest_status)
            for item in client.list_environments(namespace, search)
        )
        _print_table(("ENVIRONMENT", "ACTIVE BUILD", "LATEST"), rows)


@list_.command(name="build")
@click.option("-n", "--namespace", help="Only of this namespace.")
@click.option("-e", "--environment", help="Only of environments of this name.")
@click.pass_context
def list_build(ctx: click.Context, namespace: str | None, environment: str | None) -> None:
    """List builds."""
    with _connect(ctx) as client:
        rows = (
            (item.id, f"{item.namespace}/{item.environment}", item.status, f"{item.scheduled_on:%Y-%m-%d %H:%M}Z")
            for item in client.list_builds(namespace=namespace, name=environment)
        )
        _print_table(("BUILD", "ENVIRONMENT", "STATUS", "SUBMITTED"), rows)


@main.command()
@click.argument("file", type=click.File("rb"))
@click.option("-n", "--namespace", help="Where to put it; by default your own namespace.")
@click.option("--wait", "wait_for_it", is_flag=True, help="Wait for the build as `conda-store wait` does.")
@click.pass_context
def create(ctx: click.Context, file: Any, namespace: str | None, wait_for_it: bool) -> None:
    """Submit FILE, an environment.yaml ("-" is standard input), and print the id of its build."""
    try:
        text: str = file.read(MAX_SPECIFICATION + 1).decode()
    except UnicodeDecodeError as exc:
        raise InvalidRequestError(f"{file.name} is not text in UTF-8.") from exc
    with _connect(ctx) as client:
        build_id = client.submit(namespace or client.permission().primary_namespace, text)
        click.echo(build_id)
        if wait_for_it:
            _wait(client, build_id)


@main.command()
@click.argument("build", type=click.IntRange(min=1))
@click.option("-f", "--follow", is_flag=True, help="Go on until the build has ended.")
@click.pass_context
def logs(ctx: click.Context, build: int, follow: bool) -> None:
    """Print the log of BUILD."""
    from conda_store_hub.client.logstream import LogText

    with _connect(ctx) as client:
        if not follow:
            click.echo(client.read_log(build).text, nl=False)
            return
        for event in client.stream_log(build):
            if isinstance(event, LogText):
                click.echo(event.text, nl=False)


@main.command()
@click.argument("build", type=click.IntRange(min=1))
@click.pass_context
def wait(ctx: click.Context, build: int) -> None:
    """Wait until BUILD has ended; exit 0 when it is completed."""
    with _connect(ctx) as client:
        _wait(client, build)


@main.group()
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
@click.pass_context
def export_kernels(ctx: click.Context, user: bool, prefix: Path | None) -> None:
    """Write a kernel for each environment that you may use, and remove those written before that are no more.

    So nbconvert, papermill and editors see the kernels that a server of the Hub shows. Jupyter and conda-store-hub have
    to be installed together where they run.
    """
    from conda_store_hub.client import kernel_export

    if user and prefix is not None:
        raise InvalidRequestError("Give --user or --prefix, not both.")
    folder = kernel_export.find_user_folder() if prefix is None else kernel_export.find_prefix_folder(prefix)
    with _connect(ctx) as client:
        listed = client.kernels()
        kernels = listed.kernels if listed else []
        name = client.permission().primary_namespace
        done = kernel_export.export_kernels(kernels, server=client.url, user=name, folder=folder)
    _print_table(("KERNEL", "SHOWN AS"), done.shown.items())
    for name in done.kept:
        click.echo(f"{name} is there and was not made by this command: it stays.", err=True)
    for name in done.unusable:
        click.echo(f"{name} has a kernel.json that cannot be used: it is left out.", err=True)
    click.echo(f"{len(done.shown)} written to {folder}, {len(done.removed)} removed", err=True)


def _wait(client: Client, build_id: int) -> None:
    for _ in client.stream_log(build_id):
        pass
    build = client.get_build(build_id)
    click.echo(f"{build.namespace}/{build.environment}: build {build_id} {build.status}", err=True)
    _require_completed(build)


def _require_completed(build: Build) -> None:
    from conda_store_hub.client.failures import find_error_class
    from conda_store_hub.core.protocol import BuildStatus

    if build.status is not BuildStatus.COMPLETED:
        kind = find_error_class(build.error_code) or BuildError
        raise kind(build.status_info or f"Build {build.id} is {build.status}.")


def _print_table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print a table to a terminal, and lines with tabs to anything else."""
    cells = (["" if cell is None else str(cell) for cell in row] for row in rows)
    if not sys.stdout.isatty():
        for row in cells:
            click.echo("\t".join(row))
        return
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(*head, box=box.SIMPLE_HEAD)
    for row in cells:
        table.add_row(*(Text(cell) for cell in row))
    Console().print(table)


def _warn_of_namesake() -> None:
    """Say that the distribution `conda-store`, whose command has the same name, is here too."""
    from importlib.metadata import PackageNotFoundError, distribution

    try:
        other = distribution("conda-store")
    except PackageNotFoundError:
        return
    click.echo(
        f"The distribution conda-store {other.version} is installed in the same environment, and its command has"
        " the same name: which one runs is chance. Install one of the two elsewhere.",
        err=True,
    )
