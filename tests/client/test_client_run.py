"""`conda-store run` as a process: in which environment it runs what, and that nothing comes between it and a caller."""

from __future__ import annotations

import ast
import json
import os
import pty
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Generator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from conda_store_hub.client.envcache import EnvironmentCache
from conda_store_hub.client.knownbuilds import KnownBuild, KnownBuilds, is_shared
from conda_store_hub.client.variables import make_absolute
from conda_store_hub.core.protocol import ArtifactType
from conda_store_hub.demo.channel import index, make_package, serve_channel
from tests.client.test_client_envs import Channel, channel, small
from tests.client.test_commands_terminal import Terminal
from tests.support.builder import Workshop
from tests.support.certificates import make_signed
from tests.support.process import default_signals, until
from tests.support.service_twin import TOKEN, ServiceTwin, make_build, make_environment, run_twin
from tests.support.shell import Shell, put_program

__all__ = ["channel", "small"]

ROOT = Path(__file__).parents[2]
PLACE = "/srv/data/b/abcdefghijklmnopqrstuv"
SHOW = """#!/bin/sh
echo "$0|$CONDA_PREFIX|$CONDA_DEFAULT_ENV|$TOOL_HOME|$MINE"
for each in "$@"; do echo "<$each>"; done
"""
ACTIVATE = """echo said by a script
export TOOL_HOME="$CONDA_PREFIX/tool"
set -- clobbered
false
"""


@pytest.fixture(scope="module")
def locks(tmp_path_factory: pytest.TempPathFactory) -> Generator[dict[str, bytes]]:
    """The locks of two builds: one activates by scripts, the other without."""
    folder = tmp_path_factory.mktemp("channel")
    make_package(folder, "plain", "1.0", files={"bin/show": SHOW, "share/text": "text\n"})
    make_package(folder, "scripts", "1.0", files={"etc/conda/activate.d/tool.sh": ACTIVATE})
    index(folder)
    with serve_channel(folder) as url:
        found: dict[str, bytes] = {}
        for name, packages in {"plain": ("plain",), "scripts": ("plain", "scripts")}.items():
            workshop = Workshop(tmp_path_factory.mktemp(name[0]), [url])
            outcome = workshop.build(*packages, artifacts=(ArtifactType.LOCKFILE, ArtifactType.CONDA_PACK))
            assert outcome.succeeded, outcome.log
            for kind in (ArtifactType.LOCKFILE, ArtifactType.CONDA_PACK):
                found[f"{name} {kind}"] = Path(outcome.artifacts[kind].path or "").read_bytes()
        yield found


RING = """
import threading
from keyring.backend import KeyringBackend

class Locked(KeyringBackend):
    priority = 5

    def get_password(self, service, username):
        raise RuntimeError("locked")

    set_password = delete_password = get_password

class Hanging(Locked):
    def get_password(self, service, username):
        threading.Event().wait()
"""


class Caller:
    """Somebody with a home, a cache, and a service."""

    def __init__(self, folder: Path, twin: ServiceTwin) -> None:
        self.folder = folder
        self.twin = twin
        commands = put_program(folder / "commands").parent
        self.variables = {
            "HOME": str(folder),
            "PATH": f"{commands}:/usr/bin:/bin",
            "PYTHONPATH": str(ROOT),
            "CONDA_STORE_URL": twin.url,
            "CONDA_STORE_TOKEN": TOKEN,
            "CONDA_STORE_CACHE": str(folder / "cache"),
            "MINE": "mine",
        }

    def offer(self, lock: bytes, *, build_id: int = 1, prefix: str = PLACE, archive: bytes | None = None) -> None:
        """Have the service tell of a build of alice/ml, which is its active one."""
        build = make_build(build_id, prefix=prefix)
        environment = make_environment("ml") | {"current_build_id": build_id, "current_build": build}
        with self.twin.changing() as state:
            state.builds[build_id] = build
            state.environments = [environment]
            state.artifacts = {"lockfile": lock} | ({} if archive is None else {"archive": archive})

    def run(self, *arguments: str, text: str = "", **variables: str) -> subprocess.CompletedProcess[str]:
        return self.call(["conda-store", "run", *arguments], text=text, **variables)

    def call(self, command: list[str], *, text: str = "", **variables: str) -> subprocess.CompletedProcess[str]:
        path = shutil.which(command[0], path=self.variables["PATH"]) or command[0]
        return subprocess.run(
            [path, *command[1:]],
            env=self.variables | variables,
            input=text,
            capture_output=True,
            text=True,
            cwd=self.folder,
            timeout=120,
            check=False,
        )

    @contextmanager
    def start(self, *arguments: str) -> Generator[subprocess.Popen[str]]:
        process = subprocess.Popen(
            [str(self.folder / "commands" / "conda-store"), "run", *arguments],
            env=self.variables,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=default_signals,
        )
        try:
            yield process
        finally:
            process.kill()
            process.communicate()

    @property
    def prefix(self) -> Path:
        (found,) = EnvironmentCache(self.folder / "cache").list_environments()
        return found.prefix


