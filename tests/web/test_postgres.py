"""The service on PostgreSQL: what people type that it would not keep, and two who do contrary things at once."""

from __future__ import annotations

import threading
from collections.abc import Generator

import pytest

from conda_store_hub.core.names import DataDirectory
from tests.support import make
from tests.support.postgres import Postgres, postgres
from tests.support.service import RunningService, run_service

__all__ = ["postgres"]


@pytest.fixture
def service(postgres: Postgres, data: DataDirectory) -> Generator[RunningService]:
    with postgres.new_url() as url, run_service(data, database_url=url) as running:
        yield running


def test_what_a_column_cannot_hold_is_refused_in_words(service: RunningService) -> None:
    service.submit()
    with service.client("root") as root:
        for path in ("environment/?search=%00", "build/?name=a%00b", "audit/?actor=%00", "token/?user=root%00"):
            assert root.get(f"api/v1/{path}").status_code in (200, 400, 404), path
        for path in (
            "build/?environment_id=99999999999",
            "audit/?before=99999999999",
        ):
            answer = root.get(f"api/v1/{path}")
            assert answer.status_code == 400, (path, answer.text)
        for path in ("build/2147483648/", "build/9999999999/logs/", "namespace/root/member/9999999999/"):
            assert root.request("DELETE" if "member" in path else "GET", f"api/v1/{path}").status_code == 404
        for body in (
            {"label": "a\0b"},
            {"label": "x", "namespaces": ["a\0b"]},
            {"label": "x", "role_bindings": {"a\0b/*": ["viewer"]}},
        ):
            assert root.post("api/v1/token/", json=body).status_code in (400, 404), body
        assert root.put("api/v1/namespace/root/metadata", json={"x": "a\0b"}).status_code in (200, 400)
        described = {"specification": make.text("x"), "environment_description": "a\0b"}
        assert root.post("api/v1/specification/", json=described).status_code == 400
        assert root.put("api/v1/environment/alice/ml/", json={"build_id": 2**31}).status_code == 404


def test_nothing_lives_on_in_a_namespace_that_was_deleted_at_the_same_moment(service: RunningService) -> None:
    with service.client("alice") as alice, service.client("root") as root:
        assert alice.get("api/v1/namespace/").status_code == 200
        for number in range(8):
            body = {"specification": make.text(f"e{number}"), "namespace": "group.physics"}
            submit = threading.Thread(target=lambda body=body: alice.post("api/v1/specification/", json=body))
            submit.start()
            root.delete("api/v1/namespace/group.physics/?force=true")
            submit.join()
            left = root.get("api/v1/build/?status=QUEUED").json()["data"]
            living = {row["name"] for row in root.get("api/v1/namespace/").json()["data"]}
            assert {row["namespace"] for row in left} <= living
            root.put("api/v1/namespace/group.physics/restore/", json={})
