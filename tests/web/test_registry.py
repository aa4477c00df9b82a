"""The registry does what the OCI distribution specification 1.1 demands of one that can be pulled from.

Each test names the section it holds; what is said to be a MUST there is asserted, and most of what is a SHOULD.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from conda_store_hub.core.names import DataDirectory
from conda_store_hub.core.oci import INDEX_TYPE, MANIFEST_TYPE, Manifest
from conda_store_hub.core.protocol import ArtifactState, ArtifactType
from conda_store_hub.services import builds, work
from conda_store_hub.storage.base import artifact_key
from tests.support import make
from tests.support.process import until
from tests.support.service import IDENTITIES, RunningService, run_service, service

__all__ = ["service"]

LAYER = bytes(range(256)) * 4
ML = "/v2/alice/ml"
ABSENT = f"sha256:{'0' * 64}"
#: "Error Codes": the ones that there are.
CODES = {
    *("BLOB_UNKNOWN", "BLOB_UPLOAD_INVALID", "BLOB_UPLOAD_UNKNOWN", "DIGEST_INVALID", "MANIFEST_BLOB_UNKNOWN"),
    *("MANIFEST_INVALID", "MANIFEST_UNKNOWN", "NAME_INVALID", "NAME_UNKNOWN", "SIZE_INVALID", "UNAUTHORIZED"),
    *("DENIED", "UNSUPPORTED", "TOOMANYREQUESTS"),
}


@contextmanager
def pulling(service: RunningService, name: str | None = "alice", **options: Any) -> Generator[httpx.Client]:
    """Give a client of the registry; None is the anonymous."""
    with service.client(name, **options) as client:
        client.base_url = httpx.URL(service.root_url)
        yield client


@dataclass(frozen=True)
class Pushed:
    """An image that is there."""

    service: RunningService
    build_id: int
    manifest: Manifest

    @property
    def digest(self) -> str:
        return digest_of(self.manifest.to_json())

    @property
    def layer(self) -> str:
        return self.manifest.layers[0].digest

    @property
    def key(self) -> str:
        data = self.service.services.data
        return self.service.db.read_sync(builds.get_build, IDENTITIES["alice"], self.build_id, data=data).build_key


def digest_of(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def code_of(answer: httpx.Response) -> str:
    """Return the code of an error, whose body has the shape of "Error Codes"."""
    assert answer.headers["Content-Type"] == "application/json"
    (error,) = answer.json()["errors"]
    assert error["code"] in CODES
    assert error["message"]
    return error["code"]


@pytest.fixture
def image(service: RunningService) -> Pushed:
    """The image of the active build of alice/ml, with one layer."""
    build_id = service.completed()
    return Pushed(service, build_id, service.store_image(build_id, LAYER))


# "Determining Support"


def test_support_is_told_to_who_is_logged_in(service: RunningService) -> None:
    with pulling(service) as alice:
        answer = alice.get("/v2/")
    assert answer.status_code == 200
    assert answer.headers["Docker-Distribution-Api-Version"] == "registry/2.0"


@pytest.mark.parametrize("header", ["", "Bearer nothing", "token csh_nothing", "Bearer anonymous"])
def test_who_is_not_known_is_told_how_to_log_in(service: RunningService, header: str) -> None:
    with pulling(service, None, headers={"Authorization": header} if header else {}) as nobody:
        answer = nobody.get("/v2/")
    assert (answer.status_code, code_of(answer)) == (401, "UNAUTHORIZED")
    assert answer.headers.get_list("WWW-Authenticate") == [
        f'Bearer realm="{service.root_url}/v2/token",service="conda-store-hub"'
    ], "one alone: what proxies make of two confuses clients"


@pytest.mark.parametrize(
    ("headers", "realm"),
    [
        ({"X-Forwarded-Proto": "https,http", "Host": "hub.example:8443"}, "https://hub.example:8443/v2/token"),
        ({"X-Forwarded-Proto": "nonsense", "Host": "hub.example"}, "http://hub.example/v2/token"),
        ({"Host": "a!b"}, None),
    ],
)
def test_the_token_service_is_where_the_client_came_to(
    service: RunningService, headers: dict[str, str], realm: str | None
) -> None:
    with pulling(service, None, headers=headers) as nobody:
        answer = nobody.get("/v2/")
    (challenge,) = answer.headers.get_list("WWW-Authenticate")
    assert challenge == (
        'Basic realm="conda-store-hub"' if realm is None else f'Bearer realm="{realm}",service="conda-store-hub"'
    )


# "Pulling manifests"


@pytest.mark.parametrize("kind", ["latest", "digest", "number", "key"])
def test_pulling_manifests_answers_with_exactly_its_bytes(image: Pushed, kind: str) -> None:
    reference = {"latest": "latest", "digest": image.digest, "number": str(image.build_id), "key": image.key}[kind]
    with pulling(image.service) as alice:
        answer = alice.get(f"{ML}/manifests/{reference}", headers={"Accept": f"{MANIFEST_TYPE}, text/x"})
    assert (answer.status_code, answer.content) == (200, image.manifest.to_json())
    assert answer.headers["Content-Type"] == MANIFEST_TYPE == answer.json()["mediaType"]
    assert answer.headers["Docker-Content-Digest"] == image.digest


def test_a_key_that_is_longer_than_tags_may_be_is_cut(service: RunningService) -> None:
    build_id = service.completed("l" * 60)
    image = Pushed(service, build_id, service.store_image(build_id))
    with pulling(service) as alice:
        where = f"/v2/alice/{'l' * 60}"
        tags = alice.get(f"{where}/tags/list").json()["tags"]
        answers = [alice.get(f"{where}/manifests/{tag}") for tag in (image.key[:128], image.key[:127])]
    assert len(image.key) > 128
    assert image.key[:128] in tags
    assert [answer.status_code for answer in answers] == [200, 404]


def test_the_name_of_a_repository_is_in_lower_case(service: RunningService) -> None:
    build_id = service.completed("My-ML")
    service.store_image(build_id)
    with pulling(service) as alice:
        assert alice.get("/v2/alice/my-ml/manifests/latest").status_code == 200
        assert alice.get("/v2/_catalog").json() == {"repositories": ["alice/my-ml"]}
        assert code_of(alice.get("/v2/alice/My-ML/manifests/latest")) == "NAME_INVALID"


def test_latest_follows_the_active_build_at_once(image: Pushed) -> None:
    service = image.service
    service.finish(image.build_id)
    newer = service.completed()
    manifest = service.store_image(newer)
    with pulling(service) as alice:

        def pull() -> str:
            return alice.head(f"{ML}/manifests/latest").headers["Docker-Content-Digest"]

        assert pull() == digest_of(manifest.to_json())
        alice.base_url = httpx.URL(service.url)
        back = alice.put("api/v1/environment/alice/ml/", json={"build_id": image.build_id})
        assert back.status_code == 200
        alice.base_url = httpx.URL(service.root_url)
        assert pull() == image.digest


@pytest.mark.parametrize(
    "reference",
    [
        *("other", "999", "2147483648", "9" * 60, "٣", "%2e%2e", "a" * 129, "-a", ABSENT, f"sha512:{'a' * 128}"),
        *("%00", "latest%0a", "0"),
    ],
)
def test_pulling_a_manifest_that_is_not_there_is_not_found(image: Pushed, reference: str) -> None:
    with pulling(image.service) as alice:
        answer = alice.get(f"{ML}/manifests/{quote(reference, safe='%:')}")
        assert (answer.status_code, code_of(answer)) == (404, "MANIFEST_UNKNOWN")
        assert alice.head(f"{ML}/manifests/{quote(reference, safe='%:')}").status_code == 404


def test_a_build_of_another_environment_is_no_tag_of_this_one(image: Pushed) -> None:
    other = image.service.completed("other")
    manifest = image.service.store_image(other)
    with pulling(image.service) as alice:
        for reference in (str(other), digest_of(manifest.to_json())):
            assert code_of(alice.get(f"{ML}/manifests/{reference}")) == "MANIFEST_UNKNOWN"


@pytest.mark.parametrize("name", ["nobody/ml", "alice/nothing", "alice", "alice/ml/more", "bob/ml", "a/b/c/d"])
def test_an_unknown_repository_is_not_found(image: Pushed, name: str) -> None:
    paths = ("manifests/latest", f"blobs/{image.layer}", "tags/list")
    with pulling(image.service) as alice:
        for path in paths:
            answer = alice.get(f"/v2/{name}/{path}")
            assert (answer.status_code, code_of(answer)) == (404, "NAME_UNKNOWN"), path
        referrers = alice.get(f"/v2/{name}/referrers/{image.digest}")
        assert (referrers.status_code, referrers.json()["manifests"]) == (200, []), "never 404, by “Listing Referrers”"


@pytest.mark.parametrize(
    "name", ["Alice/ml", "alice/%2e%2e", "a" * 300, "alice/ml-", "alice//ml", "al%20ice/ml", "%00/x"]
)
def test_a_name_that_is_none_is_said_to_be_none(image: Pushed, name: str) -> None:
    with pulling(image.service) as alice:
        for path in ("manifests/latest", f"blobs/{image.layer}", "tags/list", f"referrers/{image.digest}"):
            answer = alice.get(f"/v2/{name}/{path}")
            assert (answer.status_code, code_of(answer)) == (400, "NAME_INVALID"), path


@pytest.mark.parametrize(
    ("accept", "status"),
    [
        ([MANIFEST_TYPE], 200),
        (["*/*"], 200),
        (["application/*;q=0.5"], 200),
        (["application/vnd.docker.distribution.manifest.v2+json", MANIFEST_TYPE], 200),
        (["application/vnd.docker.distribution.manifest.v2+json"], 404),
    ],
)
def test_pulling_manifests_is_by_what_the_client_takes(image: Pushed, accept: list[str], status: int) -> None:
    with pulling(image.service) as alice:
        headers = [("Accept", each) for each in accept]
        answer = alice.get(f"{ML}/manifests/latest", headers=headers)
    assert answer.status_code == status
    if status == 404:
        assert code_of(answer) == "MANIFEST_UNKNOWN"


# "Pulling blobs", "Checking if content exists in the registry"


def test_pulling_blobs_answers_with_their_bytes(image: Pushed) -> None:
    with pulling(image.service) as alice:
        answer = alice.get(f"{ML}/blobs/{image.layer}")
        config = alice.get(f"{ML}/blobs/{image.manifest.config.digest}")
    assert (answer.status_code, answer.content) == (200, LAYER)
    assert answer.headers["Docker-Content-Digest"] == image.layer == digest_of(answer.content)
    assert digest_of(config.content) == image.manifest.config.digest


def test_content_that_exists_is_told_with_digest_and_length_and_no_body(image: Pushed) -> None:
    sizes = {f"blobs/{image.layer}": len(LAYER), "manifests/latest": len(image.manifest.to_json())}
    with pulling(image.service) as alice:
        for path, size in sizes.items():
            answer = alice.head(f"{ML}/{path}")
            assert (answer.status_code, answer.content) == (200, b"")
            assert answer.headers["Content-Length"] == str(size)
            assert answer.headers["Docker-Content-Digest"] in (image.layer, image.digest)


@pytest.mark.parametrize(
    ("digest", "status", "code"),
    [
        (ABSENT, 404, "BLOB_UNKNOWN"),
        (f"sha512:{'a' * 128}", 404, "BLOB_UNKNOWN"),
        (f"sha256:{'0' * 63}", 400, "DIGEST_INVALID"),
        (f"sha256:{'A' * 64}", 400, "DIGEST_INVALID"),
        (f"sha256:{'0' * 64}%0a", 400, "DIGEST_INVALID"),
        ("sha256", 400, "DIGEST_INVALID"),
        ("..%2f..%2fdb.sqlite", 400, "DIGEST_INVALID"),
        ("a:" + "b" * 9999, 400, "DIGEST_INVALID"),
    ],
)
def test_a_blob_that_is_not_there_is_not_found(image: Pushed, digest: str, status: int, code: str) -> None:
    with pulling(image.service) as alice:
        answer = alice.get(f"{ML}/blobs/{digest}")
        assert (answer.status_code, code_of(answer)) == (status, code)
        assert alice.head(f"{ML}/blobs/{digest}").status_code == status


def test_blobs_are_sent_in_parts_and_not_again_where_nothing_changed(image: Pushed) -> None:
    with pulling(image.service) as alice:
        part = alice.get(f"{ML}/blobs/{image.layer}", headers={"Range": "bytes=10-19"})
        rest = alice.get(f"{ML}/blobs/{image.layer}", headers={"Range": "bytes=1000-"})
        same = alice.get(f"{ML}/blobs/{image.layer}", headers={"If-None-Match": part.headers["ETag"]})
        behind = alice.get(f"{ML}/blobs/{image.layer}", headers={"Range": f"bytes={len(LAYER)}-"})
        other = alice.get(f"{ML}/blobs/{image.layer}", headers={"If-Match": '"x"'})
    assert (part.status_code, part.content) == (206, LAYER[10:20])
    assert part.headers["Docker-Content-Digest"] == image.layer, "of the whole blob"
    assert (rest.status_code, rest.content) == (206, LAYER[1000:])
    assert (same.status_code, same.content) == (304, b"")
    assert (behind.status_code, code_of(behind)) == (416, "SIZE_INVALID")
    assert behind.headers["Content-Range"] == f"bytes */{len(LAYER)}"
    assert (other.status_code, code_of(other)) == (412, "UNSUPPORTED")


def test_a_blob_is_given_to_who_may_read_an_image_that_has_it_and_nobody_else(service: RunningService) -> None:
    mine, theirs = service.completed("ml"), service.completed("ml", user="bob")
    ours = Pushed(service, mine, service.store_image(mine, LAYER))
    service.store_image(theirs, b"another")
    with pulling(service, "bob") as bob, pulling(service) as alice:
        assert code_of(bob.get(f"{ML}/blobs/{ours.layer}")) == "NAME_UNKNOWN"
        assert code_of(bob.get(f"/v2/bob/ml/blobs/{ours.layer}")) == "BLOB_UNKNOWN"
        assert code_of(alice.get(f"{ML}/blobs/{digest_of(b'another')}")) == "BLOB_UNKNOWN"
        service.store_image(theirs, LAYER)
        assert bob.get(f"/v2/bob/ml/blobs/{ours.layer}").content == LAYER


def test_what_is_no_blob_of_an_image_is_not_served_as_one(image: Pushed) -> None:
    lock = image.service.store(image.build_id, ArtifactType.LOCKFILE, b"a lock")
    with pulling(image.service) as alice:
        for digest in (f"sha256:{lock}", image.digest):
            assert code_of(alice.get(f"{ML}/blobs/{digest}")) == "BLOB_UNKNOWN"


@pytest.mark.parametrize("how", ["removed", "changed"])
def test_a_blob_that_is_damaged_on_disk_is_made_again(image: Pushed, how: str) -> None:
    service = image.service
    path = service.services.data.objects / artifact_key(image.layer.removeprefix("sha256:"))
    path.unlink() if how == "removed" else path.write_bytes(LAYER[::-1])
    service.finish(image.build_id)
    with pulling(service) as alice:
        answer = alice.get(f"{ML}/blobs/{image.layer}")
    assert (answer.status_code, code_of(answer)) == (429, "TOOMANYREQUESTS")
    build = service.db.read_sync(builds.get_build, IDENTITIES["alice"], image.build_id, data=service.services.data)
    states = {each.artifact_type: each.state for each in build.build_artifacts}
    assert states[ArtifactType.DOCKER_MANIFEST] is ArtifactState.PENDING


@pytest.mark.parametrize(("layer", "status"), [(LAYER, 200), (LAYER[::-1], 404)], ids=["the same", "another"])
def test_who_pulls_by_digest_waits_while_it_is_made_again(image: Pushed, layer: bytes, status: int) -> None:
    service = image.service
    (service.services.data.objects / artifact_key(image.layer.removeprefix("sha256:"))).unlink()
    service.finish(image.build_id)
    answers: list[httpx.Response] = []
    with pulling(service) as alice:
        assert alice.get(f"{ML}/blobs/{image.layer}").status_code == 429
        thread = threading.Thread(target=lambda: answers.append(alice.get(f"{ML}/manifests/{image.digest}")))
        thread.start()
        until(lambda: service.services.pulling.total == 1 or answers)
        service.claim(image.build_id)
        service.store_image(image.build_id, layer)
        thread.join(30)
    (answer,) = answers
    assert answer.status_code == status
    assert (code_of(answer) == "MANIFEST_UNKNOWN") if status == 404 else digest_of(answer.content) == image.digest


# An image that is not there yet


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_an_image_that_is_not_there_is_made_for_who_pulls_first(service: RunningService, method: str) -> None:
    build_id = service.completed()
    service.finish(build_id)
    asked: list[httpx.Response] = []

    def is_asked_for() -> bool:
        build = service.db.read_sync(builds.get_build, IDENTITIES["alice"], build_id, data=service.services.data)
        return any(each.artifact_type is ArtifactType.DOCKER_MANIFEST for each in build.build_artifacts)

    with pulling(service) as alice:
        thread = threading.Thread(target=lambda: asked.append(alice.request(method, f"{ML}/manifests/latest")))
        thread.start()
        until(is_asked_for)
        service.claim(build_id)
        manifest = service.store_image(build_id)
        thread.join(30)
    (answer,) = asked
    assert answer.status_code == 200
    assert answer.headers["Docker-Content-Digest"] == digest_of(manifest.to_json())


def test_an_image_that_many_pull_at_once_is_made_once_and_who_leaves_stops_nobody(service: RunningService) -> None:
    build_id = service.completed()
    service.finish(build_id)
    answers: list[int] = []

    def pull(client: httpx.Client) -> None:
        try:
            answers.append(client.get(f"{ML}/manifests/latest").status_code)
        except httpx.ReadTimeout:
            answers.append(0)

    with contextlib.ExitStack() as stack:
        stay = [stack.enter_context(pulling(service)) for _ in range(10)]
        leave = [stack.enter_context(pulling(service, "root", timeout=1)) for _ in range(10)]
        threads = [threading.Thread(target=pull, args=(client,)) for client in (*stay, *leave)]
        for thread in threads:
            thread.start()
        until(lambda: answers.count(0) == len(leave))
        service.claim(build_id)
        service.store_image(build_id)
        for thread in threads:
            thread.join(30)
        service.finish(build_id)
        until(lambda: not service.services.downloading)
    assert answers.count(200) == len(stay)
    assert service.db.write_sync(work.claim, "local:test") is None, "nothing more is to be made"


def test_an_image_that_takes_too_long_is_to_be_asked_for_again(
    service: RunningService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("conda_store_hub.web.registry.content.LONGEST_SECONDS", 0.1)
    service.finish(service.completed())
    with pulling(service) as alice:
        answer = alice.get(f"{ML}/manifests/latest")
    assert (answer.status_code, code_of(answer)) == (429, "TOOMANYREQUESTS")
    assert int(answer.headers["Retry-After"]) > 0


def test_an_image_that_could_not_be_made_is_not_found_and_says_why(service: RunningService) -> None:
    build_id = service.completed()
    event = make.artifact_event(ArtifactType.DOCKER_MANIFEST)
    failed = event.model_copy(update={"error": "The base image cannot be read."})
    service.db.write_sync(work.record_artifact, service.tickets[build_id], failed, "")
    with pulling(service) as alice:
        answer = alice.get(f"{ML}/manifests/latest")
    assert (answer.status_code, code_of(answer)) == (404, "MANIFEST_UNKNOWN")
    assert "The base image cannot be read." in answer.text


def test_what_is_being_built_or_failed_is_no_image_yet(service: RunningService) -> None:
    build_id = service.submit()
    with pulling(service) as alice:
        for reference in ("latest", str(build_id)):
            assert code_of(alice.get(f"{ML}/manifests/{reference}")) == "MANIFEST_UNKNOWN"
        assert alice.get(f"{ML}/tags/list").json() == {"name": "alice/ml", "tags": []}
        assert alice.get("/v2/_catalog").json() == {"repositories": []}


# "Listing Tags"


def test_tags_are_in_the_order_of_letters_without_regard_to_case(image: Pushed) -> None:
    service = image.service
    service.finish(image.build_id)
    given = {"a", "B", "c", "Zz", "zZ"}
    with service.client("alice") as api:
        for name in given:
            assert api.put(f"api/v1/build/{image.build_id}/tag/{name}/").status_code == 200
    for _ in range(10):
        service.finish(service.completed())
    with pulling(service) as alice:
        answer = alice.get(f"{ML}/tags/list")
        tags = answer.json()["tags"]
        for last in (*tags, "b", "Y"):
            behind = alice.get(f"{ML}/tags/list", params={"last": last}).json()["tags"]
            assert behind == [tag for tag in tags if (tag.lower(), tag) > (last.lower(), last)]
    assert answer.json()["name"] == "alice/ml"
    assert tags == sorted(tags, key=lambda tag: (tag.lower(), tag))
    of_the_build = {"latest", str(image.build_id), image.key}
    assert set(tags) == given | of_the_build, "of the others, nobody has had an image made"


def test_a_tag_that_somebody_gave_is_listed_and_pulled(image: Pushed) -> None:
    service = image.service
    service.finish(image.build_id)
    with service.client("alice") as api:
        address = f"api/v1/build/{image.build_id}/tag/v1.0/"
        assert api.put(address).status_code == 200
        assert api.get(f"api/v1/build/{image.build_id}/").json()["data"]["tags"] == ["v1.0"]
        (given,) = api.get("api/v1/environment/alice/ml/tag/").json()["data"]
        assert (given["name"], given["build_id"]) == ("v1.0", image.build_id)
        second = service.completed()
        moved = api.put(f"api/v1/build/{second}/tag/v1.0/")
        assert (moved.status_code, f"is a tag of build {image.build_id}" in moved.text) == (409, True)
        for name in ("latest", str(image.build_id), "-x"):
            assert api.put(f"api/v1/build/{image.build_id}/tag/{name}/").status_code == 400, name
    with pulling(service) as alice:
        assert "v1.0" in alice.get(f"{ML}/tags/list").json()["tags"]
        assert alice.get(f"{ML}/manifests/v1.0").headers["Docker-Content-Digest"] == image.digest
        with service.client("alice") as api:
            assert api.delete(address).status_code == 200
            assert api.delete(address).status_code == 404
        assert code_of(alice.get(f"{ML}/manifests/v1.0")) == "MANIFEST_UNKNOWN"


def test_tags_are_listed_in_parts_that_links_join(image: Pushed) -> None:
    image.service.finish(image.build_id)
    image.service.completed()
    with pulling(image.service) as alice:
        whole = alice.get(f"{ML}/tags/list").json()["tags"]
        joined: list[str] = []
        address = f"{ML}/tags/list?n=2"
        while address:
            answer = alice.get(address)
            part = answer.json()["tags"]
            assert len(part) == 2 or "Link" not in answer.headers
            joined += part
            link = answer.headers.get("Link", "")
            assert not link or link.endswith('>; rel="next"')
            address = link.removeprefix("<").partition(">")[0]
        last = alice.get(f"{ML}/tags/list", params={"last": whole[1]})
        none = alice.get(f"{ML}/tags/list?n=0")
        behind = alice.get(f"{ML}/tags/list?last=zzz")
    assert joined == whole
    assert last.json()["tags"] == whole[2:]
    for empty in (none, behind):
        assert (empty.status_code, empty.json()["tags"]) == (200, [])
        assert "Link" not in empty.headers


@pytest.mark.parametrize("query", ["n=-1", "n=x", "n=" + "9" * 500, "last=" + "x" * 300])
def test_a_part_of_a_list_that_makes_no_sense_is_refused(image: Pushed, query: str) -> None:
    with pulling(image.service) as alice:
        for path in (f"{ML}/tags/list", "/v2/_catalog"):
            answer = alice.get(f"{path}?{query}")
            assert (answer.status_code, code_of(answer)) == (400, "UNSUPPORTED")


def test_an_image_that_went_with_its_build_is_no_tag(image: Pushed) -> None:
    service = image.service
    service.finish(image.build_id)
    service.completed()
    with service.client("alice") as api:
        assert api.delete(f"api/v1/build/{image.build_id}/").status_code == 200
    with pulling(service) as alice:
        tags = alice.get(f"{ML}/tags/list").json()["tags"]
        assert tags == ["latest"]
        assert code_of(alice.get(f"{ML}/manifests/{image.build_id}")) == "MANIFEST_UNKNOWN"
        assert code_of(alice.get(f"{ML}/blobs/{image.layer}")) == "BLOB_UNKNOWN"


# "Listing Referrers"


def test_referrers_are_an_empty_index(image: Pushed) -> None:
    with pulling(image.service) as alice:
        answers = [alice.get(f"{ML}/referrers/{digest}") for digest in (image.digest, ABSENT, f"sha512:{'a' * 128}")]
        filtered = alice.get(f"{ML}/referrers/{image.digest}", params={"artifactType": "a/b"})
        wrong = [alice.get(f"{ML}/referrers/{digest}") for digest in ("sha256:abc", "latest")]
    for answer in (*answers, filtered):
        assert answer.status_code == 200
        assert answer.headers["Content-Type"] == INDEX_TYPE
        assert answer.json() == {"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": []}
    assert filtered.headers["OCI-Filters-Applied"] == "artifactType"
    assert "OCI-Filters-Applied" not in answers[0].headers
    assert [(answer.status_code, code_of(answer)) for answer in wrong] == [(400, "DIGEST_INVALID")] * 2


# The catalogue is not of the specification


def test_the_catalogue_has_what_who_asks_may_read(service: RunningService) -> None:
    for name, user, namespace in (("b", "alice", None), ("a", "alice", "group.physics"), ("c", "bob", None)):
        service.completed(name, user=user, namespace=namespace)
    with pulling(service) as alice, pulling(service, "bob") as bob, pulling(service, "root") as root:
        assert alice.get("/v2/_catalog").json() == {"repositories": ["alice/b", "group.physics/a"]}
        assert bob.get("/v2/_catalog").json() == {"repositories": ["bob/c"]}
        assert len(root.get("/v2/_catalog").json()["repositories"]) == 3
        first = alice.get("/v2/_catalog?n=1")
        assert first.json() == {"repositories": ["alice/b"]}
        link = first.headers["Link"].removeprefix("<").partition(">")[0]
        rest = alice.get(link)
        assert rest.json() == {"repositories": ["group.physics/a"]}
        assert "Link" not in rest.headers


# "Push", "Content Management": both are disabled


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", f"{ML}/blobs/uploads/"),
        ("PATCH", f"{ML}/blobs/uploads/1"),
        ("PUT", f"{ML}/manifests/latest"),
        ("DELETE", f"{ML}/manifests/latest"),
        ("DELETE", f"{ML}/blobs/{ABSENT}"),
        ("POST", "/v2/token"),
        ("OPTIONS", "/v2/"),
    ],
)
@pytest.mark.parametrize("body", [b"", b"x" * 2_000_000])
def test_pushing_and_deleting_are_not_supported(image: Pushed, method: str, path: str, body: bytes) -> None:
    with pulling(image.service) as alice:
        answer = alice.request(method, path, content=body)
    assert (answer.status_code, code_of(answer)) == (405, "UNSUPPORTED")


def test_pushing_in_chunks_is_not_supported_either(image: Pushed) -> None:
    with pulling(image.service) as alice:
        answer = alice.patch(f"{ML}/blobs/uploads/1", content=iter([b"x" * 100]))
    assert (answer.status_code, code_of(answer)) == (405, "UNSUPPORTED")


# "Error Codes"


@pytest.mark.parametrize(
    "path", ["/v2/x", "/v2/alice/ml", "/v2/alice/ml/tags", "/v2//", "/v2/%ff/tags/list", "/v2/a/../b"]
)
def test_an_address_that_is_none_is_an_error_by_the_book(image: Pushed, path: str) -> None:
    with pulling(image.service) as alice:
        answer = alice.get(path)
    assert answer.status_code in (400, 404)
    code_of(answer)


# Login


def basic(user: str, password: str) -> dict[str, str]:
    return {"Authorization": f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"}


def test_a_token_is_the_password_of_any_user(image: Pushed) -> None:
    with image.service.client("alice") as api:
        own = api.post("api/v1/token/", json={"label": "pull"}).json()["data"]["token"]
    for user, password in (("alice", "alice-token"), ("whoever", own), ("", own)):
        with pulling(image.service, None, headers=basic(user, password)) as client:
            assert client.get(f"{ML}/manifests/latest").status_code == 200
            given = client.get("/v2/token?service=conda-store-hub&scope=repository:alice/ml:pull&account=x")
        assert given.json()["token"] == given.json()["access_token"] == password
        assert given.headers["Cache-Control"] == "no-store"
        with pulling(image.service, None, headers={"Authorization": f"Bearer {given.json()['token']}"}) as client:
            assert client.get(f"{ML}/blobs/{image.layer}").content == LAYER


@pytest.mark.parametrize("header", ["", "Basic eDp3cm9uZw==", "Basic !", "Basic eA==", "Bearer wrong", "Nonsense x"])
def test_the_token_service_knows_who_it_gives_tokens(service: RunningService, header: str) -> None:
    with pulling(service, None, headers={"Authorization": header} if header else {}) as client:
        answer = client.get("/v2/token")
    assert (answer.status_code, code_of(answer)) == (401, "UNAUTHORIZED")
    assert answer.headers.get_list("WWW-Authenticate") == ['Basic realm="conda-store-hub"']


def test_a_token_that_was_revoked_pulls_no_more(image: Pushed) -> None:
    service = image.service
    with service.client("alice") as api:
        made = api.post("api/v1/token/", json={"label": "pull"}).json()["data"]
        with pulling(service, None, headers=basic("x", made["token"])) as client:
            assert client.get(f"{ML}/manifests/latest").status_code == 200
            api.delete(f"api/v1/token/{made['id']}/")
            answer = client.get(f"{ML}/manifests/latest")
    assert (answer.status_code, code_of(answer)) == (401, "UNAUTHORIZED")


def test_who_is_not_logged_in_pulls_what_is_for_everybody_where_policy_allows(data: DataDirectory) -> None:
    with run_service(data, allow_anonymous=True) as service:
        mine, shared = service.completed("ml"), service.completed("open")
        for build_id in (mine, shared):
            service.store_image(build_id, LAYER)
        with service.client("alice") as api:
            given = api.put("api/v1/environment/alice/open/member/", json={"subject": "anyone", "role": "viewer"})
            assert given.status_code in (200, 201), given.text
        with pulling(service, None) as nobody:
            assert nobody.get("/v2/").status_code == 401, "so that clients which can log in do"
            token = nobody.get("/v2/token").json()["token"]
            assert nobody.get("/v2/alice/open/manifests/latest").status_code == 200
            nobody.headers["Authorization"] = f"Bearer {token}"
            assert nobody.get("/v2/").status_code == 200
            assert nobody.get(f"/v2/alice/open/blobs/{digest_of(LAYER)}").content == LAYER
            assert nobody.get("/v2/_catalog").json() == {"repositories": ["alice/open"]}
            hidden = nobody.get(f"{ML}/manifests/latest")
        assert (hidden.status_code, code_of(hidden)) == (401, "UNAUTHORIZED")


def test_nobody_is_told_which_repositories_there_are(image: Pushed) -> None:
    with pulling(image.service, None) as nobody, pulling(image.service, "bob") as bob:
        there, not_there = (nobody.get(f"/v2/{name}/manifests/latest") for name in ("alice/ml", "alice/no"))
        assert (there.status_code, there.text) == (not_there.status_code, not_there.text) == (401, there.text)
        there, not_there = (bob.get(f"/v2/{name}/manifests/latest") for name in ("alice/ml", "alice/no"))
        assert there.text.replace("/ml", "") == not_there.text.replace("/no", "")