@pytest.fixture
def caller(tmp_path: Path) -> Generator[Caller]:
    with run_twin() as twin:
        yield Caller(tmp_path, twin)


@pytest.fixture
def made(caller: Caller, locks: dict[str, bytes]) -> Caller:
    """A caller with build 1 in their cache, known as the active one of alice/ml."""
    caller.offer(locks["plain LOCKFILE"])
    done = caller.run("alice/ml", "--", "true")
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    caller.twin.requests.clear()
    return caller


# In which environment


def test_an_exact_build_is_made_once_and_then_started_without_a_question(
    caller: Caller, locks: dict[str, bytes]
) -> None:
    caller.offer(locks["plain LOCKFILE"])
    first = caller.run("alice/ml:1", "--", "show", "a b", "-x", "--", "")
    assert first.returncode == 0, first.stderr
    prefix = caller.prefix
    assert first.stdout == f"{prefix}/bin/show|{prefix}|alice/ml||mine\n<a b>\n<-x>\n<-->\n<>\n"
    assert first.stderr == "Making alice/ml:1 on this machine, once\n"
    caller.twin.requests.clear()
    for url in (caller.twin.url, caller.twin.url.rstrip("/")):
        again = caller.run("alice/ml:1", "show", "a b", CONDA_STORE_URL=url)
        assert (again.returncode, again.stderr) == (0, "")
    assert caller.run("1", "--", "show").stdout.startswith(str(prefix))
    assert caller.twin.requests == []
    caller.twin.stop()
    assert caller.run("alice/ml:1", "--", "show", "a b").returncode == 0


def test_of_an_environment_one_conditional_question_is_asked(made: Caller, locks: dict[str, bytes]) -> None:
    # On a machine that is busy the answer may come too late for once.
    until(lambda: made.run("alice/ml", "--", "show").stderr == "")
    assert {request.path.partition("/v1/")[2] for request in made.twin.requests} == {"environment/alice/ml/"}
    assert all(request.headers["If-None-Match"] for request in made.twin.requests)
    made.offer(locks["scripts LOCKFILE"], build_id=2, prefix=PLACE.replace("a", "z"))
    until(lambda: "alice/ml:2" in made.run("alice/ml", "--", "true").stderr)
    assert made.run("alice/ml:1", "--", "true").stderr == ""


def test_where_the_service_does_not_answer_the_last_known_build_is_taken(made: Caller) -> None:
    def require_last_known() -> None:
        done = made.run("alice/ml", "--", "show")
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith(str(made.prefix))
        assert done.stderr.endswith("This runs in build 1 of alice/ml, the last known one.\n")
        assert done.stderr.count("\n") == 1

    for instead in ((200, {"Content-Type": "text/html"}, b"<html>"), (503, {}, b"")):
        with made.twin.changing() as state:
            state.instead = instead
        require_last_known()
    made.twin.stop()
    require_last_known()
    with socket.create_server(("127.0.0.1", urlsplit(made.twin.url).port or 0)):  # it takes questions, and is silent
        require_last_known()


def test_a_build_that_could_not_be_made_does_not_take_the_last_ones_place(made: Caller) -> None:
    made.offer(b"no lock", build_id=2, prefix=PLACE.replace("a", "z"))
    assert made.run("alice/ml", "--", "true").returncode != 0
    made.twin.stop()
    known = KnownBuilds(EnvironmentCache(made.folder / "cache"), made.twin.url)
    again = made.run("alice/ml", "--", "show")
    assert (again.returncode, again.stdout.startswith(str(made.prefix))) == (0, True), again.stderr
    # As it was left by earlier versions, or where the last one is no longer here.
    known.keep(KnownBuild(namespace="alice", environment="ml", build_id=3, prefix="/srv/gone", etag="x"))
    again = made.run("alice/ml", "--", "show")
    assert (again.returncode, again.stdout.startswith(str(made.prefix))) == (0, True), again.stderr
    assert again.stderr.endswith("This runs in build 1 of alice/ml, the last known one.\n")


