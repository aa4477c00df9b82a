"""What people and other people's text can do to the command line: values out of range, letters and controls."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from conda_store_hub.client import downloads, wanted
from conda_store_hub.client.commands import service as service_commands
from conda_store_hub.client.commands.solving import _count_pip_lines
from conda_store_hub.core import spec
from conda_store_hub.core.schemas import Build
from tests.client.test_commands_faults import alice, start
from tests.client.test_commands_terminal import on_terminal
from tests.support.process import until
from tests.support.service_twin import ServiceTwin, make_build, make_environment
from tests.support.shell import Shell

__all__ = ["alice"]


@pytest.mark.parametrize(
    "arguments",
    [
        ("token", "make", "--label", "x" * 101),
        ("token", "make", *(word for number in range(101) for word in ("-n", f"n{number}"))),
        ("restore", "alice/ml", "--as", "x" * 70_000),
        ("list", "environment", "--search", "\udcff"),
    ],
)
def test_values_that_cannot_be_sent_are_refused_in_a_line(alice: Shell, arguments: tuple[str, ...]) -> None:
    said = alice.ask(*arguments).stderr
    assert said.startswith("Error: ")
    assert said.count("\n") == 1
    assert len(said) < 400


def test_what_nobody_foresaw_is_a_line_and_in_full_for_who_asks(alice: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: object) -> None:
        raise LookupError("a fault of ours")

    monkeypatch.setattr(service_commands, "find_service", fail)
    said = alice.fail(1, "info")
    assert said == (
        "Error: This should not have happened (LookupError: a fault of ours). With CONDA_STORE_DEBUG=1 the details are"
        " shown.\n"
    )
    told = alice.ask("info", CONDA_STORE_DEBUG="1")
    assert told.code == 1
    assert told.stderr.startswith("Traceback")
    assert told.stderr.endswith(said)


@pytest.mark.parametrize("seconds", ["inf", "1e10", "1e400"])
def test_a_time_out_beyond_all_years_is_for_ever(alice: Shell, seconds: str) -> None:
    alice.run("wait", "1", "--timeout", seconds)


@pytest.mark.parametrize("seconds", ["nan", "-1", "soon"])
def test_a_time_out_that_is_none_is_refused(alice: Shell, seconds: str) -> None:
    assert "no number of seconds" in alice.fail(2, "wait", "1", "--timeout", seconds)
    assert "no number of seconds" in alice.fail(2, "download", "1", "--wait", seconds)


@pytest.mark.parametrize("more", [{}, {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}])
def test_an_output_without_such_letters_gets_others(twin: ServiceTwin, more: dict[str, str]) -> None:
    twin.state.environments = [{**make_environment("ml"), "description": "größer … 名"}]
    encoding = {} if more else {"PYTHONIOENCODING": "latin-1"}
    for output in ("table", "json"):
        with start(twin, "list", "environment", "-o", output, **encoding, **more, text=False) as running:
            out, said = running.communicate(timeout=60)
        assert (running.returncode, said) == (0, b""), said
        if output == "json":
            assert json.loads(out)[0]["description"] == "größer … 名"
        elif not more and output == "table":
            assert "größer ? ?" in out.decode("latin-1")


def test_a_cell_is_never_parted(twin: ServiceTwin, alice: Shell) -> None:
    twin.state.environments = [{**make_environment("ml"), "description": "one\ttwo\rthree\x85four\nfive"}]
    assert alice.run("list", "environment").lines == ["alice/ml\t\tCOMPLETED\t\tone two three four"]


def test_what_others_wrote_commands_no_terminal(twin: ServiceTwin) -> None:
    evil = "\x1b]0;owned\x07\x9b2J\x7f"
    twin.state.builds = {1: make_build(1, status="FAILED", status_info=f"no {evil}\rgood", name=f"ml{evil}")}
    twin.state.environments = [{**make_environment("ml"), "description": evil}]
    names, descriptions = ("list", "build", "-o", "name"), ("list", "environment", "-o", "json")
    for call in (("wait", "1"), names, descriptions, ("delete", "1")):
        with on_terminal(twin, *call) as terminal:
            if call[0] == "delete":
                terminal.read_until("[y/N]")
                terminal.type("n\n")
            terminal.finish()
        assert "owned" in terminal.shown
        assert not {"\x07", "\x9b", "\x7f"} & set(terminal.shown), call
        assert "\x1b]" not in terminal.shown


def test_scripts_are_told_the_build_that_failed(twin: ServiceTwin, alice: Shell, tmp_path: Path) -> None:
    twin.state.builds = {1: make_build(1, status="FAILED", status_info="No such package.")}
    failed = alice.ask("wait", "1", "-o", "json")
    assert (failed.code, json.loads(failed.stdout)["status"]) == (10, "FAILED")
    assert alice.ask("wait", "1", "-o", "name").stdout == "alice/ml:1\n"
    twin.state.builds = {1: make_build(1, status="CANCELED")}
    cancelled = alice.ask("wait", "1", "-o", "yaml")
    assert cancelled.code == 13
    assert "status: CANCELED" in cancelled.stdout
    twin.state.builds = {1: make_build(1, status="BUILDING")}
    late = alice.ask("wait", "1", "-o", "json", "--timeout", "0")
    assert (late.code, json.loads(late.stdout)["status"]) == (14, "BUILDING")


def test_a_time_out_counts_where_the_service_is_silent() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        asked = Shell(f"http://127.0.0.1:{silent.getsockname()[1]}/", "token")
        for reference in ("1", "alice/ml"):
            assert "not there in time" in asked.fail(14, "wait", reference, "--timeout", "0.1")


def test_wait_goes_on_while_a_build_is_built_again(twin: ServiceTwin) -> None:
    twin.state.builds, twin.state.log_complete = {1: make_build(1, status="QUEUED")}, True
    with start(twin, "wait", "1") as running:
        until(lambda: len(twin.asked("build/1/")) > 2)
        twin.state.builds = {1: make_build(1)}
        _, said = running.communicate(timeout=60)
    assert running.returncode == 0, said


def test_what_a_solve_leaves_out_of_a_file_is_counted() -> None:
    text = "name: ml\ndependencies: [python, pip, {pip: [rich, -e ./here]}]\n"
    assert _count_pip_lines(text) == "2 lines"
    assert _count_pip_lines("name: ml\ndependencies: [python]\n") == ""


# Where a download goes


def test_a_download_goes_through_a_link_a_pipe_or_a_device(twin: ServiceTwin, alice: Shell, tmp_path: Path) -> None:
    twin.state.artifacts = {"lockfile": b"version: 1\n"}
    kept = tmp_path / "kept" / "lock.yml"
    kept.parent.mkdir()
    link = tmp_path / "link.yml"
    link.symlink_to(kept)
    assert alice.run("download", "1", "--output-filename", link).stdout == f"{link}\n"
    assert link.is_symlink()
    assert kept.read_text() == "version: 1\n"
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with ThreadPoolExecutor() as pool:
        reading = pool.submit(pipe.read_text)
        alice.run("download", "1", "--output-filename", pipe)
        assert reading.result(60) == "version: 1\n"
    assert pipe.is_fifo()
    told = alice.json("download", "1", "--output-filename", link)
    assert (told["path"], told["build_id"], told["artifact"]) == (str(link), 1, "LOCKFILE")
    assert (told["size"], told["sha256"]) == (11, hashlib.sha256(b"version: 1\n").hexdigest())
    assert alice.json("download", "1", "--output-filename", "/dev/null")["size"] is None
    assert alice.names("download", "1", "--output-filename", link) == [str(link)]
    assert "leave --output out" in alice.fail(2, "download", "1", "--output-filename", "-", "-o", "json")
    alice.run("download", "1", "--output-filename", "/dev/null")
    assert Path("/dev/null").is_char_device()
    assert "No such file or directory" in alice.fail(1, "download", "1", "--output-filename", tmp_path / "no" / "x")


def test_a_download_into_a_folder_that_is_not_there_makes_no_file_of_its_name(
    twin: ServiceTwin, alice: Shell, tmp_path: Path
) -> None:
    twin.state.artifacts = {"lockfile": b"version: 1\n"}
    folder = tmp_path / "a b"
    said = alice.fail(2, "download", "1", "--output-filename", f"{folder}/")
    assert f"There is no folder {folder}/: make it first with `mkdir -p '{folder}/'`" in said
    assert not folder.exists()
    folder.mkdir()
    alice.run("download", "1", "--output-filename", f"{folder}/")
    assert [path.read_text() for path in folder.iterdir()] == ["version: 1\n"]


def test_a_download_that_breaks_off_says_that_it_can_go_on(
    twin: ServiceTwin, alice: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(downloads, "RETRIES", 0)
    twin.state.artifacts, twin.state.bytes_before_break = {"archive": b"x" * 10_000}, 5_000
    said = alice.fail(7, "download", "1", "--artifact", "archive", "--output-filename", tmp_path / "file")
    assert said.endswith("the same command goes on from there.\n")
    twin.state.bytes_before_break = None
    alice.run("download", "1", "--artifact", "archive", "--output-filename", tmp_path / "file")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert "Range" in twin.asked("build/1/archive/")[-1].headers


def test_white_space_in_a_value_is_a_difference_and_ends_of_lines_are_none() -> None:
    text = "name: ml\nvariables: {GREETING: 'a  b'}\n"
    given = make_build(1)["specification"] | {"text": text, "sha256": spec.parse(text, may_be_empty=True).sha256()}
    build = Build.model_validate(make_build(1, specification=given))

    def is_same(other: str, *, is_lock: bool) -> bool:
        return wanted._is_same(build, other, None if is_lock else spec.parse(other, may_be_empty=True))

    assert not is_same(text.replace("a  b", "a b"), is_lock=False)
    assert not is_same(text.replace("a  b", "a b"), is_lock=True)
    assert is_same(text.replace("\n", "\r\n"), is_lock=True)
    assert is_same(f"# told\n{text}", is_lock=False)


@pytest.mark.parametrize(
    "code",
    [
        "from conda_store_hub.client.commands.login import _open_browser; _open_browser('http://127.0.0.1/')",
        "import subprocess; from conda_store_hub.client.commands.declaring import _showing_elsewhere\n"
        "with _showing_elsewhere(): subprocess.run(['sh', '-c', 'echo drawn'])",
    ],
    ids=["browser", "editor"],
)
def test_programs_beside_a_command_do_not_have_its_standard_output(code: str, tmp_path: Path) -> None:
    browser = tmp_path / "browser"
    browser.write_text("#!/bin/sh\necho drawn\nexec sleep 30\n")
    browser.chmod(0o700)
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\nprint('answer')"],
        env=os.environ | {"BROWSER": str(browser)},
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
        start_new_session=True,  # without a terminal
    )
    assert (done.returncode, done.stdout) == (0, "answer\n"), done.stderr
