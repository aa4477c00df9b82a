"""Settings as people read and write them: what counts, where it comes from, and fields that take one each."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final, Literal, cast

from conda_store_hub.core import schemas
from conda_store_hub.core.errors import InvalidRequestError
from conda_store_hub.core.lines import split_lines
from conda_store_hub.core.names import shorten
from conda_store_hub.core.policy import PolicyValues, Scope
from conda_store_hub.services import policies
from conda_store_hub.web import seen
from conda_store_hub.web.query import list_schemas
from conda_store_hub.web.rendering import show_seconds, show_size

FieldKind = Literal["lines", "number", "bytes", "choice", "pairs", "none"]

_SOURCES: Final = {
    Scope.CONFIGURATION: "configuration",
    Scope.SERVICE: "service",
    Scope.NAMESPACE: "namespace",
    Scope.ENVIRONMENT: "environment",
}
_DEFAULT = "default"
_UNITS: Final = {"": 1, "b": 1, "bytes": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12}
_UNITS_OF_1024: Final = {"kib": 2**10, "mib": 2**20, "gib": 2**30, "tib": 2**40}
_SIZE = re.compile(r"([0-9]{1,25}(?:\.[0-9]{1,9})?) ?([A-Za-z]{0,5})")
_NUMBER = re.compile(r"-?[0-9]{1,25}")
_PAIR = re.compile(r"([^\s:=]+)\s*[:=]\s*(\S+)")
_KINDS: Final[Mapping[Any, FieldKind]] = {"boolean": "choice", "array": "lines", "object": "pairs"}
_CHOICES: Final = {"true": True, "false": False}


@dataclass(frozen=True, kw_only=True, slots=True)
class SettingRow:
    """What counts for a key, in words: `given` is what was set for it from the outermost place to the innermost."""

    key: str
    description: str
    value: tuple[str, ...]
    source: str
    given: tuple[tuple[str, tuple[str, ...]], ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class SettingField:
    """The field for what is set for a key in one place; `fault` says why what was typed cannot be.

    `seen` is what was set there when the page was made: it is sent with the field, and held against what is set then.
    """

    row: SettingRow
    kind: FieldKind
    takes: str
    typed: str
    seen: str
    fault: str = ""


def list_rows(found: Mapping[str, schemas.Setting]) -> tuple[SettingRow, ...]:
    """Return all settings of a place, in words."""
    return tuple(_say(key, setting) for key, setting in found.items())


def _say(key: str, setting: schemas.Setting) -> SettingRow:
    is_default = not any(one.source is setting.source for one in setting.given)
    return SettingRow(
        key=key,
        description=setting.description,
        value=_show(key, setting.value),
        source=_DEFAULT if is_default and setting.source is Scope.CONFIGURATION else _SOURCES[setting.source],
        given=tuple((_SOURCES[one.source], _show(key, one.value)) for one in setting.given),
    )


def _show(key: str, value: Any) -> tuple[str, ...]:
    if value is None:
        return ("no limit",)
    if isinstance(value, bool):
        return ("yes" if value else "no",)
    if isinstance(value, list):
        return tuple(map(str, cast("list[Any]", value))) or ("none",)
    if isinstance(value, dict):
        return tuple(f"{name}: {address}" for name, address in cast("dict[str, Any]", value).items()) or ("none",)
    if key.endswith("_bytes"):
        return (show_size(value),)
    if key.endswith("_seconds"):
        return (show_seconds(value),)
    return (f"{value:,}",)


def list_fields(
    found: Mapping[str, schemas.Setting],
    scope: Scope,
    typed: Mapping[str, str],
    faults: Mapping[str, str],
    known: Mapping[str, Any],
) -> tuple[SettingField, ...]:
    """Return a field for each setting: with what was typed, else with what is set at `scope`.

    `known`: what one has seen of it before, where that is not what is set now.
    """
    return tuple(
        SettingField(
            row=_say(key, setting),
            kind=_find_kind(key) if setting.settable else "none",
            takes=setting.takes,
            typed=typed.get(key, write(key, policies.find_own(setting, scope))),
            seen=seen.write(known.get(key, policies.find_own(setting, scope))),
            fault=faults.get(key, ""),
        )
        for key, setting in found.items()
    )


def say_own(key: str, value: Any) -> str:
    """Return what is set for a key in one place, within a sentence."""
    return "nothing" if value is None else ", ".join(_show(key, value))


def is_as_shown(key: str, text: str, value: Any) -> bool:
    """Tell whether a field was left as it was when it showed `value`."""
    return _list_lines(text) == _list_lines(write(key, value))


def _list_lines(text: str) -> list[str]:
    return [line.strip() for line in split_lines(text) if line.strip()]


def _find_kind(key: str) -> FieldKind:
    kind = list_schemas(PolicyValues)[key].get("type")
    if kind == "integer":
        return "bytes" if key.endswith("_bytes") else "number"
    return _KINDS.get(kind, "none")


def write(key: str, value: Any) -> str:
    """Return a value as it stands in its field."""
    if value is None:
        return ""
    if isinstance(value, list):
        return "\n".join(map(str, cast("list[Any]", value)))
    if isinstance(value, dict):
        return "\n".join(f"{name}: {address}" for name, address in cast("dict[str, Any]", value).items())
    if isinstance(value, bool):
        return str(value).lower()
    return _write_size(value) if key.endswith("_bytes") else str(value)


def _write_size(size: int) -> str:
    for unit in ("TB", "GB", "MB", "kB"):
        if size and size % _UNITS[unit.lower()] == 0:
            return f"{size // _UNITS[unit.lower()]} {unit}"
    return str(size)


def read(key: str, text: str) -> Any:
    """Return the value that was typed into a field, None for an empty one; raise in words for what is none."""
    lines = _list_lines(text)
    if not lines:
        return None
    match _find_kind(key):
        case "lines":
            return lines
        case "pairs":
            return _read_pairs(key, lines)
        case "choice":
            return _CHOICES.get(lines[0].lower(), lines[0])
        case "bytes":
            return _read_size(key, text.strip())
        case _:
            return int(text) if _NUMBER.fullmatch(text.strip()) else text.strip()


def _read_pairs(key: str, lines: list[str]) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for line in lines:
        found = _PAIR.fullmatch(line)
        if found is None or found[1] in pairs:
            why = "is none" if found is None else "is the second with this name"
            raise InvalidRequestError(f"`{key}` takes a name and its address on each line: “{shorten(line)}” {why}.")
        pairs[found[1]] = found[2]
    return pairs


def _read_size(key: str, text: str) -> int:
    found = _SIZE.fullmatch(text.replace(",", ""))
    unit = (_UNITS | _UNITS_OF_1024).get(found[2].lower()) if found else None
    if found is None or unit is None:
        raise InvalidRequestError(f"`{key}` takes a size such as `500 MB` or `20 GB`, not “{shorten(text)}”.")
    return int(Decimal(found[1]) * unit)
