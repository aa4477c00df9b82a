"""What somebody at a terminal is asked, and what is said where nobody answers."""

from __future__ import annotations

import click

from conda_store_hub.core.errors import InvalidRequestError


def ask(what: str, *, instead: str, hide_input: bool = False) -> str:
    """Return what is typed. `instead`: what to do where nobody can answer."""
    try:
        return str(click.prompt(what, hide_input=hide_input, err=True)).strip()
    except click.Abort as exc:
        raise _explain(exc, instead) from None


def confirm(question: str, *, instead: str) -> bool:
    """Return whether the answer is a yes."""
    try:
        return click.confirm(question, err=True)
    except click.Abort as exc:
        raise _explain(exc, instead) from None


def _explain(abort: click.Abort, instead: str) -> Exception:
    """Tell the end of the input from Ctrl-C, which click takes for the same."""
    if isinstance(abort.__context__, EOFError):
        return InvalidRequestError(f"There was no answer: {instead}.")
    return abort