def test_a_renamed_environment_is_known_by_its_new_name(made: Caller) -> None:
    with made.twin.changing() as state:
        state.builds[1] |= {"environment": "new"}
        state.environments = [make_environment("new") | {"current_build_id": 1, "current_build": state.builds[1]}]
    assert made.run("alice/new", "--", "true").returncode == 0
    assert made.run("alice/new:1", "--", "true").returncode == 0
    made.twin.stop()
    for reference in ("alice/new", "alice/new:1"):
        done = made.run(reference, "--", "show")
        assert done.returncode == 0, done.stderr
        assert f"{made.prefix}|alice/new|" in done.stdout


def test_what_is_not_known_and_cannot_be_asked_is_an_error(caller: Caller, locks: dict[str, bytes]) -> None:
    caller.offer(locks["plain LOCKFILE"])
    missing = caller.run("alice/other", "--", "true")
    unknown = caller.run("alice/ml:9", "--", "true")
    caller.twin.stop()
    away = caller.run("alice/ml:1", "--", "true")
    assert (missing.returncode, unknown.returncode, away.returncode) == (5, 5, 7)
    for done in (missing, unknown, away):
        assert done.stderr.startswith("Error: ")
        assert done.stderr.count("\n") == 1


def test_a_build_of_another_environment_is_not_run(made: Caller) -> None:
    with made.twin.changing() as state:
        state.environments.append(make_environment("other", number=2))
    done = made.run("alice/other:1", "--", "true")
    assert done.returncode == 5
    assert "alice/other has no build 1" in done.stderr


def test_a_token_that_is_worth_nothing_is_no_reason_to_run_what_is_known(made: Caller) -> None:
    done = made.run("alice/ml", "--", "true", CONDA_STORE_TOKEN="expired")
    assert done.returncode == 3
    assert made.run("alice/ml:1", "--", "true", CONDA_STORE_TOKEN="expired").returncode == 0


def test_an_archive_is_taken_when_that_is_asked_for(caller: Caller, locks: dict[str, bytes]) -> None:
    caller.offer(locks["plain LOCKFILE"], archive=locks["plain CONDA_PACK"])
    done = caller.run("--from", "archive", "alice/ml:1", "--", "show")
    assert done.returncode == 0, done.stderr
    (found,) = EnvironmentCache(caller.folder / "cache").list_environments()
    assert found.made.origin == "archive"
    assert [request.path.rpartition("/1/")[2] for request in caller.twin.requests][-1] == "archive/"


def test_two_at_once_make_it_once(caller: Caller, locks: dict[str, bytes]) -> None:
    caller.offer(locks["plain LOCKFILE"])
    with caller.start("alice/ml:1", "--", "show") as one, caller.start("alice/ml:1", "--", "show") as other:
        outcomes = [process.communicate(timeout=120) for process in (one, other)]
        assert [one.returncode, other.returncode] == [0, 0], outcomes
    assert outcomes[0][0] == outcomes[1][0]
    assert len(caller.twin.asked("build/1/lockfile/")) == 1


def test_what_is_damaged_is_made_or_asked_for_again(made: Caller) -> None:
    for known in (made.folder / "cache" / "known").rglob("*.json"):
        known.write_text('{"build_id": "../.."}')
    assert made.run("alice/ml", "--", "show").returncode == 0
    prefix = made.prefix
    prefix.with_name(f"{prefix.name}.json").write_text("{")
    again = made.run("alice/ml:1", "--", "show")
    assert again.returncode == 0, again.stderr
    assert "Making alice/ml:1" in again.stderr


