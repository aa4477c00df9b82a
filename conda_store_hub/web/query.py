"""What a request asks for in its query, as a value: bad ones are refused in words.

Values may end with a slash: conda-store's released client appends one to the whole address, query and all.
"""

from __future__ import annotations

import functools
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from conda_store_hub.core.errors import InvalidRequestError
from conda_store_hub.core.protocol import ArtifactType, BuildStatus
from conda_store_hub.web.words import say_refusal

if TYPE_CHECKING:
    from tornado.web import RequestHandler

MAX_SIZE = 100
MAX_NUMBER = 10**18
MAX_ID = 2**31 - 1  # what a column of ids holds
_MAX_PAGE = 1_000_000_000
_MAX_TEXT = 200


def _cap(size: int) -> int:
    return min(size, MAX_SIZE)


def _raise_case(text: object) -> object:
    return text.upper() if isinstance(text, str) else text


def _to_utc(when: datetime) -> datetime:
    """Return a time in UTC; one without a zone, as a form sends it, is in UTC already."""
    try:
        return when.replace(tzinfo=UTC) if when.tzinfo is None else when.astimezone(UTC)
    except OverflowError as exc:
        raise ValueError("it is no time that can be shown in UTC") from exc


def _refuse_nul(text: str) -> str:
    if "\0" in text:
        raise ValueError("it holds a NUL character")
    return text


Text = Annotated[str, Field(max_length=_MAX_TEXT), AfterValidator(_refuse_nul)]
Id = Annotated[int, Field(ge=0, le=MAX_ID)]
Number = Annotated[int, Field(ge=0, le=MAX_NUMBER)]
Size = Annotated[int, Field(ge=1), AfterValidator(_cap)]
MOST_PACKAGES = 10
Time = Annotated[datetime, AfterValidator(_to_utc)]
Packages = Annotated[tuple[Text, ...], Field(max_length=MOST_PACKAGES)]
Status = Annotated[BuildStatus, BeforeValidator(_raise_case)]
FileKind = Annotated[ArtifactType, BeforeValidator(_raise_case)]


class Query(BaseModel):
    """What one operation takes in its query; an empty value is an absent one, and what is not named is ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    unsupported: ClassVar[tuple[str, ...]] = ()
    """Filters of conda-store's that are not there yet: a list that is not filtered would look as if it were."""


class PagedQuery(Query):
    """Which page of a list."""

    page: int = Field(1, ge=1, le=_MAX_PAGE, description="Which page, counting from 1.")
    size: Size = Field(MAX_SIZE, description=f"How many entries a page has; more than {MAX_SIZE} means {MAX_SIZE}.")


class ForceQuery(Query):
    """How something is deleted."""

    force: bool = Field(default=False, description="Also when it is in use; what is being built in it is cancelled.")


Q = TypeVar("Q", bound=Query)


def read_query(model: type[Q], handler: RequestHandler) -> Q:
    """Return what a request asks for; raise InvalidRequestError in words for the first value that makes no sense."""
    for name in model.unsupported:
        if handler.get_query_argument(name, ""):
            raise InvalidRequestError(f"Lists cannot be filtered by `{name}` yet.")
    given = {name: _given(handler, name) for name in model.model_fields}
    schemas = list_schemas(model)
    values = {
        name: texts if schemas[name].get("type") == "array" else texts[-1] for name, texts in given.items() if texts
    }
    try:
        return model.model_validate(values)
    except ValidationError as exc:
        fault = exc.errors(include_url=False, include_context=False)[0]
        name = str(fault["loc"][0])
        if fault["type"] == "too_long":
            most = schemas[name]["maxItems"]
            raise InvalidRequestError(f"`{name}` may be given {most} times, not {len(given[name])}.") from exc
        raise InvalidRequestError(say_refusal(name, schemas[name], _find_wrong(given[name], fault["loc"]))) from exc


def _find_wrong(texts: list[str], where: tuple[int | str, ...]) -> str:
    """Return the text that is refused: that at the place in a list, or the one that counts."""
    at = where[1] if len(where) > 1 else -1
    return texts[at if isinstance(at, int) else -1]


def _given(handler: RequestHandler, name: str) -> list[str]:
    """Return the values of a parameter; an empty one is none."""
    return [text for value in handler.get_query_arguments(name) if (text := value.removesuffix("/"))]


@functools.cache
def list_schemas(model: type[BaseModel]) -> dict[str, dict[str, Any]]:
    """Return the JSON schema of each field as a text in an address can have it: without references and null."""
    whole = model.model_json_schema()
    definitions = whole.get("$defs", {})
    return {name: _flatten(schema, definitions) for name, schema in whole.get("properties", {}).items()}


def _flatten(schema: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    inner: list[dict[str, Any]] = [part for part in schema.get("anyOf", [schema]) if part.get("type") != "null"]
    only = inner[0] if len(inner) == 1 else {"anyOf": inner}
    found = definitions[str(only["$ref"]).rpartition("/")[2]] if "$ref" in only else only
    kept = {key: value for key, value in schema.items() if key in ("default", "description") and value is not None}
    return {key: value for key, value in (found | kept).items() if key != "title"}
