"""The API's documentation as a page, made from the route table."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from http import HTTPStatus
from itertools import groupby
from typing import TYPE_CHECKING, Any

from conda_store_hub.web import rendering
from conda_store_hub.web.openapi import list_parameters, make_schemas
from conda_store_hub.web.pages.guide import DocumentationHandler, GuideContext
from conda_store_hub.web.words import say_kind

if TYPE_CHECKING:
    from conda_store_hub.web.operations import Operation, Route


@dataclass(frozen=True, kw_only=True, slots=True)
class FieldView:
    """A parameter, or a field of a value; `place` is where a parameter stands."""

    name: str
    kind: str
    text: str
    required: bool
    place: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class ValueView:
    """A value of the wire; one without fields is of one `kind`. `anchor` is where the page describes it."""

    name: str
    anchor: str
    text: str
    kind: str
    fields: tuple[FieldView, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class FaultView:
    """What can go wrong: a status, and the code in the body."""

    status: int
    code: str
    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class OperationView:
    """A method of an address; `answer` and `body` are None where there is no JSON."""

    method: str
    address: str
    operation: Operation
    who: str
    statuses: tuple[str, ...]
    parameters: tuple[FieldView, ...]
    body: ValueView | None
    answer: ValueView | None
    faults: tuple[FaultView, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class ResourceView:
    """The operations of a resource."""

    name: str
    operations: tuple[OperationView, ...]


class ReferenceHandler(DocumentationHandler):
    """`/docs/api/`."""

    def get(self) -> None:
        """Show every route."""
        self.show(
            GuideContext(
                layout=self.lay_out("REST API", "docs"),
                entries=self.list_entries(),
                name="api",
                html=render_reference(self.routes, self.prefix),
            )
        )


@functools.lru_cache(maxsize=1)
def render_reference(routes: tuple[Route, ...], prefix: str) -> str:
    """Return the reference as HTML: it is large, and the same as long as the service runs."""
    return rendering.render_part(
        "reference.html",
        resources=list_resources(routes),
        values=tuple(list_values(routes).values()),
        prefix=prefix,
    )


@functools.cache
def list_values(routes: tuple[Route, ...]) -> dict[str, ValueView]:
    """Return every value that is sent or taken, by name."""
    _, schemas = make_schemas(routes)
    views = (_show_value(name, schema) for name, schema in schemas.items())
    return {view.name: view for view in views}


def _show_value(name: str, schema: dict[str, Any]) -> ValueView:
    required = schema.get("required", ())
    fields = schema.get("properties", {})
    return ValueView(
        name=schema.get("title", name),
        anchor=name,
        text=schema.get("description", ""),
        kind="" if fields else say_kind(schema),
        fields=tuple(_show_field(key, field, required=key in required) for key, field in fields.items()),
    )


def _show_field(name: str, schema: dict[str, Any], *, required: bool) -> FieldView:
    return FieldView(name=name, kind=say_kind(schema), text=schema.get("description", ""), required=required)


@functools.cache
def list_resources(routes: tuple[Route, ...]) -> tuple[ResourceView, ...]:
    """Return all that can be asked, by resource."""
    values = list_values(routes)
    views = [
        (route.tag, _show_operation(route, method, operation, values))
        for route in sorted(routes, key=lambda route: route.tag)
        for method, operation in route.operations
    ]
    return tuple(
        ResourceView(name=tag, operations=tuple(view for _, view in same))
        for tag, same in groupby(views, key=lambda view: view[0])
    )


def _show_operation(route: Route, method: str, operation: Operation, values: dict[str, ValueView]) -> OperationView:
    return OperationView(
        method=method,
        address=route.template,
        operation=operation,
        who=_say_who_may(operation),
        statuses=tuple(f"{status} {HTTPStatus(status).phrase}" for status in operation.statuses),
        parameters=tuple(_show_parameter(parameter) for parameter in list_parameters(route, operation)),
        body=values[operation.body.__name__] if operation.body else None,
        answer=values[operation.answer.__name__] if operation.answer else None,
        faults=tuple(
            FaultView(status=status, code=kind.code, text=kind.__doc__ or "")
            for status, kinds in route.list_errors(method).items()
            for kind in kinds
        ),
    )


def _show_parameter(parameter: dict[str, Any]) -> FieldView:
    schema = parameter["schema"]
    default = f"; `{schema['default']}` when absent" if "default" in schema else ""
    return FieldView(
        name=parameter["name"],
        kind=say_kind(schema) + default,
        text=parameter.get("description", ""),
        required=parameter["required"],
        place=parameter["in"],
    )


def _say_who_may(operation: Operation) -> str:
    if operation.public or operation.anonymous:
        return "Everybody."
    who = f"Who has `{operation.needs}` there." if operation.needs else "Everybody who is logged in."
    shared = " Where the administrator allows it, others too, for what is shared with everybody."
    return who + (shared if operation.shareable else "")