def test_a_cache_that_others_can_write_is_refused(caller: Caller) -> None:
    """Before anything in it is looked at."""
    for mode in (0o777, 0o770):
        (caller.folder / "cache").mkdir(exist_ok=True)
        (caller.folder / "cache").chmod(mode)
        planted = EnvironmentCache(caller.folder / "cache")._list_places(caller.twin.url, 1, PLACE)
        for place in planted:
            (place.prefix / "conda-meta").mkdir(parents=True, exist_ok=True)
            place.record.write_text("{}")
        done = caller.run("alice/ml:1", "--", "true")
        assert done.returncode == 12
        assert "remove it, or set CONDA_STORE_CACHE" in done.stderr


def test_a_name_alone_is_ones_own_also_without_the_service(made: Caller) -> None:
    first = made.run("ml", "--", "show")
    assert first.stdout.startswith(f"{made.prefix}/bin/show|"), first.stderr
    made.twin.requests.clear()
    assert made.run("ml:1", "--", "true").returncode == 0
    assert made.twin.requests == []
    missing = made.run("other", "--", "true")
    assert (missing.returncode, "There is no environment alice/other" in missing.stderr) == (5, True)
    # Who logs in anew may be somebody else.
    assert made.run("ml", "--", "true", CONDA_STORE_TOKEN="expired").returncode == 3
    made.twin.stop()
    again = made.run("ml", "--", "show")
    assert (again.returncode, again.stdout) == (0, first.stdout)
    assert again.stderr.endswith("This runs in build 1 of alice/ml, the last known one.\n")
    assert made.run("ml:1", "--", "show").stdout == first.stdout
    assert made.run("ml", "--", "true", CONDA_STORE_TOKEN="of-bob").returncode == 7


# On the service's own disk


def test_a_prefix_that_the_machine_shares_is_used_under_a_lease(
    caller: Caller, locks: dict[str, bytes], tmp_path: Path
) -> None:
    caller.offer(locks["plain LOCKFILE"])
    caller.run("alice/ml:1", "--", "true")
    shared = tmp_path / "shared"
    shutil.copytree(caller.prefix, shared, symlinks=True)
    shutil.rmtree(tmp_path / "cache")
    caller.offer(b"", prefix=str(shared))
    caller.twin.requests.clear()
    with caller.start("alice/ml:1", "--", "sh", "-c", "show; read line") as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith(f"{shared}/bin/show|{shared}|")
        until(lambda: [request.method for request in caller.twin.asked("build/1/lease/")] == ["PUT"])
        process.communicate("\n", timeout=60)
        assert process.returncode == 0
    until(lambda: [request.method for request in caller.twin.asked("build/1/lease/")] == ["PUT", "DELETE"])
    holders = {json.loads(request.body)["holder"] for request in caller.twin.asked("build/1/lease/")}
    assert len(holders) == 1
    assert not (tmp_path / "cache" / "envs").exists()
    # What only the lease needs stands in nobody's way.
    (tmp_path / ".config" / "conda-store").mkdir(parents=True)
    (tmp_path / ".config" / "conda-store" / "logins.json").write_text("{")
    done = caller.run("alice/ml:1", "--", "show", CONDA_STORE_TOKEN="")
    assert (done.returncode, done.stdout.startswith(f"{shared}/bin/show|")) == (0, True), done.stderr
    assert done.stderr.endswith(" The service is not told that this is in use.\n")


def test_what_was_started_to_make_an_environment_is_no_child_of_a_command_that_needs_none(
    caller: Caller, locks: dict[str, bytes], tmp_path: Path
) -> None:
    """Where the service's own prefix is on this machine, which is known once the service has answered."""
    caller.offer(locks["plain LOCKFILE"])
    caller.run("alice/ml:1", "--", "true")
    shared = tmp_path / "shared"
    shutil.copytree(caller.prefix, shared, symlinks=True)
    shutil.rmtree(tmp_path / "cache")
    for build_id, name in ((2, "alice/ml:2"), (3, "alice/ml")):
        caller.offer(b"", build_id=build_id, prefix=str(shared))
        done = caller.run(name, "--", "sh", "-c", 'read -r children < /proc/$$/task/$$/children; echo "<$children>"')
        assert (done.returncode, done.stdout) == (0, "<>\n"), done.stderr
    assert not (tmp_path / "cache" / "envs").exists()


