"""The image that environments are put on: pulled from a real registry, read from disk, kept, and checked."""

from __future__ import annotations

import base64
import fcntl
import gzip
import hashlib
import io
import json
import os
import ssl
import tarfile
from collections.abc import Generator
from pathlib import Path

import httpx
import pytest

from conda_store_hub.builder.base_contents import BaseContents, look_into
from conda_store_hub.builder.base_image import find_base
from conda_store_hub.builder.compression import Budget, digest_unpacked
from conda_store_hub.builder.events import EventWriter
from conda_store_hub.builder.image_archives import unpack_archive, write_image_archive
from conda_store_hub.builder.oci_layout import BaseImage, write_layout
from conda_store_hub.builder.registry import RegistryClient
from conda_store_hub.core.errors import ArtifactError, ArtifactNotNowError
from conda_store_hub.core.oci import CONFIG_TYPE, INDEX_TYPE, MANIFEST_TYPE, Descriptor, Index, Manifest, Platform
from conda_store_hub.core.protocol import ImageRequest
from conda_store_hub.core.references import ImageReference
from tests.support.certificates import make_certificate
from tests.support.containers import ARCHITECTURE, make_base, make_zstd_base, podman, run
from tests.support.registries import (
    PASSWORD,
    USER,
    Registry,
    answer,
    answer_with,
    drip,
    hang,
    run_registry,
    with_password,
    with_tokens,
)

LOGIN = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Generator[Registry]:
    with run_registry(tmp_path_factory.mktemp("registry") / "r") as running:
        yield running


def bring(
    folder: Path,
    base: str,
    *,
    credentials: Path | None = None,
    seconds: float = 20,
    before: str | None = None,
    events: EventWriter | None = None,
) -> BaseImage:
    """Return the base as a builder with a cache in `folder` gets it, for an image that was on the one of `before`."""
    events = events or EventWriter(None, started=0.0)
    request = ImageRequest(
        base=base, base_credentials=str(credentials or ""), base_cache=str(folder / "bases"), base_digest=before
    )
    return find_base(request, ARCHITECTURE, seconds, events.aside)


def list_files(image: BaseImage) -> list[str]:
    """Return the names in its layers."""
    names: list[str] = []
    for layer in image.layers:
        with tarfile.open(image.blobs / layer.digest.removeprefix("sha256:")) as tar:
            names += tar.getnames()
    return names


def write_login(path: Path, host: str, auth: str = LOGIN) -> Path:
    path.write_text(json.dumps({"auths": {host: {"auth": auth}}}))
    return path


def age(folder: Path) -> None:
    """Have what is known of references be older than a day."""
    for path in (folder / "bases").glob("*.json"):
        path.write_text(json.dumps(json.loads(path.read_text()) | {"at": 0}))


# From a registry


def test_a_tag_is_pulled_once_and_then_used_without_the_registry(tmp_path: Path) -> None:
    base = make_base(tmp_path / "base")
    with run_registry(tmp_path / "r") as own:
        reference = own.push(f"oci:{base}:base", "some/base:1")
        first = bring(tmp_path, reference)
    assert list_files(first) == ["etc/from-base"]
    assert bring(tmp_path, reference) == first


def test_a_tag_that_moved_is_seen_after_a_day_and_not_before(registry: Registry, tmp_path: Path) -> None:
    reference = registry.push(f"oci:{make_base(tmp_path / 'old', name='old')}:base", "moving:1")
    assert list_files(bring(tmp_path, reference)) == ["old"]
    registry.push(f"oci:{make_base(tmp_path / 'new', name='new')}:base", "moving:1")
    assert list_files(bring(tmp_path, reference)) == ["old"]
    age(tmp_path)
    assert list_files(bring(tmp_path, reference)) == ["new"]


