"""The registry's own port: TLS, certificates that are renewed, clients that speak the other one of the two."""

from __future__ import annotations

import contextlib
import logging
import resource
import socket
import ssl
import struct
from collections.abc import Generator
from pathlib import Path
from typing import Any

import httpx
import pytest

from conda_store_hub.core.errors import ConfigurationError
from conda_store_hub.core.names import DataDirectory
from conda_store_hub.core.oci import Manifest
from conda_store_hub.storage import prefixes
from conda_store_hub.web.certificates import Certificate
from conda_store_hub.web.listening import raise_limit_of_files
from conda_store_hub.web.registry.place import Registry, read_given
from conda_store_hub.web.registry.probe import probe
from tests.support.certificates import Files, make_certificate
from tests.support.ports import find_port
from tests.support.process import until
from tests.support.service import RunningService, run_service
from tests.web.test_pages import get

LAYER = bytes(range(256)) * 4
FORGED = {"X-Forwarded-For": "203.0.113.7", "X-Forwarded-Proto": "http", "X-Real-Ip": "203.0.113.7"}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return make_certificate(tmp_path_factory.mktemp("tls"), "first")


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, files: Files) -> Generator[RunningService]:
    """A service with an image of alice/ml, which is pulled at a port of its own."""
    data = DataDirectory(tmp_path_factory.mktemp("d"))
    prefixes.ensure_data_directory(data, publish_links=False)
    registry = Registry(port=find_port(), ip="127.0.0.1", certificate=str(files.certificate), key=str(files.key))
    with run_service(data, registry=registry) as running:
        running.store_image(running.completed(), LAYER)
        yield running


def pulling(service: RunningService, files: Files, name: str | None = "alice", **options: Any) -> httpx.Client:
    """Return a client of the port, which takes nobody else's certificate."""
    headers = options.pop("headers", {}) | ({"Authorization": f"Bearer {name}-token"} if name else {})
    context = ssl.create_default_context(cafile=files.certificate)
    url = f"https://127.0.0.1:{service.services.registry.port}"
    return httpx.Client(base_url=url, headers=headers, verify=context, trust_env=False, timeout=30, **options)