def test_authorities_that_are_named_count_for_channels_as_well(
    caller: Caller, channel: Channel, small: bytes, tmp_path: Path
) -> None:
    files = make_signed(tmp_path)
    with closing(Channel(channel.directory, files.key)) as secure:
        caller.offer(small.replace(channel.url.encode(), secure.url.encode()))
        refused = caller.run("alice/ml:1", "--", "hello")
        assert (refused.returncode, "could not be downloaded" in refused.stderr) == (10, True), refused.stderr
        done = caller.call(["conda-store", "--ca-file", files.certificate.name, "run", "alice/ml:1", "--", "hello"])
        assert (done.returncode, done.stdout) == (0, "hello\n"), done.stderr


def test_a_login_that_cannot_be_had_is_no_reason_not_to_run_what_is_known(made: Caller) -> None:
    """Of a keyring that is locked, or of none at all; one that hangs is waited for a moment."""
    (made.folder / "ring.py").write_text(RING)
    settings = made.folder / ".config" / "conda-store"
    settings.mkdir(parents=True)
    kept = {"default": made.twin.url, "logins": {made.twin.url: {"token": None, "made": True}}}
    (settings / "logins.json").write_text(json.dumps(kept))
    (settings / "logins.json").chmod(0o600)
    late = "What keeps your login did not answer"
    for kind, words in (("Locked", "does not give it: locked"), ("Hanging", late)):
        variables = {"CONDA_STORE_TOKEN": "", "PYTHONPATH": f"{ROOT}:{made.folder}"}
        for _ in range(5):  # a machine that is busy enough needs longer to load what would say that it is locked
            done = made.run("alice/ml", "--", "true", PYTHON_KEYRING_BACKEND=f"ring.{kind}", **variables)
            if words in done.stderr or late not in done.stderr:
                break
        assert (done.returncode, done.stderr.count("\n")) == (0, 1), done.stderr
        assert words in done.stderr
        assert done.stderr.endswith("This runs in build 1 of alice/ml, the last known one.\n")
    assert made.twin.requests == []


def test_a_keeper_knows_files_by_names_that_mean_the_same_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    given = {"SSL_CERT_FILE": "ca.pem", "SSL_CERT_DIR": "/etc/certs", "PYTHONPATH": "src:/lib", "HOME": "home"}
    assert make_absolute(given) == {
        "SSL_CERT_FILE": f"{tmp_path}/ca.pem",
        "SSL_CERT_DIR": "/etc/certs",
        "PYTHONPATH": f"{tmp_path}/src:/lib",
        "HOME": "home",
    }
    (tmp_path / "ca.pem").write_text("no certificate")
    found = Shell("https://localhost:1/", TOKEN).fail(2, "--ca-file", "ca.pem", "info")
    assert found.startswith(f"Error: {tmp_path}/ca.pem cannot be used as --ca-file")
    for name in ("none.pem", "ca.pem"):
        said = Shell("https://localhost:1/", TOKEN).fail(78, "info", SSL_CERT_FILE=name)
        assert "SSL_CERT_FILE or SSL_CERT_DIR names cannot be used" in said


@pytest.mark.root
def test_a_prefix_that_another_user_could_have_planted_is_not_used(tmp_path: Path) -> None:
    everybody = tmp_path / "everybody"
    everybody.mkdir()
    everybody.chmod(0o1777)
    prefix = everybody / "data" / "b" / "x"
    (prefix / "conda-meta").mkdir(parents=True)
    assert is_shared(str(prefix))
    os.chown(everybody / "data", 65534, 65534)
    assert not is_shared(str(prefix))
    os.chown(everybody / "data", 0, 0)
    os.chown(everybody / "data" / "b", 65534, 65534)  # the service's own, where not everybody may write
    assert is_shared(str(prefix))
    everybody.chmod(0o777)  # where everybody may put something in the place of what is one's own
    assert not is_shared(str(prefix))
    everybody.chmod(0o1777)
    (everybody / "link").symlink_to(prefix)
    os.chown(everybody / "link", 65534, 65534, follow_symlinks=False)
    assert not is_shared(str(everybody / "link"))
    prefix.chmod(0o777)
    assert not is_shared(str(prefix))


@pytest.mark.parametrize("prefix", ["", "relative", "/nowhere/at/all", "/\0"])
def test_what_is_no_prefix_here_is_not_shared(prefix: str) -> None:
    assert not is_shared(prefix)


