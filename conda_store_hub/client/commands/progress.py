"""How far something is, on standard error: drawn on a terminal, a line for each step elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from conda_store_hub.client.commands.output import harmless_note, make_console, note

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from conda_store_hub.client.making import OnProgress
    from conda_store_hub.client.making import Progress as MakeProgress
    from conda_store_hub.core.schemas import LogProgress, LogState

_WORDS = {
    "solve": "choosing packages",
    "install": "installing",
    "bytecode": "compiling",
    "pip": "installing with pip",
    "activate": "activating",
    "yaml": "writing environment.yaml",
    "lockfile": "writing the lock",
    "explicit": "writing the explicit list",
    "pixi_lock": "writing pixi.lock",
    "sbom": "writing the SBOM",
    "archive": "packing the archive",
    "image": "making the image",
    "image_archive": "packing the image",
}

_MAKING = {
    "ask": "asking for its lock",
    "archive": "downloading the archive",
    "fetch": "downloading packages",
    "link": "installing packages",
    "pip": "installing with pip",
    "unpack": "unpacking",
    "finish": "finishing",
}


@contextmanager
def showing_build(name: str) -> Generator[Callable[[LogState | LogProgress], None]]:
    """Give what is told how a build stands, and shows it."""
    from conda_store_hub.core.schemas import LogState

    def words(news: LogState | LogProgress) -> str:
        said = news.status.lower() if isinstance(news, LogState) else _WORDS.get(news.phase, news.phase)
        return harmless_note(f"{name}: {said}")

    if not sys.stderr.isatty():
        said = [""]

        def say(news: LogState | LogProgress) -> None:
            if words(news) != said[0]:
                said[0] = words(news)
                note(said[0])

        yield say
        return
    with _drawing(of_bytes=False) as (progress, task):

        def draw(news: LogState | LogProgress) -> None:
            if isinstance(news, LogState):
                progress.update(task, description=words(news))
            else:
                progress.update(task, description=words(news), completed=news.done, total=news.total or None)

        yield draw


@contextmanager
def showing_download(name: str) -> Generator[Callable[[int, int], None]]:
    """Give what is told how many bytes came, and of how many; shown on a terminal only."""
    if not sys.stderr.isatty():
        yield lambda _done, _total: None
        return
    with _drawing(of_bytes=True) as (progress, task):
        progress.update(task, description=name)
        yield lambda done, total: progress.update(task, completed=done, total=total or None)


@contextmanager
def showing_making() -> Generator[Callable[[str, int], OnProgress]]:
    """Give what shows how far an environment is that is made on this machine; nothing is drawn before one is."""
    with ExitStack() as stack:

        def begin(place: str, build_id: int) -> OnProgress:
            name = harmless_note(f"{place}:{build_id}")
            if not sys.stderr.isatty():
                note(f"Making {name} on this machine, once")
                return lambda _: None
            progress, task = stack.enter_context(_drawing(of_bytes=False))

            def draw(news: MakeProgress) -> None:
                words = f"{name}: {_MAKING.get(news.phase, news.phase)}"
                progress.update(task, description=words, completed=news.done, total=news.total or None)

            return draw

        yield begin


@contextmanager
def _drawing(*, of_bytes: bool) -> Generator[tuple[Progress, TaskID]]:
    from rich.progress import BarColumn, DownloadColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    words = TextColumn("{task.description}", markup=False)
    columns = [SpinnerColumn(), words, BarColumn(), *([DownloadColumn()] if of_bytes else []), TimeElapsedColumn()]
    with Progress(*columns, console=make_console(err=True), transient=True) as progress:
        yield progress, progress.add_task("", total=None)
