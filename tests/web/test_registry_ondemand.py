"""Pulls of images on demand: waited for by many, with the reason for who gets none, and by the book."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager

import httpx
import pytest
from sqlalchemy.orm import Session

from conda_store_hub.core.errors import PackageNotFoundError
from conda_store_hub.core.names import DataDirectory
from conda_store_hub.core.oci import Manifest
from conda_store_hub.db.tables import Environment, OnDemand
from conda_store_hub.services import builds, ondemand, ondemand_limits, removals, work
from conda_store_hub.services.specifications import PreparedSpecification
from conda_store_hub.storage import prefixes
from tests.support.process import until
from tests.support.service import IDENTITIES, RunningService, run_service
from tests.web.test_registry import LAYER, code_of, digest_of, pulling

ROOT = "/v2/conda-store-dynamic"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Generator[RunningService]:
    """One service; each test names packages of its own."""
    data = DataDirectory(tmp_path_factory.mktemp("d"))
    prefixes.ensure_data_directory(data, publish_links=False)
    with run_service(data, allow_anonymous=True) as running:
        yield running


@contextmanager
def waiting(*pulls: Callable[[], httpx.Response]) -> Generator[list[httpx.Response]]:
    """Have all of them pull at once; they have their answers at the end."""
    answers: list[httpx.Response] = []
    threads = [threading.Thread(target=lambda pull=pull: answers.append(pull())) for pull in pulls]
    for thread in threads:
        thread.start()
    yield answers
    for thread in threads:
        thread.join(30)


def queued(service: RunningService) -> int:
    """Return the one build that is queued, once it is."""
    found: list[int] = []

    def is_queued() -> bool:
        rows, _ = service.db.read_sync(
            builds.list_builds, IDENTITIES["root"], page=1, size=9, status="QUEUED", namespace="conda-store-dynamic"
        )
        found[:] = [row.id for row in rows]
        return bool(found)

    until(is_queued)
    (build_id,) = found
    return build_id


def build(service: RunningService, build_id: int) -> Manifest:
    service.claim(build_id)
    service.use(build_id)
    manifest = service.store_image(build_id, LAYER, str(build_id).encode())
    service.finish(build_id)
    return manifest


def pulled(service: RunningService, name: str) -> Manifest:
    """Have the image of a name built and pulled by alice."""
    with pulling(service) as alice, waiting(lambda: alice.get(f"{ROOT}/{name}/manifests/latest")) as answers:
        manifest = build(service, queued(service))
    (answer,) = answers
    assert (answer.status_code, answer.content) == (200, manifest.to_json())
    return manifest


def test_many_who_name_the_same_get_one_image_and_who_leaves_stops_nobody(service: RunningService) -> None:
    names = ("many.ge.1.lt.3/other", "other/many.lt.3/many.ge.1")
    with contextlib.ExitStack() as stack:
        stay = [stack.enter_context(pulling(service, who)) for who in ("alice", "bob") for _ in range(30)]
        leave = [stack.enter_context(pulling(service, "root", timeout=1)) for _ in range(3)]

        def pull(client: httpx.Client, number: int) -> httpx.Response:
            return client.request(("GET", "HEAD")[number % 3 == 0], f"{ROOT}/{names[number % 2]}/manifests/latest")

        for client in leave:
            with pytest.raises(httpx.ReadTimeout):
                pull(client, 0)
        with waiting(*(lambda client=client, n=n: pull(client, n) for n, client in enumerate(stay))) as answers:
            manifest = build(service, queued(service))
    assert [answer.status_code for answer in answers] == [200] * len(stay)
    assert {answer.headers["Docker-Content-Digest"] for answer in answers} == {digest_of(manifest.to_json())}
    assert service.db.write_sync(work.claim, "local:test") is None, "nothing more is to be made"


def test_one_that_expires_while_it_is_looked_at_is_built_again(
    service: RunningService, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = pulled(service, "expires")
    check, gone = ondemand.check, list[str]()

    def expire(session: Session) -> None:
        row = session.query(OnDemand).filter_by(wish="expires").one()
        gone.append(session.get_one(Environment, row.environment_id).name)
        removals.delete_environment(session, IDENTITIES["root"], "conda-store-dynamic", gone[0], force=True)

    def check_late(asked: ondemand.Asked) -> PreparedSpecification:
        if not gone:
            service.db.write_sync(expire)
        return check(asked)

    monkeypatch.setattr(ondemand, "check", check_late)
    assert pulled(service, "expires") != first
    assert gone


def test_all_that_an_image_has_is_found_under_each_name_of_it(service: RunningService) -> None:
    manifest = pulled(service, "whole.eq.2/python")
    digest, layer = digest_of(manifest.to_json()), manifest.layers[0].digest
    with pulling(service, "bob") as bob:
        for name in ("whole.eq.2/python", "python/whole.eq.2"):
            assert bob.get(f"{ROOT}/{name}/manifests/{digest}").content == manifest.to_json()
            assert bob.get(f"{ROOT}/{name}/blobs/{layer}").content == LAYER
            assert bob.get(f"{ROOT}/{name}/referrers/{digest}").json()["manifests"] == []
            tags = bob.get(f"{ROOT}/{name}/tags/list").json()
            assert (tags["name"], tags["tags"][-1]) == (f"conda-store-dynamic/{name}", "latest")
        (own,) = (name for name in bob.get("/v2/_catalog").json()["repositories"] if "python-whole.eq.2-" in name)
        assert bob.get(f"/v2/{own}/manifests/latest").content == manifest.to_json()
        for what in (f"manifests/{digest}", f"blobs/{layer}", "tags/list"):
            assert code_of(bob.get(f"{ROOT}/whole.eq.2/{what}")) == "NAME_UNKNOWN"


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_pull_that_has_waited_long_enough_is_told_where_to_look(
    service: RunningService, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    monkeypatch.setattr("conda_store_hub.web.registry.content.LONGEST_SECONDS", 0.1)
    with pulling(service) as alice:
        answer = alice.request(method, f"{ROOT}/slow.{method.lower()}/manifests/latest")
        assert answer.status_code == 429
        assert int(answer.headers["Retry-After"]) > 0
        build_id = queued(service)
        told = answer.text if method == "GET" else answer.headers["Warning"]
        assert f"{service.url}build/{build_id}/ tells how far it is" in told
        if method == "GET":
            assert code_of(answer) == "TOOMANYREQUESTS"
        service.claim(build_id)
        service.use(build_id)
        answer = alice.get(f"{ROOT}/slow.{method.lower()}/manifests/latest")
        assert (answer.status_code, f"/build/{build_id}/" in answer.text) == (429, True)
        service.finish(build_id, make_error("gone"))


def test_who_waits_for_more_than_one_may_is_told_so_and_others_are_not(
    service: RunningService, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting_for = service.services.pulling
    monkeypatch.setattr(waiting_for, "of_one", 1)
    with pulling(service) as alice, pulling(service) as alice_too, pulling(service, "bob") as bob:
        where = f"{ROOT}/in-line/manifests/latest"
        with waiting(lambda: alice.get(where), lambda: bob.get(where)) as answers:
            until(lambda: waiting_for.total == 2)
            refused = alice_too.get(where)
            assert (refused.status_code, code_of(refused)) == (429, "TOOMANYREQUESTS")
            assert "You wait for 1 images already" in refused.text
            assert int(refused.headers["Retry-After"]) > 0
            build(service, queued(service))
        assert [answer.status_code for answer in answers] == [200, 200]
        assert alice_too.get(where).status_code == 200
    assert waiting_for.total == 0


def make_error(name: str) -> PackageNotFoundError:
    return PackageNotFoundError(f"There is no package {name}.")


def test_what_cannot_be_is_answered_with_the_reason_at_once_and_again(service: RunningService) -> None:
    with pulling(service) as alice:
        with waiting(lambda: alice.get(f"{ROOT}/nosuch/manifests/latest")) as answers:
            build_id = queued(service)
            service.claim(build_id)
            service.finish(build_id, make_error("nosuch"))
        for answer in (*answers, alice.get(f"{ROOT}/nosuch/manifests/latest")):
            assert (answer.status_code, code_of(answer)) == (404, "NAME_UNKNOWN")
            assert "There is no package nosuch." in answer.text
        answer = alice.head(f"{ROOT}/nosuch/manifests/latest")
        assert answer.status_code == 404
        assert answer.headers["Warning"].startswith('299 - "There is no package nosuch.')


def test_a_build_that_is_cancelled_or_deleted_ends_the_wait(service: RunningService) -> None:
    with pulling(service) as alice, service.client("root") as root:
        with waiting(lambda: alice.get(f"{ROOT}/cancelled/manifests/latest")) as answers:
            assert root.put(f"api/v1/build/{queued(service)}/cancel/").status_code == 200
        with waiting(lambda: alice.get(f"{ROOT}/deleted/manifests/latest")) as others:
            build = root.get(f"api/v1/build/{queued(service)}/").json()["data"]
            where = f"api/v1/environment/conda-store-dynamic/{build['environment']}/"
            assert root.delete(where, params={"force": "true"}).status_code == 200
    assert "was cancelled" in answers[0].text
    assert {code_of(answer) for answer in (*answers, *others)} == {"MANIFEST_UNKNOWN"}


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("python.lt", "no version after"),
        ("python.lt.abc", "is no version"),
        ("python.lt.3.10/python.ge.3.12", "No version of “python” can be"),
        ("/".join(f"p{number}" for number in range(21)), "at most 20"),
        ("/".join(["a" * 50] * 6), "at most 255 characters"),
        ("Python", "lower-case"),
    ],
)
def test_a_name_that_says_nothing_is_refused_in_words(service: RunningService, name: str, words: str) -> None:
    with pulling(service) as alice:
        answer = alice.get(f"{ROOT}/{name}/manifests/latest")
    assert (answer.status_code, code_of(answer)) == (400, "NAME_INVALID")
    assert words in answer.text


def test_who_is_not_logged_in_and_was_given_nothing_is_asked_to_log_in(service: RunningService) -> None:
    pulled(service, "private")
    for headers in ({}, {"Authorization": "Bearer anonymous"}, {"Authorization": "Bearer nothing"}):
        with pulling(service, None, headers=headers) as nobody:
            for name in ("private", "other-private"):
                answer = nobody.get(f"{ROOT}/{name}/manifests/latest")
                assert (answer.status_code, code_of(answer)) == (401, "UNAUTHORIZED")


def test_policy_and_rate_are_said_by_the_book(service: RunningService, monkeypatch: pytest.MonkeyPatch) -> None:
    with service.client("root") as root, pulling(service, "carol") as carol:
        limit = {"forbidden_packages": ["evil"]}
        assert root.put("api/v1/setting/conda-store-dynamic/", json=limit).status_code == 200
        answer = carol.get(f"{ROOT}/evil/manifests/latest")
        assert (answer.status_code, code_of(answer)) == (403, "DENIED")
        assert "forbids “evil”" in answer.text
        monkeypatch.setattr(ondemand_limits, "MOST_AN_HOUR", 1)
        monkeypatch.setattr("conda_store_hub.web.registry.content.LONGEST_SECONDS", 0.1)
        assert code_of(carol.get(f"{ROOT}/first/manifests/latest")) == "TOOMANYREQUESTS"
        refused = carol.get(f"{ROOT}/second/manifests/latest")
        assert (refused.status_code, code_of(refused)) == (429, "TOOMANYREQUESTS")
        assert int(refused.headers["Retry-After"]) > 3000
        assert root.put(f"api/v1/build/{queued(service)}/cancel/").status_code == 200


def test_what_ones_own_policy_forbids_is_refused_by_whatever_name_it_is_pulled(service: RunningService) -> None:
    manifest = pulled(service, "refused.ge.1")
    with service.client("root") as root, pulling(service, "bob") as bob, pulling(service, "alice") as alice:
        assert bob.get(f"{ROOT}/refused.ge.1/manifests/latest").status_code == 200
        limit = {"forbidden_packages": ["ipykernel"]}
        assert root.put("api/v1/setting/bob/", json=limit).status_code == 200
        tags = bob.get(f"{ROOT}/refused.ge.1/tags/list").json()["tags"]
        (own,) = (name for name in bob.get("/v2/_catalog").json()["repositories"] if "refused.ge.1-" in name)
        digest = digest_of(manifest.to_json())
        places = [f"{ROOT}/refused.ge.1/manifests/{each}" for each in (*tags, digest)]
        for place in (*places, f"/v2/{own}/manifests/latest", f"/v2/{own}/manifests/{digest}"):
            answer = bob.get(place)
            assert (answer.status_code, code_of(answer)) == (403, "DENIED"), place
            assert "your namespace forbids “ipykernel”" in answer.text
            assert alice.get(place).status_code == 200
        assert root.put("api/v1/setting/bob/", json={"forbidden_packages": None}).status_code == 200


def test_the_pages_say_what_it_is_and_offer_nothing_that_cannot_be_done(service: RunningService) -> None:
    pulled(service, "shown.ge.1")
    with service.client("root") as root:
        (found,) = root.get("api/v1/environment/", params={"search": "shown.ge.1"}).json()["data"]
    where = f"environment/conda-store-dynamic/{found['name']}/"
    for who, may in (("alice", False), ("root", True)):
        with service.browser(who) as browser:
            page = browser.get(where).text
            assert "nobody edits it" in page
            assert ">conda-store-dynamic/shown.ge.1" in page
            assert "create/?environment=" not in page
            assert (f'{where}delete/"' in page) is may
            shown = browser.get(f"build/{found['current_build_id']}/").text
            assert "nobody edits it" in shown
            assert "Change and build again" not in shown
