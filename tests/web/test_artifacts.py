"""Files of builds: made for who asks first, kept, checked against their digests, and at addresses that stay."""

from __future__ import annotations

import hashlib
import os
import shutil
import socket
import threading
from collections.abc import Callable, Generator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from conda_store_hub.core.artifacts import FILES
from conda_store_hub.core.audit import AuditAction
from conda_store_hub.core.protocol import ArtifactEvent, ArtifactState, ArtifactType
from conda_store_hub.db import records
from conda_store_hub.services import audit, removals, storage, work
from conda_store_hub.storage import checks
from conda_store_hub.storage.base import LocalArtifactStore, artifact_key
from conda_store_hub.web import making
from tests.queue.test_runner import SCRIPT
from tests.support import make
from tests.support.make import ADMIN, ALICE
from tests.support.process import until
from tests.support.service import PREFIX, WORKER, RunningService, service

__all__ = ["service"]

AT_ONCE = {"wait": "0"}


@pytest.fixture
def build(service: RunningService) -> int:
    """A build that is whole, with a YAML and a lock file and nothing that is still being made."""
    build_id = service.completed()
    for kind in (ArtifactType.RECORDS, ArtifactType.YAML, ArtifactType.LOCKFILE):
        service.store(build_id, kind, f"the {kind}".encode())
    service.store(build_id, ArtifactType.CONDA_PACK, b"packed")
    service.finish(build_id)
    return build_id


def states(service: RunningService, build_id: int) -> dict[ArtifactType, ArtifactState]:
    rows = service.db.read_sync(records.list_artifacts, build_id)
    return {row.artifact_type: row.state for row in rows}


def make_artifact(service: RunningService, build_id: int, kind: ArtifactType, data: bytes) -> None:
    """Do what a runner does once the artifact is asked for."""
    until(lambda: states(service, build_id).get(kind) is ArtifactState.PENDING)
    service.claim(build_id)
    service.store(build_id, kind, data)
    service.finish(build_id)


def path_of(service: RunningService, data: bytes) -> Path:
    return service.services.data.objects / artifact_key(hashlib.sha256(data).hexdigest())


def in_thread(ask: Callable[[], httpx.Response]) -> tuple[threading.Thread, list[httpx.Response]]:
    answers: list[httpx.Response] = []
    thread = threading.Thread(target=lambda: answers.append(ask()))
    thread.start()
    return thread, answers


# Made on request


@pytest.mark.parametrize("kind", [ArtifactType.EXPLICIT, ArtifactType.PIXI_LOCK, ArtifactType.SBOM])
@pytest.mark.parametrize("of_build", [True, False])
def test_a_file_that_is_not_there_is_made_while_who_asks_waits(
    service: RunningService, build: int, kind: ArtifactType, of_build: bool
) -> None:
    file = FILES[kind]
    address = f"api/v1/build/{build}/{file.path}/" if of_build else f"api/v1/environment/alice/ml/{file.name}"
    with service.client("alice") as alice:
        thread, answers = in_thread(lambda: alice.get(address))
        make_artifact(service, build, kind, b"made")
        thread.join()
        assert (answers[0].status_code, answers[0].content) == (200, b"made")
        assert answers[0].headers["Content-Type"].partition(";")[0] == file.media_type
        assert alice.get(address, params=AT_ONCE).content == b"made", "it was not kept"


def test_a_file_is_made_once_for_all_who_ask(service: RunningService, build: int) -> None:
    with service.client("alice") as alice, service.client("root") as root:
        waiting = [in_thread(partial(who.get, f"api/v1/build/{build}/explicit/")) for who in (alice, root) * 3]
        make_artifact(service, build, ArtifactType.EXPLICIT, b"made")
        for thread, _ in waiting:
            thread.join()
    assert {answers[0].content for _, answers in waiting} == {b"made"}
    assert service.db.write_sync(work.claim, WORKER) is None


