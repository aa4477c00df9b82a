"""What the service tells Prometheus, who may read it, and that it is what Prometheus reads."""

from __future__ import annotations

import pytest
from prometheus_client.parser import text_string_to_metric_families

from conda_store_hub.core.names import DataDirectory
from conda_store_hub.core.protocol import ArtifactType
from conda_store_hub.web.predefined import AuthenticationBackend
from tests.support.service import RunningService, run_service, service

__all__ = ["service"]

METRICS_TOKEN = "a-token-for-prometheus"


def scrape(service: RunningService, who: str | None = "root") -> dict[tuple[str, ...], float]:
    """Return each sample by name and labels."""
    with service.client(who) as client:
        answer = client.get("metrics")
    assert answer.status_code == 200, answer.text
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    families = list(text_string_to_metric_families(answer.text))
    assert all(family.documentation and family.type != "unknown" for family in families)
    return {
        (sample.name, *(f"{key}={value}" for key, value in sample.labels.items())): sample.value
        for family in families
        for sample in family.samples
    }


def test_prometheus_reads_how_the_service_is(service: RunningService) -> None:
    build_id = service.completed()
    service.store(build_id, ArtifactType.YAML, b"1234567")
    service.submit("waits")
    with service.client("alice") as alice:
        for address in ("api/v1/build/1/", "api/v1/build/2/", "api/v1/build/99/", "environment/alice/ml/", "nowhere"):
            alice.get(address)
        alice.get("api/nowhere")
        alice.request("BREW", "api/v1/build/1/")
    found = scrape(service)
    assert found["conda_store_hub_builds", "status=queued"] == 1
    assert found["conda_store_hub_builds", "status=building"] == 0
    assert found["conda_store_hub_builds_ended_total", "status=failed"] == 0
    assert found["conda_store_hub_build_phase_seconds_count", "phase=solve"] == 0
    assert (found[("conda_store_hub_prefixes_bytes",)], found[("conda_store_hub_artifacts_bytes",)]) == (1000, 7)
    assert found[("conda_store_hub_images_bytes",)] == 0
    assert 0 < found[("conda_store_hub_data_disk_free_bytes",)] < found[("conda_store_hub_data_disk_size_bytes",)]
    assert found[("process_resident_memory_bytes",)] > 0
    requests = {key[1:]: value for key, value in found.items() if key[0] == "conda_store_hub_http_requests_total"}
    assert requests == {
        ("method=GET", "route=/api/v1/build/{build_id}/", "status=2xx"): 2,
        ("method=GET", "route=/api/v1/build/{build_id}/", "status=4xx"): 1,
        ("method=other", "route=/api/v1/build/{build_id}/", "status=4xx"): 1,
        ("method=GET", "route=/environment/", "status=2xx"): 1,
        ("method=GET", "route=other", "status=4xx"): 2,
    }
    key = ("method=GET", "route=/environment/")
    assert found["conda_store_hub_http_request_duration_seconds_count", *key] == 1
    assert not any("alice" in part or "ml" in part.split("/") for key in found for part in key)


def test_builds_that_end_while_they_are_queued_are_counted_each(service: RunningService) -> None:
    first, *_ = (service.submit(name) for name in ("one", "two", "two", "three"))
    with service.client("alice") as alice:
        assert alice.put(f"api/v1/build/{first}/cancel/").status_code == 200
        assert alice.delete("api/v1/environment/alice/two/?force=true").status_code == 200
        assert scrape(service)["conda_store_hub_builds_ended_total", "status=canceled"] == 3
    with service.client("root") as root:
        assert root.delete("api/v1/namespace/alice/?force=true").status_code == 200
    assert scrape(service)["conda_store_hub_builds_ended_total", "status=canceled"] == 4


def test_what_takes_long_to_add_up_is_as_it_was_at_a_scrape_before(service: RunningService) -> None:
    first = scrape(service)
    service.completed()
    second = scrape(service)
    assert first[("conda_store_hub_prefixes_bytes",)] == second[("conda_store_hub_prefixes_bytes",)] == 0
    assert second["conda_store_hub_http_requests_total", "method=GET", "route=/metrics", "status=2xx"] == 1


@pytest.mark.parametrize(("who", "status", "says"), [(None, 401, "Log in first"), ("alice", 403, "metrics::read")])
def test_who_may_not_read_them_is_told_in_plain_text(
    service: RunningService, who: str | None, status: int, says: str
) -> None:
    with service.client(who) as client:
        answer = client.get("metrics")
    assert (answer.status_code, answer.headers["Content-Type"]) == (status, "text/plain; charset=utf-8")
    assert says in answer.text
    assert "{" not in answer.text


def test_a_token_for_metrics_reads_them_and_nothing_else(service: RunningService) -> None:
    service.completed()
    tokens = {METRICS_TOKEN: {"metrics": True}, "a-token-for-something": {"role_bindings": {"*/*": ["viewer"]}}}
    service.services.auth.backend = AuthenticationBackend(predefined_tokens=tokens)
    headers = {"Authorization": f"Bearer {METRICS_TOKEN}"}
    with service.client(headers=headers) as prometheus:
        assert prometheus.get("metrics").status_code == 200
        assert prometheus.get("api/v1/environment/").json()["data"] == []
        assert prometheus.get("api/v1/build/1/").status_code == 404
        assert prometheus.get("api/v1/setting/").status_code == 403
    with service.client(headers={"Authorization": "Bearer a-token-for-something"}) as viewer:
        assert viewer.get("metrics").status_code == 403


def test_a_site_may_open_them_to_everybody(data: DataDirectory) -> None:
    with run_service(data, authenticate_metrics=False) as service:
        assert scrape(service, None)[("conda_store_hub_data_disk_size_bytes",)] > 0
