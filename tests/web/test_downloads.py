"""Artifacts: whole, by ranges, not at all when nothing changed; as fast as the client takes them."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import random
import socket
import threading
from collections.abc import AsyncGenerator
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

import httpx
import pytest

from conda_store_hub.core.errors import StorageError
from conda_store_hub.core.names import DataDirectory
from conda_store_hub.core.protocol import ArtifactType
from conda_store_hub.storage.base import ArtifactStore, LocalArtifactStore, artifact_key
from conda_store_hub.web import downloads
from conda_store_hub.web.downloads import find_range, matches
from tests.support.process import until
from tests.support.service import PREFIX, RunningService, run_service, service

__all__ = ["service"]

BYTES = random.Random(1).randbytes(3_000_000)
DIGEST = hashlib.sha256(BYTES).hexdigest()


@pytest.fixture
def archive(service: RunningService) -> str:
    """The address of an archive of three megabytes."""
    build_id = service.completed()
    service.store(build_id, ArtifactType.CONDA_PACK, BYTES)
    return f"api/v1/build/{build_id}/archive/"


def test_an_artifact_is_sent_whole_with_its_name_and_digest(service: RunningService, archive: str) -> None:
    with service.client("alice") as alice:
        answer = alice.get(archive)
    assert answer.content == BYTES
    assert answer.headers["Content-Length"] == str(len(BYTES))
    assert answer.headers["ETag"] == f'"{DIGEST}"'
    assert answer.headers["Repr-Digest"] == f"sha-256=:{base64.b64encode(bytes.fromhex(DIGEST)).decode()}:"
    assert answer.headers["Accept-Ranges"] == "bytes"
    assert answer.headers["Content-Type"] == "application/gzip"
    assert answer.headers["Content-Disposition"] == 'attachment; filename="ml-1.tar.gz"'


def test_head_tells_all_but_the_bytes(service: RunningService, archive: str) -> None:
    with service.client("alice") as alice:
        answer = alice.head(archive)
        part = alice.head(archive, headers={"Range": "bytes=0-9"})
        behind = alice.head(archive, headers={"Range": "bytes=9999999-"})
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["Content-Length"] == str(len(BYTES))
    for ranged in (part, behind):  # ranges are of GET alone
        assert (ranged.status_code, ranged.headers["Content-Length"]) == (200, str(len(BYTES)))


@pytest.mark.parametrize(
    ("asked", "start", "end"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=0-99", 0, 100),
        ("bytes=1048570-1048590", 1048570, 1048591),
        ("bytes=2999999-", 2_999_999, 3_000_000),
        ("bytes=5-9999999999", 5, 3_000_000),
        ("bytes=-7", 2_999_993, 3_000_000),
        ("bytes=-99999999", 0, 3_000_000),
        ("Bytes= 3 - 5", 3, 6),
        ("bytes=5-" + "9" * 30, 5, 3_000_000),
        ("bytes=-" + "9" * 30, 0, 3_000_000),
        ("bytes=" + "0" * 30 + "3-5", 3, 6),
        ("bytes=0-1,", 0, 2),
        ("bytes= , 0-1 , ,", 0, 2),
    ],
)
def test_a_range_is_sent_alone(service: RunningService, archive: str, asked: str, start: int, end: int) -> None:
    with service.client("alice") as alice:
        answer = alice.get(archive, headers={"Range": asked})
    assert answer.status_code == 206
    assert answer.headers["Content-Range"] == f"bytes {start}-{end - 1}/{len(BYTES)}"
    assert answer.content == BYTES[start:end]


@pytest.mark.parametrize("asked", ["bytes=3000000-", "bytes=9999999-99999999", "bytes=-0", "bytes=" + "9" * 19 + "-"])
def test_a_range_behind_the_end_cannot_be_sent(service: RunningService, archive: str, asked: str) -> None:
    with service.client("alice") as alice:
        answer = alice.get(archive, headers={"Range": asked})
    assert answer.status_code == 416
    assert answer.headers["Content-Range"] == f"bytes */{len(BYTES)}"
    assert answer.json()["code"] == "range-not-satisfiable"


@pytest.mark.parametrize(
    "asked", ["bytes=0-1,5-9", "bytes=9-3", "lines=1-2", "bytes=-", "bytes=a-b", "bytes=" + "9" * 30]
)
def test_a_range_that_is_not_understood_is_all(asked: str) -> None:
    assert find_range(asked, 100) is None


def test_if_range_of_other_bytes_gives_all(service: RunningService, archive: str) -> None:
    headers = {"Range": "bytes=0-9", "If-Range": '"other"'}
    with service.client("alice") as alice:
        assert alice.get(archive, headers=headers).content == BYTES
        assert alice.get(archive, headers={**headers, "If-Range": f'"{DIGEST}"'}).content == BYTES[:10]


@pytest.mark.parametrize("named", [f'"{DIGEST}"', f'W/"{DIGEST}"', f'"a", "{DIGEST}"', "*"])
def test_what_the_client_has_is_not_sent_again(service: RunningService, archive: str, named: str) -> None:
    with service.client("alice") as alice:
        answer = alice.get(archive, headers={"If-None-Match": named})
    assert (answer.status_code, answer.content, answer.headers["ETag"]) == (304, b"", f'"{DIGEST}"')


def test_if_match_of_other_bytes_gives_none(service: RunningService, archive: str) -> None:
    with service.client("alice") as alice:
        for named in (f'"{DIGEST}"', "*", f'"other", "{DIGEST}"'):
            assert alice.get(archive, headers={"If-Match": named}).content == BYTES
        for named in ('"other"', f'W/"{DIGEST}"'):
            answer = alice.get(archive, headers={"If-Match": named, "Range": "bytes=9999999-"})
            assert (answer.status_code, answer.json()["code"]) == (412, "precondition-failed")


def test_another_etag_does_not_match() -> None:
    assert not matches('"a"', '"b"')
    assert not matches("", '"b"')


def test_an_interrupted_download_goes_on(service: RunningService, archive: str) -> None:
    with service.client("alice") as alice:
        with alice.stream("GET", archive) as answer:
            got = next(answer.iter_raw(1000))
        rest = alice.get(archive, headers={"Range": f"bytes={len(got)}-", "If-Range": f'"{DIGEST}"'})
    assert got + rest.content == BYTES


@dataclass
class BreakingStore:
    """A store that fails after so many bytes, and counts what it was asked for."""

    behind: ArtifactStore
    good: int
    given: int = 0

    async def check(self, key: str, size: int) -> None:
        await self.behind.check(key, size)

    async def read(self, key: str, start: int, end: int) -> AsyncGenerator[bytes]:
        async for piece in self.behind.read(key, start, end):
            if self.given + len(piece) > self.good:
                raise StorageError(detail="the bucket is on fire")
            self.given += len(piece)
            yield piece


def with_store(service: RunningService, good: int) -> BreakingStore:
    """Put a breaking store in place of the service's."""
    store = BreakingStore(service.services.store, good)
    service.application.settings["services"] = replace(service.services, store=store)  # type: ignore[arg-type]
    return store