def test_only_what_was_said_of_that_very_build_is_known(tmp_path: Path) -> None:
    known = KnownBuilds(EnvironmentCache(tmp_path), "https://hub.example/")
    build = KnownBuild(namespace="alice", environment="ml", build_id=3, prefix="/p", etag='"e"')
    known.keep(build)
    assert known.find("alice/ml") == known.find("alice/ml", 3) == build
    assert known.find("alice/ml", 4) is None
    assert known.find("alice/other") is None
    assert KnownBuilds(EnvironmentCache(tmp_path), "https://other.example/").find("alice/ml") is None


# Nothing stands between


def test_activation_is_as_condas(caller: Caller, locks: dict[str, bytes], tmp_path: Path) -> None:
    """With scripts and without."""
    before = tmp_path / "before"
    (before / "conda-meta").mkdir(parents=True)
    (before / "etc/conda/deactivate.d").mkdir(parents=True)
    (tmp_path / "bash_env").write_text("export SOURCED=1\n")
    caller.variables |= {
        "CONDA_PREFIX": str(before),
        "CONDA_SHLVL": "2",
        "CONDA_PREFIX_1": "/below",
        "CONDA_STACKED_2": "true",
        "PATH": f"{before}/bin:{caller.variables['PATH']}",
        "BASH_ENV": str(tmp_path / "bash_env"),
        "no-name": "1",
        "LINES_OF": "one\ntwo",
        "SHLVL": "3",
        "PWD": "/nowhere",
    }
    show = "import os, sys; print(dict(os.environ) | {'_': ''}, sys.argv)"
    seen: dict[str, dict[str, str]] = {}
    for number, kind in enumerate(("plain", "scripts"), start=1):
        caller.offer(locks[f"{kind} LOCKFILE"], build_id=number, prefix=f"{PLACE[:-1]}{number}")
        if kind == "scripts":
            (before / "etc/conda/deactivate.d/left.sh").write_text("export LEFT=$CONDA_PREFIX\n")
        done = caller.run(f"alice/ml:{number}", "--", sys.executable, "-c", show, "a b", "")
        assert done.returncode == 0, done.stderr
        values, _, arguments = done.stdout.rpartition(" [")
        assert arguments == "'-c', 'a b', '']\n"
        seen[kind] = ast.literal_eval(values)
    assert "said by a script" not in done.stdout
    assert "said by a script" in done.stderr
    plain, scripts = seen["plain"], seen["scripts"]
    prefix = scripts["CONDA_PREFIX"]
    assert scripts.pop("TOOL_HOME") == f"{prefix}/tool"
    assert scripts.pop("LEFT") == str(before)
    assert scripts["PATH"] == f"{prefix}/bin:{caller.variables['PATH'].partition(':')[2]}"
    assert (scripts["CONDA_SHLVL"], scripts["CONDA_DEFAULT_ENV"]) == ("1", "alice/ml")
    assert not {"SOURCED", "CONDA_PREFIX_1", "CONDA_STACKED_2"} & scripts.keys()
    assert plain == {name: value.replace(prefix, plain["CONDA_PREFIX"]) for name, value in scripts.items()}


def test_a_script_that_ends_the_shell_is_told(made: Caller) -> None:
    folder = made.prefix / "etc" / "conda" / "activate.d"
    folder.mkdir(parents=True)
    (folder / "end.sh").write_text("exit 3\n")
    done = made.run("alice/ml:1", "--", "show")
    assert (done.returncode, done.stdout) == (11, "")
    assert done.stderr == "Error: alice/ml cannot be activated: a script of it ended the shell with 3.\n"


def test_what_cannot_be_activated_is_told(caller: Caller, locks: dict[str, bytes]) -> None:
    caller.offer(locks["scripts LOCKFILE"])
    commands = caller.variables["PATH"].partition(":")[0]
    done = caller.run("alice/ml:1", "--", "true", PATH=commands)
    assert (done.returncode, done.stdout) == (11, "")
    assert done.stderr.endswith("activated with bash, and there is none on this machine.\n")