def test_who_does_not_wait_is_told_to_ask_again(service: RunningService, build: int) -> None:
    with service.client("alice") as alice:
        answer = alice.get(f"api/v1/build/{build}/explicit/", params=AT_ONCE)
    assert (answer.status_code, answer.json()["code"]) == (503, "being-made")
    assert int(answer.headers["Retry-After"]) > 0
    assert "is being made" in answer.json()["message"]
    assert states(service, build)[ArtifactType.EXPLICIT] is ArtifactState.PENDING


def test_head_starts_nothing(service: RunningService, build: int) -> None:
    with service.client("alice") as alice:
        assert alice.head(f"api/v1/build/{build}/explicit/").status_code == 404
        assert ArtifactType.EXPLICIT not in states(service, build)
        alice.get(f"api/v1/build/{build}/explicit/", params=AT_ONCE)
        assert alice.head(f"api/v1/build/{build}/explicit/").status_code == 503


@pytest.mark.parametrize("kind", [ArtifactType.EXPLICIT, ArtifactType.SBOM])
def test_a_viewer_may_ask_and_others_may_not(service: RunningService, build: int, kind: ArtifactType) -> None:
    with service.client("alice") as alice, service.client("bob") as bob:
        address = f"api/v1/build/{build}/{FILES[kind].path}/"
        assert bob.get(address, params=AT_ONCE).status_code == 404
        assert kind not in states(service, build)
        alice.put("api/v1/namespace/alice/member/", json={"subject": "user", "name": "bob", "role": "viewer"})
        assert bob.get(address, params=AT_ONCE).status_code == 503


def test_who_may_not_read_a_build_is_sent_nothing_of_it(service: RunningService, build: int) -> None:
    of_environment = "api/v1/environment/alice/ml/sbom.cdx.json"
    with service.client("alice") as alice, service.client("bob") as bob:
        alice.get(of_environment, params=AT_ONCE)
        make_artifact(service, build, ArtifactType.SBOM, b"what is in it")
        for address in (f"api/v1/build/{build}/sbom/", f"api/v1/build/{build}/sbom.cdx.json", of_environment):
            assert alice.get(address).content == b"what is in it"
            refused = bob.get(address)
            assert (refused.status_code, b"what is in it" in refused.content) == (404, False)


def test_what_was_asked_for_while_a_builder_works_is_made_by_the_next(service: RunningService) -> None:
    build_id = service.completed()
    with service.client("alice") as alice:
        assert alice.get(f"api/v1/build/{build_id}/explicit/", params=AT_ONCE).status_code == 503
    service.finish(build_id)
    assert states(service, build_id) == {
        ArtifactType.EXPLICIT: ArtifactState.PENDING,
        **dict.fromkeys((ArtifactType.LOCKFILE, ArtifactType.YAML, ArtifactType.CONDA_PACK), ArtifactState.FAILED),
    }
    make_artifact(service, build_id, ArtifactType.EXPLICIT, b"made")
    assert states(service, build_id)[ArtifactType.EXPLICIT] is ArtifactState.READY


def test_the_log_is_incomplete_while_something_is_made_and_that_can_be_cancelled(
    service: RunningService, build: int
) -> None:
    with service.client("alice") as alice:
        assert alice.put(f"api/v1/build/{build}/cancel/").status_code == 409
        alice.get(f"api/v1/build/{build}/explicit/", params=AT_ONCE)
        service.claim(build)
        assert alice.get(f"api/v1/build/{build}/logs/").headers["X-Log-Complete"] == "false"
        assert alice.put(f"api/v1/build/{build}/cancel/").status_code == 200
        service.db.write_sync(work.finish, service.tickets[build], None, cancelled=True)
        assert alice.get(f"api/v1/build/{build}/logs/").headers["X-Log-Complete"] == "true"
        answer = alice.get(f"api/v1/build/{build}/explicit/")
        assert (answer.status_code, "somebody ended the work" in answer.text) == (404, True)
        alice.post(f"api/v1/build/{build}/artifact/", json={"artifact_type": "EXPLICIT"})
        service.claim(build)
        service.log(build, "the cancel of before is over")
        service.store(build, ArtifactType.EXPLICIT, b"made")
        assert alice.get(f"api/v1/build/{build}/explicit/").content == b"made"


# What cannot be had


