"""What shells complete: namespaces, environments and builds, asked for quickly or not at all."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterable, Sequence
from importlib import import_module
from typing import TYPE_CHECKING

import click
from click.shell_completion import (
    BashComplete,
    CompletionItem,
    FishComplete,
    ZshComplete,
    add_completion_class,
    get_completion_class,
    split_arg_string,
)

from conda_store_hub.client.patience import answer_within

if TYPE_CHECKING:
    from conda_store_hub.client.api import Client

_SECONDS = 0.7  # with what is loaded a second; longer, and one types on
_MOST = 50


@add_completion_class
class BashWithColons(BashComplete):
    """Bash takes a colon for the end of a word, and builds are named with one."""

    name = "bash"

    def get_completion_args(self) -> tuple[list[str], str]:
        """Return the words as they were typed, and the one that is completed."""
        words, at = split_arg_string(os.environ["COMP_WORDS"]), int(os.environ["COMP_CWORD"])
        whole, where = join_at_colons(words, at)
        incomplete = whole[where] if where < len(whole) else ""
        # What bash parted, and leaves alone: nothing where COMP_WORDBREAKS has no colon.
        typed = words[at] if at < len(words) and words[at] != ":" else ""
        self._before = incomplete.removesuffix(typed)
        return whole[1:where], incomplete

    def format_completion(self, item: CompletionItem) -> str:
        """Return what bash puts in place of what it takes for the word."""
        return f"{item.type},{item.value.removeprefix(self._before)}"


@add_completion_class
class ZshWithColons(ZshComplete):
    """Zsh takes a colon for the end of a name that has a description; click knows that since 8.2.2."""

    name = "zsh"

    def format_completion(self, item: CompletionItem) -> str:
        """Return an item as the function in the shell reads it."""
        value = item.value.replace(":", r"\:") if item.help else item.value
        return f"{item.type}\n{value}\n{item.help or '_'}"


@add_completion_class
class FishWithCommas(FishComplete):
    """The function for fish parts what it reads at each comma, and people write some into descriptions."""

    name = "fish"
    source_template = FishComplete.source_template.replace('string split ","', 'string split --max 1 ","')


def join_at_colons(words: Sequence[str], at: int) -> tuple[list[str], int]:
    """Return words with those joined that bash parted at colons, and which of them the one at `at` is in."""
    whole: list[str] = []
    where = len(words)
    for number, word in enumerate(words):
        if whole and (word.startswith(":") or whole[-1].endswith(":")):
            whole[-1] += word
        else:
            whole.append(word)
        if number == at:
            where = len(whole) - 1
    return whole, min(where, len(whole))


def complete_namespace(ctx: click.Context, incomplete: str) -> list[CompletionItem]:
    """Return the namespaces that begin so."""
    return _ask(ctx, lambda client: _list_namespaces(client, incomplete))


def complete_reference(ctx: click.Context, incomplete: str) -> list[CompletionItem]:
    """Return the environments that begin so, or the builds of the one before a colon."""
    if ":" in incomplete:
        return _ask(ctx, lambda client: _list_builds(client, incomplete))
    return _ask(ctx, lambda client: _list_environments(client, incomplete))


def complete_place(ctx: click.Context, incomplete: str) -> list[CompletionItem]:
    """Return the namespaces, each with a slash, and the environments that begin so."""
    return _ask(ctx, lambda client: (*_list_whole(client, incomplete), *_list_environments(client, incomplete)))


def _ask(ctx: click.Context, find: Callable[[Client], Iterable[CompletionItem]]) -> list[CompletionItem]:
    """Return what is found in time; whatever is in the way, a shell that completes is told nothing of it."""
    import_module("conda_store_hub.client.api")  # the time is for the answer
    from conda_store_hub.client.commands.options import find_service

    def look() -> list[CompletionItem]:
        with find_service(ctx).connect(timeout=_SECONDS) as client:
            return list(itertools.islice(find(client), _MOST))

    try:
        return answer_within(_SECONDS, look)  # a keyring hangs, or each page of a list comes just in time
    except Exception:  # noqa: BLE001 an error would stand in the middle of what somebody types
        return []


def _list_namespaces(client: Client, incomplete: str) -> Iterable[CompletionItem]:
    names = (each.name for each in client.list_namespaces())
    return (CompletionItem(name) for name in names if name.startswith(incomplete))


def _list_whole(client: Client, incomplete: str) -> Iterable[CompletionItem]:
    names = (f"{each.name}/" for each in client.list_namespaces())
    return (CompletionItem(name) for name in names if name.startswith(incomplete))


def _list_environments(client: Client, incomplete: str) -> Iterable[CompletionItem]:
    namespace, slash, _ = incomplete.partition("/")
    found = client.list_environments(namespace if slash else None, None if slash else incomplete or None)
    own = "" if slash else client.permission().primary_namespace
    for each in found:
        whole = f"{each.namespace.name}/{each.name}"
        if each.namespace.name == own and each.name.startswith(incomplete):
            yield CompletionItem(each.name, help=_shorten(each.description))
        elif whole.startswith(incomplete):
            yield CompletionItem(whole, help=_shorten(each.description))


def _shorten(description: str) -> str:
    """Return the first line of what somebody else wrote, without what a terminal or a shell would follow."""
    line = next(iter(description.strip().splitlines()), "")
    return "".join(letter for letter in line if letter.isprintable())


def _list_builds(client: Client, incomplete: str) -> Iterable[CompletionItem]:
    from conda_store_hub.client.references import Reference, find_environment

    place, _, digits = incomplete.partition(":")
    environment = find_environment(client, Reference.parse(place))
    for build in client.list_builds(environment_id=environment.id):
        if str(build.id).startswith(digits):
            yield CompletionItem(f"{place}:{build.id}", help=f"{build.status} {build.scheduled_on:%Y-%m-%d %H:%M}")


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the lines that make SHELL complete commands and names.

    Names of namespaces and environments, and behind a colon the numbers of builds.

    \b
    bash, in ~/.bashrc:                  eval "$(conda-store completion bash)"
    zsh, in ~/.zshrc, behind compinit:   eval "$(conda-store completion zsh)"
    fish, in ~/.config/fish/config.fish: conda-store completion fish | source
    """  # noqa: D301 click reads the character
    kind = get_completion_class(shell)
    if kind is None:
        raise click.UsageError(f"There is nothing for {shell} in this release of click.")
    click.echo(kind(ctx.find_root().command, {}, "conda-store", "_CONDA_STORE_COMPLETE").source())
