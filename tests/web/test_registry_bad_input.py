"""What clients of the registry do wrong, or do on purpose: it costs them something, and nobody else."""

from __future__ import annotations

import base64
import contextlib
import gc
import logging
import os
import socket
import struct
import threading
from collections.abc import Generator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from sqlalchemy.orm import Session

from conda_store_hub.core.names import DataDirectory
from conda_store_hub.db.tables import Token
from conda_store_hub.storage import prefixes
from conda_store_hub.web import downloads
from conda_store_hub.web.registry.place import Registry
from tests.support.certificates import make_certificate
from tests.support.ports import find_port
from tests.support.process import until
from tests.support.service import RunningService, run_service
from tests.web.test_registry import LAYER, ML, Pushed, code_of, digest_of, pulling

SPARE = 20  # files that are opened when there is much to do, and then kept: connections to the database
LARGE = os.urandom(1_000_000) * 24


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Generator[RunningService]:
    """A service with a large image, at the Hub's address and at a port of its own with TLS."""
    data, files = DataDirectory(tmp_path_factory.mktemp("d")), make_certificate(tmp_path_factory.mktemp("t"), "hub")
    prefixes.ensure_data_directory(data, publish_links=False)
    registry = Registry(port=find_port(), ip="127.0.0.1", certificate=str(files.certificate), key=str(files.key))
    with run_service(data, registry=registry) as running:
        yield running


@pytest.fixture(scope="module")
def image(service: RunningService) -> Pushed:
    build_id = service.completed()
    pushed = Pushed(service, build_id, service.store_image(build_id, LARGE))
    with pulling(service) as alice:  # its bytes are checked once
        assert alice.get(f"{ML}/blobs/{pushed.layer}", headers={"Range": "bytes=0-0"}).status_code == 206
    return pushed


def ask(image: Pushed, received: int = 1 << 16) -> socket.socket:
    """Ask for the large blob, and read nothing of it."""
    address = urlsplit(image.service.url)
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, received)
    connection.settimeout(30)
    connection.connect((address.hostname, address.port))
    path = f"{ML}/blobs/{image.layer}"
    connection.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer alice-token\r\n\r\n".encode())
    return connection


# Who may not


@pytest.mark.parametrize("how", ["expired", "revoked", "never made"])
@pytest.mark.parametrize("scheme", ["Basic", "Bearer", "token"])
def test_a_token_that_is_worth_nothing_pulls_nothing(image: Pushed, how: str, scheme: str) -> None:
    service = image.service
    with service.client("alice") as api:
        made = api.post("api/v1/token/", json={"label": f"{how} {scheme}"}).json()["data"]
        if how == "revoked":
            assert api.delete(f"api/v1/token/{made['id']}/").status_code == 200
    if how == "expired":
        service.db.write_sync(expire, made["id"])
    text = "csh_nobody" if how == "never made" else made["token"]
    sent = base64.b64encode(f"x:{text}".encode()).decode() if scheme == "Basic" else text
    with pulling(service, None, headers={"Authorization": f"{scheme} {sent}"}) as client:
        for path in ("/v2/", f"{ML}/manifests/latest", f"{ML}/blobs/{image.layer}", f"{ML}/tags/list", "/v2/token"):
            answer = client.get(path)
            assert (answer.status_code, code_of(answer)) == (401, "UNAUTHORIZED"), path


def expire(session: Session, token_id: int) -> None:
    row = session.get(Token, token_id)
    assert row is not None
    row.expires_at = datetime.now(UTC) - timedelta(seconds=1)


def test_a_token_for_one_namespace_pulls_from_that_alone(image: Pushed) -> None:
    service = image.service
    other = service.completed("shared", namespace="group.physics")
    service.store_image(other, LAYER)
    with service.client("alice") as api:
        body = {"label": "pull", "namespaces": ["group.physics"], "role": "viewer"}
        token = api.post("api/v1/token/", json=body).json()["data"]["token"]
    with pulling(service, None, headers={"Authorization": f"Bearer {token}"}) as client:
        assert client.get("/v2/group.physics/shared/manifests/latest").status_code == 200
        assert code_of(client.get(f"{ML}/manifests/latest")) == "NAME_UNKNOWN"
        assert code_of(client.get(f"/v2/group.physics/shared/blobs/{image.layer}")) == "BLOB_UNKNOWN"
        assert client.get(f"/v2/group.physics/shared/blobs/{digest_of(LAYER)}").content == LAYER