def fail(service: RunningService, build_id: int) -> None:
    service.claim(build_id)
    event = ArtifactEvent(artifact=ArtifactType.EXPLICIT, error="It would not list.")
    service.db.write_sync(work.record_artifact, service.tickets[build_id], event, "")
    service.finish(build_id)


def test_one_that_failed_says_why_and_is_tried_again_only_on_purpose(service: RunningService, build: int) -> None:
    where, address = f"api/v1/build/{build}/artifact/", f"api/v1/build/{build}/explicit/"
    with service.client("alice") as alice, service.client("bob") as bob:
        alice.get(address, params=AT_ONCE)
        fail(service, build)
        for _ in range(2):
            answer = alice.get(address)
            assert answer.status_code == 404
            assert "It would not list." in answer.json()["message"]
        assert service.db.write_sync(work.claim, WORKER) is None
        alice.put("api/v1/namespace/alice/member/", json={"subject": "user", "name": "bob", "role": "viewer"})
        assert bob.post(where, json={"artifact_type": "EXPLICIT"}).status_code == 403
        assert alice.post(where, json={"artifact_type": "EXPLICIT"}).status_code == 200
        thread, answers = in_thread(lambda: bob.get(address))
        make_artifact(service, build, ArtifactType.EXPLICIT, b"made")
        thread.join()
        assert answers[0].content == b"made"


@pytest.mark.parametrize("kind", [ArtifactType.LOGS, ArtifactType.RECORDS, ArtifactType.PIP_LOCK])
def test_what_is_not_made_of_an_environment_cannot_be_asked_for(
    service: RunningService, build: int, kind: ArtifactType
) -> None:
    with service.client("alice") as alice:
        answer = alice.post(f"api/v1/build/{build}/artifact/", json={"artifact_type": kind})
    assert answer.status_code == 404


def delete(service: RunningService, build_id: int, *, kept: tuple[ArtifactType, ...] = ()) -> None:
    """Delete a build that is not the active one any more, and free its prefix."""
    service.completed()
    service.db.write_sync(removals.delete_build, ALICE, build_id, kept, force=True)
    for doomed in service.db.read_sync(storage.list_prefixes_to_free, 9):
        assert service.db.write_sync(storage.give_up_prefix, doomed)


@pytest.mark.parametrize(
    ("where", "status"),
    [("build/{}/", 410), ("environment/alice/ml/?force=true", 404), ("namespace/alice/?force=true", 404)],
)
def test_who_waits_is_told_when_what_they_wait_for_goes(
    service: RunningService, build: int, where: str, status: int
) -> None:
    """Before, they heard nothing until their time was over."""
    if "build" in where:
        service.finish(service.completed())
    with service.client("alice") as alice, service.client("root") as root:
        thread, answers = in_thread(lambda: alice.get(f"api/v1/build/{build}/explicit/"))
        until(lambda: states(service, build).get(ArtifactType.EXPLICIT) is ArtifactState.PENDING)
        assert root.delete(f"api/v1/{where.format(build)}").status_code == 200
        thread.join(20)
        assert [answer.status_code for answer in answers] == [status]
    assert service.db.write_sync(work.claim, WORKER) is None


def test_what_was_waited_for_is_made_once_its_environment_is_back(service: RunningService, build: int) -> None:
    with service.client("alice") as alice:
        alice.get(f"api/v1/build/{build}/explicit/", params=AT_ONCE)
        alice.delete("api/v1/environment/alice/ml/")
        assert service.db.write_sync(work.claim, WORKER) is None
        assert alice.put("api/v1/environment/alice/ml/restore/", json={}).status_code == 200
        make_artifact(service, build, ArtifactType.EXPLICIT, b"made")
        assert alice.get(f"api/v1/build/{build}/explicit/").content == b"made"


def test_of_a_deleted_build_there_is_what_was_kept(service: RunningService, build: int) -> None:
    delete(service, build, kept=(ArtifactType.YAML,))
    with service.client("alice") as alice:
        assert alice.get(f"api/v1/build/{build}/yaml/").content == b"the YAML"
        for path in ("explicit", "archive"):
            answer = alice.get(f"api/v1/build/{build}/{path}/")
            assert (answer.status_code, answer.json()["code"]) == (410, "gone")
            assert "build it exactly once more" in answer.json()["message"]