@pytest.mark.parametrize("kind", ["plain", "scripts"])
def test_the_command_is_the_process_that_was_started(caller: Caller, locks: dict[str, bytes], kind: str) -> None:
    """Its number, its signals, its descriptors and what it reads and writes are those of the caller."""
    caller.offer(locks[f"{kind} LOCKFILE"])
    caller.run("alice/ml:1", "--", "true")
    look = "echo $$; grep -E 'Sig(Ign|Blk)' /proc/self/status; cat; ls /proc/self/fd | wc -l; exit 7"
    with caller.start("alice/ml:1", "--", "sh", "-c", look) as process:
        out, _ = process.communicate("typed\n", timeout=60)
    shell = subprocess.Popen(
        ["sh", "-c", look], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, preexec_fn=default_signals
    )
    direct, _ = shell.communicate("typed\n", timeout=60)
    number, *rest, descriptors = out.splitlines()
    assert (int(number), process.returncode) == (process.pid, 7)
    assert rest == direct.splitlines()[1:-1]
    assert int(descriptors) == int(direct.splitlines()[-1]) + 1  # the lock on the environment
    with caller.start("alice/ml:1", "--", "sh", "-c", "echo ready; exec sleep 60") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        assert "/envs/" not in Path(f"/proc/{process.pid}/cmdline").read_text()
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == -signal.SIGTERM


def test_a_stream_that_is_closed_stays_so_and_nothing_else_takes_its_place(made: Caller) -> None:
    script = """
        conda-store run alice/ml:1 -- readlink /proc/self/fd/0 <&-; echo "$?"
        conda-store run alice/ml:1 -- readlink /proc/self/fd/2 2>&-; echo "$?"
        conda-store info >&-; echo "$?"
        conda-store logs alice/other 2>&-; echo "$?"
        conda-store logs alice/other 2>/dev/full; echo "$?"
        conda-store logs 2>/dev/full; echo "$?"
    """
    done = made.call(["sh", "-c", script])
    assert (done.stdout, done.stderr) == ("1\n1\n0\n5\n5\n2\n", "")


def test_the_variable_that_python_sets_for_itself_is_not_handed_on(made: Caller) -> None:
    assert "LC_CTYPE" not in made.run("alice/ml:1", "--", "env").stdout
    assert "LC_CTYPE=C.UTF-8" in made.run("alice/ml:1", "--", "env", LC_CTYPE="C.UTF-8").stdout


def test_an_environment_in_use_is_not_removed(made: Caller) -> None:
    cache = EnvironmentCache(made.folder / "cache")
    with made.start("alice/ml:1", "--", "sh", "-c", "echo ready; read line") as process:
        assert process.stdout is not None
        process.stdout.readline()
        (found,) = cache.list_environments()
        assert not cache.remove(found)
        process.communicate("\n", timeout=60)
    assert cache.remove(found)


def test_a_terminal_is_the_commands_own(made: Caller) -> None:
    controller, terminal = pty.openpty()
    process = subprocess.Popen(
        [
            str(made.folder / "commands" / "conda-store"),
            "run",
            "alice/ml:1",
            "--",
            "sh",
            "-c",
            "test -t 0 && test -t 1",
        ],
        env=made.variables,
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
    )
    os.close(terminal)
    assert process.wait(60) == 0
    os.close(controller)


# It starts nothing: a shell that is stopped between vfork and exec would not stop before its child.
_HEARS = """\
import os, signal

words = {signal.SIGINT: "heard it", signal.SIGCONT: "goes on", signal.SIGWINCH: ""}
signal.pthread_sigmask(signal.SIG_BLOCK, words)
print("ready", flush=True)
while True:
    print(words[signal.sigwait(words)] or "{1} {0}".format(*os.get_terminal_size()), flush=True)
"""


def test_the_keys_of_a_terminal_and_its_size_reach_the_command(made: Caller) -> None:
    """As in a shell with jobs: Ctrl-Z stops it and `fg` goes on, Ctrl-C is its own, and so is a window that grows."""
    program = made.folder / "program"
    program.write_text(_HEARS)
    shell = Terminal(["/bin/bash", "--norc", "--noprofile", "-i"], made.variables | {"PS1": "$ "})
    try:
        shell.type(f"conda-store run alice/ml:1 -- {sys.executable} {program}\n")
        shell.read_until("ready\n")
        shell.resize(41, 132)
        shell.read_until("41 132\n")
        shell.type("\x03")
        shell.read_until("heard it\n")
        shell.type("\x1a")
        shell.read_until("Stopped")
        shell.shown = ""
        shell.type("fg\n")
        shell.read_until("goes on\n")
        shell.type("\x03")
        shell.read_until("heard it\n")
        shell.type("\x1c")
        shell.read_until("Quit")
        shell.shown = ""
        shell.type("echo $?; exit\n")
        shell.read_until("131\n")
    finally:
        shell.close()


