"""`list` and `search`: what there is."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import click

from conda_store_hub.client.commands import looks
from conda_store_hub.client.commands.options import (
    ENVIRONMENT,
    REFERENCE,
    artifact_option,
    connect,
    namespace_option,
    package_option,
    status_option,
)
from conda_store_hub.client.commands.output import Format, note, output_option, show_list

if TYPE_CHECKING:
    from conda_store_hub.client.references import Reference
    from conda_store_hub.core.states import ArtifactType, BuildStatus


@click.group(name="list")
def list_() -> None:
    """List namespaces, environments, builds or packages."""


@list_.command(name="namespace")
@output_option
@click.pass_context
def list_namespace(ctx: click.Context, output: Format) -> None:
    """List the namespaces that you may see."""
    with connect(ctx) as client:
        show_list(client.list_namespaces(), looks.NAMESPACES, output)


@list_.command(name="environment")
@namespace_option("Only in this namespace.")
@click.option("--search", metavar="TEXT", help="Only with this text in NAMESPACE/NAME.")
@status_option("Only where the newest build is in this state:")
@artifact_option("Only where the active build has this file:")
@package_option("Only where the active build has this package, as “numpy>=2”; may be given several times.")
@output_option
@click.pass_context
def list_environment(
    ctx: click.Context,
    namespace: str | None,
    search: str | None,
    status: BuildStatus | None,
    artifact: ArtifactType | None,
    packages: tuple[str, ...],
    output: Format,
) -> None:
    """List the environments that you may see, by name."""
    with connect(ctx) as client:
        found = client.list_environments(namespace, search, status=status, packages=packages, artifact=artifact)
        show_list(found, looks.ENVIRONMENTS, output)


@list_.command(name="build")
@namespace_option("Only in this namespace.")
@click.option(
    "-e", "--environment", type=ENVIRONMENT, metavar="ENVIRONMENT", help="Only of this environment."
)
@status_option("Only in this state:")
@artifact_option("Only with this file:")
@package_option("Only with this package, as “numpy>=2”; may be given several times.")
@output_option
@click.pass_context
def list_build(
    ctx: click.Context,
    namespace: str | None,
    environment: Reference | None,
    status: BuildStatus | None,
    artifact: ArtifactType | None,
    packages: tuple[str, ...],
    output: Format,
) -> None:
    """List the builds that you may see, the newest first."""
    from conda_store_hub.client.references import name_place

    name: str | None = None
    with connect(ctx) as client:
        if environment is not None:
            if namespace is not None and environment.namespace not in (None, namespace):
                raise click.UsageError("-n and -e name two namespaces.")
            named = environment if namespace is None else replace(environment, namespace=namespace)
            namespace, name = name_place(client, named)
        found = client.list_builds(namespace=namespace, name=name, status=status, packages=packages, artifact=artifact)
        show_list(found, looks.BUILDS, output)


@list_.command(name="package")
@click.argument("build", type=REFERENCE)
@click.option("--search", metavar="TEXT", help="Only with this text in the name.")
@output_option
@click.pass_context
def list_package(ctx: click.Context, build: Reference, search: str | None, output: Format) -> None:
    """List the packages of BUILD, and why it has each.

    An environment stands for its active build.
    """
    from conda_store_hub.client.references import find_active_build

    with connect(ctx) as client:
        found = find_active_build(client, build)
        show_list(client.list_packages(found.id, search=search), looks.PACKAGES, output)


@click.command()
@click.argument("text")
@click.option(
    "-c",
    "--channel",
    "channels",
    multiple=True,
    metavar="CHANNEL",
    help="Only in this channel, by default in those that the service names; may be given several times.",
)
@click.option(
    "--platform",
    "platforms",
    multiple=True,
    metavar="PLATFORM",
    help="Only for this platform, such as osx-arm64; may be given several times.",
)
@click.option(
    "--limit",
    type=click.IntRange(1, 100),
    default=20,
    show_default=True,
    metavar="NUMBER",
    help="How many to show at most.",
)
@output_option
@click.pass_context
def search(
    ctx: click.Context, text: str, channels: tuple[str, ...], platforms: tuple[str, ...], limit: int, output: Format
) -> None:
    """Search the channels for packages with TEXT in their name."""
    with connect(ctx) as client:
        found = client.search_packages(text, channels=channels, platforms=platforms, size=limit)
        show_list(found.data, looks.FOUND_PACKAGES, output)
    for problem in found.problems:
        note(f"{problem.channel} is left out: {problem.message}")
    if found.count > len(found.data):
        note(f"{len(found.data)} of {found.count} are shown: give --limit, or more of the name.")
