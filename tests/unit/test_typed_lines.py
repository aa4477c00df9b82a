"""Lines about packages that the pages judge as they are typed: the service says the same of each."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from conda_store_hub.core.errors import InvalidRequestError
from conda_store_hub.core.matchspec import parse_dependency, parse_pip_line
from conda_store_hub.core.spec import Entry

EXAMPLES = json.loads((Path(__file__).parents[2] / "labextension" / "test" / "dependencies.json").read_text())
PARSERS: dict[str, Callable[[Entry], object]] = {"conda": parse_dependency, "pip": parse_pip_line}


@pytest.mark.parametrize(("kind", "line"), [(kind, line) for kind in PARSERS for line in EXAMPLES[kind]["good"]])
def test_what_a_page_takes_is_taken(kind: str, line: str) -> None:
    assert PARSERS[kind](Entry(text=line, line=1, column=1))


@pytest.mark.parametrize(("kind", "line"), [(kind, line) for kind in PARSERS for line in EXAMPLES[kind]["bad"]])
def test_what_a_page_calls_wrong_is_refused(kind: str, line: str) -> None:
    with pytest.raises(InvalidRequestError):
        PARSERS[kind](Entry(text=line, line=1, column=1))
