"""The API as an OpenAPI 3.1 document, made from the route table and nothing else."""

from __future__ import annotations

import functools
import hashlib
import re
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter
from pydantic.json_schema import JsonSchemaMode, models_json_schema
from pydantic_core import to_json

from conda_store_hub import __version__
from conda_store_hub.core.schemas import ErrorAnswer
from conda_store_hub.web.arguments import PARTS
from conda_store_hub.web.docstrings import DescribedSchema
from conda_store_hub.web.operations import JSON
from conda_store_hub.web.query import list_schemas

if TYPE_CHECKING:
    from pydantic import BaseModel

    from conda_store_hub.web.operations import Operation, Route

_REFERENCE = "#/components/schemas/{model}"
_WITHOUT_BODY = frozenset({204, 304})
_TEXT = {"schema": {"type": "string"}}
_ERROR = {"schema": {"$ref": _REFERENCE.format(model=ErrorAnswer.__name__)}}
_INTRODUCTION = """\
Environments, their builds and what these yield; conda-store's API v1, and more in the same manner.

Answers are `{"status": "ok", "data": ..., "message": ...}`, errors `{"status": "error", "code": ..., "message": ...}`:
the code is stable, the message is for people. Every address may be asked with HEAD where it may be with GET.
"""

References = dict[tuple[Any, JsonSchemaMode], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Description:
    """A document as it is sent."""

    body: bytes
    etag: str


@functools.cache
def write_description(routes: tuple[Route, ...], prefix: str, cookie: str) -> Description:
    """Return the document as JSON; made once."""
    body = to_json(describe(routes, prefix=prefix, cookie=cookie))
    return Description(body=body, etag=f'"{hashlib.sha256(body).hexdigest()}"')


def describe(routes: tuple[Route, ...], *, prefix: str, cookie: str) -> dict[str, Any]:
    """Return the document of a service at `prefix` whose sessions are in `cookie`."""
    references, schemas = make_schemas(routes)
    paths: dict[str, Any] = {}
    for route in routes:
        paths[f"/{route.template}"] = {
            method.lower(): _describe_operation(route, method, operation, references)
            for method, operation in route.operations
        }
    return {
        "openapi": "3.1.0",
        "info": {"title": "conda-store-hub", "version": __version__, "description": _INTRODUCTION},
        "servers": [{"url": prefix.rstrip("/") or "/"}],
        "tags": [{"name": tag} for tag in dict.fromkeys(route.tag for route in routes)],
        "paths": paths,
        "components": {"schemas": schemas, "securitySchemes": _describe_security(cookie)},
    }


def make_schemas(routes: tuple[Route, ...]) -> tuple[References, dict[str, Any]]:
    """Return where each model of the table is described, and the descriptions by name."""
    models: dict[tuple[type[BaseModel], JsonSchemaMode], None] = {(ErrorAnswer, "serialization"): None}
    for route in routes:
        for _, operation in route.operations:
            if operation.answer:
                models[operation.answer, "serialization"] = None
            if operation.body:
                models[operation.body, "validation"] = None
    references, definitions = models_json_schema(
        list(models), ref_template=_REFERENCE, schema_generator=DescribedSchema
    )
    return references, definitions["$defs"]


def _describe_security(cookie: str) -> dict[str, Any]:
    return {
        "token": {
            "type": "http",
            "scheme": "bearer",
            "description": "A token of the Hub with the scope to access this service.",
        },
        "password": {"type": "http", "scheme": "basic", "description": "A token as the password of any user name."},
        "session": {"type": "apiKey", "in": "cookie", "name": cookie, "description": "A browser that is logged in."},
        "xsrf": {
            "type": "apiKey",
            "in": "header",
            "name": "X-XSRFToken",
            "description": "The value of the cookie `_xsrf`: a session counts only with it.",
        },
    }


def _describe_operation(route: Route, method: str, operation: Operation, references: References) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": f"{method.lower()}_{route.name or _snake(route.handler.__name__.removesuffix('Handler'))}",
        "summary": operation.summary,
        "description": operation.description,
        "tags": [route.tag],
        "parameters": list_parameters(route, operation),
        "responses": _describe_responses(route, method, operation, references),
        "security": _describe_who_may(operation),
    }
    if operation.body:
        schema = references[operation.body, "validation"]
        described["requestBody"] = {"required": True, "content": {JSON: {"schema": schema}}}
    return {key: value for key, value in described.items() if value or key == "security"}


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()


def list_parameters(route: Route, operation: Operation) -> list[dict[str, Any]]:
    """Return what a request may bring in its path and query."""
    parts = [
        _describe_parameter(part, "path", TypeAdapter(PARTS[part]).json_schema(), required=True) for part in route.parts
    ]
    fields = list_schemas(operation.query) if operation.query else {}
    return parts + [_describe_parameter(name, "query", schema, required=False) for name, schema in fields.items()]


def _describe_parameter(name: str, place: str, schema: dict[str, Any], *, required: bool) -> dict[str, Any]:
    rest = {key: value for key, value in schema.items() if key != "description"}
    described = {"name": name, "in": place, "required": required, "schema": rest}
    return described | ({"description": schema["description"]} if "description" in schema else {})


def _describe_who_may(operation: Operation) -> list[dict[str, list[str]]]:
    """Return the ways to say who asks; OpenAPI 3.1 has what they need as names of roles."""
    if operation.public:
        return []
    needs: list[str] = [operation.needs] if operation.needs else []
    return [
        {"token": needs},
        {"password": needs},
        {"session": needs, "xsrf": needs},
        *([{}] if operation.anonymous or operation.shareable else []),
    ]


def _describe_responses(route: Route, method: str, operation: Operation, references: References) -> dict[str, Any]:
    described = {
        str(status): {
            "description": "\n\n".join(f"`{kind.code}`: {kind.__doc__}" for kind in kinds),
            "content": {operation.error_media: _ERROR if operation.error_media == JSON else _TEXT},
        }
        for status, kinds in route.list_errors(method).items()
    }
    for status in operation.statuses:
        content = {} if status in _WITHOUT_BODY else {"content": _describe_content(operation, references)}
        described[str(status)] = {"description": HTTPStatus(status).phrase, **content}
    return dict(sorted(described.items()))


def _describe_content(operation: Operation, references: References) -> dict[str, Any]:
    if operation.answer:
        return {media: {"schema": references[operation.answer, "serialization"]} for media in operation.media}
    return {media: _TEXT if media.startswith("text/") else {} for media in operation.media}