@pytest.mark.parametrize("kind", [ArtifactType.YAML, ArtifactType.SBOM])
def test_of_what_is_not_built_there_are_no_files(service: RunningService, kind: ArtifactType) -> None:
    queued, file = service.submit(), FILES[kind]
    with service.client("alice") as alice:
        answer = alice.get(f"api/v1/build/{queued}/{file.path}/")
        assert (answer.status_code, "is QUEUED" in answer.json()["message"]) == (409, True)
        assert alice.get(f"api/v1/environment/alice/ml/{file.name}").status_code == 404
        alice.put(f"api/v1/build/{queued}/cancel/")
        answer = alice.get(f"api/v1/build/{queued}/{file.path}/")
        assert (answer.status_code, "CANCELED" in answer.json()["message"]) == (404, True)


def test_where_nothing_is_built_nothing_is_made(service: RunningService, build: int) -> None:
    refusing = replace(service.services, rules=make.rules(refusal="This service does not build."))
    service.application.settings["services"] = refusing
    with service.client("alice") as alice:
        answer = alice.get(f"api/v1/build/{build}/explicit/")
        assert (answer.status_code, answer.json()["message"]) == (400, "This service does not build.")
        assert alice.get(f"api/v1/build/{build}/yaml/").status_code == 200


# What a build says of its files


def test_a_build_lists_what_there_is_and_what_there_could_be(service: RunningService, build: int) -> None:
    with service.client("alice") as alice:
        alice.get(f"api/v1/build/{build}/explicit/", params=AT_ONCE)
        shown = alice.get(f"api/v1/build/{build}/").json()["data"]
        addresses = {item["artifact_type"]: item["address"] for item in shown["build_artifacts"]}
        assert addresses == {
            "RECORDS": None,
            "YAML": f"api/v1/build/{build}/environment.yaml",
            "LOCKFILE": f"api/v1/build/{build}/conda-lock.yml",
            "CONDA_PACK": f"api/v1/build/{build}/environment.tar.gz",
        }
        assert [item["artifact_type"] for item in shown["unfinished_artifacts"]] == ["EXPLICIT"]
        further = shown["further_artifacts"]
        assert further == [
            {"artifact_type": "PIXI_LOCK", "address": f"api/v1/build/{build}/pixi.lock"},
            {"artifact_type": "SBOM", "address": f"api/v1/build/{build}/sbom.cdx.json"},
            {"artifact_type": "OCI_ARCHIVE", "address": f"api/v1/build/{build}/image.tar"},
        ]
        for address in filter(None, addresses.values()):
            assert alice.get(address).status_code == 200
        assert alice.get(further[0]["address"], params=AT_ONCE).status_code == 503
        delete(service, build)
        assert alice.get(f"api/v1/build/{build}/").json()["data"]["further_artifacts"] == []


# Addresses that stay


def test_an_address_that_stays_follows_the_active_build(service: RunningService, build: int) -> None:
    address = "api/v1/environment/alice/ml/conda-lock.yml"
    with service.client("alice") as alice:
        first = alice.get(address)
        assert first.content == b"the LOCKFILE"
        assert first.headers["Content-Location"].endswith(f"/api/v1/build/{build}/conda-lock.yml")
        of_build = alice.get(httpx.URL(service.url).join(first.headers["Content-Location"]))
        assert (of_build.content, of_build.headers["ETag"]) == (first.content, first.headers["ETag"])
        known = {"If-None-Match": first.headers["ETag"]}
        assert alice.get(address, headers=known).status_code == 304
        second = service.completed()
        service.store(second, ArtifactType.LOCKFILE, b"another")
        assert alice.get(address, headers=known).content == b"another"
        alice.put("api/v1/environment/alice/ml/", json={"build_id": build})
        assert alice.get(address, headers=known).status_code == 304


