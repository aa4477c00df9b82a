"""The parts of the demonstration: processes that end, state that stays, a proxy that is installed once."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from conda_store_hub.core.errors import ConfigurationError
from conda_store_hub.core.names import DataDirectory
from conda_store_hub.demo import channels, hub, node, processes
from conda_store_hub.demo.errors import DemoError
from conda_store_hub.demo.state import State, ensure_data_dir, hold, write_private
from tests.support.hub import require_proxy

# Says that it is there, then waits for ever; with an argument it does not mind being asked to end.
WAIT = """
import signal, sys
if len(sys.argv) > 1:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("ready", flush=True)
signal.pause()
"""
PARENT = f"""
import subprocess, sys
stubborn, *leash = sys.argv[1:]
command = [*leash, sys.executable, "-c", {WAIT!r}, *stubborn.split()]
children = [subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True) for _ in range(2)]
for child in children:
    child.stdout.readline()
print("ready", flush=True)
children[0].wait()
"""


def start(*arguments: str) -> subprocess.Popen[str]:
    process = subprocess.Popen([sys.executable, "-c", PARENT, *arguments], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.close()
    return process


# Processes


@pytest.mark.parametrize("stubborn", ["", "stubborn"])
def test_what_a_process_started_can_be_found_and_ended(stubborn: str) -> None:
    parent = start(stubborn)
    own = processes.find_process(parent.pid)
    children = processes.list_descendants(parent.pid)
    assert own is not None
    assert len(children) == 2
    parent.kill()
    parent.wait()
    processes.end_processes(children, patience=1.0)
    assert not any(child.is_alive() for child in (own, *children))


def test_what_has_no_process_has_no_descendants() -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    assert processes.find_process(gone.pid) is None
    assert processes.list_descendants(gone.pid) == []


def test_a_number_that_was_given_to_another_process_is_not_touched() -> None:
    parent = start("")
    other = processes.Process(parent.pid, "1")
    other.send(signal.SIGKILL)
    assert not other.is_alive()
    assert parent.poll() is None
    children = processes.list_descendants(parent.pid)
    parent.kill()
    parent.wait()
    processes.end_processes(children)


@pytest.mark.skipif(sys.platform != "linux", reason="prctl is Linux's")
def test_what_is_on_a_leash_ends_with_its_parent() -> None:
    parent = start("", sys.executable, "-m", "conda_store_hub.demo.leash")
    children = processes.list_descendants(parent.pid)
    parent.kill()
    parent.wait()
    assert len(children) == 2
    assert processes.wait_until(lambda: not any(child.is_alive() for child in children), 10)


def test_what_is_on_a_leash_hears_an_interrupt_even_from_a_job_that_ignores_it() -> None:
    code = (
        "import signal, subprocess, sys; signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
        "leash = [sys.executable, '-m', 'conda_store_hub.demo.leash']\n"
        "print(subprocess.run([*leash, sys.executable, '-c', 'import signal; print(signal.getsignal(signal.SIGINT))'],"
        " capture_output=True, text=True).stdout)"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "default_int_handler" in said


# Ports


def test_a_port_is_the_wanted_one_if_it_is_free() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert hub.find_free_port(port) != port
        assert hub.find_ports(public=port).public != port
    assert hub.find_free_port(port) == port


def test_four_ports_differ() -> None:
    ports = hub.find_ports()
    assert len({ports.public, ports.hub, ports.proxy, ports.service}) == 4


# State


def test_state_is_remembered_and_private(tmp_path: Path) -> None:
    state = State(ports={"public": 8000}, submitted="name: a")
    state.save(tmp_path)
    assert State.load(tmp_path) == state
    assert (tmp_path / "state.json").stat().st_mode & 0o777 == 0o600


def test_a_first_start_makes_secrets_that_the_hub_takes(tmp_path: Path) -> None:
    first, second = State.load(tmp_path), State.load(tmp_path)
    assert len(first.password) >= 8
    assert len(first.admin_password) >= 32
    assert first.password != second.password


@pytest.mark.parametrize("text", ["", "{", "[]", '{"unknown": 1}'])
def test_state_that_cannot_be_read_is_an_error_in_words(tmp_path: Path, text: str) -> None:
    (tmp_path / "state.json").write_text(text)
    with pytest.raises(DemoError, match="remove it to begin anew"):
        State.load(tmp_path)


def test_a_private_file_replaces_a_public_one(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    path.chmod(0o644)
    write_private(path, "new")
    assert path.read_text() == "new"
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_two_demonstrations_do_not_share_their_state(tmp_path: Path) -> None:
    with hold(tmp_path), pytest.raises(DemoError, match="runs already"), hold(tmp_path):
        pass
    with hold(tmp_path):
        pass


def test_where_prefixes_would_be_too_long_the_data_are_elsewhere_and_stay_there(tmp_path: Path) -> None:
    deep = tmp_path / ("x" * 60)
    deep.mkdir()
    with pytest.raises(ConfigurationError):
        DataDirectory(deep / "data").check()
    data = ensure_data_dir(deep / "data")
    DataDirectory(data).check()
    assert (deep / "data").resolve() == data
    assert ensure_data_dir(deep / "data") == data
    data.rmdir()
    again = ensure_data_dir(deep / "data")
    assert (deep / "data").resolve() == again
    again.rmdir()


def test_where_prefixes_fit_the_data_are_in_their_place(tmp_path_factory: pytest.TempPathFactory) -> None:
    short = tmp_path_factory.mktemp("d")
    assert ensure_data_dir(short / "data") == short / "data"


# The proxy


def test_the_proxy_is_installed_once_and_runs() -> None:
    command = require_proxy()
    script = Path(command[-1])
    before = script.stat().st_mtime_ns
    assert require_proxy() == command
    assert script.stat().st_mtime_ns == before
    said = subprocess.run([*command, "--version"], capture_output=True, text=True, check=True).stdout
    assert said.strip() == node.PROXY_VERSION


def test_two_that_install_the_proxy_at_once_get_the_same(tmp_path: Path) -> None:
    require_proxy()
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(node.ensure_proxy, [tmp_path, tmp_path])
    assert first == second
    assert [path.name for path in tmp_path.iterdir()] == [f"configurable-http-proxy-{node.PROXY_VERSION}"]


def test_a_node_that_is_too_old_is_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, text in (("node", "#!/bin/sh\necho v18.20.1\n"), ("npm", "#!/bin/sh\n")):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert node.find_system_node() is None
    (tmp_path / "node").write_text("#!/bin/sh\necho v20.0.0\n")
    assert node.find_system_node() == node.Node(node=tmp_path / "node", npm=(str(tmp_path / "npm"),))


def test_an_installation_that_fails_says_why_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("npm_config_registry", "http://127.0.0.1:9/")
    monkeypatch.setenv("npm_config_fetch_retries", "0")
    with pytest.raises(DemoError, match="npm could not install configurable-http-proxy"):
        node.ensure_proxy(tmp_path)
    assert [path for path in tmp_path.iterdir() if path.name != "node"] == []


# conda-forge


def test_a_channel_that_does_not_answer_is_given_up_in_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        problem = channels.find_problem(f"http://127.0.0.1:{silent.getsockname()[1]}/x", patience=0.5)
    assert problem is not None
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    assert "refused" in (channels.find_problem(f"http://127.0.0.1:{port}/x") or "")


@pytest.mark.parametrize(
    ("status", "problem"), [("200 OK", None), ("302 Found", None), ("403 Forbidden", "status 403")]
)
def test_a_channel_that_answers_well_has_no_problem(status: str, problem: str | None) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(f"HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())

        thread = threading.Thread(target=answer)
        thread.start()
        assert channels.find_problem(f"http://127.0.0.1:{server.getsockname()[1]}/x") == problem
        thread.join()


# The command


def test_bad_options_are_refused_in_words(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "conda_store_hub.demo.run", "--state", str(tmp_path / "s")]
    for more, words in ((["--port", "0"], "not in the range"), (["--nonsense"], "No such option")):
        done = subprocess.run([*command, *more], capture_output=True, text=True, check=False)
        assert done.returncode == 2
        assert words in done.stderr
    assert not (tmp_path / "s").exists()


def test_a_second_demonstration_says_that_there_is_one(tmp_path: Path) -> None:
    with hold(tmp_path):
        command = [sys.executable, "-m", "conda_store_hub.demo.run", "--once", "--state", str(tmp_path)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "runs already" in done.stderr
    assert "Traceback" not in done.stderr
