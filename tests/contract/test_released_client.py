"""conda-store's released client, from the package index and in a venv of its own, against our service.

What of it fails by its own faults, whatever the service does, is listed in docs/decisions/0007-web.md.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest
from uv import find_uv_bin

from conda_store_hub.core.errors import SolveError
from conda_store_hub.core.names import DataDirectory
from conda_store_hub.core.protocol import ArtifactType
from conda_store_hub.demo.channel import serve_channel
from tests.support import make
from tests.support.channel import sample_channel_dir, tiny_channel
from tests.support.service import RunningService, run_service, service

__all__ = ["service"]

VERSION = "2025.2.2"
HOME = Path(__file__).parents[2] / ".cache" / f"conda-store-client-{VERSION}"


@pytest.fixture(scope="module")
def client() -> Path:
    """The folder of the client's programs; made once for a machine."""
    done = HOME / "whole"
    if not done.exists():
        for command in (
            ["venv", "--quiet", "--clear", "--python", sys.executable, str(HOME)],
            ["pip", "install", "--quiet", "--python", str(HOME / "bin" / "python"), f"conda-store=={VERSION}"],
        ):
            made = subprocess.run([find_uv_bin(), *command], capture_output=True, text=True)
            if made.returncode:
                pytest.skip(f"the released client cannot be installed: {made.stderr.strip()[-500:]}")
        done.touch()
    return HOME / "bin"