def test_names_of_environments_are_as_everywhere(service: RunningService, build: int) -> None:
    with service.client("alice") as alice, service.client("bob") as bob:
        hidden = bob.get("api/v1/environment/alice/ml/conda-lock.yml")
        assert (hidden.status_code, hidden.json()) == (404, bob.get("api/v1/environment/alice/ml/").json())
        assert alice.get("api/v1/environment/alice/ML/conda-lock.yml").status_code == 200
        alice.put("api/v1/environment/alice/ml/rename/", json={"name": "other"})
        assert alice.get("api/v1/environment/alice/other/conda-lock.yml").status_code == 200
        old = alice.get("api/v1/environment/alice/ml/conda-lock.yml")
        assert (old.status_code, old.json()) == (404, alice.get("api/v1/environment/alice/ml/").json())


# Bytes that are not what was stored


def damage_by_change(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[0] ^= 1
    path.chmod(0o600)
    path.write_bytes(data)


def damage_by_cut(path: Path) -> None:
    path.chmod(0o600)
    path.write_bytes(path.read_bytes()[:-1])


def replace_by(make_other: Callable[[Path], Any]) -> Callable[[Path], None]:
    def replace_it(path: Path) -> None:
        path.unlink()
        make_other(path)

    return replace_it


def put_directory(path: Path) -> None:
    path.mkdir()
    (path / "in it").touch()


DAMAGE: dict[str, Callable[[Path], Any]] = {
    "changed": damage_by_change,
    "cut": damage_by_cut,
    "removed": Path.unlink,
    "a directory": replace_by(put_directory),
    "a FIFO": replace_by(os.mkfifo),
    "a link to itself": replace_by(lambda path: path.symlink_to(path)),
}


@pytest.mark.parametrize("how", DAMAGE)
@pytest.mark.parametrize("before", [True, False], ids=["checked before", "never checked"])
def test_damaged_bytes_are_never_sent_and_made_again(
    service: RunningService, build: int, how: str, before: bool
) -> None:
    address = f"api/v1/build/{build}/archive/"
    with service.client("alice") as alice:
        if before:
            assert alice.get(address).content == b"packed"
        DAMAGE[how](path_of(service, b"packed"))
        thread, answers = in_thread(lambda: alice.get(address))
        make_artifact(service, build, ArtifactType.CONDA_PACK, b"packed")
        thread.join()
        assert (answers[0].status_code, answers[0].content) == (200, b"packed")
    (entry,) = service.db.read_sync(audit.list_entries, ADMIN, action=AuditAction.ARTIFACT_DAMAGED, size=9)
    assert (entry.build_id, entry.detail) == (
        build,
        f"CONDA_PACK: was {'removed' if how == 'removed' else 'changed'} on disk",
    )


@pytest.mark.parametrize("how", DAMAGE)
def test_damaged_bytes_that_cannot_be_made_again_are_said(service: RunningService, build: int, how: str) -> None:
    delete(service, build, kept=(ArtifactType.YAML,))
    path = path_of(service, b"the YAML")
    whole, aside = path.read_bytes(), path.with_suffix(".aside")
    aside.write_bytes(whole)
    DAMAGE[how](path)
    with service.client("alice") as alice:
        for _ in range(2):
            answer = alice.get(f"api/v1/build/{build}/yaml/")
            assert (answer.status_code, answer.json()["code"]) == (410, "gone")
            assert "build it exactly once more" in answer.json()["message"]
        (shutil.rmtree if path.is_dir() else Path.unlink)(path) if how != "removed" else None
        aside.replace(path)
        assert alice.get(f"api/v1/build/{build}/yaml/").content == whole, "a disk that is back is not believed"


def test_head_tells_of_no_bytes_that_are_gone(service: RunningService, build: int) -> None:
    with service.client("alice") as alice:
        assert alice.head(f"api/v1/build/{build}/archive/").status_code == 200
        path_of(service, b"packed").unlink()
        answer = alice.head(f"api/v1/build/{build}/archive/")
    assert (answer.status_code, "ETag" in answer.headers) == (404, False)
    assert states(service, build)[ArtifactType.CONDA_PACK] is ArtifactState.READY


def test_bytes_are_read_once_for_all_who_ask_and_again_when_the_file_was_touched(
    service: RunningService, build: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, go = [], threading.Event()
    real = checks._has_digest

    def counting(path: Path, sha256: str) -> bool:
        read.append(sha256)
        assert go.wait(20)
        return real(path, sha256)

    monkeypatch.setattr(checks, "_has_digest", counting)
    with service.client("alice") as alice:
        address = f"api/v1/build/{build}/archive/"
        waiting = [in_thread(lambda: alice.get(address)) for _ in range(4)]
        until(lambda: read)
        assert alice.get("health").status_code == 200
        go.set()
        for thread, answers in waiting:
            thread.join()
            assert answers[0].content == b"packed"
        assert alice.get(address, headers={"Range": "bytes=1-2"}).content == b"ac"
        assert len(read) == 1
        path_of(service, b"packed").touch()
        assert alice.get(address).content == b"packed"
        assert len(read) == 2


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Generator[threading.Event]:
    """What holds up the reading of all that is longer than `packed`, which counts as large."""
    go, real = threading.Event(), checks._has_digest

    def read(path: Path, sha256: str) -> bool:
        assert path.stat().st_size <= len(b"packed") or go.wait(30)
        return real(path, sha256)

    monkeypatch.setattr(checks, "_SMALL", len(b"packed") + 1)
    monkeypatch.setattr(checks, "_has_digest", read)
    yield go
    go.set()


def test_small_files_do_not_wait_behind_large_ones(
    service: RunningService, build: int, held: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(making, "_CHECK_SECONDS", 0.1)
    with service.client("alice") as alice, service.client("root") as root:
        large = [in_thread(partial(alice.get, f"api/v1/build/{build}/{path}/")) for path in ("yaml", "lockfile") * 4]
        until(lambda: len(running(service)) == 2)
        assert root.get(f"api/v1/build/{build}/archive/").content == b"packed"
        answer = root.get(f"api/v1/build/{build}/yaml/", params=AT_ONCE)
        assert (answer.status_code, "is being checked" in answer.json()["message"]) == (503, True)
        assert int(answer.headers["Retry-After"]) > 0
        held.set()
        for thread, answers in large:
            thread.join()
            assert answers[0].status_code == 200


def running(service: RunningService) -> list[checks._Reading]:
    store = service.services.store
    assert isinstance(store, LocalArtifactStore)
    return list(store._checks._running.values())


def test_nothing_is_read_for_who_has_left(service: RunningService, build: int, held: threading.Event) -> None:
    for number in range(3):
        service.store(service.completed(f"e{number}"), ArtifactType.YAML, b"large one %d" % number)
    address = urlsplit(service.url)
    for number in range(3):
        with socket.create_connection((address.hostname, address.port), timeout=20) as connection:
            connection.sendall(
                f"GET {PREFIX}api/v1/build/{build + 1 + number}/yaml/ HTTP/1.1\r\nHost: x\r\n"
                "Authorization: token alice-token\r\n\r\n".encode()
            )
            until(lambda: len(running(service)) == number + 1)  # noqa: B023
    until(lambda: len(running(service)) == 2)
    held.set()
    with service.client("alice") as alice:
        assert alice.get(f"api/v1/build/{build + 3}/yaml/").content == b"large one 2"


def test_a_file_is_not_readable_before_it_is_whole(service: RunningService) -> None:
    with service.building(SCRIPT), service.client("alice") as alice:
        build_id = service.submit("writes-in-two-parts")
        until(lambda: all(state is ArtifactState.READY for state in states(service, build_id).values()))
        address, work_folder = f"api/v1/build/{build_id}/explicit/", service.services.data.work
        assert alice.get(address, params=AT_ONCE).status_code == 503
        until((work_folder / "half").exists)
        assert alice.get(address, params=AT_ONCE).status_code == 503
        assert alice.head(address).status_code == 503
        (work_folder / "go").touch()
        answer = alice.get(address)
    assert (answer.status_code, answer.text) == (200, "EXPLICIT of writes-in-two-parts")
