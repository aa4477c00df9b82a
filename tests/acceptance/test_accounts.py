"""A Hub as root, the service under an account of its own, two people under two more: what each can reach."""

from __future__ import annotations

import os
import pwd
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

import pytest

from conda_store_hub.client.api import Client
from conda_store_hub.core.errors import NotFoundError
from conda_store_hub.core.names import DataDirectory
from conda_store_hub.core.protocol import BuildStatus
from conda_store_hub.demo.channel import serve_channel
from conda_store_hub.demo.hub import DemoHub
from conda_store_hub.demo.kernels import UserServer
from tests.support.channel import sample_channel_dir
from tests.support.cmdlines import watch_process_list
from tests.support.hub import make_settings
from tests.support.process import until

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can make accounts and be a Hub for several people"),
    pytest.mark.timeout(600),
]
REPOSITORY = Path(__file__).parents[2]
SERVICE, ANNA, BEN = "csh-test-svc", "csh-test-anna", "csh-test-ben"


@dataclass(frozen=True, kw_only=True, slots=True)
class Site:
    """A running Hub of several accounts."""

    hub: DemoHub
    data: DataDirectory
    channel: str

    def client(self, user: str) -> Client:
        return Client(self.hub.service_url, token=self.hub.make_token(user))


@pytest.fixture(scope="module")
def place() -> Generator[Path]:
    """A folder that every account can enter; the folders of tests are root's alone."""
    path = Path(tempfile.mkdtemp(prefix="csh", dir="/var/tmp"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="module")
def accounts(place: Path) -> Generator[None]:
    """The service's account and two people's; removed again."""
    (place / "home").mkdir(mode=0o755)
    try:
        for name in (SERVICE, ANNA, BEN):
            subprocess.run(["useradd", "--create-home", "--home-dir", str(place / "home" / name), name], check=True)
            (place / "home" / name).chmod(0o700)
        yield
    finally:
        for name in (SERVICE, ANNA, BEN):
            subprocess.run(["userdel", name], check=False, capture_output=True)


@pytest.fixture(scope="module")
def python(place: Path) -> str:
    """An interpreter that every account may run, with the product installed from a wheel."""
    subprocess.run(
        ["uv", "venv", "--quiet", "--python", _public_interpreter(), str(place / "venv")], check=True, env=_uv()
    )
    interpreter = str(place / "venv" / "bin" / "python")
    wanted = [f"{REPOSITORY}[server]", "jupyterlab"]
    subprocess.run(["uv", "pip", "install", "--quiet", "--python", interpreter, *wanted], check=True, env=_uv())
    return interpreter


def _uv() -> dict[str, str]:
    return {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}


def _public_interpreter() -> str:
    for candidate in ("/usr/bin/python3", "/usr/local/bin/python3"):
        tried = subprocess.run(
            as_account("nobody", candidate, "-c", "import sys; sys.exit(sys.version_info < (3, 11))"),
            check=False,
            capture_output=True,
        )
        if tried.returncode == 0:
            return candidate
    pytest.skip("there is no Python 3.11 or newer here that every account may run")


@pytest.fixture(scope="module")
def site(place: Path, accounts: None, python: str) -> Generator[Site]:
    data = place / "data"
    data.mkdir(mode=0o711)
    shutil.chown(data, SERVICE)
    with serve_channel(sample_channel_dir()) as channel:
        settings = make_settings(
            python=python,
            users=(ANNA, BEN),
            groups={},
            service={"user": SERVICE, "data_dir": str(data)},
            service_config=f"c.CondaStore.conda_channel_alias = {channel.rstrip('/').rpartition('/')[0]!r}\n",
            lines="c.JupyterHub.spawner_class = 'jupyterhub.spawner.LocalProcessSpawner'",
        )
        with DemoHub(place / "hub", settings) as hub:
            yield Site(hub=hub, data=DataDirectory(data), channel=channel)


@pytest.fixture(scope="module")
def shown_to_ben() -> list[str]:
    """What the process list showed to Ben while Anna's environment was built."""
    return []


@pytest.fixture(scope="module")
def prefix(site: Site, python: str, shown_to_ben: list[str]) -> Path:
    """The prefix of an environment of Anna's."""
    with site.client(ANNA) as client, watch_process_list(as_account(BEN), python) as seen:
        text = f"name: mine\nchannels: ['{site.channel}']\ndependencies: [python, ipykernel, numpy]\n"
        build_id = client.submit(ANNA, text)
        until(lambda: client.get_build(build_id).status not in (BuildStatus.QUEUED, BuildStatus.BUILDING), 240)
        build = client.get_build(build_id)
        assert build.status is BuildStatus.COMPLETED, build.status_info
    shown_to_ben.extend(seen)
    return Path(build.prefix or "")


def as_account(name: str, *command: str) -> list[str]:
    """Return `command` as run by that account, with nothing of root's left."""
    person = pwd.getpwnam(name)
    return ["setpriv", f"--reuid={person.pw_uid}", f"--regid={person.pw_gid}", "--clear-groups", *command]


def run_as(name: str, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        as_account(name, *command),
        check=False,
        capture_output=True,
        text=True,
        cwd="/",
        env={"PATH": "/usr/bin:/bin", "HOME": pwd.getpwnam(name).pw_dir},
    )


def test_the_prefix_belongs_to_the_services_account_and_nobody_else_can_write(site: Site, prefix: Path) -> None:
    service = pwd.getpwnam(SERVICE).pw_uid
    for directory, folders, files in os.walk(prefix):
        for name in [".", *folders, *files]:
            status = (Path(directory) / name).lstat()
            assert status.st_uid == service
            if not stat.S_ISLNK(status.st_mode):
                assert not status.st_mode & 0o022, (directory, name)


@pytest.mark.parametrize("person", [ANNA, BEN])
def test_no_person_can_write_to_it(site: Site, prefix: Path, person: str) -> None:
    for target in (prefix / "new", prefix / "lib" / "new", prefix / "conda-meta" / "history"):
        assert run_as(person, "sh", "-c", f"echo x >> '{target}'").returncode != 0
    assert run_as(person, "rm", "-f", str(prefix / "bin" / "python")).returncode != 0
    assert (prefix / "bin" / "python").exists()


def test_its_owner_computes_in_it(site: Site, prefix: Path) -> None:
    code = "import numpy, sys; print(numpy.arange(10).sum(), sys.prefix)"
    done = run_as(ANNA, str(prefix / "bin" / "python"), "-I", "-c", code)
    assert done.stdout.split() == ["45", str(prefix)], done.stderr


@pytest.mark.parametrize("person", [ANNA, BEN])
@pytest.mark.parametrize("folder", ["b", "pkgs", "envs", "objects", "secrets", "."])
def test_nobody_can_list_what_the_service_keeps(site: Site, prefix: Path, person: str, folder: str) -> None:
    assert run_as(person, "ls", str(site.data.root / folder)).returncode != 0


@pytest.mark.parametrize("person", [ANNA, BEN])
def test_nobody_can_read_database_or_secrets(site: Site, prefix: Path, person: str) -> None:
    for path in (site.data.database, site.data.secrets / "cookie", site.hub.state / "hub.json"):
        assert path.exists()
        assert run_as(person, "cat", str(path)).returncode != 0


def test_another_person_is_told_nothing_of_it(site: Site, prefix: Path) -> None:
    with site.client(BEN) as client:
        assert list(client.list_environments()) == []
        assert client.kernels() is not None
        with pytest.raises(NotFoundError):
            client.get_environment(ANNA, "mine")
        with pytest.raises(NotFoundError):
            client.get_build(1)


def test_another_person_sees_that_something_is_built_but_not_where(prefix: Path, shown_to_ben: list[str]) -> None:
    assert [line for line in shown_to_ben if "bytecode_worker.py" in line]
    assert [line for line in shown_to_ben if prefix.name in line] == []


def test_a_kernel_runs_as_its_user_and_its_prefix_does_not_show_in_the_process_list(site: Site, prefix: Path) -> None:
    site.hub.start_server(ANNA)
    try:
        with UserServer(site.hub.user_url(ANNA), site.hub.make_token(ANNA)) as server:
            until(lambda: any("mine" in name for name in server.list_kernels()), 30)
            (kernel,) = [name for name in server.list_kernels() if "mine" in name]
            code = (
                "import os, subprocess, sys\n"
                "print(os.getuid(), sys.prefix, sys.executable)\n"
                "print(open('/proc/self/cmdline').read().replace(chr(0), ' '))\n"
            )
            identity, command = server.compute(kernel, code).strip().splitlines()
    finally:
        site.hub.stop_server(ANNA)
    assert identity.split()[:2] == [str(pwd.getpwnam(ANNA).pw_uid), str(prefix)]
    assert prefix.name not in command


def test_the_service_itself_is_not_root(site: Site) -> None:
    lock = site.data.lock
    holders = subprocess.run(["stat", "-c", "%U", str(lock)], check=True, capture_output=True, text=True)
    assert holders.stdout.strip() == SERVICE
