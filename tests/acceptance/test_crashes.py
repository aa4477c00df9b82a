"""Real builds on the sample channel while things break: kill -9 at every stage, the builder killed, the disk full."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Generator
from pathlib import Path

import pytest

from conda_store_hub.core import schemas
from conda_store_hub.core.names import DataDirectory
from conda_store_hub.core.protocol import ArtifactState, BuildStatus, Phase
from conda_store_hub.db.session import Database
from conda_store_hub.demo.channel import serve_channel
from conda_store_hub.services import builds, logs, users
from conda_store_hub.storage import prefixes
from tests.support import make
from tests.support.bytecode import link_bytecode
from tests.support.channel import sample_channel_dir
from tests.support.hub import allow_root
from tests.support.make import ALICE
from tests.support.process import ServiceProcess, is_alive, until

pytestmark = pytest.mark.timeout(600)
SMALL = ("python", "click")
# These tests write rows beside the service, which is not told of them: it finds them when it looks again.
LOOK_OFTEN = "from conda_store_hub.queue import executor\nexecutor._LOOK_AGAIN_SECONDS = 0.2\n"


class Bench:
    """A data directory that services come and go on, and the database beside them."""

    def __init__(self, data: DataDirectory, channel: str) -> None:
        prefixes.ensure_data_directory(data, publish_links=False)
        self.data = data
        self.channel = channel
        self.alias = channel.rstrip("/").rpartition("/")[0]
        self.db = Database(f"sqlite:///{data.database}")
        self.db.upgrade()

    def service(self) -> ServiceProcess:
        config = f"{LOOK_OFTEN}{allow_root()}c.CondaStore.conda_channel_alias = {self.alias!r}\n"
        return ServiceProcess(self.data.root, config)

    def submit(self, *dependencies: str) -> int:
        """Submit as the API does, beside a running service: its executor finds what is queued at its next look."""
        rules = make.rules(self.alias)
        self.db.write_sync(users.ensure_namespaces, ALICE)
        text = make.text("ml", *dependencies or SMALL).replace("- main", f"- {self.channel}")
        prepared = builds.prepare(schemas.SubmitSpecification(specification=text), rules)
        return self.db.write_sync(builds.submit, ALICE, None, prepared, rules)

    def build(self, build_id: int) -> schemas.Build:
        return self.db.read_sync(builds.get_build, ALICE, build_id, data=self.data)

    def reached(self, build_id: int, phase: Phase) -> bool:
        build = self.build(build_id)
        return any(item.phase is phase for item in build.phases) or self.has_ended(build_id)

    def has_ended(self, build_id: int) -> bool:
        return self.db.read_sync(logs.peek, build_id, 1 << 40).complete

    def log(self, build_id: int) -> str:
        return self.db.read_sync(logs.peek, build_id, 0).data.decode()


@pytest.fixture(scope="module")
def channel() -> Generator[str]:
    with serve_channel(sample_channel_dir()) as url:
        yield url


@pytest.fixture
def bench(channel: str) -> Generator[Bench]:
    place = Path(tempfile.mkdtemp(prefix="csh"))
    at = Bench(DataDirectory(place / "d"), channel)
    yield at
    at.db.close()
    shutil.rmtree(place)


def builders(service: ServiceProcess) -> list[int]:
    """Return the ids of the builders that a service has."""
    pid = service.process.pid
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in children if "conda_store_hub.builder" in _command(child)]


def _command(pid: str) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except FileNotFoundError:
        return ""


@pytest.mark.parametrize("phase", [Phase.SOLVE, Phase.INSTALL, Phase.BYTECODE, Phase.ACTIVATE, Phase.ARCHIVE])
def test_a_service_killed_in_the_middle_finishes_the_build_when_it_is_back(bench: Bench, phase: Phase) -> None:
    if phase not in (Phase.INSTALL, Phase.BYTECODE):  # what is killed has to take a while
        link_bytecode(bench.data)
    build_id = bench.submit()
    with bench.service() as service:
        until(lambda: bench.reached(build_id, phase), 120)
        orphans = builders(service)
        service.process.kill()
        service.process.wait()
        until(lambda: not any(is_alive(pid) for pid in orphans))
    with bench.service():
        until(lambda: bench.has_ended(build_id), 240)
        build = bench.build(build_id)
        assert build.status is BuildStatus.COMPLETED, build.status_info
        assert {item.state for item in build.build_artifacts} == {ArtifactState.READY}
        link = bench.data.link("alice", "ml")
        until(lambda: link.is_symlink())
        assert link.readlink() == Path(build.prefix or "")
        done = subprocess.run([link / "bin" / "python", "-I", "-c", "import click"], check=False)
        assert done.returncode == 0
        until(lambda: [path.name for path in bench.data.prefixes.iterdir()] == [Path(build.prefix or "").name])


def test_a_killed_builder_fails_its_build_and_the_next_one_is_built(bench: Bench) -> None:
    first = bench.submit()
    with bench.service() as service:
        until(lambda: builders(service) and bench.reached(first, Phase.INSTALL), 120)
        os.kill(builders(service)[0], 9)
        until(lambda: bench.has_ended(first))
        build = bench.build(first)
        assert (build.status, build.error_code) == (BuildStatus.FAILED, "builder-died")
        second = bench.submit()
        until(lambda: bench.has_ended(second), 240)
        assert bench.build(second).status is BuildStatus.COMPLETED
        assert len(list(bench.data.prefixes.iterdir())) == 1


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a disk that is small")
def test_a_full_disk_fails_the_build_in_words_and_nothing_else(channel: str) -> None:
    place = Path(tempfile.mkdtemp(prefix="csh"))
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=120m", "tmpfs", str(place)], check=True)
    try:
        bench = Bench(DataDirectory(place / "d"), channel)
        with bench.service() as service:
            service.wait_until_ready()
            full = bench.submit("python", "numpy", "pandas")
            until(lambda: bench.has_ended(full), 240)
            build = bench.build(full)
            assert (build.status, build.error_code) == (BuildStatus.FAILED, "disk-full"), bench.log(full)
            answer = service.health()
            assert answer is not None
            assert answer.status_code == 200
            subprocess.run(["mount", "-o", "remount,size=2g", str(place)], check=True)
            again = bench.submit()
            until(lambda: bench.has_ended(again), 240)
            assert bench.build(again).status is BuildStatus.COMPLETED, bench.log(again)
        bench.db.close()
    finally:
        # A builder that the service killed at its end may hold a file for a moment longer.
        until(lambda: subprocess.run(["umount", str(place)], check=False).returncode == 0)
        place.rmdir()
