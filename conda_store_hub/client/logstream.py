"""The typed events of a live log, read from server-sent events."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

from pydantic import ValidationError

from conda_store_hub.core import schemas
from conda_store_hub.core.errors import UnavailableError

# WHATWG HTML, 9.2.6: a line ends with CRLF, LF or CR. A CR that ends the buffer may be half of a CRLF.
_LINE_END = re.compile(rb"\r\n|\n|\r(?=.)", re.DOTALL)


@dataclass(frozen=True, kw_only=True, slots=True)
class LogText:
    """A piece of the log; `next_offset` is the byte offset of what follows it."""

    text: str
    next_offset: int


@dataclass(frozen=True, kw_only=True, slots=True)
class LogEnd:
    """The build has ended and its log is complete."""


LogEvent: TypeAlias = "LogText | schemas.LogState | schemas.LogProgress | LogEnd"


@dataclass(frozen=True, kw_only=True, slots=True)
class ServerSentEvent:
    """One event as it came; `id` is empty when it has none."""

    name: str
    data: str
    id: str


def read_events(chunks: Iterable[bytes]) -> Iterator[ServerSentEvent]:
    """Yield whole events; a half-sent one at the end is dropped, as the specification asks."""
    name, identifier, data = "", "", list[str]()
    for line in _read_lines(chunks):
        if not line:
            if data or name:
                yield ServerSentEvent(name=name or "message", data="\n".join(data), id=identifier)
            name, data = "", []
            continue
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "event":
            name = value
        elif field == "data":
            data.append(value)
        elif field == "id":
            identifier = value


def _read_lines(chunks: Iterable[bytes]) -> Iterator[str]:
    rest = b""
    for chunk in chunks:
        *lines, rest = _LINE_END.split(rest + chunk)
        for line in lines:
            yield line.decode("utf-8", "replace")


def find_log_event(event: ServerSentEvent) -> LogEvent | None:
    """Return the typed event, or None for a kind this client does not know."""
    try:
        match event.name:
            case "log":
                return LogText(text=event.data, next_offset=int(event.id))
            case "state":
                return schemas.LogState.model_validate_json(event.data)
            case "progress":
                return schemas.LogProgress.model_validate_json(event.data)
            case "end":
                return LogEnd()
            case _:
                return None
    except (ValidationError, ValueError) as exc:
        raise UnavailableError(f"The live log holds a `{event.name}` event that cannot be read.") from exc
