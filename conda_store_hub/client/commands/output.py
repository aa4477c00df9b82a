"""What commands answer on standard output, for people and for scripts; all else goes to standard error.

A list is printed as it comes, page by page, however long it is: nothing of it is kept.
"""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Generic, TextIO, TypeVar

import click

if TYPE_CHECKING:
    from pydantic import BaseModel
    from rich.console import Console

M = TypeVar("M", bound="BaseModel")

_ROWS_AT_ONCE = 100
_INDENT = 2
# What a terminal takes for a command: names and logs are somebody else's.
_CONTROLS = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160)) if chr(code) not in "\t\n\r"}
# Those of them that JSON may hold as they are.
_LATE_CONTROLS = {code: f"\\u{code:04x}" for code in range(127, 160)}
# What would part a cell of a table, or a line.
_BREAKS = dict.fromkeys(map(ord, "\t\n\r\v\f\x85\u2028\u2029"), " ")


class Format(StrEnum):
    """How an answer is printed. TABLE: lines with tabs where nobody looks."""

    TABLE = "table"
    JSON = "json"
    YAML = "yaml"
    NAME = "name"


def _read_format(_ctx: click.Context, _parameter: click.Parameter, value: str) -> Format:
    return Format(value)


output_option = click.option(
    "-o",
    "--output",
    type=click.Choice([each.value for each in Format]),
    default=Format.TABLE.value,
    callback=_read_format,
    help="How to print the answer, by default as people read it; `name` is what other commands take.",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Look(Generic[M]):
    """How values of a kind are shown: by columns, each a heading and what stands below it, and by name."""

    columns: Sequence[tuple[str, Callable[[M], object]]]
    name: Callable[[M], str]

    def cells(self, item: M) -> list[str]:
        """Return what stands in each column."""
        return [_show(cell(item)) for _, cell in self.columns]


def show_list(items: Iterable[M], look: Look[M], output: Format) -> None:
    """Print values as they come."""
    match output:
        case Format.TABLE:
            print_table([head for head, _ in look.columns], map(look.cells, items))
        case Format.NAME:
            for item in items:
                click.echo(harmless(look.name(item)))
        case Format.JSON:
            _print_json_list(items)
        case Format.YAML:
            _print_yaml_list(items)


def show_one(item: M, look: Look[M], output: Format) -> None:
    """Print one value; for people, a line for each of its columns that says something."""
    match output:
        case Format.TABLE:
            print_pairs((head.lower(), cell) for (head, _), cell in zip(look.columns, look.cells(item), strict=True))
        case Format.NAME:
            click.echo(harmless(look.name(item)))
        case _:
            show_value(item, output)


def show_value(item: BaseModel, output: Format) -> None:
    """Print one value as JSON or YAML, whatever it is."""
    value = item.model_dump(mode="json")
    click.echo(_to_yaml(value) if output is Format.YAML else f"{_to_json(value)}\n", nl=False)


def show_removed(name: str | None, output: Format) -> None:
    """Print what is gone, None for nothing; people are told on standard error."""
    from conda_store_hub.client.commands.answers import Removed

    if output is Format.NAME:
        click.echo(name or "", nl=name is not None)
    elif output is not Format.TABLE:
        show_value(Removed(removed=name), output)


def print_pairs(pairs: Iterable[tuple[str, str]]) -> None:
    """Print a line for each word that has a value."""
    rows = [(word, value) for word, value in pairs if value]
    width = max((len(word) for word, _ in rows), default=0)
    for word, value in rows:
        click.echo(harmless(f"{word:<{width}}  {value}"))


def print_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table to a terminal, and lines with tabs to anything else."""
    rows = (tuple(map(_show, row)) for row in rows)
    if not sys.stdout.isatty():
        for row in rows:
            click.echo("\t".join(row))
        return
    console, widths = make_console(), [0] * len(head)
    first = True
    for chunk in _chunked(rows):
        widths = [max(width, *map(len, column)) for width, column in zip(widths, zip(*chunk, strict=True), strict=True)]
        _print_chunk(console, head, chunk, widths, first)
        first = False


def note_diff(lines: Iterable[str]) -> None:
    """Tell people how texts differ: in colour on a terminal."""
    from rich.text import Text

    console = make_console(err=True)
    styles = {"+": "green", "-": "red", "@": "cyan"}
    with console.capture() as captured:
        for line in lines:
            console.print(Text(harmless(line, console.is_terminal), styles.get(line[:1], "")), soft_wrap=True)
    click.echo(captured.get().removesuffix("\n"), err=True)


def note(text: str) -> None:
    """Tell people something that is not the answer."""
    click.echo(harmless_note(text).replace("\r", "\\x0d"), err=True)


def harmless(text: str, on_terminal: bool | None = None) -> str:
    """Return text without what would command a terminal, where one reads it."""
    shown = sys.stdout.isatty() if on_terminal is None else on_terminal
    return text.translate(_CONTROLS) if shown else text


def harmless_note(text: str) -> str:
    """Return the same for standard error."""
    return harmless(text, sys.stderr.isatty())


def make_console(*, err: bool = False) -> Console:
    """Return what draws: in colour on a terminal, unless NO_COLOR says otherwise."""
    from rich.console import Console

    return Console(stderr=err, highlight=False, emoji=False, markup=False)


def format_bytes(size: int) -> str:
    """Return a size as people read it."""
    number, units = float(size), iter(("B", "kB", "MB", "GB", "TB"))
    unit = next(units)
    while number >= 1000 and unit != "TB":
        number, unit = number / 1000, next(units)
    return f"{number:.0f} {unit}" if unit == "B" or number >= 10 else f"{number:.1f} {unit}"


def _show(value: object) -> str:
    if value is None:
        return ""
    if hasattr(value, "strftime"):
        return f"{value:%Y-%m-%d %H:%M}Z"
    return str(value).translate(_BREAKS)


def _chunked(rows: Iterable[Sequence[str]]) -> Iterator[list[Sequence[str]]]:
    iterator = iter(rows)
    while chunk := list(itertools.islice(iterator, _ROWS_AT_ONCE)):
        yield chunk


def _print_chunk(
    console: Console, head: Sequence[str], rows: Sequence[Sequence[str]], widths: Sequence[int], with_head: bool
) -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, show_header=with_head, show_edge=False, pad_edge=False)
    for word, width in list(zip(head, widths, strict=True))[:-1]:
        table.add_column(word, min_width=min(max(width, len(word)), console.width // 2))
    table.add_column(head[-1], no_wrap=True, overflow="ellipsis")
    for row in rows:
        table.add_row(*(Text(harmless(cell)) for cell in row))
    console.print(table)


def _print_json_list(items: Iterable[BaseModel]) -> None:
    separator = "["
    for item in items:
        text = _to_json(item.model_dump(mode="json")).replace("\n", f"\n{' ' * _INDENT}")
        click.echo(f"{separator}\n{' ' * _INDENT}{text}", nl=False)
        separator = ","
    click.echo("[]" if separator == "[" else "\n]")


def _print_yaml_list(items: Iterable[BaseModel]) -> None:
    empty = True
    for item in items:
        click.echo(_to_yaml([item.model_dump(mode="json")]), nl=False)
        empty = False
    if empty:
        click.echo("[]")


def knows_all_letters(stream: TextIO) -> bool:
    """Tell whether there is no text that an output cannot show."""
    return (stream.encoding or "").lower().replace("_", "-").startswith("utf")


def _to_json(value: Any) -> str:
    text = json.dumps(value, indent=_INDENT, ensure_ascii=not knows_all_letters(sys.stdout))
    return text.translate(_LATE_CONTROLS)


def _to_yaml(value: Any) -> str:
    import yaml

    return yaml.safe_dump(value, sort_keys=False, allow_unicode=knows_all_letters(sys.stdout))