def test_what_is_made_again_is_put_on_the_base_of_before_while_that_can_be_had(
    registry: Registry, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    reference = registry.push(f"oci:{make_base(tmp_path / 'old', name='old')}:base", "again:1")
    before = bring(tmp_path, reference)
    registry.push(f"oci:{make_base(tmp_path / 'new', name='new')}:base", "again:1")
    for folder in (tmp_path, tmp_path / "other"):  # with what is kept, and without
        assert bring(folder, reference, before=before.digest).digest == before.digest
    assert list_files(bring(tmp_path / "other", reference)) == ["new"], "of another image"
    assert list_files(bring(tmp_path, "", before=before.digest)) == ["old"], "where none is configured any more"
    assert bring(tmp_path, reference, before="").layers == ()
    assert list_files(bring(tmp_path / "other", reference, before=f"sha256:{'ab' * 32}")) == ["new"]
    assert "cannot be had any more: the registry does not have it" in capfd.readouterr().out


def test_one_that_another_builder_brings_is_waited_for_and_not_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bases").mkdir()
    monkeypatch.setattr("conda_store_hub.builder.base_image.WAIT_SECONDS", 0.0)
    with (tmp_path / "bases" / ".lock").open("ab") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(ArtifactNotNowError, match="has been bringing its base for"):
            bring(tmp_path, "127.0.0.1:9/base:1")


def test_one_that_another_builder_brings_anew_is_not_waited_for_where_an_older_one_is_here(tmp_path: Path) -> None:
    with run_registry(tmp_path / "r") as own:
        reference = own.push(f"oci:{make_base(tmp_path / 'base')}:base", "base:1")
        first = bring(tmp_path, reference)
    age(tmp_path)
    with (tmp_path / "bases" / ".lock").open("ab") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert bring(tmp_path, reference) == first
        assert bring(tmp_path, reference, before=first.digest) == first


def test_others_are_told_while_a_base_is_brought_and_whether_they_would_have_to_wait_too(
    registry: Registry, tmp_path: Path
) -> None:
    reference = registry.push(f"oci:{make_base(tmp_path / 'base')}:base", "aside:1")
    told = tmp_path / "events"
    events = EventWriter(os.open(told, os.O_WRONLY | os.O_CREAT | os.O_APPEND), started=0.0)

    def read() -> list[tuple[str, bool]]:
        """Return what was told since the last time."""
        lines = [json.loads(line) for line in told.read_text().splitlines()]
        os.truncate(told, 0)
        return [(line["state"], line["as_all_would"]) for line in lines if line["type"] == "aside"]

    first = bring(tmp_path, reference, events=events)
    assert read() == [("started", True), ("finished", False)]
    bring(tmp_path, reference, events=events)
    bring(tmp_path, reference, before=first.digest, events=events)
    assert read() == [], "what is here is nothing to wait for"
    age(tmp_path)
    bring(tmp_path, reference, events=events)
    assert read() == [("started", False), ("finished", False)], "others take the one that is here"
    bring(tmp_path / "other", reference, before=first.digest, events=events)
    assert read() == [("started", False), ("finished", False)], "others are put on another one"
    with pytest.raises(ArtifactError):
        bring(tmp_path, "127.0.0.1:9/base:1", events=events)
    assert read() == [("started", True), ("finished", False)], "also where it fails"


def test_a_layer_that_unpacks_to_too_much_or_not_at_all_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "layer"
    path.write_bytes(gzip.compress(bytes(3 << 20)))
    assert digest_unpacked(path, Budget(most=3 << 20)) == hashlib.sha256(bytes(3 << 20)).hexdigest()
    with pytest.raises(ArtifactError, match="unpacks to more than"):
        digest_unpacked(path, Budget(most=(3 << 20) - 1))
    for damaged in (path.read_bytes()[:-9], path.read_bytes()[:20] + b"x" * 100):
        path.write_bytes(damaged)
        with pytest.raises(ArtifactError, match="cannot be unpacked"):
            digest_unpacked(path, Budget())


def test_what_is_here_is_used_where_the_registry_is_gone(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    base = make_base(tmp_path / "base")
    with run_registry(tmp_path / "r") as own:
        reference = own.push(f"oci:{base}:base", "base:1")
        first = bring(tmp_path, reference)
    age(tmp_path)
    assert bring(tmp_path, reference) == first
    assert "cannot be asked for again: the registry cannot be reached" in capfd.readouterr().out


def test_of_an_index_the_image_for_this_machine_is_taken(registry: Registry, tmp_path: Path) -> None:
    layout = write_index(tmp_path / "index", {"m68k": "for-another", ARCHITECTURE: "for-this"})
    reference = registry.push(f"oci:{layout}", "several:1", "--all")
    assert list_files(bring(tmp_path, reference)) == ["for-this"]
    digest = run("skopeo", "inspect", "--raw", "--tls-verify=false", f"docker://{reference}").encode()
    by_digest = f"{registry.host}/several@sha256:{hashlib.sha256(digest).hexdigest()}"
    assert list_files(bring(tmp_path / "other", by_digest)) == ["for-this"]
    others = registry.push(f"oci:{write_index(tmp_path / 'others', {'m68k': 'for-another'})}", "others:1", "--all")
    with pytest.raises(ArtifactError, match=f"has nothing for {ARCHITECTURE}"):
        bring(tmp_path, others)


def write_index(folder: Path, names: dict[str, str]) -> Path:
    """Write a layout with an index of images for several machines."""
    inner: list[Descriptor] = []
    blobs = folder / "blobs" / "sha256"
    blobs.mkdir(parents=True)
    for architecture, name in names.items():
        one = make_base(folder.with_name(f"{folder.name}-{architecture}"), architecture, name=name)
        for blob in (one / "blobs" / "sha256").iterdir():
            (blobs / blob.name).write_bytes(blob.read_bytes())
        (described,) = Index.model_validate_json((one / "index.json").read_bytes()).manifests
        inner.append(described.model_copy(update={"platform": Platform(architecture=architecture)}))
    index = Index(manifests=tuple(inner)).to_json()
    digest = hashlib.sha256(index).hexdigest()
    (blobs / digest).write_bytes(index)
    outer = Descriptor(media_type=INDEX_TYPE, digest=f"sha256:{digest}", size=len(index))
    (folder / "index.json").write_bytes(Index(manifests=(outer,)).to_json())
    (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    return folder


def test_an_image_of_docker_is_taken_as_well(registry: Registry, tmp_path: Path) -> None:
    reference = registry.push(f"oci:{make_base(tmp_path / 'base')}:base", "docker:1", "--format=v2s2")
    image = bring(tmp_path, reference)
    assert list_files(image) == ["etc/from-base"]
    assert image.layers[0].media_type.startswith("application/vnd.oci.image.layer")


def test_layers_packed_with_zstd_stay_as_they_are(registry: Registry, tmp_path: Path) -> None:
    reference = registry.push(f"oci:{make_zstd_base(tmp_path / 'base')}:base", "zstd:1")
    run("skopeo", "copy", "--quiet", "--src-tls-verify=false", f"docker://{reference}", f"oci-archive:{tmp_path}/a.tar")
    for base in (reference, f"{tmp_path}/a.tar"):
        image = bring(tmp_path, base)
        (layer,) = image.layers
        assert layer.media_type == "application/vnd.oci.image.layer.v1.tar+zstd"
        assert (image.blobs / layer.digest.removeprefix("sha256:")).read_bytes()[:4] == b"\x28\xb5\x2f\xfd"
        assert look_into(image, "") == BaseContents(shell="", has_prefix=False)


@pytest.mark.parametrize("kind", ["layer", "configuration", "manifest"])
def test_bytes_that_are_not_those_of_their_digest_are_refused(tmp_path: Path, kind: str) -> None:
    base = make_base(tmp_path / "base")
    with run_registry(tmp_path / "r") as own:
        reference = own.push(f"oci:{base}:base", "base:1")
        manifest = run("skopeo", "inspect", "--raw", "--tls-verify=false", f"docker://{reference}").encode()
        digest = f"sha256:{hashlib.sha256(manifest).hexdigest()}"
        parsed = json.loads(manifest)
        damaged = {
            "layer": parsed["layers"][0]["digest"],
            "configuration": parsed["config"]["digest"],
            "manifest": digest,
        }[kind]
        file = own.find_blob(damaged)
        file.write_bytes(file.read_bytes().replace(b"a", b"b") if kind != "layer" else bytes(file.stat().st_size))
        with pytest.raises(ArtifactError, match="The base image “.*” cannot be had: .*c.CondaStore.image_base"):
            bring(tmp_path, f"{own.host}/base@{digest}")
    assert [path.name for path in (tmp_path / "bases").iterdir()] == [".lock"]


@pytest.mark.parametrize("how", ["changed", "removed"])
def test_what_is_kept_and_damaged_is_pulled_again(registry: Registry, tmp_path: Path, how: str) -> None:
    reference = registry.push(f"oci:{make_base(tmp_path / 'base')}:base", "kept:1")
    first = bring(tmp_path, reference)
    layer = first.blobs / first.layers[0].digest.removeprefix("sha256:")
    layer.write_bytes(b"not that") if how == "changed" else layer.unlink()  # by who was killed while it let go of it
    assert list_files(bring(tmp_path, reference)) == ["etc/from-base"]


def test_who_is_not_logged_in_is_told_where_that_is_said(tmp_path: Path) -> None:
    base = make_base(tmp_path / "base")
    with run_registry(tmp_path / "r", with_password(tmp_path)) as own:
        reference = own.push(f"oci:{base}:base", "base:1", f"--dest-creds={USER}:{PASSWORD}")
        wrong = write_login(tmp_path / "wrong", own.host, base64.b64encode(b"alice:guess").decode())
        for credentials in (None, wrong, write_login(tmp_path / "elsewhere", "127.0.0.1:1")):
            with pytest.raises(ArtifactError, match="log in only .*image_base_credentials"):
                bring(tmp_path, reference, credentials=credentials)
        login = tmp_path / "written"
        run("skopeo", "login", "--tls-verify=false", f"--authfile={login}", "-u", USER, "-p", PASSWORD, own.host)
        assert list_files(bring(tmp_path, reference, credentials=login)) == ["etc/from-base"]


def test_a_token_is_got_where_the_registry_says(tmp_path: Path) -> None:
    base = make_base(tmp_path / "base")
    with answer_with(b'{"token": "a-token"}') as (realm, asked):
        with run_registry(tmp_path / "r", with_tokens(f"{realm}/token")) as own:
            reference = own.push(f"oci:{base}:base", "some/base:1")
            del asked[:]
            login = write_login(tmp_path / "login", f"http://{own.host}/v1/")
            assert list_files(bring(tmp_path, reference, credentials=login)) == ["etc/from-base"]
        assert asked == [("/token?service=tests&scope=repository%3Asome%2Fbase%3Apull", f"Basic {LOGIN}")]
    with (
        answer_with(b"no token") as (realm, _),
        run_registry(tmp_path / "r", with_tokens(realm)) as own,
        pytest.raises(ArtifactError, match="gives no token"),
    ):
        bring(tmp_path / "other", f"{own.host}/some/base:1")
    with (
        answer_with(b'{"token": "' + b"a" * (1 << 20) + b'"}') as (realm, _),
        run_registry(tmp_path / "r", with_tokens(realm)) as own,
        pytest.raises(ArtifactError, match="sends more than it may"),
    ):
        bring(tmp_path / "other", f"{own.host}/some/base:1")


@pytest.mark.parametrize(
    ("reference", "sends", "says"),
    [
        ("example.org/base:1", "http://example.org/elsewhere", "not encrypted"),
        ("example.org/base:1", "https://127.0.0.1/elsewhere", "this machine"),
        ("http://example.org/base:1", "http://localhost:8000/hub/api", "this machine"),
        ("http://example.org/base:1", "http://169.254.169.254/latest/meta-data", "this machine"),
        ("http://example.org/base:1", "http://[::ffff:7f00:1]/", "this machine"),
        ("http://example.org/base:1", "http://inside.example.org/", "this machine"),
        ("http://example.org/base:1", "http://a:b@example.org/", "this machine"),
        ("http://example.org/base:1", "http://example.org/again", "without an end"),
        ("http://inside.example.org/base:1", "http://127.0.0.1/again", "without an end"),
    ],
)
@pytest.mark.parametrize("how", ["redirect", "realm"])
def test_a_registry_sends_nobody_to_where_it_has_no_business(
    monkeypatch: pytest.MonkeyPatch, how: str, reference: str, sends: str, says: str
) -> None:
    addresses = {"inside.example.org": "127.0.0.1", "example.org": "203.0.113.7"}
    monkeypatch.setattr("socket.getaddrinfo", lambda host, _: [(0, 0, 0, "", (addresses.get(host, host), 0))])
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(str(request.url))
        if how == "redirect" or len(asked) > 1:
            return httpx.Response(307, headers={"Location": sends})
        return httpx.Response(401, headers={"WWW-Authenticate": f'Bearer realm="{sends}"'})

    is_refused = says != "without an end"
    words = "names no token service" if how == "realm" and is_refused else says
    client = RegistryClient(ImageReference.parse(reference), None, 1, 60)
    client._http = httpx.Client(transport=httpx.MockTransport(answer))  # pyright: ignore[reportPrivateUsage]
    with client, pytest.raises(ArtifactError, match=words):
        client.read_manifest("1")
    assert len(asked) == (1 if is_refused else 6 if how == "redirect" else 7)


@pytest.mark.parametrize(
    "challenge",
    [
        'Bearer realm="https://203.0.113.8/token",service="it, self"',
        'Bearer realm="https://203.0.113.8/token",service="it, self", Basic realm="it"',
        'Basic realm="it", bearer service="it, self", realm = "https://203.0.113.8/token"',
        'Negotiate, Basic realm="it", Bearer realm=https://203.0.113.8/token,service="it, self"',
    ],
)
def test_the_token_service_is_found_among_all_that_a_proxy_joined_to_one_challenge(challenge: str) -> None:
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(f"{request.url.path} {request.url.params.get('service')} {request.headers.get('Authorization')}")
        if request.url.path == "/token":
            return httpx.Response(200, stream=httpx.ByteStream(b'{"token": "a-token"}'))
        is_known = "Authorization" in request.headers
        said = {"WWW-Authenticate": challenge}
        return httpx.Response(200 if is_known else 401, headers=said, stream=httpx.ByteStream(b"{}"))

    client = RegistryClient(ImageReference.parse("203.0.113.7/base:1"), None, 1, 60)
    client._http = httpx.Client(transport=httpx.MockTransport(answer))  # pyright: ignore[reportPrivateUsage]
    with client:
        client.read_manifest("1")
    manifest = "/v2/base/manifests/1 None"
    assert asked == [f"{manifest} None", "/token it, self None", f"{manifest} Bearer a-token"]


def test_a_registry_that_sends_to_what_no_host_can_be_called_is_said() -> None:
    sends = httpx.Response(307, headers={"Location": f"http://{'a' * 70}.example.org/"})
    client = RegistryClient(ImageReference.parse("http://203.0.113.7/base:1"), None, 1, 60)
    answers = iter((sends, httpx.Response(404)))
    client._http = httpx.Client(transport=httpx.MockTransport(lambda _: next(answers)))  # pyright: ignore[reportPrivateUsage]
    with client, pytest.raises(ArtifactError, match="does not have it"):
        client.read_manifest("1")


def test_a_layer_of_another_length_than_is_said_is_refused(tmp_path: Path) -> None:
    base = make_base(tmp_path / "base")
    blobs = base / "blobs" / "sha256"
    (described,) = Index.model_validate_json((base / "index.json").read_bytes()).manifests
    manifest = Manifest.model_validate_json((blobs / described.digest.removeprefix("sha256:")).read_bytes())
    layer = manifest.layers[0].model_copy(update={"size": 1})
    bad = manifest.model_copy(update={"layers": (layer,)})
    write_layout(tmp_path / "bad", bad.to_json(), blobs.iterdir(), "bad")
    with pytest.raises(ArtifactError, match="not as long as it says"):
        bring(tmp_path, str(tmp_path / "bad"))


@pytest.mark.parametrize("first", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{"], ids=["nothing", "a bit"])
def test_a_registry_that_hangs_is_given_up(tmp_path: Path, first: bytes) -> None:
    with hang(first) as host, pytest.raises(ArtifactNotNowError, match="does not answer in time"):
        bring(tmp_path, f"{host}/base:1", seconds=0.3)


def manifest_of(config: bytes, *, size: int) -> bytes:
    """Return a registry's answer: the manifest of an image without layers, that says `size` of its configuration."""
    digest = f"sha256:{hashlib.sha256(config).hexdigest()}"
    described = Descriptor(media_type=CONFIG_TYPE, digest=digest, size=size)
    return answer(Manifest(config=described, layers=()).to_json(), MANIFEST_TYPE)


HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"


@pytest.mark.parametrize(
    ("answers", "last", "says"),
    [
        ((), b"HTTP/1.1 200 OK\r\nX-Long: ", "does not answer in time"),
        ((), HEAD, "sends less than 10.0 kB a second"),
        ((manifest_of(b"", size=100_000),), HEAD, "sends less than 10.0 kB a second"),
    ],
    ids=["its answer", "a manifest", "a part"],
)
def test_a_registry_that_sends_drop_by_drop_is_given_up(
    tmp_path: Path, answers: tuple[bytes, ...], last: bytes, says: str
) -> None:
    with drip(*answers, last=last) as host, pytest.raises(ArtifactNotNowError, match=says) as caught:
        bring(tmp_path, f"{host}/base:1", seconds=1)
    assert "c.CondaStore.image_base" in caught.value.message
    assert [path.name for path in (tmp_path / "bases").iterdir()] == [".lock"], "nothing is left of it"


@pytest.mark.parametrize("said", [b"", HEAD + b"{"], ids=["no answer", "half of one"])
def test_a_connection_that_is_cut_is_a_failure_that_passes(tmp_path: Path, said: bytes) -> None:
    with drip(said, last=b"") as host, pytest.raises(ArtifactNotNowError, match="cannot be reached"):
        bring(tmp_path, f"{host}/base:1")


def test_a_proxy_that_cannot_reach_the_registry_is_a_failure_that_passes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("no_proxy", "NO_PROXY", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    with drip(b"HTTP/1.1 503 Service Unavailable\r\n\r\n", last=b"") as host:
        monkeypatch.setenv("HTTPS_PROXY", f"http://{host}")
        with pytest.raises(ArtifactNotNowError, match="cannot be reached"):
            bring(tmp_path, "https://203.0.113.7/base:1")


@pytest.mark.parametrize("is_proxied", [False, True], ids=["at once", "through a proxy"])
def test_one_that_does_so_over_tls_is_given_up_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_proxied: bool
) -> None:
    files = make_certificate(tmp_path, "127.0.0.1")
    monkeypatch.setenv("SSL_CERT_FILE", str(files.certificate))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.certificate, files.key)
    for name in ("no_proxy", "NO_PROXY", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    with drip(last=b"HTTP/1.1 200 OK\r\nX-Long: ", tls=context, is_own_proxy=is_proxied) as host:
        monkeypatch.setenv("HTTPS_PROXY", f"http://{host}" if is_proxied else "")
        with pytest.raises(ArtifactNotNowError, match="does not answer in time"):
            bring(tmp_path, f"https://{host}/base:1", seconds=1)


def test_a_base_that_takes_too_long_as_a_whole_is_given_up(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reference = registry.push(f"oci:{make_base(tmp_path / 'base')}:base", "slow:1")
    monkeypatch.setattr("conda_store_hub.builder.base_image.PULL_SECONDS", 0.0)
    with pytest.raises(ArtifactNotNowError, match="has not sent it within .*c.CondaStore.image_base"):
        bring(tmp_path, reference)


def test_a_base_of_too_many_bytes_is_not_pulled(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reference = registry.push(f"oci:{make_base(tmp_path / 'base')}:base", "large:1")
    monkeypatch.setattr("conda_store_hub.builder.base_image.MOST_PULLED", 100)
    with pytest.raises(ArtifactError, match="100 B are the most that is pulled.*c.CondaStore.image_base"):
        bring(tmp_path, reference)
    assert [path.name for path in (tmp_path / "bases").iterdir()] == [".lock"]


def test_of_a_part_no_more_is_taken_than_its_image_says(tmp_path: Path) -> None:
    answers = (manifest_of(b"12345", size=4), answer(b"12345"))
    with drip(*answers, last=b"") as host, pytest.raises(ArtifactError, match="sends more than it may"):
        bring(tmp_path, f"{host}/base:1")
    assert [path.name for path in (tmp_path / "bases").iterdir()] == [".lock"]


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        (b"{}", 200, "gives nothing that can be read"),
        (b"\xff", 200, "gives nothing that can be read"),
        (b"[" * 5_000_000, 200, "sends more than it may"),
        (b"", 404, "does not have it"),
        (b"", 429, "too much"),
        (b"", 500, "status 500"),
    ],
)
def test_what_is_no_image_is_said(tmp_path: Path, body: bytes, status: int, says: str) -> None:
    with answer_with(body, status=status) as (url, _), pytest.raises(ArtifactError, match=says) as caught:
        bring(tmp_path, f"{url}/base:1")
    assert isinstance(caught.value, ArtifactNotNowError) is (status in (429, 500)), "which pass"


# From disk


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "compressed"])
@pytest.mark.parametrize("kind", ["docker-archive", "oci-archive"])
def test_an_archive_is_unpacked_once(tmp_path: Path, kind: str, packed: bool) -> None:
    file = tmp_path / "base.tar"
    run("skopeo", "copy", "--quiet", f"oci:{make_base(tmp_path / 'base')}:base", f"{kind}:{file}:some/base:1")
    if packed:
        file.write_bytes(gzip.compress(file.read_bytes()))
    image = bring(tmp_path, str(file))
    assert list_files(image) == ["etc/from-base"]
    assert image.layers[0].media_type.endswith("tar+gzip")
    kept = [path.stat().st_ino for path in sorted((tmp_path / "bases").iterdir())]
    assert bring(tmp_path, str(file)) == image
    assert [path.stat().st_ino for path in sorted((tmp_path / "bases").iterdir())] == kept


def test_what_a_killed_builder_left_goes(tmp_path: Path) -> None:
    file = tmp_path / "base.tar"
    run("skopeo", "copy", "--quiet", f"oci:{make_base(tmp_path / 'base')}:base", f"oci-archive:{file}")
    left = [tmp_path / "bases" / name / "layout" for name in (".new-a", ".parts-b")]
    for folder in left:
        folder.mkdir(parents=True)
    assert list_files(bring(tmp_path, str(file))) == ["etc/from-base"]
    assert not any(folder.exists() for folder in left)


def test_what_no_image_was_put_on_for_long_goes_with_all_that_is_known_of_it(tmp_path: Path) -> None:
    files = {name: tmp_path / f"{name}.tar" for name in ("unused", "used", "new")}
    for name, file in files.items():
        run("skopeo", "copy", "--quiet", f"oci:{make_base(tmp_path / name, name=name)}:base", f"oci-archive:{file}")
    kept = {name: look_into_base(tmp_path, file) for name, file in list(files.items())[:2]}
    for path in (tmp_path / "bases").iterdir():
        os.utime(path, (0, 0))
    look_into_base(tmp_path, files["used"])
    kept["new"] = look_into_base(tmp_path, files["new"])
    left = sorted(path.name for path in (tmp_path / "bases").iterdir() if not path.name.endswith(".json"))
    there = [kept[name] for name in ("used", "new")]
    assert left == sorted([".lock", *there, *(f"{each}.contents" for each in there)])
    assert len(list((tmp_path / "bases").glob("*.json"))) == 2


def look_into_base(folder: Path, file: Path) -> str:
    """Return the digest of a base that an image is put on, in hex."""
    image = bring(folder, str(file))
    look_into(image, str(folder / "bases"))
    return image.digest.removeprefix("sha256:")


def test_an_archive_that_is_changed_counts_at_once(tmp_path: Path) -> None:
    file = tmp_path / "base.tar"
    for name in ("old", "new"):
        file.unlink(missing_ok=True)
        run("skopeo", "copy", "--quiet", f"oci:{make_base(tmp_path / name, name=name)}:base", f"oci-archive:{file}")
        assert list_files(bring(tmp_path, str(file))) == [name]


def test_one_that_others_read_stays_where_it_is_when_the_same_is_brought_again(tmp_path: Path) -> None:
    file = tmp_path / "base.tar"
    run("skopeo", "copy", "--quiet", f"oci:{make_base(tmp_path / 'base')}:base", f"oci-archive:{file}")
    first = bring(tmp_path, str(file))
    layer = first.blobs / first.layers[0].digest.removeprefix("sha256:")
    inode = layer.stat().st_ino
    os.utime(file, (0, 0))
    assert bring(tmp_path, str(file)) == first
    assert layer.stat().st_ino == inode


@pytest.mark.parametrize(
    "content", [b"", b"no archive", b"another tar", b"a whole system", b"a link", b"an archive that is cut"]
)
def test_a_file_that_is_no_image_is_said(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "base.tar"
    if content == b"a whole system":
        with tarfile.open(file, "w") as tar:
            for number in range(10_001):
                tar.addfile(tarfile.TarInfo(str(number)))
    elif content == b"another tar":
        with tarfile.open(file, "w") as tar:
            tar.addfile(tarfile.TarInfo("index.json"))
    elif content == b"a link":
        with tarfile.open(file, "w") as tar:
            link = tarfile.TarInfo("index.json")
            link.type, link.linkname = tarfile.SYMTYPE, "index.json"
            tar.addfile(link)
    elif content == b"an archive that is cut":
        run("skopeo", "copy", "--quiet", f"oci:{make_base(tmp_path / 'base')}:base", f"docker-archive:{file}:a:1")
        file.write_bytes(file.read_bytes()[:3000])
    else:
        file.write_bytes(content)
    with pytest.raises(ArtifactError, match="The base image") as caught:
        bring(tmp_path, str(file))
    assert str(tmp_path) not in caught.value.message
    if content == b"a whole system":
        assert "more than 10,000 files" in str(caught.value.detail), "of which no list is kept"


def test_layers_of_an_archive_are_held_against_what_it_says_of_them(tmp_path: Path) -> None:
    base = make_base(tmp_path / "base")
    run("skopeo", "copy", "--quiet", f"oci:{base}:base", f"docker-archive:{tmp_path}/good.tar:a:1")
    with tarfile.open(tmp_path / "good.tar") as good, tarfile.open(tmp_path / "bad.tar", "w") as bad:
        for member in good:
            is_layer = member.isreg() and member.name.endswith(".tar")
            bad.addfile(member, io.BytesIO(bytes(member.size)) if is_layer else good.extractfile(member))
    with pytest.raises(ArtifactError, match="the bytes of a layer are not those"):
        bring(tmp_path, f"{tmp_path}/bad.tar")


def test_a_layer_that_is_mostly_a_hole_does_not_fill_the_disk(tmp_path: Path) -> None:
    layer, size = tarfile.TarInfo("layer"), 1 << 40
    layer.size = 512
    layer.pax_headers = {
        "GNU.sparse.major": "0",
        "GNU.sparse.minor": "1",
        "GNU.sparse.map": f"0,512,{size},0",
        "GNU.sparse.size": str(size),
        "GNU.sparse.realsize": str(size),
    }
    texts = {
        "manifest.json": json.dumps([{"Config": "config", "Layers": ["layer"]}]),
        "config": json.dumps({"architecture": ARCHITECTURE, "os": "linux", "rootfs": {"diff_ids": ["sha256:0"]}}),
    }
    with tarfile.open(tmp_path / "base.tar", "w") as tar:
        for name, text in texts.items():
            info = tarfile.TarInfo(name)
            info.size = len(text)
            tar.addfile(info, io.BytesIO(text.encode()))
        tar.addfile(layer, io.BytesIO(bytes(512)))
    with pytest.raises(ArtifactError, match="The base image unpacks to more than"):
        unpack_archive(tmp_path / "base.tar", tmp_path / "layout", ARCHITECTURE, Budget(most=1 << 24))


# Written as a file


def test_what_is_written_is_taken_by_skopeo_both_ways_and_by_podman_by_its_name(tmp_path: Path) -> None:
    base = make_base(tmp_path / "base")
    (described,) = Index.model_validate_json((base / "index.json").read_bytes()).manifests
    blobs = base / "blobs" / "sha256"
    manifest = (blobs / described.digest.removeprefix("sha256:")).read_bytes()
    write_image_archive(tmp_path / "image.tar", manifest, blobs, "alice/ml:7")
    for kind in ("oci-archive", "docker-archive"):
        run("skopeo", "copy", "--quiet", f"{kind}:{tmp_path}/image.tar", f"oci:{tmp_path}/{kind}:got")
        run("umoci", "unpack", "--image", f"{tmp_path}/{kind}:got", tmp_path / f"{kind}-unpacked")
        assert (tmp_path / f"{kind}-unpacked" / "rootfs" / "etc" / "from-base").is_file()
    with podman(tmp_path) as call:
        assert "alice/ml:7" in call("load", "--quiet", "--input", str(tmp_path / "image.tar"))
        found = json.loads(call("image", "inspect", "alice/ml:7"))[0]
    assert found["Id"] == Manifest.model_validate_json(manifest).config.digest.removeprefix("sha256:")
    assert list_files(bring(tmp_path, str(tmp_path / "image.tar"))) == ["etc/from-base"]