@pytest.mark.parametrize(
    "path",
    [
        *("/v2/../../etc/passwd", "/v2/alice/../alice/ml/manifests/latest"),
        *("/v2/alice/ml/blobs/../../../secrets/pepper", "/v2/alice/ml/blobs/sha256:..%2f..%2fdb.sqlite"),
        *("/v2/ALICE/ML/manifests/latest", f"/v2/alice/{'m' * 300}/manifests/latest", f"/v2/{'a/' * 150}b/tags/list"),
        f"/v2/alice/ml/manifests/{'x' * 300}",
        *("/v2/%ff/ml/manifests/latest", "/v2/alice/ml/manifests/%ff", "/v2/alice/ml/blobs/sha256:%ff%00"),
        *("/v2/alice/ml/tags/list?last=%ff&n=%ff", "/v2/_catalog?n=-1&last=%ff"),
        *("/v2/alice/ml/referrers/%ff", "/v2/alice/ml/manifests/..%2f..%2f1", "/v2/alice%2fml%00/tags/list"),
        f"/v2/conda-store-dynamic/{'a.lt.1.' * 40}/manifests/latest",
    ],
)
def test_a_path_that_is_none_leads_nowhere(image: Pushed, path: str) -> None:
    address = urlsplit(image.service.url)
    with socket.create_connection((address.hostname, address.port), timeout=30) as connection:
        head = f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer alice-token\r\nConnection: close\r\n\r\n"
        connection.sendall(head.encode())
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    status = int(answer.split(b" ", 2)[1])
    assert status in (400, 404), answer[:200]
    assert b'{"errors":[{"code":"' in answer or path.startswith("/v2/.."), answer[:500]


# Who takes their time


def test_who_takes_a_byte_now_and_then_is_cut_off_and_others_are_served(
    image: Pushed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(downloads, "_SILENT_SECONDS", 1)
    service = image.service
    ended = threading.Event()
    with ask(image) as slow, pulling(service, "root") as root:
        until(lambda: service.services.downloading)

        def take_little() -> None:
            while not ended.wait(0.05):
                slow.recv(1)

        thread = threading.Thread(target=take_little)
        thread.start()
        try:
            assert root.get(f"{ML}/blobs/{image.layer}").content == LARGE, "meanwhile"
            until(lambda: not service.services.downloading)
        finally:
            ended.set()
            thread.join()


def test_a_cluster_that_pulls_by_one_secret_is_sent_three_layers_a_pull(
    image: Pushed, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = image.service
    with contextlib.ExitStack() as stack, pulling(service) as alice:
        pulls = [stack.enter_context(ask(image)) for _ in range(3 * 20)]
        assert all(each.recv(1000).startswith(b"HTTP/1.1 200") for each in pulls)
        until(lambda: service.services.downloading["images of alice"] == len(pulls))
        monkeypatch.setattr(service.services.registry, "pulled_at_once", len(pulls))
        refused = alice.get(f"{ML}/blobs/{image.layer}")
        assert (refused.status_code, code_of(refused)) == (429, "TOOMANYREQUESTS")
        assert alice.get(f"{ML}/manifests/latest").status_code == 200, "which is not counted"
    until(lambda: not service.services.downloading)


def test_two_hundred_that_hang_up_leave_nothing_behind(image: Pushed, caplog: pytest.LogCaptureFixture) -> None:
    service = image.service
    with pulling(service) as alice:
        assert alice.get("/v2/").status_code == 200
    until(lambda: not service.services.downloading)
    before = count_files() + SPARE
    with caplog.at_level(logging.WARNING):
        for round_ in range(4):
            begun = [ask(image) for _ in range(50)]
            for connection in begun[::2]:
                assert connection.recv(1000).startswith(b"HTTP/1.1 200"), "who is in the middle"
            for connection in begun:
                if round_ % 2:  # by a reset
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                connection.close()
            until(lambda: not service.services.downloading)
    until(lambda: count_files() <= before)
    assert caplog.messages == []
    with pulling(service) as alice:
        assert alice.get(f"{ML}/blobs/{image.layer}", headers={"Range": "bytes=0-9"}).content == LARGE[:10]


def count_files() -> int:
    """Return how many files this process has open, the service's among them."""
    gc.collect()
    return len(list(Path("/proc/self/fd").iterdir()))


def test_handshakes_that_go_wrong_leave_nothing_behind(image: Pushed, caplog: pytest.LogCaptureFixture) -> None:
    where = ("127.0.0.1", image.service.services.registry.port)
    with httpx.Client(verify=False, trust_env=False) as client:
        url = f"https://{where[0]}:{where[1]}/v2/"
        assert client.get(url).status_code == 401
        before = count_files()
        with caplog.at_level(logging.ERROR):
            for begun in (b"", b"\x16", b"\x16\x03\x01\x00\x05hello", b"GET / HTTP/1.1\r\n\r\n", os.urandom(3000)) * 10:
                with socket.create_connection(where) as connection:
                    connection.sendall(begun)
            until(lambda: count_files() <= before)
        assert caplog.messages == []
        assert client.get(url).status_code == 401
