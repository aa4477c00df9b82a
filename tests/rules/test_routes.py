"""Every route of the API says what it does, in shapes and errors of ours, and the guide names its resource."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import BaseModel

from conda_store_hub.core.errors import CondaStoreHubError
from conda_store_hub.web.base import ApiHandler
from conda_store_hub.web.operations import Operation, Route, find_operation, list_methods
from conda_store_hub.web.query import Query
from conda_store_hub.web.routes import ROUTES

GUIDE = Path(__file__).parents[2] / "docs" / "guide" / "command-line.md"
OPERATIONS = [(route, method, operation) for route in ROUTES for method, operation in route.operations]


def handlers_of_the_api(kind: type[ApiHandler] = ApiHandler) -> set[type[ApiHandler]]:
    """Return every handler that serves something of the API."""
    below = {handler for child in kind.__subclasses__() for handler in handlers_of_the_api(child)}
    return {kind, *below}


def test_every_method_of_every_handler_says_what_it_does() -> None:
    for route in ROUTES:
        methods = list_methods(route.handler)
        assert methods, route.template
        assert all(find_operation(route.handler, method) for method in methods), route.template


def test_every_handler_with_an_operation_has_a_route() -> None:
    declared = {
        handler
        for handler in handlers_of_the_api()
        if handler.__module__.startswith("conda_store_hub.")
        and any(find_operation(handler, method) for method in list_methods(handler))
    }
    assert declared == {route.handler for route in ROUTES}


@pytest.mark.parametrize(
    ("route", "method", "operation"), OPERATIONS, ids=[f"{method} {route.template}" for route, method, _ in OPERATIONS]
)
def test_an_operation_is_of_our_shapes(route: Route, method: str, operation: Operation) -> None:
    assert operation.summary.endswith(".")
    assert all(issubclass(error, CondaStoreHubError) for error in operation.errors)
    for errors in route.list_errors(method).values():
        assert all(error.__doc__ for error in errors)
    for model in (operation.answer, operation.body):
        assert model is None or (issubclass(model, BaseModel) and model.model_config.get("frozen"))
    if operation.query:
        assert issubclass(operation.query, Query)
        assert all(field.description for field in operation.query.model_fields.values())
    assert not (operation.public and (operation.needs or operation.fresh))


def test_the_guide_names_every_resource() -> None:
    text = GUIDE.read_text()
    missing = [route.tag for route in ROUTES if route.tag != "service" and f"api/v1/{route.tag}/" not in text]
    assert not missing


def test_a_route_that_says_nothing_is_an_error() -> None:
    class Silent(ApiHandler):
        def get(self, build_id: str) -> None: ...

    class Other(ApiHandler):
        @Operation()
        def get(self, name: str) -> None: ...

    with pytest.raises(TypeError, match="no @Operation"):
        Route("api/v1/build/{build_id}/", Silent)
    with pytest.raises(TypeError, match="does not take"):
        Route("api/v1/build/{build_id}/", Other)
    with pytest.raises(TypeError, match="what colour can be"):
        Route("api/v1/build/{colour}/", Other)


@pytest.mark.parametrize(
    ("template", "pattern"),
    [
        ("health", "health/?"),
        ("api/v1/", "api/v1/?"),
        ("api/v1/build/{build_id}/conda-lock.yml", r"api/v1/build/(?P<build_id>[^/]+)/conda\-lock\.yml/?"),
    ],
)
def test_a_template_is_turned_into_a_pattern(template: str, pattern: str) -> None:
    class Answering(ApiHandler):
        pass

    assert Route(template, Answering).pattern == pattern
