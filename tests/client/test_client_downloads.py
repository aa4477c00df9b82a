"""Downloads from the real service, over connections that break off, and with bytes that change on the way."""

from __future__ import annotations

import random
import socket
import subprocess
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from conda_store_hub.client.api import Client
from conda_store_hub.core.errors import BeingMadeError, DamagedError, GoneError, StorageError, UnavailableError
from conda_store_hub.core.protocol import ArtifactType
from conda_store_hub.services import removals
from tests.support.make import ALICE
from tests.support.process import until
from tests.support.service import RunningService, service

__all__ = ["service"]

BYTES = random.Random(2).randbytes(6_000_000)


class Relay:
    """Passes connections on to a service; `pass_on` is given what the service sends, and may cut it short."""

    def __init__(self, target: tuple[str, int], pass_on: Callable[[int, int, bytes], bytes | None]) -> None:
        self.requests: list[str] = []
        self._target = target
        self._pass_on = pass_on
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    @property
    def port(self) -> int:
        return int(self._listener.getsockname()[1])

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection = self._listener.accept()[0]
                self._threads.append(threading.Thread(target=self._relay, args=(connection, len(self._threads))))
                self._threads[-1].start()

    def _relay(self, client: socket.socket, number: int) -> None:
        """Pass one request on, and its answer until that is cut; another request is on another connection."""
        with client, socket.create_connection(self._target) as server:
            client.settimeout(20)
            server.settimeout(20)
            head = client.recv(1 << 16)
            if not head:
                return
            self.requests.append(head.decode())
            server.sendall(head.replace(b"keep-alive", b"close"))
            sent = 0
            with suppress(OSError):
                while data := server.recv(1 << 16):
                    passed = self._pass_on(number, sent, data)
                    if passed is None:
                        return
                    client.sendall(passed)
                    sent += len(data)


@contextmanager
def relayed(
    service: RunningService, pass_on: Callable[[int, int, bytes], bytes | None]
) -> Generator[tuple[Client, Relay]]:
    address = urlsplit(service.url)
    relay = Relay((address.hostname or "", address.port or 0), pass_on)
    url = f"http://127.0.0.1:{relay.port}{address.path}"
    try:
        with Client(url, token="alice-token", timeout=20) as client:
            yield client, relay
    finally:
        relay.close()


def cut(*sizes: int) -> Callable[[int, int, bytes], bytes | None]:
    """Cut the first connections, each after so many bytes."""
    return lambda number, sent, data: None if number <= len(sizes) and sent + len(data) > sizes[number - 1] else data


@pytest.fixture
def build(service: RunningService) -> int:
    build_id = service.completed()
    service.store(build_id, ArtifactType.CONDA_PACK, BYTES)
    return build_id


