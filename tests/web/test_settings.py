"""Settings over the API, and what they mean for what is submitted."""

from __future__ import annotations

import json
import logging
from typing import Any

import httpx
import pytest

from conda_store_hub.core import policy
from conda_store_hub.core.names import DataDirectory
from tests.support import make
from tests.support.service import RunningService, run_service, service

__all__ = ["service"]

SPECIFICATION = "api/v1/specification/"


def put(client: httpx.Client, place: str = "alice/", **given: Any) -> httpx.Response:
    return client.put(f"api/v1/setting/{place}", json=given)


def submit(client: httpx.Client, *dependencies: str, **request: Any) -> httpx.Response:
    return client.post(SPECIFICATION, json={"specification": make.text("ml", *dependencies), **request})


def test_every_key_is_told_with_value_source_and_description(service: RunningService) -> None:
    service.completed()
    with service.client("alice") as alice, service.client("root") as root:
        for client, place in ((root, ""), (alice, "alice/"), (alice, "alice/ml/")):
            told = client.get(f"api/v1/setting/{place}").json()["data"]
            assert set(told) == set(policy.KEYS)
            assert all(
                one["description"] and one["takes"] and one["source"] == "configuration" for one in told.values()
            )
        assert told["channel_aliases"]["settable"] is False
        assert told["default_channels"]["value"] == ["main"]


def test_what_is_set_counts_for_the_next_who_submits(service: RunningService) -> None:
    with service.client("alice") as alice, service.client("root") as root, service.client("bob") as bob:
        assert put(root, "", forbidden_packages=["badlib"]).is_success
        answer = put(alice, forbidden_packages=["numpy<2"], quota_builds=1)
        assert answer.json()["data"]["forbidden_packages"]["value"] == ["badlib", "numpy<2"]
        refused = submit(alice, "python", "numpy=1.26")
        assert (refused.status_code, refused.json()["code"], refused.json()["line"]) == (400, "policy-refused", 6)
        assert "policy of the namespace forbids “numpy<2”" in refused.json()["message"]
        assert "policy of the service forbids" in submit(bob, "badlib").json()["message"]
        assert submit(bob, "numpy=1.26").is_success
        assert submit(alice, "numpy").is_success
        full = submit(alice, "numpy")
        assert (full.status_code, full.json()["code"]) == (409, "quota-exceeded")
        assert put(alice, quota_builds=None).is_success
        assert submit(alice, "numpy").is_success


def test_who_began_with_an_older_build_is_told_and_one_can_be_made_without_becoming_active(
    service: RunningService,
) -> None:
    first = service.completed()
    with service.client("alice") as alice:
        second = submit(alice, "numpy", latest_build_id=first, activate=False).json()["data"]["build_id"]
        late = submit(alice, "python", latest_build_id=first)
        assert (late.status_code, late.json()["code"]) == (412, "edit-conflict")
        assert submit(alice, "python", latest_build_id=second).is_success
        service.claim(second)
        service.use(second)
        assert alice.get("api/v1/environment/alice/ml/").json()["data"]["current_build_id"] == first


def test_the_form_refuses_what_the_api_refuses(service: RunningService) -> None:
    with service.client("alice") as alice:
        put(alice, forbidden_packages=["python"])
        answer = alice.post("create/", data={"specification": make.text(), "namespace": "alice"})
    assert answer.status_code == 400
    assert "forbids “python”" in answer.text


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("[]", "must be a JSON object"),
        ("{", "not JSON"),
        ('{"quota_build": 1}', "Did you mean quota_builds?"),
        ('{"quota_builds": 1e400}', "quota_builds"),
        ('{"quota_builds": NaN}', "quota_builds"),
        ('{"quota_builds": 99999999999999999999999999}', "a whole number from 0 to"),
        (json.dumps({"forbidden_packages": ["a"] * 10_000}), "at most 1000 packages"),
        ('{"forbidden_packages": ["\\u0000"]}', "forbidden_packages"),
        ('{"forbidden_packages": ["\\ud800"]}', ""),
        ('{"default_channels": ["../../etc"]}', "neither the name of a channel"),
        ('{"keep_days": ' + "[" * 5000 + "]" * 5000 + "}", ""),
        (json.dumps({"k" * 100_000: 1}), "There is no setting"),
        (json.dumps({f"k{number}": 1 for number in range(10_000)}), "There is no setting"),
        ('{"build_seconds": 99999}', "can only be made tighter here"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused_in_words(service: RunningService, body: str, says: str) -> None:
    with service.client("alice") as alice:
        answer = alice.put("api/v1/setting/alice/", content=body)
        assert answer.status_code == 400, answer.text
        assert says in answer.json()["message"]
        assert len(answer.text) < 1500
        assert all(not one["given"][1:] for one in alice.get("api/v1/setting/alice/").json()["data"].values())


def test_a_check_that_fails_is_a_refusal_and_no_fault_of_the_service(
    data: DataDirectory, caplog: pytest.LogCaptureFixture
) -> None:
    def hook(proposal: Any) -> str | None:
        if proposal.namespace == "alice":
            raise RuntimeError("secret")
        return f"{proposal.who} may build no {proposal.environment}."

    with (
        run_service(data, rules=make.rules(hook=hook)) as running,
        running.client("alice") as alice,
        running.client("bob") as bob,
    ):
        log = running.services.auth.log
        log.addHandler(caplog.handler)
        answer = submit(alice)
        assert (answer.status_code, answer.json()["code"]) == (400, "policy-refused")
        assert "secret" not in answer.text
        assert any(record.exc_info and record.levelno == logging.ERROR for record in caplog.records)
        assert submit(bob).json()["message"] == "bob may build no ml."
        log.removeHandler(caplog.handler)
        assert alice.get("api/v1/build/").json()["count"] == 0
