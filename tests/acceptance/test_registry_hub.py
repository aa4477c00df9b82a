"""Images through a real Hub with its real proxy, and behind another one that speaks TLS: login, held pulls, parts."""

from __future__ import annotations

import base64
import subprocess
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from threading import Thread

import httpx
import pytest

from conda_store_hub.core.oci import Manifest
from conda_store_hub.demo.channel import serve_channel
from conda_store_hub.demo.hub import DemoHub
from tests.support import make
from tests.support.certificates import Files, make_certificate
from tests.support.channel import sample_channel_dir
from tests.support.hub import as_user, configure_channels, make_settings, require_proxy, run_hub
from tests.support.ports import find_port
from tests.support.process import until

pytestmark = pytest.mark.timeout(600)


@dataclass(frozen=True)
class Site:
    """A Hub below a path of its own, and the root of the host that it is at."""

    hub: DemoHub
    token: str

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.hub.settings.ports.public}"

    @property
    def basic(self) -> dict[str, str]:
        return {"Authorization": f"Basic {base64.b64encode(f'whoever:{self.token}'.encode()).decode()}"}

    def client(self) -> httpx.Client:
        return httpx.Client(base_url=f"http://{self.address}", trust_env=False, timeout=120)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Generator[Site]:
    """A Hub that offers images at its own address, with two environments of alice's; there is no image yet."""
    with serve_channel(sample_channel_dir()) as channel:
        settings = make_settings(
            base_url="/jupyter/",
            service_config=configure_channels(main=channel),
            service={"registry": True},
        )
        with run_hub(tmp_path_factory.mktemp("h"), settings) as hub, as_user(hub, "alice") as api:
            numbers = [build(api, name) for name in ("ml", "more")]
            until(lambda: all(is_usable(api, number) for number in numbers), 240)
            made = api.post("api/v1/token/", json={"label": "pull", "role": "viewer"})
            yield Site(hub, made.json()["data"]["token"])


def build(api: httpx.Client, name: str) -> int:
    body = {"specification": make.text(name, "python"), "namespace": "alice"}
    return api.post("api/v1/specification/", json=body).raise_for_status().json()["data"]["build_id"]


def is_usable(api: httpx.Client, number: int) -> bool:
    build = api.get(f"api/v1/build/{number}/").json()["data"]
    assert build["status"] != "FAILED", build["status_info"]
    return build["status"] == "COMPLETED"


def pull(source: str, layout: Path, *options: str) -> None:
    command = ["skopeo", "copy", *options, f"docker://{source}", f"oci:{layout}:got"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=240)
    assert done.returncode == 0, done.stderr
    assert (layout / "index.json").is_file()


def test_a_pull_waits_at_the_hubs_proxy_until_the_image_is_made(site: Site) -> None:
    answers: list[httpx.Response] = []

    def ask(method: str) -> None:
        with site.client() as client:
            answers.append(client.request(method, "/v2/alice/more/manifests/latest", headers=site.basic))

    askers = [Thread(target=ask, args=(method,)) for method in ("HEAD", "GET", "HEAD")]
    for asker in askers:
        asker.start()
    for asker in askers:
        asker.join()
    assert [answer.status_code for answer in answers] == [200] * 3
    (digest,) = {answer.headers["Docker-Content-Digest"] for answer in answers}
    assert digest.startswith("sha256:")


def test_a_client_pulls_at_the_hubs_own_address(site: Site, tmp_path: Path) -> None:
    pull(f"{site.address}/alice/ml", tmp_path / "got", "--src-tls-verify=false", f"--src-creds=x:{site.token}")


def test_at_the_hubs_proxy_logging_in_is_by_password_or_by_the_token_service(site: Site) -> None:
    path = "/v2/alice/ml/manifests/latest"
    with site.client() as client:
        refused = client.get(path)
        assert refused.status_code == 401
        (challenge,) = refused.headers.get_list("WWW-Authenticate")
        assert challenge == f'Bearer realm="http://{site.address}/v2/token",service="conda-store-hub"'
        assert client.get("/v2", headers=site.basic).status_code == 200
        given = client.get("/v2/token?service=x&scope=repository:alice/ml:pull", headers=site.basic).json()["token"]
        by_token, by_password = (
            client.head(path, headers=headers) for headers in ({"Authorization": f"Bearer {given}"}, site.basic)
        )
    assert by_token.status_code == by_password.status_code == 200
    assert by_token.headers["Docker-Content-Digest"] == by_password.headers["Docker-Content-Digest"]


def test_parts_of_a_blob_come_through_the_hubs_proxy(site: Site) -> None:
    with site.client() as client:
        client.headers.update(site.basic)
        manifest = Manifest.model_validate_json(client.get("/v2/alice/ml/manifests/latest").content)
        layer = min(manifest.layers, key=lambda each: each.size)
        blob = f"/v2/alice/ml/blobs/{layer.digest}"
        whole = client.get(blob).content
        part = client.get(blob, headers={"Range": "bytes=10-19"})
        behind = client.get(blob, headers={"Range": f"bytes={layer.size}-"})
    assert len(whole) == layer.size
    assert (part.status_code, part.content) == (206, whole[10:20])
    assert part.headers["Content-Range"] == f"bytes 10-19/{layer.size}"
    assert (behind.status_code, behind.headers["Content-Range"]) == (416, f"bytes */{layer.size}")


def test_the_route_stays_when_the_hub_looks_through_its_proxy(site: Site) -> None:
    site.hub.api("POST", "proxy")
    routes = site.hub.api("GET", "proxy")
    assert routes["/v2/"]["target"] == f"http://127.0.0.1:{site.hub.settings.ports.service}"
    with site.client() as client:
        assert client.get("/v2/", headers=site.basic).status_code == 200
        assert client.get("/", headers=site.basic).status_code == 404, (
            "and nothing else at the root leads to the service"
        )


@pytest.fixture(scope="module")
def outside(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Generator[tuple[str, Files]]:
    """The address of another proxy before the Hub's, which speaks TLS, and its certificate."""
    files, port = make_certificate(tmp_path_factory.mktemp("tls"), "outside"), find_port()
    command = [*require_proxy(), "--ip", "127.0.0.1", "--port", str(port), "--api-port", str(find_port())]
    command += ["--ssl-cert", str(files.certificate), "--ssl-key", str(files.key)]
    command += ["--default-target", f"http://{site.address}", "--log-level", "error"]
    with subprocess.Popen(command) as process:
        try:
            with httpx.Client(verify=False, trust_env=False) as client:
                until(lambda: answers(client, f"https://127.0.0.1:{port}/v2/"))
            yield f"127.0.0.1:{port}", files
        finally:
            process.terminate()


def answers(client: httpx.Client, url: str) -> bool:
    try:
        return client.get(url).status_code == 401
    except httpx.TransportError:
        return False


def test_behind_a_proxy_that_speaks_tls_the_token_service_is_where_the_client_came_to(
    site: Site, outside: tuple[str, Files], tmp_path: Path
) -> None:
    address, files = outside
    with httpx.Client(verify=False, trust_env=False) as client:
        challenge = client.get(f"https://{address}/v2/").headers.get_list("WWW-Authenticate")[0]
    assert challenge.startswith(f'Bearer realm="https://{address}/v2/token"')
    trusted = tmp_path / "trusted"
    trusted.mkdir()
    (trusted / "ca.crt").write_bytes(files.certificate.read_bytes())
    pull(f"{address}/alice/ml", tmp_path / "got", f"--src-cert-dir={trusted}", f"--src-creds=x:{site.token}")