def shown_certificate(service: RunningService) -> bytes:
    """Return the certificate that a client is shown."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    where = ("127.0.0.1", service.services.registry.port)
    with socket.create_connection(where) as plain, context.wrap_socket(plain) as connection:
        shown = connection.getpeercert(binary_form=True)
    assert shown is not None
    return ssl.DER_cert_to_PEM_cert(shown).encode()


def test_the_health_page_tells_how_the_port_and_its_certificate_stand(service: RunningService, files: Files) -> None:
    registry = service.services.registry
    text = " ".join(get(service, "admin/health/", "root").text.split())
    assert f"Images look at it port {registry.port} answers; its certificate ends 20" in text, "tomorrow, which is soon"
    kept = files.key.read_bytes()
    files.key.write_text("no key")
    try:
        text = " ".join(get(service, "admin/health/", "root").text.split())
    finally:
        files.key.write_bytes(kept)
    assert "have no certificate and key in the form PEM" in text
    plain = Registry(port=find_port())
    with pytest.raises(ConfigurationError, match=f"Nothing answers at port {plain.port} of 127.0.0.1"):
        service.call(probe(plain))


def test_images_are_pulled_with_tls(service: RunningService, files: Files) -> None:
    with pulling(service, files) as alice:
        manifest = alice.get("/v2/alice/ml/manifests/latest")
        layer = Manifest.model_validate_json(manifest.content).layers[0].digest
        assert alice.get(f"/v2/alice/ml/blobs/{layer}").content == LAYER


def test_nothing_else_of_the_service_is_there(service: RunningService, files: Files) -> None:
    prefix = service.url.removeprefix(service.root_url)
    with pulling(service, files) as alice:
        for path in ("/", prefix, f"{prefix}api/v1/", f"{prefix}health", f"{prefix}oauth_callback"):
            assert alice.get(path).status_code == 404, path


def test_what_clients_say_of_proxies_is_not_believed(service: RunningService, files: Files) -> None:
    with service.client("alice") as api:
        made = api.post("api/v1/token/", json={"label": "pull"}).json()["data"]
        with pulling(service, files, None, headers=FORGED) as nobody:
            realm = nobody.get("/v2/").headers.get_list("WWW-Authenticate")[0]
            nobody.headers["Authorization"] = f"Bearer {made['token']}"
            assert nobody.get("/v2/").status_code == 200
        service.settle()
        (token,) = [each for each in api.get("api/v1/token/").json()["data"] if each["id"] == made["id"]]
    assert realm.startswith(f'Bearer realm="https://127.0.0.1:{service.services.registry.port}/v2/token"')
    assert token["last_used_from"] == "127.0.0.1"


def test_who_speaks_no_tls_is_hung_up_on(service: RunningService, files: Files) -> None:
    with pytest.raises(httpx.TransportError), httpx.Client(trust_env=False, timeout=30) as plain:
        plain.get(f"http://127.0.0.1:{service.services.registry.port}/v2/")
    with pulling(service, files) as alice:
        assert alice.get("/v2/").status_code == 200


def test_a_certificate_that_was_renewed_is_shown_at_once(service: RunningService, files: Files) -> None:
    before = shown_certificate(service)
    with pulling(service, files) as alice:
        assert alice.get("/v2/").status_code == 200
        make_certificate(files.certificate.parent, "second")
        assert alice.get("/v2/").status_code == 200, "on the connection that there was"
    after = shown_certificate(service)
    assert before != after == files.certificate.read_bytes()


def test_while_certificate_and_key_do_not_fit_what_was_read_before_counts(
    service: RunningService, files: Files, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    before, key = files.certificate.read_bytes(), files.key.read_bytes()
    other = make_certificate(tmp_path, "third")
    files.certificate.write_bytes(other.certificate.read_bytes())
    with caplog.at_level(logging.WARNING):
        assert [shown_certificate(service) for _ in range(3)] == [before] * 3
    assert len([line for line in caplog.messages if "is not that of the certificate" in line]) == 1
    files.key.write_bytes(other.key.read_bytes())
    assert shown_certificate(service) == other.certificate.read_bytes()
    files.certificate.unlink()
    assert shown_certificate(service) == other.certificate.read_bytes()
    files.certificate.write_bytes(before)
    files.key.write_bytes(key)


@pytest.mark.parametrize("fault", ["no file", "no PEM", "another key", "a password", "a folder"])
def test_a_certificate_that_cannot_be_used_is_said_at_start(files: Files, tmp_path: Path, fault: str) -> None:
    own = make_certificate(tmp_path, "own", b"secret" if fault == "a password" else None)
    certificate, key = own.certificate, own.key
    if fault == "no file":
        certificate = tmp_path / "none.crt"
    elif fault == "no PEM":
        key.write_bytes(b"nothing of the kind")
    elif fault == "another key":
        key = files.key
    elif fault == "a folder":
        certificate = tmp_path
    words = {
        "no file": f"{certificate} cannot be read by the account that the service runs as: No such file",
        "no PEM": "in the form PEM",
        "another key": f"The key in {key} is not that of the certificate",
        "a password": "has a password",
        "a folder": "Is a directory",
    }[fault]
    with pytest.raises(ConfigurationError) as refused:
        Certificate(certificate, key, logging.getLogger("test"))
    assert words in refused.value.public_message


@pytest.mark.parametrize("ip", ["0.0.0.0", "::", "192.0.2.1", "hub.example.org"])
def test_a_port_without_tls_is_for_this_machine_or_a_proxy_that_speaks_it(ip: str) -> None:
    with pytest.raises(ConfigurationError, match=r"c\.Registry\.certificate"):
        Registry(port=5000, ip=ip).load_certificate()
    for registry in (Registry(port=5000, ip=ip, behind_proxy=True), Registry(port=5000), Registry(port=5000, ip="::1")):
        assert registry.load_certificate() is None
    assert Registry(port=5000).bound == "127.0.0.1"
    assert Registry(port=5000, certificate="x").bound == "", "all addresses of the machine"


def test_tls_ends_in_one_place(files: Files) -> None:
    with pytest.raises(ConfigurationError, match="one of them"):
        Registry(port=5000, behind_proxy=True, certificate=str(files.certificate)).load_certificate()


def test_a_proxy_that_speaks_tls_is_believed(data: DataDirectory) -> None:
    registry = Registry(port=find_port(), behind_proxy=True)
    with run_service(data, registry=registry) as service, httpx.Client(trust_env=False, timeout=30) as nobody:
        headers = {"X-Forwarded-Proto": "https", "Host": "images.example.org"}
        answer = nobody.get(f"http://127.0.0.1:{registry.port}/v2/", headers=headers)
        assert 'realm="https://images.example.org/v2/token"' in answer.headers["WWW-Authenticate"]
        assert nobody.get(f"{service.root_url}/v2/").status_code == 401, "at the service's port, too"
        answer = nobody.get(f"http://127.0.0.1:{registry.port}/v2/", headers={"Host": "images.example.org"})
        assert 'realm="https://images.example.org/' in answer.headers["WWW-Authenticate"], "it is there to speak TLS"
        registry.address = "images.example.org:5000"
        for root in (f"http://127.0.0.1:{registry.port}", service.root_url):
            answer = nobody.get(f"{root}/v2/", headers={"Host": "10.0.0.7:8000"})
            assert 'realm="https://images.example.org:5000/v2/token"' in answer.headers["WWW-Authenticate"], root


# Without TLS


def is_hung_up(client: socket.socket) -> bool:
    """Wait until the other side has hung up; what it left unread has the system say so by a reset."""
    client.settimeout(30)
    with contextlib.suppress(ConnectionResetError):
        while client.recv(1000):
            continue
    return True


def test_at_a_port_of_its_own_slow_and_large_requests_are_hung_up_on_and_the_hub_is_named(
    data: DataDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("_BODY_SECONDS", "_SILENT_SECONDS"):
        monkeypatch.setattr(f"conda_store_hub.web.listening.{name}", 0.3)
    monkeypatch.setattr("conda_store_hub.web.registry.content.LONGEST_SECONDS", 0.1)
    public = "https://hub.example.org/services/csh"
    registry = Registry(port=find_port())
    with run_service(data, registry=registry, public_url=public) as service:
        where = ("127.0.0.1", registry.port)
        head = "POST /v2/alice/ml/blobs/uploads/ HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n"
        for begun in (b"", b"GET /v2/ HT", head.format(9).encode() + b"some", head.format(1 << 17).encode()):
            with socket.create_connection(where) as client:
                client.sendall(begun)
                assert is_hung_up(client), begun
        headers = {"Authorization": "Bearer alice-token"}
        with httpx.Client(base_url=f"http://127.0.0.1:{registry.port}", headers=headers, trust_env=False) as alice:
            assert alice.post("/v2/alice/ml/blobs/uploads/", content=b"some").status_code == 405
            told = alice.get("/v2/conda-store-dynamic/slow/manifests/latest")
        assert told.status_code == 429
        assert f"{public}/build/" in told.text
        assert service.services.pulling.total == 0


def test_more_connections_than_may_be_are_hung_up_on_until_some_have_left(
    data: DataDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("conda_store_hub.web.listening._count_spare_files", lambda: 2)
    registry = Registry(port=find_port())
    request = b"GET /v2/ HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer alice-token\r\n\r\n"
    with run_service(data, registry=registry) as service:
        where = ("127.0.0.1", registry.port)

        def is_answered() -> bool:
            with socket.create_connection(where) as client, contextlib.suppress(OSError):
                client.sendall(request)
                return client.recv(1000).startswith(b"HTTP/1.1 200 ")
            return False

        with socket.create_connection(where) as silent, socket.create_connection(where) as kept:
            kept.sendall(request)
            assert kept.recv(1000).startswith(b"HTTP/1.1 200 ")
            assert not is_answered()
            silent.close()
            until(is_answered)
        with service.client("alice") as alice:
            assert alice.get("api/v1/").status_code == 200, "where the Hub's proxy comes in, there is no such limit"


def test_the_service_may_have_as_many_files_open_as_the_system_allows() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, 1024), hard))
    try:
        raise_limit_of_files()
        most = 1 << 16
        wanted = most if hard == resource.RLIM_INFINITY else min(hard, most)
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (wanted, hard)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def hello() -> bytes:
    """Return how a client begins that speaks TLS."""
    outgoing = ssl.MemoryBIO()
    connection = ssl.create_default_context().wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="hub.example.org")
    with pytest.raises(ssl.SSLWantReadError):
        connection.do_handshake()
    return outgoing.read()


@pytest.mark.parametrize("size", [1, 1000])
def test_who_speaks_tls_where_there_is_none_is_told_so_at_once(service: RunningService, size: int) -> None:
    port = httpx.URL(service.url).port
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.settimeout(30)
        client.sendall(hello()[:size])
        answer = b"".join(iter(lambda: client.recv(1000), b""))
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"No TLS is spoken" in answer


def test_requests_in_pieces_and_one_after_another_are_answered_as_ever(service: RunningService) -> None:
    request = b"GET /v2/ HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer alice-token\r\n\r\n"
    with socket.create_connection(("127.0.0.1", httpx.URL(service.url).port)) as client:
        client.settimeout(30)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in request:
            client.sendall(bytes([byte]))
        assert client.recv(1000).startswith(b"HTTP/1.1 200 ")
        client.sendall(request * 2)
        both = b""
        while both.count(b"HTTP/1.1 200 ") < 2:
            both += client.recv(1000)


def test_who_connects_and_leaves_or_says_nothing_is_no_trouble(data: DataDirectory) -> None:
    with run_service(data) as service:
        where = ("127.0.0.1", httpx.URL(service.url).port)
        for linger in (struct.pack("ii", 1, 0), struct.pack("ii", 0, 0)):  # by a reset, and in order
            for begun in (b"", b"\x16", b"G"):
                with socket.create_connection(where) as client:
                    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                    client.sendall(begun)
        silent = [socket.create_connection(where) for _ in range(5)]
        with service.client("alice") as alice:
            assert alice.get("api/v1/").status_code == 200
    for client in silent:
        assert client.recv(1) == b"", "a service that ends waits for nobody"
        client.close()


@pytest.mark.parametrize("text", ["", "nonsense", "[1]", "5", "null"])
def test_what_the_hub_is_to_have_said_and_cannot_have_is_an_error_in_words(text: str) -> None:
    with pytest.raises(ConfigurationError, match="CONDA_STORE_HUB_REGISTRY"):
        read_given(text)
    assert read_given('{"port": 5000, "of_a_later_version": 1}') == {"port": 5000}


# What people are told


@pytest.mark.parametrize(
    ("traits", "host", "address"),
    [
        ({}, "hub.example.org", ""),
        ({"address": "a.example"}, "hub.example.org", ""),
        ({"through_hub": True}, "hub.example.org", "hub.example.org"),
        ({"through_hub": True}, "127.0.0.1:8000", "127.0.0.1:8000"),
        ({"through_hub": True}, "localhost", "localhost"),
        ({"through_hub": True}, "hub", "hub:443"),
        ({"through_hub": True}, "[::1]:8000", "[::1]:8000"),
        ({"through_hub": True}, 'a"><b>', ""),
        ({"through_hub": True, "address": "images.example.org"}, "hub", "images.example.org"),
        ({"port": 5000}, "hub.example.org", "hub.example.org:5000"),
        ({"port": 5000}, "hub:8000", "hub:5000"),
        ({"port": 5000}, "[::1]:8000", "[::1]:5000"),
        ({"port": 5000}, "[::1]", "[::1]:5000"),
        ({"port": 5000, "address": "a.example:443"}, "hub:8000", "a.example:443"),
    ],
)
def test_the_address_of_images_is_what_container_tools_take(traits: dict[str, Any], host: str, address: str) -> None:
    assert Registry(**traits).find_address(host, "https") == address


def test_the_api_says_where_images_are(service: RunningService) -> None:
    port = service.services.registry.port
    with service.client(None) as nobody:
        assert nobody.get("api/v1/").json()["data"]["registry"] == {"address": None, "port": port}
    assert Registry().describe() is None
