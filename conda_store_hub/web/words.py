"""JSON Schema in words, as errors and the documentation say it."""

from __future__ import annotations

from typing import Any

from conda_store_hub.core.names import shorten

_KINDS = {"integer": "a whole number", "number": "a number", "boolean": "`true` or `false`", "null": "`null`"}
_FORMATS = {"date-time": "a time (RFC 3339)"}


def say_kind(schema: dict[str, Any]) -> str:
    """Return what a value must be: `a whole number from 1 to 100`."""
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if "anyOf" in schema:
        return " or ".join(say_kind(part) for part in schema["anyOf"])
    if "enum" in schema:
        return f"one of {', '.join(str(value) for value in schema['enum'])}"
    if "const" in schema:
        return f"`{schema['const']}`"
    return _say_type(schema)


def _say_type(schema: dict[str, Any]) -> str:
    kind = schema.get("type")
    if kind == "array":
        most = f" of at most {schema['maxItems']}" if "maxItems" in schema else ""
        return f"a list{most}: each {say_kind(schema.get('items', {}))}"
    if kind == "object":
        return _say_object(schema)
    if kind == "string":
        return _FORMATS.get(schema.get("format", ""), "text") + _say_length(schema)
    return _KINDS.get(str(kind), "anything") + _say_range(schema)


def _say_object(schema: dict[str, Any]) -> str:
    values = schema.get("additionalProperties")
    return f"an object: each value {say_kind(values)}" if isinstance(values, dict) and values else "an object"


def _say_length(schema: dict[str, Any]) -> str:
    return f" of at most {schema['maxLength']} characters" if "maxLength" in schema else ""


def _say_range(schema: dict[str, Any]) -> str:
    least = f" from {schema['minimum']}" if "minimum" in schema else ""
    return least + (f" to {schema['maximum']}" if "maximum" in schema else "")


def say_refusal(name: str, schema: dict[str, Any], text: str) -> str:
    """Return why a value of the query is refused."""
    return f"`{name}` must be {say_kind(schema)}, not “{shorten(text)}”."
