"""openapi.json and the page /docs/api/: right, for everybody, and of every route."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from openapi_spec_validator import validate

from conda_store_hub import __version__
from conda_store_hub.core.names import DataDirectory
from conda_store_hub.web.openapi import describe
from conda_store_hub.web.operations import Operation
from conda_store_hub.web.routes import ROUTES
from tests.support.service import PREFIX, RunningService, run_service, service

__all__ = ["service"]

DOCUMENT = describe(ROUTES, prefix=PREFIX, cookie="session")


def operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield every operation of the document with its path and method."""
    for path, methods in DOCUMENT["paths"].items():
        for method, operation in methods.items():
            yield path, method, operation


def test_the_document_is_openapi() -> None:
    validate(DOCUMENT)


def test_the_document_is_served_to_everybody_and_kept(service: RunningService) -> None:
    with service.client() as anybody:
        first = anybody.get("api/v1/openapi.json")
        again = anybody.get("api/v1/openapi.json", headers={"If-None-Match": first.headers["ETag"]})
        head = anybody.head("api/v1/openapi.json")
    assert (first.status_code, first.headers["Content-Type"]) == (200, "application/json")
    assert (again.status_code, again.content) == (304, b"")
    assert head.headers["ETag"] == first.headers["ETag"]
    document = first.json()
    assert document["info"]["version"] == __version__
    assert document["servers"] == [{"url": PREFIX.rstrip("/")}]
    assert document["components"]["securitySchemes"]["session"]["name"] == "service-conda-store-hub"
    assert service.hub.asked == []


def test_the_document_and_the_page_are_there_before_the_database_is(data: DataDirectory) -> None:
    with run_service(data, ready=False) as starting, starting.client() as anybody:
        assert anybody.get("api/v1/openapi.json").status_code == 200
        assert anybody.get("docs/api/").status_code == 200


def test_every_operation_has_a_name_of_its_own_and_a_summary() -> None:
    names = [operation["operationId"] for _, _, operation in operations()]
    assert len(names) == len(set(names)) > 15
    assert all(operation["summary"].endswith(".") for _, _, operation in operations())


@pytest.mark.parametrize(
    ("path", "method", "statuses"),
    [
        ("/health", "get", {"200", "400", "500", "503"}),
        ("/api/v1/build/", "get", {"200", "400", "401", "403", "500", "503"}),
        ("/api/v1/build/{build_id}/archive/", "get", {"200", "206", "304", "404", "409", "416"}),
        ("/api/v1/specification/", "post", {"200", "400", "404", "409", "411", "413", "507"}),
        ("/api/v1/kernels/", "get", {"200", "304"}),
    ],
)
def test_an_operation_names_the_statuses_that_can_be(path: str, method: str, statuses: set[str]) -> None:
    assert statuses <= set(DOCUMENT["paths"][path][method]["responses"])


def test_parameters_say_what_they_may_be() -> None:
    builds = {item["name"]: item for item in DOCUMENT["paths"]["/api/v1/build/"]["get"]["parameters"]}
    assert builds["page"]["schema"] == {"type": "integer", "minimum": 1, "maximum": 1_000_000_000, "default": 1}
    assert builds["status"]["schema"]["enum"][0] == "QUEUED"
    assert "null" not in str(builds)
    one = DOCUMENT["paths"]["/api/v1/environment/{namespace}/{name}/"]["put"]
    assert [(item["in"], item["required"]) for item in one["parameters"]] == [("path", True)] * 2
    assert one["parameters"][0]["schema"]["maxLength"] == 63


def test_what_stands_below_a_field_is_its_description() -> None:
    schemas = DOCUMENT["components"]["schemas"]
    assert schemas["SubmitSpecification"]["properties"]["specification"]["description"].startswith("An `environment")
    assert schemas["Build"]["properties"]["position"]["description"] == "Place in the queue, from 1, while QUEUED."


def test_who_may_is_said_by_the_names_of_permissions() -> None:
    def security(path: str, method: str = "get") -> Any:
        return DOCUMENT["paths"][path][method]["security"]

    assert security("/health") == []
    assert {} in security("/api/v1/permission/")
    assert security("/api/v1/build/{build_id}/cancel/", "put") == [
        {"token": ["build::cancel"]},
        {"password": ["build::cancel"]},
        {"session": ["build::cancel"], "xsrf": ["build::cancel"]},
    ]


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.template)
def test_what_is_public_is_answered_without_the_hub_and_nothing_else(route: Any, data: DataDirectory) -> None:
    found = [(method, operation) for method, operation in route.operations if method == "GET"]
    with run_service(data) as service, service.client() as anybody:
        for method, operation in found:
            address = route.template.format(**dict.fromkeys(route.parts, 1) | {"namespace": "alice", "name": "ml"})
            status = anybody.request(method, address).status_code
            assert (status == 401) is not (operation.public or operation.anonymous), address


def test_a_method_that_is_not_declared_is_none(service: RunningService) -> None:
    with service.client("alice") as alice:
        answer = alice.delete("api/v1/openapi.json")
    assert (answer.status_code, answer.headers["Allow"]) == (405, "GET, HEAD")
    assert answer.json()["code"] == "method-not-allowed"


@pytest.fixture
def page(service: RunningService) -> httpx.Response:
    with service.client() as anybody:
        return anybody.get("docs/api/")


def test_the_page_has_every_route_and_value(page: httpx.Response) -> None:
    assert page.status_code == 200
    for path, method, operation in operations():
        assert f"<code>{path[1:]}</code>" in page.text
        assert f">{method.upper()}<" in page.text
        for parameter in operation.get("parameters", []):
            assert f"<code>{parameter['name']}</code>" in page.text
    for name in DOCUMENT["components"]["schemas"]:
        assert f'id="{name}"' in page.text


def test_the_page_says_what_a_route_needs(page: httpx.Response) -> None:
    assert "Who has <code>environment::update</code> there." in page.text
    assert "Everybody who is logged in." in page.text
    assert "a whole number from 1 to 1000000000" in page.text
    assert "range-not-satisfiable" in page.text


def test_the_guide_leads_to_the_page_from_everywhere(service: RunningService) -> None:
    with service.client() as anybody:
        for path in ("docs", "docs/", "docs/command-line/"):
            assert f'href="{PREFIX}docs/api/"' in anybody.get(path).text
            assert 'href="api/"' not in anybody.get(path).text


def test_an_operation_declares_the_docstring_of_its_method() -> None:
    @Operation(public=True)
    def get() -> None:
        """Tell.

        In many words.
        """

    declared = get.operation  # type: ignore[attr-defined]
    assert (declared.summary, declared.description, declared.public) == ("Tell.", "In many words.", True)
