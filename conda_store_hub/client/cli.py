"""The `conda-store` command: its global options, and which commands there are."""

# httpx, pydantic and rich are imported where they are used: `--help` and completion stay quick.

from __future__ import annotations

from pathlib import Path

import click

from conda_store_hub import __version__
from conda_store_hub.client.commands.program import Program
from conda_store_hub.client.connection import AuthKind
from conda_store_hub.client.sparing import spare_httpx_command

SECTIONS = {
    "What there is": {
        "list": "listing:list_",
        "search": "listing:search",
    },
    "Environments": {
        "create": "submission:create",
        "apply": "declaring:apply",
        "edit": "declaring:edit",
        "solve": "solving:solve",
        "share": "sharing:share",
        "delete": "life:delete",
        "restore": "life:restore",
    },
    "Builds": {
        "wait": "waiting:wait",
        "logs": "files:logs",
        "download": "files:download",
        "diff": "comparing:diff",
        "activate": "life:activate",
        "rollback": "life:rollback",
        "rebuild": "life:rebuild",
        "cancel": "life:cancel",
    },
    "Service": {
        "info": "service:info",
        "whoami": "service:whoami",
        "login": "login:login",
        "logout": "login:logout",
        "token": "tokens:token",
    },
    "This machine": {
        "run": "run:run",
        "kernels": "kernels:kernels",
        "completion": "completion:completion",
        "manual": "manual:manual",
    },
}

spare_httpx_command()


@click.group(
    cls=Program,
    sections=SECTIONS,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.option(
    "--conda-store-url",  # the variable is read where the address is looked for, which tells the two apart
    metavar="URL",
    help="Address of the service; by default that of your last login, or the Hub's in a server that it started."
    "  [env: CONDA_STORE_URL]",
)
@click.option(
    "--auth",
    type=click.Choice([kind.value for kind in AuthKind], case_sensitive=False),
    envvar="CONDA_STORE_AUTH",
    help="How to say who you are: not at all, by a token, or by a name and a password; by default with what is known."
    "  [env: CONDA_STORE_AUTH]",
)
@click.option(
    "--no-verify-ssl",
    is_flag=True,
    envvar="CONDA_STORE_NO_VERIFY",
    help="Trust any certificate of the service.  [env: CONDA_STORE_NO_VERIFY]",
)
@click.option(
    "--ca-file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Trust the certificate authorities in FILE as well: for the service, and for channels.",
)
@click.version_option(__version__, prog_name="conda-store")
@click.pass_context
def main(ctx: click.Context, **_: object) -> None:
    """Specify, build, share and follow conda environments on a JupyterHub.

    An ENVIRONMENT is NAMESPACE/NAME, or the NAME of one in your own namespace. A BUILD is its number, or an
    environment with the number behind a colon, as in alice/ml:12, or an environment alone.

    \b
    conda-store apply environment.yaml --wait
    conda-store list environment --package "numpy>=2"
    conda-store download alice/ml --artifact lockfile

    Log in with `conda-store login`. In scripts, set CONDA_STORE_URL and CONDA_STORE_TOKEN, or CONDA_STORE_USERNAME
    and CONDA_STORE_PASSWORD. In a server that the Hub started, nothing has to be given. What exit codes mean stands in
    `conda-store manual`.
    """  # noqa: D301 click reads the character
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())