def test_a_download_that_is_cut_off_goes_on_where_it_was(service: RunningService, build: int, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    with relayed(service, cut(1_000_000, 2_000_000)) as (client, relay):
        client.download(
            build,
            ArtifactType.CONDA_PACK,
            tmp_path / "ml.tar.gz",
            on_bytes=lambda size, total: told.append((size, total)),
        )
    assert (tmp_path / "ml.tar.gz").read_bytes() == BYTES
    assert [path.name for path in tmp_path.iterdir()] == ["ml.tar.gz"]
    assert ["Range:" in head or "range:" in head for head in relay.requests] == [False, True, True]
    assert told[-1] == (len(BYTES), len(BYTES))
    assert [size for size, _ in told] == sorted(size for size, _ in told), "something came twice"


def test_other_bytes_by_now_are_taken_from_their_beginning(service: RunningService, build: int, tmp_path: Path) -> None:
    others = random.Random(3).randbytes(4_000_000)

    def cut_and_change(number: int, sent: int, data: bytes) -> bytes | None:
        if number == 1 and sent > 1_000_000:
            service.store(build, ArtifactType.CONDA_PACK, others)
            return None
        return data

    with relayed(service, cut_and_change) as (client, relay):
        client.download(build, ArtifactType.CONDA_PACK, tmp_path / "ml.tar.gz")
    assert (tmp_path / "ml.tar.gz").read_bytes() == others
    assert len(relay.requests) == 2


@pytest.mark.parametrize("times", [1, 2])
def test_bytes_that_were_changed_on_the_way_are_not_kept(
    service: RunningService, build: int, tmp_path: Path, times: int
) -> None:
    def change(number: int, sent: int, data: bytes) -> bytes | None:
        return data[:-1] + bytes([data[-1] ^ 1]) if number <= times and 1_000_000 < sent < 1_100_000 else data

    target = tmp_path / "ml.tar.gz"
    target.write_text("the old one")
    with relayed(service, change) as (client, _):
        if times == 1:
            client.download(build, ArtifactType.CONDA_PACK, target)
        else:
            with pytest.raises(DamagedError, match="changed on the way"):
                client.download(build, ArtifactType.CONDA_PACK, target)
    assert target.read_bytes() == (BYTES if times == 1 else b"the old one")
    assert list(tmp_path.iterdir()) == [target]


def test_a_service_that_is_not_there_is_said_at_once(service: RunningService, build: int, tmp_path: Path) -> None:
    with relayed(service, lambda *_: None) as (client, relay):
        with pytest.raises(UnavailableError):
            client.download(build, ArtifactType.CONDA_PACK, tmp_path / "ml.tar.gz")
        assert len(relay.requests) == 1
    assert list(tmp_path.iterdir()) == []


def test_what_has_to_be_made_first_is_waited_for(service: RunningService, build: int, tmp_path: Path) -> None:
    service.finish(build)
    target = tmp_path / "explicit.txt"
    with Client(service.url, token="alice-token", timeout=20) as client:
        with pytest.raises(BeingMadeError, match="is being made"):
            client.download(build, ArtifactType.EXPLICIT, target, wait=0)
        waiting = threading.Thread(target=client.download, args=(build, ArtifactType.EXPLICIT, target))
        waiting.start()
        service.claim(build)
        service.store(build, ArtifactType.EXPLICIT, b"@EXPLICIT\n")
        waiting.join()
    assert target.read_bytes() == b"@EXPLICIT\n"


def test_what_is_gone_is_said(service: RunningService, build: int, tmp_path: Path) -> None:
    service.finish(build)
    service.completed()
    service.db.write_sync(removals.delete_build, ALICE, build, (), force=True)
    with Client(service.url, token="alice-token") as client, pytest.raises(GoneError, match="build it exactly"):
        client.download(build, ArtifactType.CONDA_PACK, tmp_path / "ml.tar.gz")
    until(lambda: list(tmp_path.iterdir()) == [])


# From one call to the next


def stop_after(size: int) -> Callable[[int, int], None]:
    """Press Ctrl-C once so many bytes are there."""

    def look(done: int, _: int) -> None:
        if done > size:
            raise KeyboardInterrupt

    return look


@pytest.mark.parametrize("same", [True, False])
def test_what_came_before_a_download_was_stopped_does_not_come_again(
    service: RunningService, build: int, tmp_path: Path, same: bool
) -> None:
    target, told = tmp_path / "ml.tar.gz", list[int]()
    with relayed(service, lambda _number, _sent, data: data) as (client, relay):
        with pytest.raises(KeyboardInterrupt):
            client.download(build, ArtifactType.CONDA_PACK, target, on_bytes=stop_after(1_000_000))
        assert len(list(tmp_path.iterdir())) == 1
        assert not target.exists()
    wanted = BYTES if same else random.Random(4).randbytes(2_000_000)
    if not same:
        service.store(build, ArtifactType.CONDA_PACK, wanted)
    with relayed(service, lambda _number, _sent, data: data) as (client, relay):
        client.download(build, ArtifactType.CONDA_PACK, target, on_bytes=lambda size, _: told.append(size))
    assert target.read_bytes() == wanted
    assert list(tmp_path.iterdir()) == [target]
    assert "range: bytes=1" in relay.requests[0].lower()
    assert (told[0] > 1_000_000) is same


def test_a_part_that_was_changed_since_is_not_used(service: RunningService, build: int, tmp_path: Path) -> None:
    target = tmp_path / "ml.tar.gz"
    with Client(service.url, token="alice-token") as client:
        with pytest.raises(KeyboardInterrupt):
            client.download(build, ArtifactType.CONDA_PACK, target, on_bytes=stop_after(1_000_000))
        (part,) = tmp_path.iterdir()
        part.write_bytes(bytes(part.stat().st_size))
        client.download(build, ArtifactType.CONDA_PACK, target)
        assert target.read_bytes() == BYTES
        part.write_bytes(BYTES)  # it was stopped just before it had its name
        client.download(build, ArtifactType.CONDA_PACK, target)
    assert target.read_bytes() == BYTES
    assert list(tmp_path.iterdir()) == [target]


def test_two_downloads_of_a_file_at_once_do_not_meet(service: RunningService, build: int, tmp_path: Path) -> None:
    target = tmp_path / "ml.tar.gz"

    def begin_another(_done: int, _total: int) -> None:
        if not target.exists():
            other.download(build, ArtifactType.CONDA_PACK, target)

    with Client(service.url, token="alice-token") as client, Client(service.url, token="alice-token") as other:
        client.download(build, ArtifactType.CONDA_PACK, target, on_bytes=begin_another)
    assert target.read_bytes() == BYTES
    assert list(tmp_path.iterdir()) == [target]


def test_a_part_that_somebody_else_could_have_planted_is_not_touched(
    service: RunningService, build: int, tmp_path: Path
) -> None:
    target, mine = tmp_path / "d" / "ml.tar.gz", tmp_path / "mine"
    target.parent.mkdir()
    mine.write_text("mine")
    planted = target.with_name(f".ml.tar.gz.{'0' * 64}.part"), target.with_name(f".ml.tar.gz.{'1' * 64}.part")
    planted[0].symlink_to(mine)
    planted[1].hardlink_to(mine)
    with Client(service.url, token="alice-token") as client:
        client.download(build, ArtifactType.CONDA_PACK, target)
    assert target.read_bytes() == BYTES
    assert mine.read_text() == "mine"


@pytest.mark.root
def test_a_disk_that_fills_up_is_told_and_keeps_nothing(service: RunningService, build: int, tmp_path: Path) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", tmp_path], check=True)
    try:
        with Client(service.url, token="alice-token") as client, pytest.raises(StorageError, match="No space left"):
            client.download(build, ArtifactType.CONDA_PACK, tmp_path / "ml.tar.gz")
        assert list(tmp_path.iterdir()) == []
    finally:
        subprocess.run(["umount", tmp_path], check=True)
