"""The REST wire: its envelopes, as conda-store's API v1 has them, and what its values are made of."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Generic, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, JsonValue

T = TypeVar("T")


class Wire(BaseModel):
    """A frozen value of the wire."""

    model_config = ConfigDict(frozen=True)


#: A value of JSON.
Json = JsonValue


def _require_zone(when: datetime) -> datetime:
    """Take a time without a zone for UTC, as conda-store's clients mean it."""
    try:
        return when.replace(tzinfo=UTC) if when.tzinfo is None else when.astimezone(UTC)
    except OverflowError as exc:
        raise ValueError("no calendar has this time in UTC") from exc


Moment = Annotated[datetime, AfterValidator(_require_zone)]


class Answer(Wire, Generic[T]):
    """The envelope of a success."""

    status: Literal["ok"] = "ok"
    data: T
    message: str | None = None


class Page(Answer[list[T]], Generic[T]):
    """A page of a list; `count` is exact up to 10,000 and says 10,000 beyond."""

    page: int
    size: int
    count: int


class CursorPage(Answer[list[T]], Generic[T]):
    """A page of a v2 list: ask again with `cursor`, until `data` is empty. Only the first page has a `count`."""

    cursor: str | None = None
    count: int | None = None


class ErrorAnswer(Wire):
    """The envelope of an error: a stable code and a sentence; line and column count from 1."""

    status: Literal["error"] = "error"
    message: str
    code: str
    line: int | None = None
    column: int | None = None
    detail: str | None = None
    """Only of a solve that comes to nothing: the solver's own words, over several lines."""


class RegistryPlace(Wire):
    """Where container tools find the images."""

    address: str | None = None
    """What stands before the name of an image; null: the host at which people see the Hub, with `port` if given."""
    port: int | None = None


class Version(Wire):
    """`GET /api/v1/`."""

    version: str
    registry: RegistryPlace | None = None
    """Null where images are not offered."""


class Health(Wire):
    """`GET /health`."""

    ready: bool
    version: str
    message: str | None = None
