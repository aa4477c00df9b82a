"""YAML that people send: read into nodes with their places, once it is sure that this hurts nobody."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import yaml

from conda_store_hub.core.errors import InvalidSpecificationError
from conda_store_hub.core.lines import SeenLines

MAX_DEPTH = 20  # libyaml recurses in C when it composes: deep nesting would end the process


def compose(text: str, *, what: str, max_items: int) -> yaml.Node:
    """Return the root node; raise InvalidSpecificationError for what is no YAML, empty, or not safe to walk.

    `what` is the document in the words of the messages. Its size is for the caller to bound.
    """
    lines = SeenLines(text)
    try:
        _guard(text, lines, what, max_items)
        root = yaml.compose(text, Loader=yaml.CSafeLoader)
    except (yaml.YAMLError, UnicodeError) as exc:
        raise _not_yaml(exc, lines, what) from exc
    if root is None:
        raise InvalidSpecificationError(f"The {what} is empty.")
    if lines:
        for node in _walk(root):
            node.start_mark = lines.find(node.start_mark)
    return root


def fault(message: str, place: yaml.Node | yaml.Event) -> InvalidSpecificationError:
    """Return the error with the place where a node or an event begins."""
    mark = place.start_mark
    if mark is None:  # only what no text has been parsed from
        return InvalidSpecificationError(message)
    return InvalidSpecificationError(message, line=mark.line + 1, column=mark.column + 1)


def quote(text: str) -> str:
    """Return the text in quotation marks, cut where it is long."""
    short = text if len(text) <= 60 else text[:60] + "…"
    return f"“{short}”"


def _walk(root: yaml.Node) -> Iterator[yaml.Node]:
    """Yield each node; they are no deeper than `MAX_DEPTH`."""
    yield root
    if isinstance(root, yaml.MappingNode):
        for pair in cast("list[tuple[yaml.Node, yaml.Node]]", root.value):
            yield from (each for node in pair for each in _walk(node))
    elif isinstance(root, yaml.SequenceNode):
        yield from (each for node in cast("list[yaml.Node]", root.value) for each in _walk(node))


def _guard(text: str, lines: SeenLines, what: str, max_items: int) -> None:
    """Refuse what would hurt the process that composes it: depth, aliases, more than one document."""
    depth = 0
    for count, event in enumerate(yaml.parse(text, Loader=yaml.CSafeLoader)):
        event.start_mark = lines.find(cast("yaml.Mark", event.start_mark))
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise fault("Anchors and aliases (`&`, `*`) are not allowed here; write the value out.", event)
        if isinstance(event, yaml.DocumentStartEvent) and count > 1:
            raise fault(f"A {what} is one YAML document; remove what follows the second `---`.", event)
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            raise fault(_too_deep(what), event)
        if count > max_items:
            raise fault(f"The {what} has more than {max_items} items.", event)


def _not_yaml(exc: Exception, lines: SeenLines, what: str) -> InvalidSpecificationError:
    found: yaml.Mark | None = getattr(exc, "problem_mark", None)
    mark = lines.find(found) if found else None
    problem = getattr(exc, "problem", None) or getattr(exc, "reason", None) or "it cannot be read"
    too_deep = "nesting depth" in problem  # newer readers have a limit of their own, met before their first event
    return InvalidSpecificationError(
        _too_deep(what) if too_deep else f"The {what} is not valid YAML: {problem}.",
        line=mark.line + 1 if mark else None,
        column=mark.column + 1 if mark else None,
    )


def _too_deep(what: str) -> str:
    return f"The {what} is nested more than {MAX_DEPTH} levels deep."
