"""What is refused in a query is said in the words that describe it."""

from __future__ import annotations

from typing import Any, Literal

import pytest
from pydantic import Field

from conda_store_hub.web.query import Number, Query, Size, Status, Text, list_schemas
from conda_store_hub.web.words import say_kind
from tests.support.service import RunningService, service

__all__ = ["service"]


class Everything(Query):
    number: Number | None = None
    size: Size = 100
    status: Status | None = None
    text: Text | None = None
    seconds: float = Field(5.0, ge=0)
    flag: bool = False
    way: Literal["up", "down"] = "up"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("number", "a whole number from 0 to 1000000000000000000"),
        ("size", "a whole number from 1"),
        ("status", "one of QUEUED, BUILDING, COMPLETED, FAILED, CANCELED"),
        ("text", "text of at most 200 characters"),
        ("seconds", "a number from 0"),
        ("flag", "`true` or `false`"),
        ("way", "one of up, down"),
    ],
)
def test_a_kind_of_value_is_said_in_words(name: str, words: str) -> None:
    assert say_kind(list_schemas(Everything)[name]) == words


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"$ref": "#/components/schemas/Build"}, "Build"),
        ({"anyOf": [{"type": "string"}, {"type": "null"}]}, "text or `null`"),
        ({"type": "array", "items": {"type": "string"}}, "a list: each text"),
        ({"type": "object", "additionalProperties": {"type": "integer"}}, "an object: each value a whole number"),
        ({"type": "object", "additionalProperties": True}, "an object"),
        ({"type": "string", "format": "date-time"}, "a time (RFC 3339)"),
        ({"const": "ok", "type": "string"}, "`ok`"),
        ({}, "anything"),
    ],
)
def test_a_schema_is_said_in_words(schema: dict[str, Any], words: str) -> None:
    assert say_kind(schema) == words


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("build/?page=x", "`page` must be a whole number from 1 to 1000000000, not “x”."),
        ("build/?size=0", "`size` must be a whole number from 1, not “0”."),
        ("kernels/?wait=soon", "`wait` must be a number from 0, not “soon”."),
        ("build/?" + "&".join(["packages=numpy"] * 12), "`packages` may be given 10 times, not 12."),
        ("build/?name=" + "n" * 300, f"`name` must be text of at most 200 characters, not “{'n' * 64}…”."),
        ("environment/?jwt=x", "Lists cannot be filtered by `jwt` yet."),
    ],
)
def test_a_refusal_says_what_would_be_right(service: RunningService, query: str, message: str) -> None:
    with service.client("alice") as alice:
        assert alice.get(f"api/v1/{query}").json()["message"] == message


def test_an_unreadable_content_type_is_refused_wherever_it_is(service: RunningService) -> None:
    with service.client() as anybody:
        answer = anybody.get("health", headers={"Content-Type": "multipart/form-data"})
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid-request")
