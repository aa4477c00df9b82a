"""`conda-store` as people start it: the seed's examples, and an environment's life, at a service that really builds."""

from __future__ import annotations

import hashlib
import json
import subprocess
import tarfile
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from conda_store_hub.core.names import DataDirectory
from conda_store_hub.db.tables import Lease
from conda_store_hub.demo.channel import serve_channel
from conda_store_hub.storage import prefixes
from tests.support import make
from tests.support.channel import sample_channel_dir
from tests.support.process import until
from tests.support.service import RunningService, run_service
from tests.support.shell import put_program, write

pytestmark = pytest.mark.timeout(600)

ROOT = Path(__file__).parents[2]
WHERE = ("python", "-c", "import sys; print(sys.prefix)")

#: As the user guide has it.
SCRIPT = """\
#!/usr/bin/env conda-store
#! conda-store run <namespace>/<environment-name>:<build-id> -- python

print('script running within the conda-store environnent')
"""


@dataclass(frozen=True)
class Desk:
    """Somebody at a machine, with a folder of their own; it has the service's disk, too."""

    service: RunningService
    folder: Path
    variables: dict[str, str]

    def call(self, *command: object, code: int = 0) -> subprocess.CompletedProcess[str]:
        """Start something and see how it ends."""
        done = subprocess.run(
            ["env", *map(str, command)],
            env=self.variables,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == code, done
        assert "Traceback (most recent call last)" not in done.stderr
        return done

    def ask(self, *arguments: object, code: int = 0) -> subprocess.CompletedProcess[str]:
        return self.call("conda-store", *arguments, code=code)

    def json(self, *arguments: object) -> Any:
        return json.loads(self.ask(*arguments, "--output", "json").stdout)

    def write(self, name: str, *dependencies: str) -> None:
        """Write the `environment.yaml` in the folder."""
        write(self.folder / "environment.yaml", make.text(name, *dependencies))

    @property
    def disk(self) -> Path:
        """What the service's data directory is in."""
        return self.service.services.data.root.parent


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Generator[Desk]:
    data = DataDirectory(tmp_path_factory.mktemp("d") / "s")
    prefixes.ensure_data_directory(data, publish_links=False)
    folder = tmp_path_factory.mktemp("desk")
    with serve_channel(sample_channel_dir()) as channel:
        rules = make.rules(channel_aliases={"main": channel}, allowed_channels=["main"])
        with run_service(data, rules=rules) as service, service.building():
            variables = {
                "HOME": str(folder),
                "PATH": f"{put_program(folder / 'commands').parent}:/usr/bin:/bin",
                "PYTHONPATH": str(ROOT),
                "CONDA_STORE_URL": service.url,
                "CONDA_STORE_TOKEN": "alice-token",
            }
            yield Desk(service, folder, variables)


@pytest.fixture(scope="module")
def datascience(desk: Desk) -> int:
    """The build of devops/datascience, which alice may see."""
    admin = Desk(desk.service, desk.folder, desk.variables | {"CONDA_STORE_TOKEN": "root-token"})
    with desk.service.client("root") as http:
        http.post("api/v1/namespace/devops/").raise_for_status()
    desk.write("datascience", "python")
    build = int(admin.ask("create", "environment.yaml", "-n", "devops", "--wait").stdout)
    desk.ask("info")  # who was never there is nobody whom something could be given
    admin.ask("share", "give", "devops/", "alice", "viewer")
    return build


# What the seed's user guide says of the command line


def test_a_command_runs_in_an_environment_of_the_service_as_the_guide_has_it(desk: Desk, datascience: int) -> None:
    said = desk.call("sh", "-c", 'conda-store run devops/datascience -- python -m "print(1)"', code=1).stderr
    assert said.endswith("No module named print(1)\n"), "-m takes the name of a module, and text of a program is -c"
    assert desk.call("sh", "-c", 'conda-store run devops/datascience -- python -c "print(1)"').stdout == "1\n"


def test_the_commands_that_the_guide_names_are_there(desk: Desk, datascience: int) -> None:
    told = desk.ask("--help").stdout
    for name in ("--conda-store-url", "--auth [none|token|basic]", "--no-verify-ssl", "--help"):
        assert f"  {name}" in told.replace("-h, ", "")
    for name in ("download", "info", "list", "run", "solve", "wait"):
        assert f"\n  {name} " in told
    desk.ask("--auth", "token", "--no-verify-ssl", "--conda-store-url", desk.service.url, "info")
    assert "devops" in desk.ask("list", "namespace").stdout
    assert "devops/datascience" in desk.ask("list", "environment").stdout
    assert f"{datascience}\tdevops/datascience" in desk.ask("list", "build").stdout
    assert "python" in desk.ask("solve", "environment.yaml").stdout
    desk.ask("wait", f"devops/datascience:{datascience}")
    desk.ask("download", f"devops/datascience:{datascience}")


def test_a_script_says_its_environment_as_the_guide_has_it(desk: Desk, datascience: int) -> None:
    parts = {"<namespace>": "devops", "<environment-name>": "datascience", "<build-id>": str(datascience)}
    text = SCRIPT
    for part, value in parts.items():
        text = text.replace(part, value)
    write(desk.folder / "script.py", text).chmod(0o755)
    done = desk.call("./script.py")
    assert done.stdout == "script running within the conda-store environnent\n"
    meant = desk.ask("run", f"devops/datascience:{datascience}", "--", "python", "./script.py")
    assert (meant.stdout, meant.stderr) == (done.stdout, done.stderr)
    write(desk.folder / "script.py", f"{text}import sys\nprint(sys.argv)\n")
    assert desk.call("./script.py", "--x", "a b").stdout.endswith("['./script.py', '--x', 'a b']\n")


# An environment's life, told to people and to programs


def test_an_environment_is_applied_run_turned_back_and_brought_back(desk: Desk) -> None:
    first, second = apply_twice(desk)
    compare(desk, first, second)
    run_here_and_there(desk, second)
    download(desk, second)
    turn(desk, first, second)
    delete_and_restore(desk)
    assert desk.ask("run", "alice/ml", "--", *WHERE).stdout.strip() == find_prefix(desk, second)


def apply_twice(desk: Desk) -> tuple[int, int]:
    desk.write("ml", "python")
    done = desk.ask("apply", "environment.yaml")
    first = int(done.stdout)
    assert "+  - python" in done.stderr
    log = desk.ask("logs", "-f", first).stdout
    assert log == desk.ask("logs", "alice/ml").stdout, "it was followed to its end"
    done = desk.ask("wait", "alice/ml")
    assert (done.stdout, done.stderr) == ("", f"alice/ml:{first} can be used\n")
    desk.write("ml", "python", "flask")
    submitted = desk.json("apply", "environment.yaml")
    waited = desk.json("wait", submitted["id"])
    assert (waited["status"], waited["environment"]) == ("COMPLETED", "ml")
    again = desk.ask("apply", "environment.yaml")
    assert (int(again.stdout), "unchanged" in again.stderr) == (waited["id"], True)
    return first, waited["id"]


def compare(desk: Desk, first: int, second: int) -> None:
    lines = desk.ask("diff", first, second).stdout.splitlines()
    assert {line[0] for line in lines} == {"+"}
    told = desk.json("diff", first, "alice/ml")
    assert [each["name"] for each in told["added"]] == [line.split("\t")[1] for line in lines]
    assert "flask" in {each["name"] for each in told["added"]}


def run_here_and_there(desk: Desk, build: int) -> None:
    desk.disk.chmod(0o777)  # where everybody could put something, a prefix is not taken for the service's
    try:
        done = desk.ask("run", "--from", "lock", f"alice/ml:{build}", "--", *WHERE)
        assert f"Making alice/ml:{build} on this machine, once" in done.stderr
        made = Path(done.stdout.strip())
        assert made.is_relative_to(desk.folder / ".cache" / "conda-store")
        again = desk.ask("run", f"alice/ml:{build}", "--", "flask", "--version")
        assert ("Flask" in again.stdout, again.stderr) == (True, "")
    finally:
        desk.disk.chmod(0o700)
    shared = desk.ask("run", "alice/ml", "--", *WHERE).stdout.strip()
    assert shared == find_prefix(desk, build)
    assert Path(shared).is_relative_to(desk.disk)


def find_prefix(desk: Desk, build: int) -> str:
    return desk.json("wait", build)["prefix"]


def download(desk: Desk, build: int) -> None:
    path = desk.folder / desk.ask("download", "alice/ml").stdout.strip()
    assert "flask" in path.read_text()
    assert desk.json("download", build, "--output-filename", "lock.yml")["sha256"] == find_digest(path)
    path = desk.folder / desk.ask("download", "alice/ml", "--artifact", "archive").stdout.strip()
    with tarfile.open(path) as archive:
        assert {"bin/python", "bin/flask", "bin/activate"} <= set(archive.getnames())
    told = desk.json("download", "alice/ml", "--artifact", "archive", "--output-filename", "ml.tar.gz")
    assert (told["sha256"], told["size"]) == (find_digest(path), path.stat().st_size)


def find_digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def turn(desk: Desk, first: int, second: int) -> None:
    assert f"alice/ml:{first} is active" in desk.ask("rollback", "alice/ml").stderr
    assert desk.ask("run", "alice/ml", "--", *WHERE).stdout.strip() == find_prefix(desk, first)
    assert f"alice/ml:{second} is active" in desk.ask("activate", second).stderr
    assert desk.json("rollback", "alice/ml")["current_build_id"] == first
    assert desk.json("activate", f"alice/ml:{second}")["current_build_id"] == second


def count_leases(desk: Desk) -> int:
    return desk.service.db.read_sync(lambda session: session.query(Lease).count())


def delete_and_restore(desk: Desk) -> None:
    until(lambda: count_leases(desk) == 0)  # each ends a moment after its command
    said = desk.ask("delete", "alice/ml", "--yes").stderr
    assert "conda-store restore alice/ml" in said
    assert "There is no environment “alice/ml”" in desk.ask("run", "alice/ml", "--", "true", code=5).stderr
    assert desk.ask("restore", "alice/ml").stderr == "alice/ml is back\n"
    assert desk.json("delete", "alice/ml", "--yes") == {"removed": "alice/ml"}
    assert desk.json("restore", "alice/ml")["name"] == "ml"