@pytest.mark.parametrize("kind", ["plain", "scripts"])
def test_a_command_that_cannot_be_run_ends_as_in_a_shell(caller: Caller, locks: dict[str, bytes], kind: str) -> None:
    caller.offer(locks[f"{kind} LOCKFILE"])
    (caller.folder / "text").write_text("no program\n")
    missing = caller.run("alice/ml:1", "--", "no-such-command")
    forbidden = caller.run("alice/ml:1", "--", "./text")
    assert (missing.returncode, forbidden.returncode) == (127, 126), forbidden.stderr
    assert "no-such-command" in missing.stderr
    assert "Traceback" not in missing.stderr + forbidden.stderr
    assert missing.stderr.endswith("Error: alice/ml has no command no-such-command, and neither has this machine.\n")
    assert forbidden.stderr.endswith("Error: ./text cannot be run: Permission denied.\n")
    assert caller.run("alice/ml:1").returncode == 2
    assert "What is to be run?" in caller.run("alice/ml:1", "--", "").stderr, "of a variable that is not set"
    if kind == "plain":
        # What follows the environment is the command's, whatever it looks like.
        assert caller.run("alice/ml:1", "sh", "-c", 'echo "$@"', "--", "-x", "--").stdout == "-x --\n"
        assert "go before it" in caller.run("alice/ml:1", "--from", "lock", "--", "true").stderr


# Scripts


def write_script(folder: Path, text: str) -> str:
    path = folder / "a script"
    path.write_text(text)
    path.chmod(0o755)
    return str(path)


def test_a_script_runs_itself_in_its_environment(made: Caller) -> None:
    made.twin.stop()
    head = "#!/usr/bin/env conda-store\n#! conda-store run alice/ml:1\n#! conda-store -- sh\n#! conda-store run -e\n"
    body = 'echo "$CONDA_DEFAULT_ENV"; for each in "$0" "$@"; do echo "<$each>"; done; exit 3\n'
    script = write_script(made.folder, head + body)
    Path(script).chmod(0o555)
    done = made.call(["./a script", "--x", "a b"])
    assert (done.returncode, done.stderr) == (3, "")
    assert done.stdout == "alice/ml\n<./a script>\n<--x>\n<a b>\n"
    assert made.call(["env", script]).stdout.splitlines()[1] == f"<{script}>"


def test_a_script_that_does_not_say_how_it_is_run_says_so(made: Caller) -> None:
    script = write_script(made.folder, "#!/usr/bin/env conda-store\nprint('no second line')\n")
    done = made.call([script])
    assert done.returncode == 2
    assert done.stderr == (
        f"Error: {script} does not say how it is run: its second line has to be like “#! conda-store run"
        " NAMESPACE/ENVIRONMENT -- PROGRAM”.\n"
    )


@pytest.mark.root
def test_a_cache_and_a_script_that_cannot_be_written_are_used_as_they_are(made: Caller) -> None:
    script = write_script(made.folder, "#!/usr/bin/env conda-store\n#! conda-store run alice/ml:1 -- sh\nshow\n")
    folder = str(made.folder)
    mount = 'mount --bind "$1" "$1" && mount -o remount,ro,bind "$1" && exec "$2"'
    done = made.call(["unshare", "--mount", "sh", "-c", mount, "sh", folder, script])
    if "not permitted" in done.stderr:
        pytest.skip("nothing can be mounted here")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"{made.prefix}/bin/show|")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_who_is_stopped_while_an_environment_is_made_leaves_nothing_that_is_used(
    caller: Caller, channel: Channel, small: bytes, number: signal.Signals
) -> None:
    caller.offer(small)
    channel.asked.clear()
    channel.open.clear()
    try:
        with caller.start("alice/ml:1", "--", "hello") as process:
            assert channel.asked.wait(60)
            process.send_signal(number)
            _, err = process.communicate(timeout=60)
    finally:
        channel.open.set()
    assert process.returncode == (130 if number is signal.SIGINT else -number)
    assert "Traceback" not in err
    assert EnvironmentCache(caller.folder / "cache").list_environments() == []
    assert caller.run("alice/ml:1", "--", "hello").stdout == "hello\n"
