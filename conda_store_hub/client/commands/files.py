"""`logs` and `download`: what builds write."""

from __future__ import annotations

import hashlib
import os
import shlex
import shutil
import sys
import tempfile
from collections.abc import Generator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import click

from conda_store_hub.client.commands.durations import SECONDS
from conda_store_hub.client.commands.options import ARTIFACTS, REFERENCE, connect
from conda_store_hub.client.commands.output import Format, harmless, note, output_option, show_value
from conda_store_hub.core.errors import InvalidRequestError, UnavailableError

if TYPE_CHECKING:
    from conda_store_hub.client.api import Client
    from conda_store_hub.client.references import Reference
    from conda_store_hub.core.schemas import Build
    from conda_store_hub.core.states import ArtifactType

_DOWNLOADS = [name for name in ARTIFACTS if name != "docker"]


@click.command()
@click.argument("build", type=REFERENCE)
@click.option("-f", "--follow", is_flag=True, help="Go on with what is written until the build has ended.")
@click.pass_context
def logs(ctx: click.Context, build: Reference, follow: bool) -> None:
    """Print the log of BUILD.

    An environment stands for its newest build.
    """
    from conda_store_hub.client.logstream import LogText
    from conda_store_hub.client.references import find_newest_build

    with connect(ctx) as client:
        number = build.build_id if build.name is None else find_newest_build(client, build).id
        if not follow:
            click.echo(harmless(client.read_log(number or 0).text), nl=False)
            return
        for event in client.stream_log(number or 0):
            if isinstance(event, LogText):
                click.echo(harmless(event.text), nl=False)


def _read_output_filename(_ctx: click.Context, _parameter: click.Parameter, value: str | None) -> Path | None:
    """Return the path; one that ends in a slash means a folder, which a path alone does not tell."""
    if value is None:
        return None
    path = Path(value)
    if value.endswith(os.sep) and not path.is_dir():
        raise InvalidRequestError(
            f"There is no folder {value}: make it first with `mkdir -p {shlex.quote(value)}`, or leave the slash out"
            " for a file of that name."
        )
    return path


@click.command()
@click.argument("build", type=REFERENCE)
@click.option(
    "--artifact",
    type=click.Choice(_DOWNLOADS),
    default="lockfile",
    show_default=True,
    help="Which file; one that is not there is made.",
)
@click.option(
    "--output-filename",
    type=click.Path(allow_dash=True),
    callback=_read_output_filename,
    metavar="PATH",
    help="The file or folder to write to; `-` is standard output. By default ENVIRONMENT-BUILD-FILE, here.",
)
@click.option(
    "--wait",
    "seconds",
    type=SECONDS,
    default=600.0,
    show_default=True,
    metavar="SECONDS",
    help="How long to wait for a file that has to be made.",
)
@output_option
@click.pass_context
def download(
    ctx: click.Context,
    build: Reference,
    artifact: str,
    output_filename: Path | None,
    seconds: float,
    output: Format,
) -> None:
    """Download a file of BUILD, and print where it is.

    An environment stands for its active build. A download that broke off goes on from there. The file has its name only
    when it is whole and its digest is right.
    """
    from conda_store_hub.client.references import find_active_build
    from conda_store_hub.core.states import ArtifactType

    kind = ArtifactType(ARTIFACTS[artifact])
    with connect(ctx) as client:
        found = find_active_build(client, build)
        if output_filename == Path("-"):
            if output is not Format.TABLE:
                raise InvalidRequestError("Standard output is the file's then: leave --output out.")
            _send(client, found, kind, seconds, None)
            return
        path = output_filename or Path(_name(found, kind))
        if path.is_dir():
            path /= _name(found, kind)
        if _is_way(path):
            _send(client, found, kind, seconds, path)
        else:
            # What a link leads to is replaced, and the link stays.
            _fetch(client, found, kind, Path(os.path.realpath(path)), seconds)
    _show_file(path, found, kind, output)


def _show_file(path: Path, build: Build, kind: ArtifactType, output: Format) -> None:
    """Print where a file is; to scripts, also what it is. What went through a pipe or a device is not read again."""
    from conda_store_hub.client.commands.answers import Downloaded

    if output in (Format.TABLE, Format.NAME):
        click.echo(path)
        return
    size, digest = (None, None) if _is_way(path) else _measure(path)
    value = Downloaded(path=str(path), build_id=build.id, artifact=kind, size=size, sha256=digest)
    show_value(value, output)


def _measure(path: Path) -> tuple[int, str]:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return file.tell(), digest


def _is_way(path: Path) -> bool:
    """Tell whether what is written to a path goes somewhere else: to a pipe, a device or an open file."""
    return (path.exists() and not path.is_file()) or path.parts[:2] in (("/", "dev"), ("/", "proc"))


def _fetch(client: Client, build: Build, kind: ArtifactType, path: Path, seconds: float) -> None:
    from conda_store_hub.client.commands.progress import showing_download
    from conda_store_hub.core.states import LIVE, ArtifactType

    with showing_download(path.name) as show, _saying_what_is_kept(path):
        client.download(build.id, kind, path, wait=seconds, on_bytes=show)
    if kind is ArtifactType.LOGS and build.status in LIVE:
        note(f"Build {build.id} has not ended: this is its log so far.")


@contextmanager
def _saying_what_is_kept(path: Path) -> Generator[None]:
    from conda_store_hub.client.parts import is_kept

    try:
        yield
    except UnavailableError as exc:
        hint = " What came of it is kept beside: the same command goes on from there." if is_kept(path) else ""
        raise type(exc)(f"{exc.public_message}{hint}") from exc


def _send(client: Client, build: Build, kind: ArtifactType, seconds: float, way: Path | None) -> None:
    """Write a file to a pipe or a device, or to standard output, once it is known to be whole."""
    with tempfile.TemporaryDirectory(prefix="conda-store-") as folder:
        path = Path(folder, _name(build, kind))
        _fetch(client, build, kind, path, seconds)
        with path.open("rb") as file, nullcontext(sys.stdout.buffer) if way is None else way.open("wb") as out:
            shutil.copyfileobj(file, out)


def _name(build: Build, kind: ArtifactType) -> str:
    """Return what a file is called by default: other builds have other names, and some tools go by the end of it."""
    from conda_store_hub.core.artifacts import FILES
    from conda_store_hub.core.names import check_environment_name

    known = FILES.get(kind)
    # What a service answers becomes a path here: nothing but a name does.
    return f"{check_environment_name(build.environment)}-{build.id}-{known.name if known else 'log.txt'}"
