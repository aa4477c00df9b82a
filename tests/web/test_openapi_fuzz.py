"""Every operation of the API, asked for what its description allows and for what it does not."""

from __future__ import annotations

import re

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from requests import Response
from schemathesis.checks import load_all_checks
from schemathesis.specs.openapi import checks as of_openapi

from conda_store_hub.core.protocol import MADE_OF_PREFIXES
from conda_store_hub.web.openapi import describe
from conda_store_hub.web.routes import ROUTES
from tests.support import make
from tests.support.service import PREFIX, RunningService, service

__all__ = ["service"]

load_all_checks()
SCHEMA = schemathesis.openapi.from_dict(
    describe(ROUTES, prefix=PREFIX, cookie="session"),
    config=schemathesis.Config.from_dict({"phases": {"coverage": {"unexpected-methods": []}}}),
)
CHECKS = [
    schemathesis.checks.not_a_server_error,
    of_openapi.status_code_conformance,
    of_openapi.content_type_conformance,
    of_openapi.response_headers_conformance,
    of_openapi.response_schema_conformance,
]
#: What frames a message (RFC 9112, sections 3.2 and 6): framed wrongly, it never reaches a route.
FRAMING = ("Content-Length", "Host", "Transfer-Encoding")
#: Words of a traceback, of SQL, and of paths on this machine.
INSIDES = re.compile(r"(?i:traceback|sqlalchemy|sqlite|site-packages)|File \"|\.py\b|/tmp/|SELECT |INSERT |UPDATE ")


def show_no_insides(_: schemathesis.CheckContext, response: schemathesis.Response, case: schemathesis.Case) -> None:
    """Let no error tell how the service is made."""
    if response.status_code >= 400:
        assert not INSIDES.search(response.text), response.text


@pytest.fixture(autouse=True)
def solve_at_once(service: RunningService) -> None:
    """Have no solve take long: real ones are in test_solves.py."""
    service.solve_at_once()
    service.search_at_once()


@pytest.fixture
def known(service: RunningService) -> dict[str, object]:
    """What would be found or taken, by the names of the parts of paths and of fields in bodies."""
    build = service.completed("ml")
    service.log(build, "solving\n")
    for kind in MADE_OF_PREFIXES:
        service.store(build, kind, b"name: ml\n")
    service.submit("other")
    with service.client("alice") as alice:
        token = alice.post("api/v1/token/", json={}).json()["data"]
        member = alice.put("api/v1/namespace/alice/member/", json={"subject": "authenticated", "role": "viewer"})
        alone = alice.put("api/v1/environment/alice/ml/member/", json={"subject": "authenticated", "role": "viewer"})
    numbers = {"token_id": token["id"], "member_id": member.json()["data"]["id"], "alone": alone.json()["data"]["id"]}
    return {
        "build_id": build,
        "namespace": "alice",
        "name": "ml",
        "package": "python",
        "specification": make.text("new"),
        **numbers,
    }


# The service runs in this process: that it draws a random number meanwhile is not a fault of the strategy.
@pytest.mark.filterwarnings("ignore:Do not use the `random` module inside strategies")
# The parameter makes their ids differ: without one, pytest 9.2 gives the tests of all operations the same.
@pytest.mark.parametrize("person", ["alice"])
@SCHEMA.parametrize()
@settings(
    max_examples=20,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)
def test_an_operation_answers_as_it_is_described(
    case: schemathesis.Case, service: RunningService, known: dict[str, object], person: str
) -> None:
    ask(case, service, person)
    path = case.path_parameters or {}
    here = known | {"member_id": known["alone"]} if "name" in path and "member_id" in path else known
    for given in (path, case.body):
        if isinstance(given, dict):
            given.update({key: value for key, value in here.items() if key in given})
    ask(case, service, person)


def ask(case: schemathesis.Case, service: RunningService, person: str) -> Response:
    """Ask as that person, and for nothing that is answered only after a while."""
    headers = {"Authorization": f"Bearer {person}-token", "Accept": "text/plain"}
    if isinstance(case.query, dict) and "wait" in case.query:
        case.query["wait"] = "0"
    for name in FRAMING:
        case.headers.pop(name, None)
    return case.call_and_validate(
        base_url=service.url.rstrip("/"),
        headers=headers,
        checks=CHECKS,
        additional_checks=[show_no_insides],
        timeout=20,
    )
