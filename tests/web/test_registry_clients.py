"""A real client pulls the image of a real build from the registry, and Python runs in what it unpacked."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from conda_store_hub.core.names import DataDirectory
from conda_store_hub.core.oci import ImageConfig, Index, Manifest
from conda_store_hub.core.protocol import BuildStatus
from conda_store_hub.demo.channel import serve_channel
from conda_store_hub.services import builds
from conda_store_hub.storage import prefixes
from tests.support import make
from tests.support.channel import sample_channel_dir
from tests.support.containers import podman, run, run_inside
from tests.support.process import until
from tests.support.service import IDENTITIES, RunningService, run_service


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Generator[RunningService]:
    """A service that builds, with an environment alice/ml of Python and click; its image is not there yet."""
    data = DataDirectory(tmp_path_factory.mktemp("d"))
    prefixes.ensure_data_directory(data, publish_links=False)
    with serve_channel(sample_channel_dir()) as channel:
        rules = make.rules(channel_aliases={"main": channel}, allowed_channels=[channel])
        with run_service(data, rules=rules, allow_anonymous=True) as running, running.building():
            build(running, "ml", "python", "click")
            yield running


def build(service: RunningService, name: str, *dependencies: str) -> int:
    """Build an environment of alice's for real."""
    prepared = make.text(name, *dependencies)
    build_id = service.submit(name, yaml=prepared)

    def is_usable() -> bool:
        data = service.services.data
        found = service.db.read_sync(builds.get_build, IDENTITIES["alice"], build_id, data=data)
        assert found.status is not BuildStatus.FAILED, found.status_info
        return found.status is BuildStatus.COMPLETED

    until(is_usable, 120)
    return build_id


def address(service: RunningService, what: str) -> str:
    return f"docker://{urlsplit(service.root_url).netloc}/{what}"


