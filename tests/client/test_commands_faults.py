"""What goes wrong: a sentence on stderr, nothing on stdout, and a code of the table, whatever the service does."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from conda_store_hub.client.api import Client
from conda_store_hub.client.commands.manual import EXIT_CODES
from conda_store_hub.client.commands.questions import confirm
from conda_store_hub.core import errors
from tests.support.process import default_signals
from tests.support.service_twin import TOKEN, ServiceTwin, make_build, make_environment
from tests.support.shell import Shell

ROOT = Path(__file__).parents[2]
HTML = {"Content-Type": "text/html"}


@pytest.fixture
def alice(twin: ServiceTwin) -> Shell:
    return Shell(twin.url, TOKEN)


def start(
    twin: ServiceTwin, *arguments: str, stdout: int = subprocess.PIPE, text: bool = True, **variables: str
) -> subprocess.Popen[Any]:
    """Start the command as a process of its own."""
    program = "import sys; from conda_store_hub.client.cli import main; sys.argv[0] = 'conda-store'; main()"
    given = {"CONDA_STORE_URL": twin.url, "CONDA_STORE_TOKEN": TOKEN, "PATH": os.environ["PATH"], **variables}
    return subprocess.Popen(
        [sys.executable, "-c", program, *arguments],
        cwd=ROOT,
        env=given,
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=text,
        preexec_fn=default_signals,
    )


def test_a_service_that_is_down_or_answers_with_a_page(twin: ServiceTwin, alice: Shell) -> None:
    twin.state.instead = (502, HTML, b"<html>")
    assert "Try again soon" in alice.fail(7, "list", "environment")
    twin.state.instead = (200, HTML, b"<html>Welcome to the portal</html>")
    assert "Is the address right?" in alice.fail(7, "list", "environment")
    twin.state.instead = (302, {"Location": "https://login.example/"}, b"")
    assert "https://login.example/" in alice.fail(7, "info")
    twin.stop()
    said = alice.fail(7, "list", "environment")
    assert said.startswith("Error: ")
    assert said.count("\n") == 1


@pytest.mark.usefixtures("homeless")
def test_who_has_no_home_needs_none_where_everything_is_given(twin: ServiceTwin, alice: Shell) -> None:
    nothing = {"XDG_CONFIG_HOME": "", "XDG_CACHE_HOME": "", "XDG_DATA_HOME": ""}
    assert alice.run("whoami", **nothing).stdout == "alice\n"
    assert "set CONDA_STORE_URL" in Shell("").fail(2, "list", "environment", **nothing)
    assert "set HOME, or CONDA_STORE_CACHE" in alice.fail(78, "run", "alice/ml:1", "--", "true", **nothing)
    somebodys = nothing | {"CONDA_STORE_CACHE": "~nobody-of-that-name/x"}
    assert "names a home that there is not" in alice.fail(78, "run", "alice/ml:1", "--", "true", **somebodys)
    assert "set HOME, or name an installation" in alice.fail(78, "kernels", "export", **nothing)


@pytest.mark.parametrize(
    ("proxy", "said"),
    [
        ("socks5://127.0.0.1:1", "pip install 'httpx[socks]'"),
        ("gopher://127.0.0.1:1", "as by HTTPS_PROXY or ALL_PROXY, cannot be used"),
        ("http://127.0.0.1:port", "cannot be used: Invalid port"),
    ],
)
def test_a_proxy_that_cannot_be_used_is_told(
    alice: Shell, monkeypatch: pytest.MonkeyPatch, proxy: str, said: str
) -> None:
    monkeypatch.setitem(sys.modules, "socksio", None)
    assert said in alice.fail(78, "whoami", ALL_PROXY=proxy)


def test_a_service_that_does_not_answer_ends_in_time() -> None:
    late = pytest.raises(errors.UnavailableError, match="did not answer in time")
    with _silent() as url, Client(url, timeout=0.2) as client, late:
        client.version()


@contextmanager
def _silent() -> Generator[str]:
    """Take connections and say nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}/"


def test_a_token_that_has_ended_says_what_to_do(twin: ServiceTwin) -> None:
    said = Shell(twin.url, "an-old-token").fail(3, "list", "environment")
    assert "conda-store login" in said
    assert "CONDA_STORE_TOKEN" in said
    assert "an-old-token" not in said


def test_auth_and_verification_are_taken_from_the_environment(twin: ServiceTwin, alice: Shell) -> None:
    assert alice.fail(3, "info", CONDA_STORE_AUTH="none")
    assert "Invalid value for '--auth'" in alice.fail(2, "info", CONDA_STORE_AUTH="secret")
    assert "CONDA_STORE_PASSWORD" in alice.fail(3, "info", CONDA_STORE_AUTH="basic")
    for value in ("0", "false", "1", "true"):
        alice.run("info", CONDA_STORE_NO_VERIFY=value)


def test_without_a_command_there_is_help(alice: Shell) -> None:
    done = alice.run()
    assert done.stdout.startswith("Usage: conda-store")
    assert done.stderr == ""


def test_wait_ends_with_the_time_out_and_says_that_the_build_goes_on(twin: ServiceTwin, alice: Shell) -> None:
    twin.state.builds = {1: make_build(1, status="BUILDING")}
    assert "it goes on" in alice.fail(14, "wait", "1", "--timeout", "0.2")


def test_wait_ends_when_a_build_is_cancelled(twin: ServiceTwin, alice: Shell) -> None:
    """conda-store's client waits for ever."""
    twin.state.builds = {1: make_build(1, status="CANCELED")}
    assert "was cancelled" in alice.fail(13, "wait", "1")


