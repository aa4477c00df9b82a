"""What pages say of container images: the lines to copy, and how the image of a build stands."""

from __future__ import annotations

from collections.abc import Generator

import pytest

from conda_store_hub.core.names import DataDirectory
from conda_store_hub.core.protocol import ArtifactState, ArtifactType
from conda_store_hub.services import builds, work
from conda_store_hub.storage import prefixes
from conda_store_hub.web.registry.place import Registry
from tests.support import make
from tests.support.ports import find_port
from tests.support.service import IDENTITIES, RunningService, run_service
from tests.web.test_pages import NAVIGATE, Page, get
from tests.web.test_pages_build import send

LAYER = bytes(range(256)) * 40


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Generator[RunningService]:
    """A service that offers images at the Hub's own address."""
    data = DataDirectory(tmp_path_factory.mktemp("d"))
    prefixes.ensure_data_directory(data, publish_links=False)
    with run_service(data, registry=Registry(through_hub=True)) as running:
        yield running


def host(service: RunningService) -> str:
    return service.root_url.removeprefix("http://")


def state_of(service: RunningService, build_id: int) -> ArtifactState | None:
    build = service.db.read_sync(builds.get_build, IDENTITIES["alice"], build_id, data=service.services.data)
    rows = (*build.build_artifacts, *build.unfinished_artifacts)
    return next((row.state for row in rows if row.artifact_type is ArtifactType.DOCKER_MANIFEST), None)


def fail_image(service: RunningService, build_id: int, words: str) -> None:
    event = make.artifact_event(ArtifactType.DOCKER_MANIFEST).model_copy(update={"error": words})
    service.db.write_sync(work.record_artifact, service.tickets[build_id], event, "")


def test_each_page_has_the_line_that_pulls_what_it_is_about(service: RunningService) -> None:
    build_id = service.completed("My-ML")
    image = f"docker pull {host(service)}/alice/my-ml"
    assert image in get(service, "").text
    assert image in get(service, "environment/alice/My-ML/").text
    page = get(service, f"build/{build_id}/")
    assert f"{image}:{build_id}" in page.text
    assert page.has("button", **{"data-copy": "pull"})


def test_the_line_is_for_the_host_at_which_the_page_is_seen(service: RunningService) -> None:
    service.completed("seen")
    for name, shown in {"hub.example.org": "hub.example.org", "hub": "hub:443"}.items():
        headers = {"Host": name, "X-Forwarded-Proto": "https,http", **NAVIGATE}
        with service.client("alice", headers=headers) as alice:
            assert f"docker pull {shown}/alice/seen" in alice.get("environment/alice/seen/").text


def test_a_host_that_is_none_is_shown_nowhere(service: RunningService) -> None:
    service.completed("odd")
    with service.client("alice", headers={"Host": "a!b;$(c)"}) as alice:
        page = alice.get("environment/alice/odd/", headers=NAVIGATE)
    assert page.status_code == 200
    assert "docker pull" not in page.text


def test_where_no_registry_is_offered_there_is_no_line(data: DataDirectory) -> None:
    with run_service(data) as service:
        build_id = service.completed()
        for path in ("", "environment/alice/ml/", f"build/{build_id}/", "user/"):
            text = get(service, path).text
            assert "docker pull" not in text, path
            assert "docker login" not in text, path


def test_a_port_of_its_own_stands_in_the_line(data: DataDirectory) -> None:
    registry = Registry(port=find_port())
    with run_service(data, registry=registry) as service:
        service.completed()
        assert f"docker pull 127.0.0.1:{registry.port}/alice/ml" in get(service, "environment/alice/ml/").text


def test_the_page_of_a_user_has_the_line_to_log_in(service: RunningService) -> None:
    with service.browser("alice") as alice:
        assert f"docker login -u token {host(service)}" in Page(alice.get("user/", headers=NAVIGATE)).text
        made = Page(send(alice, "user/", label="pull", role="viewer", end="never"))
    token = made.text.partition("CONDA_STORE_TOKEN=")[2].split()[0]
    assert f"docker login -u token -p {token} {host(service)}" in made.text


def test_an_image_that_is_not_there_can_be_made(service: RunningService) -> None:
    build_id = service.completed("first")
    service.finish(build_id)
    page = get(service, f"build/{build_id}/")
    assert "It is made when somebody who is logged in first pulls it" in page.text
    with service.browser("alice") as alice:
        answer = send(alice, f"build/{build_id}/", action="make", artifact_type="DOCKER_MANIFEST")
        assert answer.url.fragment == "image"
    assert state_of(service, build_id) is ArtifactState.PENDING
    page = get(service, f"build/{build_id}/")
    assert "It is being made." in page.text
    assert "Make it (container image)" not in page.text
    service.claim(build_id)
    assert "Make the image" in get(service, f"build/{build_id}/").text, "among the steps that are to come"
    service.store_image(build_id, LAYER)
    service.finish(build_id)
    page = get(service, f"build/{build_id}/")
    assert "It is there. With all its layers it has 10.2 kB" in " ".join(page.text.split())
    assert "(container image)" not in page.text


def test_who_may_read_can_have_it_made_and_who_may_change_can_have_it_tried_again(service: RunningService) -> None:
    build_id = service.completed("shared")
    with service.client("alice") as api:
        body = {"subject": "user", "name": "bob", "role": "viewer"}
        assert api.put("api/v1/environment/alice/shared/member/", json=body).status_code in (200, 201)
    assert "Make it (container image)" in get(service, f"build/{build_id}/", "bob").text
    fail_image(service, build_id, "The base image cannot be read.")
    service.finish(build_id)
    for name, offered in {"bob": False, "alice": True}.items():
        page = get(service, f"build/{build_id}/", name)
        assert "The base image cannot be read." in page.text
        assert ("Try again (container image)" in page.text) is offered, name
    with service.browser("bob") as bob:
        assert send(bob, f"build/{build_id}/", action="again", artifact_type="DOCKER_MANIFEST").status_code == 403
    assert state_of(service, build_id) is ArtifactState.FAILED
    with service.browser("alice") as alice:
        send(alice, f"build/{build_id}/", action="again", artifact_type="DOCKER_MANIFEST")
    assert state_of(service, build_id) is ArtifactState.PENDING


def test_a_build_without_files_has_no_image_to_make(service: RunningService) -> None:
    build_id = service.completed("gone")
    service.finish(build_id)
    service.finish(service.completed("gone"))
    with service.client("alice") as api:
        assert api.delete(f"api/v1/build/{build_id}/").status_code == 200
    assert "docker pull" not in get(service, f"build/{build_id}/").text
    waiting = service.submit("waiting")
    assert "docker pull" not in get(service, f"build/{waiting}/").text