def test_a_storage_that_fails_at_once_is_an_error(service: RunningService, archive: str) -> None:
    with_store(service, 0)
    with service.client("alice") as alice:
        answer = alice.get(archive)
    assert (answer.status_code, answer.json()["code"]) == (500, "storage")
    assert "fire" not in answer.text


def test_a_storage_that_fails_midway_breaks_the_connection_off(service: RunningService, archive: str) -> None:
    with_store(service, 2_500_000)
    with service.client("alice") as alice, pytest.raises(httpx.RemoteProtocolError):
        alice.get(archive)
    with service.client("alice") as alice:
        assert alice.get("health").status_code == 200


def test_no_more_is_read_than_the_client_takes(data: DataDirectory) -> None:
    size = 200_000_000
    with run_service(data) as service:
        build_id = service.completed()
        service.store(build_id, ArtifactType.CONDA_PACK, b"\0" * size)
        store = with_store(service, size)
        address = urlsplit(service.url)
        with socket.create_connection((address.hostname, address.port), timeout=20) as connection:
            connection.sendall(
                f"GET {PREFIX}api/v1/build/{build_id}/archive/ HTTP/1.1\r\nHost: x\r\n"
                "Authorization: token alice-token\r\n\r\n".encode()
            )
            connection.recv(1000)
            service.call(settle(store))
            assert 0 < store.given < size / 4
        service.call(nobody_reads(store))