def pull(service: RunningService, what: str, layout: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Pull into an image layout, as the tag `got`; layers that are there are not pulled again."""
    source = address(service, what)
    command = ["skopeo", "copy", "--src-tls-verify=false", *options, source, f"oci:{layout}:got"]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


def read_config(layout: Path) -> ImageConfig:
    def read(digest: str) -> bytes:
        return (layout / "blobs" / "sha256" / digest.removeprefix("sha256:")).read_bytes()

    index = Index.model_validate_json((layout / "index.json").read_bytes())
    manifest = Manifest.model_validate_json(read(index.manifests[0].digest))
    return ImageConfig.model_validate_json(read(manifest.config.digest))


def test_a_pull_makes_the_image_and_its_python_runs_in_it(service: RunningService, tmp_path: Path) -> None:
    pulled = pull(service, "alice/ml:latest", tmp_path / "layout", "--src-creds=whoever:alice-token")
    assert pulled.returncode == 0, pulled.stderr
    run("umoci", "unpack", "--image", f"{tmp_path}/layout:got", tmp_path / "bundle")
    code = "import click, sys; print(sys.prefix)"
    root, config = tmp_path / "bundle" / "rootfs", read_config(tmp_path / "layout")
    assert run_inside(root, config, "python", "-c", code) == "/opt/conda\n"


def test_podman_logs_in_pulls_and_python_runs_in_what_it_has(service: RunningService, tmp_path: Path) -> None:
    host = urlsplit(service.root_url).netloc
    options = ("--tls-verify=false", f"--authfile={tmp_path}/auth.json")
    with podman(tmp_path) as call:
        call("login", *options, "-u", "token", "-p", "alice-token", host)
        call("pull", "-q", *options, f"{host}/alice/ml")
        call("save", "-q", "--format=oci-dir", "-o", str(tmp_path / "layout"), f"{host}/alice/ml")
        root = Path(call("image", "mount", f"{host}/alice/ml").strip())
        code = "import click, sys; print(sys.prefix)"
        assert run_inside(root, read_config(tmp_path / "layout"), "python", "-c", code) == "/opt/conda\n"
        call("image", "unmount", "--all")


@pytest.mark.parametrize("options", [(), ("--src-no-creds",), ("--src-creds=alice:wrong",)], ids=" ".join)
def test_who_is_not_known_pulls_nothing(service: RunningService, tmp_path: Path, options: Sequence[str]) -> None:
    refused = pull(service, "alice/ml:latest", tmp_path / "layout", *options)
    assert refused.returncode != 0
    assert "authentication required" in refused.stderr or "unauthorized" in refused.stderr, refused.stderr
    other = pull(service, "alice/ml:latest", tmp_path / "layout", "--src-creds=bob:bob-token")
    assert other.returncode != 0
    assert "There is no environment" in other.stderr


def test_what_is_for_everybody_is_pulled_without_logging_in(service: RunningService, tmp_path: Path) -> None:
    build(service, "open", "python")
    with service.client("alice") as api:
        body = {"subject": "anyone", "role": "viewer"}
        assert api.put("api/v1/environment/alice/open/member/", json=body).status_code == 200
        assert pull(service, "alice/open:latest", tmp_path / "own", "--src-creds=x:alice-token").returncode == 0
    pulled = pull(service, "alice/open:latest", tmp_path / "layout", "--src-no-creds")
    assert pulled.returncode == 0, pulled.stderr


def test_a_client_finds_what_there_is(service: RunningService) -> None:
    options = ("--tls-verify=false", "--creds=x:alice-token")
    listed = json.loads(run("skopeo", "list-tags", *options, address(service, "alice/ml")))
    assert {"latest", "1"} <= set(listed["Tags"])

    def inspect(what: str) -> dict[str, Any]:
        return json.loads(run("skopeo", "inspect", *options, address(service, what)))

    first, latest = inspect("alice/ml:1"), inspect("alice/ml:latest")
    assert first["Digest"] == latest["Digest"]
    assert inspect(f"alice/ml@{first['Digest']}")["Layers"] == latest["Layers"]
    assert latest["Labels"]["org.opencontainers.image.title"] == "alice/ml"


def test_nothing_is_pushed(service: RunningService, tmp_path: Path) -> None:
    assert pull(service, "alice/ml:latest", tmp_path / "layout", "--src-creds=x:alice-token").returncode == 0
    command = ["skopeo", "copy", "--dest-tls-verify=false", "--dest-creds=x:alice-token", f"oci:{tmp_path}/layout:got"]
    refused = subprocess.run(
        [*command, address(service, "alice/new:latest")], capture_output=True, text=True, check=False, timeout=60
    )
    assert refused.returncode != 0
    assert "can be pulled from only" in refused.stderr, refused.stderr


def test_an_image_is_named_by_its_packages_and_built_once_for_all_who_pull_it(
    service: RunningService, tmp_path: Path
) -> None:
    names = ("click.ge.8/python.lt.4", "python.lt.4/click.ge.8")
    credentials = ("--src-creds=x:alice-token", "--src-creds=x:bob-token")

    def pull_one(number: int) -> subprocess.CompletedProcess[str]:
        name = f"conda-store-dynamic/{names[number % 2]}"
        return pull(service, name, tmp_path / f"layout-{number}", credentials[number // 2 % 2])

    with ThreadPoolExecutor(6) as threads:
        pulled = list(threads.map(pull_one, range(6)))
    assert [each.returncode for each in pulled] == [0] * len(pulled), pulled[0].stderr
    run("umoci", "unpack", "--image", f"{tmp_path}/layout-5:got", tmp_path / "bundle")
    root, config = tmp_path / "bundle" / "rootfs", read_config(tmp_path / "layout-5")
    assert run_inside(root, config, "python", "-c", "import click, sys; print(sys.prefix)") == "/opt/conda\n"
    found, count = service.db.read_sync(
        builds.list_builds, IDENTITIES["root"], page=1, size=9, namespace="conda-store-dynamic"
    )
    assert count == 1, found


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("click.ge.900", "No package click in the channels fits “click >=900”"),
        ("python.lt.3/python.gt.4", "No version of “python” can be"),
    ],
)
def test_an_image_that_cannot_be_is_refused_with_the_reason(
    service: RunningService, tmp_path: Path, name: str, words: str
) -> None:
    for _ in range(2):
        refused = pull(service, f"conda-store-dynamic/{name}", tmp_path / "layout", "--src-creds=x:alice-token")
        assert refused.returncode != 0
        assert words in refused.stderr, refused.stderr
