"""What shells and `man` make of what `conda-store` prints for them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import threading
from pathlib import Path

import pytest

from conda_store_hub.client.commands.completion import join_at_colons
from tests.client.test_commands_terminal import ROOT, Terminal
from tests.support.process import until
from tests.support.service_twin import TOKEN, ServiceTwin, make_build, make_environment
from tests.support.shell import Shell, put_program, write

#: Where each reads what it does at first, and the lines there that the guide tells.
SHELLS = {
    "bash": (".bashrc", 'eval "$(conda-store completion bash)"'),
    "zsh": (".zshrc", 'autoload -Uz compinit && compinit\neval "$(conda-store completion zsh)"'),
    "fish": (".config/fish/config.fish", "conda-store completion fish | source"),
}


@pytest.fixture
def alice(twin: ServiceTwin) -> Shell:
    return Shell(twin.url, TOKEN)


@pytest.mark.parametrize(
    ("words", "at", "whole", "where"),
    [
        (["c", "logs", "alice/ml", ":", "1"], 4, ["c", "logs", "alice/ml:1"], 2),
        (["c", "logs", "alice/ml", ":"], 3, ["c", "logs", "alice/ml:"], 2),
        (["c", "--x", "http", ":", "//h", ":", "80", "list"], 7, ["c", "--x", "http://h:80", "list"], 3),
        (["c", "list"], 2, ["c", "list"], 2),
        (["c", "logs", "m"], 2, ["c", "logs", "m"], 2),
    ],
)  # fmt: skip
def test_words_that_bash_parted_at_colons_are_whole_again(
    words: list[str], at: int, whole: list[str], where: int
) -> None:
    assert join_at_colons(words, at) == (whole, where)


@pytest.mark.parametrize(
    ("words", "at", "completed"),
    [
        ("alice/ml : ''", 3, ["12", "7"]),
        ("alice/ml : 1", 4, ["12"]),
        ("alice/ml:", 2, ["alice/ml:12", "alice/ml:7"]),  # where COMP_WORDBREAKS has no colon
        ("alice/ml:1", 2, ["alice/ml:12"]),
    ],
)
def test_bash_completes_a_build_behind_the_colon(
    twin: ServiceTwin, alice: Shell, tmp_path: Path, words: str, at: int, completed: list[str]
) -> None:
    twin.state.environments = [make_environment("ml")]
    twin.state.builds = {number: make_build(number) for number in (7, 12)}
    script = alice.run("completion", "bash").stdout + (
        f"COMP_WORDS=(conda-store logs {words}); COMP_CWORD={at}\n"
        "_conda_store_completion conda-store logs :\n"
        'printf "%s\\n" "${COMPREPLY[@]}"\n'
    )
    variables = make_variables(twin, tmp_path)

    def complete() -> list[str]:
        done = subprocess.run(["bash", "-c", script], env=variables, capture_output=True, text=True, timeout=60)
        assert done.stderr == ""
        return done.stdout.split()

    until(lambda: complete() == completed)  # on a machine that is busy the answer may come too late for once


@pytest.mark.parametrize("shell", SHELLS)
def test_a_shell_completes_what_is_typed(twin: ServiceTwin, tmp_path: Path, shell: str) -> None:
    program = find_shell(shell)
    twin.state.environments = [make_environment("ml") | {"latest_build_id": 12, "description": "for a: b, c"}]
    twin.state.builds = {number: make_build(number) for number in (7, 12)}
    twin.state.log, twin.state.log_complete = b"what was built\n", True
    where, lines = SHELLS[shell]
    (tmp_path / where).parent.mkdir(parents=True, exist_ok=True)
    write(tmp_path / where, f"{lines}\n")
    terminal = Terminal([program, "-i"], make_variables(twin, tmp_path))

    def comes_of(typed: str, said: str) -> bool:
        terminal.shown = ""
        terminal.type(f"{typed}\t; echo en''ded\n")
        terminal.read_until("ended")
        return said in terminal.shown

    try:  # on a machine that is busy the answer may come too late for once
        until(lambda: comes_of("conda-store whoa", "alice"))
        until(lambda: comes_of("conda-store list environment --output name -n al", "alice/ml"))
        until(lambda: comes_of("conda-store logs alice/m", "what was built"))
        until(lambda: comes_of("conda-store logs alice/ml:1", "what was built"))
    finally:
        terminal.close()


def test_fish_shows_a_description_with_all_its_commas(twin: ServiceTwin, tmp_path: Path) -> None:
    twin.state.environments = [make_environment("ml") | {"description": "for a: b, c, d"}]
    script = "conda-store completion fish | source; complete --do-complete 'conda-store logs alice/m'"
    command, variables = [find_shell("fish"), "--no-config", "-c", script], make_variables(twin, tmp_path)

    def complete() -> str:
        return subprocess.run(command, env=variables, capture_output=True, text=True, timeout=60).stdout

    until(lambda: complete() == "alice/ml\tfor a: b, c, d\n")


def find_shell(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is missing; as root on Debian, make test installs it")
    return found


def make_variables(twin: ServiceTwin, home: Path) -> dict[str, str]:
    """Return the variables of somebody whose shell has `conda-store`."""
    return {
        "HOME": str(home),
        "PATH": f"{put_program(home / 'commands').parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "CONDA_STORE_URL": twin.url,
        "CONDA_STORE_TOKEN": TOKEN,
    }


def test_a_service_that_is_away_completes_nothing_and_says_nothing(twin: ServiceTwin, alice: Shell) -> None:
    twin.stop()
    words = {"_CONDA_STORE_COMPLETE": "bash_complete", "COMP_WORDS": "conda-store logs al", "COMP_CWORD": "2"}
    done = alice.ask(**words)
    assert (done.code, done.stdout.strip(), done.stderr) == (0, "", "")
    nowhere = Shell("", None).ask(**words)
    assert (nowhere.code, nowhere.stdout.strip(), nowhere.stderr) == (0, "", "")


def test_a_place_to_share_is_a_namespace_or_an_environment(twin: ServiceTwin, alice: Shell) -> None:
    twin.state.environments = [make_environment("ml")]

    def complete(word: str) -> list[str]:
        words = {"COMP_WORDS": f"conda-store share give {word}", "COMP_CWORD": "3"}
        return alice.run(_CONDA_STORE_COMPLETE="bash_complete", **words).lines

    until(lambda: complete("al") == ["plain,alice/"])
    until(lambda: complete("alice/") == ["plain,alice/", "plain,alice/ml"])
    until(lambda: complete("m") == ["plain,ml"])


def test_a_description_is_a_line_without_commands(twin: ServiceTwin, alice: Shell) -> None:
    told = "Data\x1b]0;x\x07 & more\nplain\nevil\n"
    twin.state.environments = [make_environment("ml") | {"description": told}]
    words = {"COMP_WORDS": "conda-store logs alice/", "COMP_CWORD": "2"}
    until(
        lambda: (
            alice.run(_CONDA_STORE_COMPLETE="zsh_complete", **words).lines == ["plain", "alice/ml", "Data]0;x & more"]
        )
    )


def test_a_keyring_that_hangs_holds_no_shell_up(
    twin: ServiceTwin, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    end = threading.Event()

    class Hanging:
        priority = 5

        def get_password(self, *_: str) -> str:
            end.wait()
            return TOKEN

    monkeypatch.setattr("keyring.get_keyring", Hanging)
    logins = tmp_path / "conda-store" / "logins.json"
    logins.parent.mkdir()
    logins.write_text(json.dumps({"default": twin.url, "logins": {twin.url: {"token": None, "made": True}}}))
    logins.chmod(0o600)
    words = {"_CONDA_STORE_COMPLETE": "bash_complete", "COMP_WORDS": "conda-store logs al", "COMP_CWORD": "2"}
    done = Shell(twin.url, None).ask(**words, XDG_CONFIG_HOME=str(tmp_path))
    end.set()
    assert (done.code, done.stdout.strip(), done.stderr) == (0, "", "")


def test_the_kinds_of_files_are_completed(alice: Shell) -> None:
    words = {"COMP_WORDS": "conda-store download 1 --artifact s", "COMP_CWORD": "4"}
    assert alice.run(_CONDA_STORE_COMPLETE="bash_complete", **words).lines == ["plain,sbom"]


@pytest.mark.parametrize("typed", ["run alice/ml -- tr", "run alice/ml python tr", "run alice/ml -- python -u tr"])
def test_what_is_run_is_completed_with_files(alice: Shell, typed: str) -> None:
    words = {"COMP_WORDS": f"conda-store {typed}", "COMP_CWORD": str(len(typed.split()))}
    assert alice.run(_CONDA_STORE_COMPLETE="bash_complete", **words).lines == ["file,tr"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_has_something_to_source(alice: Shell, shell: str) -> None:
    assert f"_CONDA_STORE_COMPLETE={shell}_complete" in alice.run("completion", shell).stdout


def test_the_manual_page_has_all_commands_and_man_reads_it(alice: Shell) -> None:
    page = alice.run("manual").stdout
    for told in (
        "conda\\-store list environment [OPTIONS]",
        "conda\\-store token make [OPTIONS]",
        "\\-\\-no\\-verify\\-ssl",
    ):
        assert told in page
    assert "\b" not in page
    assert ".B NAMESPACE/ENVIRONMENT" not in page, "arguments stand in the first line of a command, and are no options"
    if shutil.which("groff") is None:
        pytest.skip("groff is not here")
    done = subprocess.run(
        ["groff", "-man", "-Tutf8", "-ww", "-K", "utf8"], input=page, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "Who read the output has left." in done.stdout


def test_each_command_has_a_help_that_fits(alice: Shell) -> None:
    top = alice.run("--help").stdout
    below = (alice.run(group, "--help").stdout for group in ("list", "share", "token", "kernels"))
    listed = [top.partition("What there is")[2], *(each.partition("Commands:")[2] for each in below)]
    assert all(each and "..." not in each for each in listed), "the first sentence of a command is cut off"
    assert all(len(line) <= 80 for line in top.splitlines())
    assert "\n  conda-store apply environment.yaml --wait\n" in top
    assert "\\b" not in top + alice.run("completion", "--help").stdout
    assert "--limit NUMBER" in alice.run("search", "--help").stdout, "no words of click"
