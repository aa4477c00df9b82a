"""The `conda-store` command against a twin of the service: what it prints, where, and how it exits."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.service_twin import TOKEN, ServiceTwin, make_build, make_environment, make_kernel, run_twin
from tests.support.shell import Shell

ROOT = Path(__file__).parents[2]


def run(*arguments: str, text: str | None = None, **variables: str) -> subprocess.CompletedProcess[str]:
    done = Shell("").ask(*arguments, text=text, **variables)
    return subprocess.CompletedProcess(arguments, done.code, done.stdout, done.stderr)


def ask(twin: ServiceTwin, *arguments: str, text: str | None = None) -> subprocess.CompletedProcess[str]:
    return run(*arguments, text=text, CONDA_STORE_URL=twin.url, CONDA_STORE_TOKEN=TOKEN)


def test_info_tells_the_service_and_the_namespace(twin: ServiceTwin) -> None:
    done = ask(twin, "info")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        f"service    {twin.url}",
        "version    0.1.0",
        "namespace  alice",
        "address    from the environment",
        "token      from the environment",
        "roles      alice/* admin",
    ]


def test_lists_are_lines_with_tabs_when_nobody_looks(twin: ServiceTwin) -> None:
    twin.state.environments = [make_environment("ml"), make_environment("geo", number=2)]
    assert ask(twin, "list", "namespace").stdout == "alice\tuser\ngroup.team\tgroup\n"
    assert ask(twin, "list", "environment").stdout == "alice/ml\t\tCOMPLETED\t\t\nalice/geo\t\tCOMPLETED\t\t\n"
    assert ask(twin, "list", "build").stdout == "1\talice/ml\tCOMPLETED\t\t2026-01-02 03:04Z\t\n"


def test_create_submits_a_file_to_ones_own_namespace(twin: ServiceTwin, tmp_path: Path) -> None:
    file = tmp_path / "environment.yaml"
    file.write_text("name: ml\n")
    done = ask(twin, "create", str(file))
    assert (done.returncode, done.stdout) == (0, "2\n")
    assert '"namespace":"alice"' in twin.asked("specification/")[0].body
    assert ask(twin, "create", "-", "--namespace", "group.team", text="name: geo\n").stdout == "3\n"
    assert '"namespace":"group.team"' in twin.asked("specification/")[1].body


def test_create_tells_the_line_of_a_mistake(twin: ServiceTwin) -> None:
    done = ask(twin, "create", "-", text="dependencies: []\n")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "Error: The specification has no name. (line 1, column 3)\n"


def test_create_refuses_what_is_no_text(twin: ServiceTwin, tmp_path: Path) -> None:
    file = tmp_path / "environment.yaml"
    file.write_bytes(b"\xff\xfe")
    done = ask(twin, "create", str(file))
    assert (done.returncode, done.stderr) == (2, f"Error: {file} is not text in UTF-8.\n")


@pytest.mark.parametrize("follow", [(), ("-f",)])
def test_logs_are_printed_as_they_are(twin: ServiceTwin, follow: tuple[str, ...]) -> None:
    twin.state.log, twin.state.log_complete = "solving …\nno end of line".encode(), True
    done = ask(twin, "logs", "1", *follow)
    assert (done.returncode, done.stdout, done.stderr) == (0, "solving …\nno end of line", "")


def test_wait_exits_with_zero_for_a_completed_build(twin: ServiceTwin) -> None:
    twin.state.log_complete = True
    done = ask(twin, "wait", "1")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "alice/ml:1 can be used\n")


@pytest.mark.parametrize(
    ("more", "code", "said"),
    [
        ({"status": "FAILED", "error_code": "unsatisfiable", "status_info": "numpy >9 is nowhere."}, 10, "is nowhere"),
        ({"status": "FAILED", "error_code": "of-a-later-version"}, 10, "Build 1 is FAILED."),
        ({"status": "CANCELED"}, 13, "Build 1 of alice/ml was cancelled."),
    ],
)
def test_wait_exits_with_the_reason_of_a_build_that_failed(
    twin: ServiceTwin, more: dict[str, str], code: int, said: str
) -> None:
    twin.state.builds, twin.state.log_complete = {1: make_build(1, **more)}, True
    done = ask(twin, "wait", "1")
    assert done.returncode == code
    assert said in done.stderr


def test_every_failure_is_one_sentence_and_an_exit_code(twin: ServiceTwin) -> None:
    missing = ask(twin, "wait", "9")
    refused = run("info", CONDA_STORE_URL=twin.url, CONDA_STORE_TOKEN="wrong")
    nowhere = run("info", CONDA_STORE_URL="http://127.0.0.1:1/")
    nothing = run("info")
    no_address = run("--conda-store-url", "hub.example.org", "info")
    assert (missing.returncode, refused.returncode, nowhere.returncode) == (5, 3, 7)
    assert (nothing.returncode, no_address.returncode) == (2, 2)
    for done in (missing, refused, nowhere, nothing, no_address):
        assert done.stdout == ""
        assert done.stderr.startswith("Error: ")
        assert done.stderr.count("\n") == 1
        assert "Traceback" not in done.stderr


def test_in_a_server_of_the_hub_nothing_has_to_be_given(twin: ServiceTwin) -> None:
    done = run("info", CONDA_STORE_HUB_URL=twin.url, JUPYTERHUB_API_TOKEN=TOKEN)
    assert "namespace  alice" in done.stdout


def test_the_token_of_the_hub_is_not_sent_to_another_address(twin: ServiceTwin) -> None:
    with run_twin() as other:
        run("--conda-store-url", other.url, "info", CONDA_STORE_HUB_URL=twin.url, JUPYTERHUB_API_TOKEN=TOKEN)
        assert [request.headers.get("Authorization") for request in other.requests] == [None]


@pytest.mark.parametrize("argument", ["--help", "--version"])
def test_help_imports_nothing_slow(argument: str) -> None:
    code = (
        "import sys; from conda_store_hub.client.cli import main\n"
        "try: main()\n"
        "finally: print(*(sys.modules.keys() & {'httpx', 'pydantic', 'rich', 'rattler', 'yaml'}), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, argument], capture_output=True, text=True, cwd=ROOT, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "\n")


def test_what_asks_for_a_build_imports_nothing_else_that_is_slow() -> None:
    """`run` asks before it starts anything: half a second of imports would be half a second of waiting."""
    code = (
        "import sys; from conda_store_hub.client import cli, runs, envs\n"
        "from conda_store_hub.core.schemas import Answer, Build; Answer[Build]\n"
        "print(*sorted(each for each in sys.modules if each.startswith(('rich', 'pygments', 'yaml', 'rattler',"
        " 'conda_store_hub.core.protocol', 'conda_store_hub.core.lockfiles', 'conda_store_hub.core.schemas.'))))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=60, check=False
    )
    own = "conda_store_hub.core.schemas"
    assert (done.stdout.split(), done.stderr) == ([f"{own}.builds", f"{own}.wire"], "")


def test_kernels_are_exported_for_an_installation_or_for_oneself_but_not_both(
    twin: ServiceTwin, tmp_path: Path
) -> None:
    twin.state.kernels = [make_kernel("/nowhere/p")]
    done = ask(twin, "kernels", "export", "--prefix", str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert done.stdout == "csh.alice.ml.python3\talice/ml · Python 3 (ipykernel)\n"
    folder = tmp_path / "share" / "jupyter" / "kernels"
    assert (folder / "csh.alice.ml.python3" / "kernel.json").is_file()
    assert done.stderr == f"1 written to {folder}, 0 removed\n"
    refused = ask(twin, "kernels", "export", "--user", "--prefix", str(tmp_path))
    assert (refused.returncode, refused.stderr) == (2, "Error: Give --user or --prefix, not both.\n")