def test_wait_ends_for_a_file_that_could_not_be_made(twin: ServiceTwin, alice: Shell) -> None:
    failed = {"id": 1, "build_id": 1, "artifact_type": "CONDA_PACK", "state": "FAILED", "key": "", "error": "No room."}
    twin.state.builds = {1: make_build(1, unfinished_artifacts=[failed])}
    assert "No room." in alice.fail(10, "wait", "1", "--artifact", "archive")
    assert "will not have one" in alice.fail(5, "wait", "1", "--artifact", "docker")
    twin.state.builds = {1: make_build(1, unfinished_artifacts=[failed | {"state": "PENDING"}])}
    assert "not there in time" in alice.fail(14, "wait", "1", "--artifact", "archive", "--timeout", "0")


def test_a_service_cannot_choose_where_a_file_goes(twin: ServiceTwin, alice: Shell, tmp_path: Path) -> None:
    twin.state.builds = {1: make_build(1, name="../../evil")}
    twin.state.artifacts = {"lockfile": b"version: 1\n"}
    assert "environment name" in alice.fail(2, "download", "1", "--output-filename", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_more_than_a_page_is_listed_once_and_to_the_end(twin: ServiceTwin, alice: Shell) -> None:
    """conda-store's client asks for the first page again and again, or ends with a KeyError."""
    twin.state.environments = [make_environment(f"e{number:03}", number=number) for number in range(1, 252)]
    twin.state.builds = {number: make_build(number) for number in range(1, 252)}
    assert alice.names("list", "environment") == [f"alice/e{number:03}" for number in range(1, 252)]
    assert alice.names("list", "build") == [f"alice/ml:{number}" for number in range(251, 0, -1)]
    assert len(alice.json("list", "build")) == 251


def test_filters_are_sent_as_they_are(twin: ServiceTwin, alice: Shell) -> None:
    """conda-store's client appends a slash to the last of them."""
    alice.run("list", "build", "--status", "completed")
    assert twin.asked("build/")[-1].query["status"] == "COMPLETED"


def test_a_log_is_printed_harmlessly(twin: ServiceTwin, alice: Shell) -> None:
    twin.state.log, twin.state.log_complete = b"\xff\xfe not \xe2\x82\xac text \x00\n", True
    assert alice.run("logs", "1").stdout.endswith("text \x00\n")


def test_who_stops_reading_is_not_told_of_it(twin: ServiceTwin) -> None:
    twin.state.environments = [make_environment(f"e{number}", number=number) for number in range(3000)]
    with start(twin, "list", "environment") as running:
        assert running.stdout is not None
        assert running.stderr is not None
        running.stdout.readline()
        running.stdout.close()
        said = running.stderr.read()
    assert (running.returncode, said) == (141, "")


def test_wait_goes_on_when_the_service_restarts(twin: ServiceTwin) -> None:
    twin.state.builds = {1: make_build(1, status="BUILDING")}
    with start(twin, "wait", "1") as running:
        assert running.stderr is not None
        assert running.stderr.readline() == "alice/ml:1: building\n"
        twin.stop()
        twin.state.builds, twin.state.log_complete = {1: make_build(1)}, True
        twin.start()
        _, said = running.communicate(timeout=60)
    assert running.returncode == 0
    assert said.endswith("alice/ml:1 can be used\n")


def test_ctrl_c_is_quiet(twin: ServiceTwin) -> None:
    twin.state.builds = {1: make_build(1, status="BUILDING")}
    with start(twin, "wait", "1") as running:
        assert running.stderr is not None
        running.stderr.readline()  # it waits
        running.send_signal(signal.SIGINT)
        out, said = running.communicate(timeout=60)
    assert (running.returncode, out, said) == (130, "", "")


def test_the_end_of_the_input_is_no_ctrl_c() -> None:
    refused = pytest.raises(errors.InvalidRequestError, match="There was no answer: give --yes")
    with CliRunner().isolation(input=""), refused:
        confirm("Delete it?", instead="give --yes")


def test_ctrl_c_while_the_command_is_loaded_is_quiet() -> None:
    program = """
import os, signal, sys

class Interrupting:
    def find_spec(self, name, *_):
        if name == "click":
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Interrupting())
from conda_store_hub.client.entry import main
main()
"""
    done = subprocess.run(
        [sys.executable, "-c", program, "--help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        preexec_fn=default_signals,
    )
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGINT, "", "")


def test_a_terminal_that_knows_no_such_letters_is_no_fault(twin: ServiceTwin) -> None:
    twin.state.log, twin.state.log_complete = "größer …\n".encode(), True
    with start(twin, "logs", "1", PYTHONIOENCODING="ascii") as running:
        out, said = running.communicate(timeout=60)
    assert (running.returncode, out, said) == (0, "größer …\n", "")


def test_a_full_disk_below_the_output_is_told(twin: ServiceTwin) -> None:
    twin.state.environments = [make_environment(f"e{number}", number=number) for number in range(300)]
    with Path("/dev/full").open("w") as full, start(twin, "list", "environment", stdout=full.fileno()) as running:
        _, said = running.communicate(timeout=60)
    assert running.returncode == 1
    assert said == "Error: No space left on device.\n"


def test_every_exit_code_of_an_error_is_in_the_table() -> None:
    kinds = [errors.CondaStoreHubError]
    for kind in kinds:
        kinds.extend(kind.__subclasses__())
    assert {kind.exit_code for kind in kinds} <= EXIT_CODES.keys()
    guide = (ROOT / "docs" / "guide" / "command-line.md").read_text()
    told = {int(code): text for code, text in re.findall(r"^\| (\d+) \| (.+) \|$", guide, re.MULTILINE)}
    assert told == EXIT_CODES
