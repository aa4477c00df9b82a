"""What several commands take, and how each of them reaches the service."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from conda_store_hub.client.commands.program import find_given_options
from conda_store_hub.client.connection import Connection, find_connection

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from conda_store_hub.client.api import Client
    from conda_store_hub.client.references import Reference
    from conda_store_hub.core.states import ArtifactType, BuildStatus

F = TypeVar("F", bound=Callable[..., Any])
Decorator = Callable[[F], F]

_STATUSES = ("QUEUED", "BUILDING", "COMPLETED", "FAILED", "CANCELED")
#: What files are called on the command line, as the addresses of the service call them, and on the wire.
ARTIFACTS = {
    "yaml": "YAML",
    "lockfile": "LOCKFILE",
    "archive": "CONDA_PACK",
    "explicit": "EXPLICIT",
    "pixi": "PIXI_LOCK",
    "sbom": "SBOM",
    "logs": "LOGS",
    "docker": "DOCKER_MANIFEST",
    "image": "OCI_ARCHIVE",
}


def find_service(ctx: click.Context) -> Connection:
    """Return the service that the global options name, and what is shown to it."""
    return find_connection(find_given_options(ctx))


def connect(ctx: click.Context) -> Client:
    """Return a client of that service."""
    return find_service(ctx).connect()


if TYPE_CHECKING:
    ReferenceKind = click.ParamType[Reference]
    NameKind = click.ParamType[str]
else:  # older releases of click know no type there
    ReferenceKind = NameKind = click.ParamType


class ReferenceType(ReferenceKind):
    """An environment or a build, as people name them."""

    name = "reference"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Reference:
        """Read it; what is no such name is refused in words."""
        from conda_store_hub.client.references import Reference
        from conda_store_hub.core.errors import InvalidRequestError

        if isinstance(value, Reference):
            return value
        try:
            return self.read(value)
        except InvalidRequestError as exc:
            self.fail(exc.public_message, param, ctx)

    def read(self, text: str) -> Reference:
        """Read a text; raise InvalidRequestError."""
        from conda_store_hub.client.references import Reference

        return Reference.parse(text)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Return the environments, and after a colon the builds, that begin so."""
        from conda_store_hub.client.commands.completion import complete_reference

        return complete_reference(ctx, incomplete)


class EnvironmentType(ReferenceType):
    """An environment alone: what looks like the number of a build is a name."""

    name = "environment"

    def read(self, text: str) -> Reference:
        """Read a text; raise InvalidRequestError."""
        from conda_store_hub.client.references import Reference

        return Reference.parse_environment(text)


class NamespaceType(NameKind):
    """A namespace."""

    name = "namespace"

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Return the namespaces that begin so."""
        from conda_store_hub.client.commands.completion import complete_namespace

        return complete_namespace(ctx, incomplete)


class PlaceType(NameKind):
    """An environment, or with a slash at its end a whole namespace."""

    name = "place"

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Return the namespaces and environments that begin so."""
        from conda_store_hub.client.commands.completion import complete_place

        return complete_place(ctx, incomplete)


REFERENCE = ReferenceType()
PLACE = PlaceType()
ENVIRONMENT = EnvironmentType()
NAMESPACE = NamespaceType()


def namespace_option(text: str) -> Decorator[F]:
    """Return the option that names a namespace."""
    return click.option("-n", "--namespace", type=NAMESPACE, metavar="NAMESPACE", help=text)


def status_option(text: str) -> Decorator[F]:
    """Return the option that names the state of a build."""
    kind = click.Choice(_STATUSES, case_sensitive=False)
    return click.option(
        "--status", type=kind, metavar="STATUS", callback=_name_status, help=f"{text} {', '.join(_STATUSES)}."
    )


def artifact_option(text: str, *others: str) -> Decorator[F]:
    """Return the option that names a kind of file; with one of `others`, none is meant."""
    return click.option(
        "--artifact",
        type=click.Choice([*others, *ARTIFACTS]),
        metavar="FILE",
        callback=_name_artifact,
        help=f"{text} {', '.join(ARTIFACTS)}.",
    )


def _name_artifact(_ctx: click.Context, _parameter: click.Parameter, value: str | None) -> ArtifactType | None:
    from conda_store_hub.core.states import ArtifactType

    return ArtifactType(ARTIFACTS[value]) if value in ARTIFACTS else None


def _name_status(_ctx: click.Context, _parameter: click.Parameter, value: str | None) -> BuildStatus | None:
    from conda_store_hub.core.states import BuildStatus

    return None if value is None else BuildStatus(value)


def package_option(text: str) -> Decorator[F]:
    """Return the option that names packages."""
    return click.option("--package", "packages", multiple=True, metavar="PACKAGE", help=text)