class ReleasedClient:
    """`conda-store` as alice runs it."""

    def __init__(self, programs: Path, service: RunningService, directory: Path) -> None:
        self._programs = programs
        self._directory = directory
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(directory),
            "COLUMNS": "200",
            "CONDA_STORE_URL": service.url,
            "CONDA_STORE_AUTH": "token",
            "CONDA_STORE_TOKEN": "alice-token",
        }

    def start(self, *arguments: str, program: str = "conda-store") -> subprocess.Popen[str]:
        return subprocess.Popen(
            [self._programs / program, *arguments],
            cwd=self._directory,
            env=self.environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def run(self, *arguments: str, status: int = 0, program: str = "conda-store") -> str:
        """Run it to its end and return what it printed."""
        with self.start(*arguments, program=program) as running:
            printed, complaint = running.communicate(timeout=120)
        assert running.returncode == status, complaint + printed
        return printed if status == 0 else complaint

    def list(self, what: str, *arguments: str) -> list[dict[str, Any]]:
        return json.loads(self.run("list", what, "--output", "json", *arguments))


@pytest.fixture
def released(client: Path, service: RunningService, tmp_path: Path) -> ReleasedClient:
    return ReleasedClient(client, service, tmp_path)


def test_info(released: ReleasedClient) -> None:
    printed = released.run("info")
    assert "Default namespace is alice" in printed
    assert "Authenticated True" in printed
    assert "environment:create" in printed
    assert "group.physics" in printed


def test_info_of_nobody(service: RunningService, released: ReleasedClient) -> None:
    released.environment["CONDA_STORE_AUTH"] = "none"
    assert "Authenticated False" in released.run("info")


def test_list_namespace(released: ReleasedClient) -> None:
    released.run("info")
    assert [row["name"] for row in released.list("namespace")] == ["alice", "group.physics"]


def test_list_environment(service: RunningService, released: ReleasedClient) -> None:
    service.completed("done")
    service.submit("waits")
    assert [row["name"] for row in released.list("environment")] == ["done", "waits"]
    assert [row["name"] for row in released.list("environment", "--status", "QUEUED")] == ["waits"]
    assert "done" in released.run("list", "environment")


@pytest.mark.parametrize("what", ["environment", "build"])
def test_list_by_package(service: RunningService, released: ReleasedClient, what: str) -> None:
    service.completed("done")
    service.submit("waits")
    for asked, found in ((["python>=3.11"], 1), (["python", "ipykernel<7"], 1), (["python>=4"], 0)):
        options = [word for package in asked for word in ("--package", package)]
        assert len(released.list(what, *options)) == found, asked


def test_list_environment_with_more_than_one_page_ends(service: RunningService, released: ReleasedClient) -> None:
    for number in range(105):
        service.submit(f"e{number}")
    assert len(released.list("environment")) == 105


def test_list_build(service: RunningService, released: ReleasedClient) -> None:
    service.completed("done")
    service.submit("waits")
    assert [(row["id"], row["status"]) for row in released.list("build")] == [(2, "QUEUED"), (1, "COMPLETED")]
    assert [row["id"] for row in released.list("build", "--status", "COMPLETED")] == [1]
    assert "Builds" in released.run("list", "build")


def test_list_build_with_more_than_one_page(service: RunningService, released: ReleasedClient) -> None:
    for _ in range(105):
        service.submit()
    assert sorted(row["id"] for row in released.list("build")) == list(range(1, 106))


def test_wait_for_a_build(service: RunningService, released: ReleasedClient) -> None:
    build_id = service.submit()
    with released.start("wait", str(build_id), "--interval", "1") as waiting:
        service.claim(build_id)
        service.use(build_id)
        assert waiting.wait(60) == 0
    assert released.run("wait", "alice/ml") == ""
    assert released.run("wait", f"alice/ml:{build_id}") == ""


def test_wait_for_a_build_that_fails(service: RunningService, released: ReleasedClient) -> None:
    build_id = service.submit()
    service.claim(build_id)
    service.finish(build_id, SolveError("Nothing fits."))
    assert "failed" in released.run("wait", str(build_id), "--interval", "1", status=1)


def test_wait_for_an_artifact_ends_when_it_can_be_had(service: RunningService, released: ReleasedClient) -> None:
    build_id = service.completed()
    told = "Build 1 failed to complete in 1 seconds"
    assert told in released.run(
        "wait", str(build_id), "--artifact", "archive", "--interval", "1", "--timeout", "1", status=1
    )
    with released.start("wait", str(build_id), "--artifact", "archive", "--interval", "1") as waiting:
        service.store(build_id, ArtifactType.CONDA_PACK, b"packed")
        assert waiting.wait(60) == 0
    assert released.run("download", str(build_id), "--artifact", "archive")


@pytest.mark.parametrize(
    ("artifact", "kind", "name"),
    [
        ("lockfile", ArtifactType.LOCKFILE, "build-1.lock"),
        ("yaml", ArtifactType.YAML, "build-1.yaml"),
        ("archive", ArtifactType.CONDA_PACK, "build-1.tar.gz"),
    ],
)
def test_download(
    service: RunningService, released: ReleasedClient, tmp_path: Path, artifact: str, kind: ArtifactType, name: str
) -> None:
    build_id = service.completed()
    content = os.urandom(2_500_000)
    service.store(build_id, kind, content)
    assert released.run("download", "alice/ml", "--artifact", artifact) == str(tmp_path / name)
    assert (tmp_path / name).read_bytes() == content
    released.run("download", f"alice/ml:{build_id}", "--artifact", artifact, "--output-filename", "mine")
    assert (tmp_path / "mine").read_bytes() == content


COMPUTES = """
import sys, numpy
print(sys.prefix, numpy.arange(4).sum())
"""


def test_it_downloads_and_runs_what_was_built(client: Path, data: DataDirectory, tmp_path: Path) -> None:
    """All that it knows of a real build. Its archive is made for who runs it first: it is not made with the build."""
    with serve_channel(sample_channel_dir()) as channel:
        rules = make.rules(channel_aliases={"main": channel}, allowed_channels=["main"], artifacts=[ArtifactType.YAML])
        with run_service(data, rules=rules) as service, service.building():
            build_id = make.submit(service.db, yaml=make.text("ml", "python", "numpy"), under=rules)
            released = ReleasedClient(client, service, tmp_path)
            released.environment["TMPDIR"] = str(tmp_path)
            released.run("wait", str(build_id), "--interval", "1")
            for uri in ("alice/ml", str(build_id)):
                for artifact, says in (("yaml", "- numpy="), ("lockfile", "package:"), ("archive", "")):
                    released.run("download", uri, "--artifact", artifact, "--output-filename", "file")
                    assert says.encode() in (tmp_path / "file").read_bytes()
            with tarfile.open(tmp_path / "file") as archive:
                assert "bin/conda-unpack" in archive.getnames()
            for options in ([], [], ["--no-cache"]):  # unpacked, unpacked before, and unpacked anew
                prefix, total = released.run("run", *options, "alice/ml", "--", "python", "-c", COMPUTES).split()
                assert (Path(prefix).is_relative_to(tmp_path), total) == (True, "6")


def test_download_the_log(service: RunningService, released: ReleasedClient, tmp_path: Path) -> None:
    build_id = service.submit()
    service.claim(build_id)
    service.log(build_id, "hello ☃\n")
    released.run("download", str(build_id), "--artifact", "logs", "--output-filename", "log")
    assert (tmp_path / "log").read_text() == "hello ☃\n"


def test_what_is_not_there_is_said(released: ReleasedClient) -> None:
    assert "Error getting environment alice/nothing" in released.run("download", "alice/nothing", status=1)
    assert "Error getting build 7" in released.run("wait", "7", status=1)


def make_token(released: ReleasedClient, *arguments: str) -> str:
    """Make a token, and go on with it."""
    token = released.run("token", *arguments)
    released.environment["CONDA_STORE_TOKEN"] = token
    return token


def test_a_token_does_what_its_maker_may(service: RunningService, released: ReleasedClient) -> None:
    service.completed("done")
    assert make_token(released).startswith("csh_")
    assert [row["name"] for row in released.list("environment")] == ["done"]
    assert released.run("-c", SCRIPT, make.text("new"), program="python").strip() == "2"


def test_a_token_of_a_viewer_looks_and_changes_nothing(service: RunningService, released: ReleasedClient) -> None:
    service.completed("done")
    make_token(released, "--permission", "alice/*:viewer")
    assert [row["name"] for row in released.list("environment")] == ["done"]
    assert released.run("-c", SCRIPT, make.text("new"), program="python", status=1)
    with service.client("alice") as alice:
        assert alice.get("api/v1/build/").json()["count"] == 1


@pytest.mark.parametrize(
    ("permission", "says"),
    [
        ("group.physics/*:admin", "A token cannot have the role admin on “group.physics”: yours there is developer."),
        ("alice/*:owner", "`role_bindings"),
    ],
)
def test_a_token_for_more_than_one_has_is_refused_in_words(
    released: ReleasedClient, permission: str, says: str
) -> None:
    released.run("info")
    assert says in released.run("token", "--permission", permission, status=1)


def test_a_token_makes_no_tokens(released: ReleasedClient) -> None:
    make_token(released, "--permission", "alice/*:viewer")
    assert "A token cannot make tokens" in released.run("token", "--permission", "alice/*:viewer", status=1)


def test_info_of_an_administrator(released: ReleasedClient) -> None:
    released.environment["CONDA_STORE_TOKEN"] = "root-token"
    printed = released.run("info")
    assert "namespace::create" in printed
    assert "Default namespace is root" in printed


def test_its_login_with_a_password_is_refused_since_there_is_none(released: ReleasedClient) -> None:
    """It sends name and password to a form at `login/`, and wants a cookie; as HTTP's Basic a token is a password."""
    released.environment |= {
        "CONDA_STORE_AUTH": "basic",
        "CONDA_STORE_USERNAME": "anybody",
        "CONDA_STORE_PASSWORD": "alice-token",
    }
    assert "login/" in released.run("info", status=1)


SCRIPT = """
import asyncio, os, sys
from conda_store import api

async def main():
    async with api.CondaStoreAPI(os.environ["CONDA_STORE_URL"], auth_type="token") as client:
        print(await client.create_environment("alice", sys.argv[1]))

try:
    asyncio.run(main())
except api.CondaStoreAPIError as exc:
    sys.exit(str(exc))
"""


def test_it_solves(client: Path, data: DataDirectory, tmp_path: Path) -> None:
    """It sends `channels`, which conda-store's own API does not read, and a slash behind the last value."""
    with serve_channel(tiny_channel(tmp_path / "main")) as channel:
        rules = make.rules(channel_aliases={"main": channel}, allowed_channels=["main"])
        with run_service(data, rules=rules) as service:
            released = ReleasedClient(client, service, tmp_path)
            file = tmp_path / "environment.yaml"
            file.write_text(make.text("ml", "app <2", "has-prefix"))
            found = json.loads(released.run("solve", str(file), "--output", "json"))
            assert {each["name"]: each["version"] for each in found} == {
                "app": "1.0",
                "base-lib": "1.0",
                "has-prefix": "1.0",
            }
            assert "has-prefix" in released.run("solve", str(file))
            file.write_text(make.text("ml", "app <2", "no-such"))
            released.run("solve", str(file), status=1)


def test_its_python_api_submits(service: RunningService, released: ReleasedClient) -> None:
    assert released.run("-c", SCRIPT, make.text("new"), program="python").strip() == "1"
    complaint = released.run("-c", SCRIPT, "name: a/b", program="python", status=1)
    assert "letters and digits" in complaint
    with service.client("alice") as alice:
        assert [row["name"] for row in alice.get("api/v1/environment/").json()["data"]] == ["new"]
