"""YAML that people send: read into nodes with their places, once it is sure that this hurts nobody."""

from __future__ import annotations

import yaml

from conda_store_hub.core.errors import InvalidSpecificationError

MAX_DEPTH = 20  # libyaml recurses in C when it composes: deep nesting would end the process


def compose(text: str, *, what: str, max_items: int) -> yaml.Node:
    """Return the root node; raise InvalidSpecificationError for what is no YAML, empty, or not safe to walk.

    `what` is the document in the words of the messages. Its size is for the caller to bound.
    """
    try:
        _guard(text, what, max_items)
        root = yaml.compose(text, Loader=yaml.CSafeLoader)
    except (yaml.YAMLError, UnicodeError) as exc:
        raise _not_yaml(exc, what) from exc
    if root is None:
        raise InvalidSpecificationError(f"The {what} is empty.")
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


def _guard(text: str, what: str, max_items: int) -> None:
    """Refuse what would hurt the process that composes it: depth, aliases, more than one document."""
    depth = 0
    for count, event in enumerate(yaml.parse(text, Loader=yaml.CSafeLoader)):
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise fault("Anchors and aliases (`&`, `*`) are not allowed here; write the value out.", event)
        if isinstance(event, yaml.DocumentStartEvent) and count > 1:
            raise fault(f"A {what} is one YAML document; remove what follows the second `---`.", event)
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            raise fault(_too_deep(what), event)
        if count > max_items:
            raise fault(f"The {what} has more than {max_items} items.", event)


def _not_yaml(exc: Exception, what: str) -> InvalidSpecificationError:
    mark = getattr(exc, "problem_mark", None)
    problem = getattr(exc, "problem", None) or getattr(exc, "reason", None) or "it cannot be read"
    too_deep = "nesting depth" in problem  # newer readers have a limit of their own, met before their first event
    return InvalidSpecificationError(
        _too_deep(what) if too_deep else f"The {what} is not valid YAML: {problem}.",
        line=mark.line + 1 if mark else None,
        column=mark.column + 1 if mark else None,
    )


def _too_deep(what: str) -> str:
    return f"The {what} is nested more than {MAX_DEPTH} levels deep."