def ask_and_read_nothing(service: RunningService, path: str, name: str = "alice") -> socket.socket:
    address = urlsplit(service.url)
    connection = socket.create_connection((address.hostname, address.port), timeout=20)
    connection.sendall(f"GET {PREFIX}{path} HTTP/1.1\r\nHost: x\r\nAuthorization: token {name}-token\r\n\r\n".encode())
    return connection


@pytest.fixture
def large(service: RunningService) -> str:
    """The address of an archive that no buffer holds."""
    build_id = service.completed("large")
    service.store(build_id, ArtifactType.CONDA_PACK, b"\0" * 20_000_000)
    with service.client("alice") as alice:
        assert alice.get(f"api/v1/build/{build_id}/archive/", headers={"Range": "bytes=0-0"}).status_code == 206
    until(lambda: not service.services.downloading)  # the last byte is there before it is over
    return f"api/v1/build/{build_id}/archive/"


def test_who_takes_nothing_is_cut_off(service: RunningService, large: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downloads, "_SILENT_SECONDS", 1)
    with ask_and_read_nothing(service, large):
        until(lambda: service.services.downloading)
        until(lambda: not service.services.downloading)


def test_one_person_is_sent_so_many_files_at_once(
    service: RunningService, large: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(downloads, "MOST_AT_ONCE", 2)
    with service.client("alice") as alice, service.client("root") as root:
        with ask_and_read_nothing(service, large), ask_and_read_nothing(service, large):
            until(lambda: service.services.downloading["alice"] == 2)
            answer = alice.get(large, headers={"Range": "bytes=0-0"})
            assert (answer.status_code, answer.json()["code"]) == (429, "too-many-downloads")
            assert int(answer.headers["Retry-After"]) > 0
            assert root.get(large, headers={"Range": "bytes=0-0"}).status_code == 206
        until(lambda: not service.services.downloading)
        assert alice.get(large, headers={"Range": "bytes=0-0"}).status_code == 206


def test_many_slow_readers_are_read_for_in_small_pieces(service: RunningService, large: str) -> None:
    pieces: list[int] = []

    async def read_first() -> None:
        key = artifact_key(hashlib.sha256(b"\0" * 20_000_000).hexdigest())
        async with contextlib.aclosing(service.services.store.read(key, 0, 20_000_000)) as found:
            pieces.append(len(await anext(found)))

    service.call(read_first())
    with contextlib.ExitStack() as readers:
        for _ in range(20):
            readers.enter_context(ask_and_read_nothing(service, large))
        store = service.services.store
        assert isinstance(store, LocalArtifactStore)
        until(lambda: store._readers == 20)
        service.call(read_first())
    until(lambda: not service.services.downloading)
    assert pieces == [2 << 20, 256 << 10]


async def settle(store: BreakingStore) -> None:
    """Wait until nothing more is read."""
    before = -1
    while before != store.given:
        before = store.given
        await asyncio.sleep(0.2)


async def nobody_reads(store: BreakingStore) -> None:
    """Wait until who has left is given nothing more."""
    await settle(store)
    assert store.given < 200_000_000


def test_many_download_at_once(service: RunningService, archive: str) -> None:
    wrong: list[int] = []

    def fetch() -> None:
        with service.client("alice") as alice:
            if alice.get(archive).content != BYTES:
                wrong.append(1)

    threads = [threading.Thread(target=fetch) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
