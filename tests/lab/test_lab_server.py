"""Real kernels of a real conda prefix in a real Jupyter server."""

from __future__ import annotations

import json
import os
import stat
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from jupyter_server.serverapp import ServerApp

from conda_store_hub.lab.extension import CondaStoreHubExtension
from tests.lab.conftest import add_activation
from tests.support.jupyter import JupyterServer, Kernel, run_jupyter, wait_until
from tests.support.service_twin import TOKEN, ServiceTwin, make_kernel, run_twin

ML = "csh.alice.ml.python3"
GEO = "csh.alice.geo.python3"


@pytest.fixture(scope="module")
def shared_twin() -> Generator[ServiceTwin]:
    with run_twin() as twin:
        yield twin


@pytest.fixture(scope="module")
def server(
    tmp_path_factory: pytest.TempPathFactory, shared_twin: ServiceTwin, prefix: Path
) -> Generator[JupyterServer]:
    """A server as the Hub starts it; the tests that share it leave one kernel in its list."""
    shared_twin.state.kernels = [make_kernel(prefix, spec=read_spec(prefix))]
    variables = {
        "CONDA_STORE_HUB_URL": shared_twin.url,
        "JUPYTERHUB_API_TOKEN": TOKEN,
        "JUPYTERHUB_USER": "alice",
        "PYTHONHASHSEED": "7",
    }
    with run_jupyter(tmp_path_factory.mktemp("server"), **variables) as server:
        wait_until(lambda: ML in server.kernelspecs(), "the kernel in the picker")
        yield server


@pytest.fixture(scope="module")
def kernel(server: JupyterServer) -> Kernel:
    return server.start_kernel(ML)


def read_spec(prefix: Path) -> dict[str, Any]:
    return json.loads((prefix / "share" / "jupyter" / "kernels" / "python3" / "kernel.json").read_text())


def set_kernels(twin: ServiceTwin, *kernels: dict[str, Any]) -> None:
    with twin.changing() as state:
        state.kernels = list(kernels)


# The picker


def test_the_picker_shows_the_environment_beside_the_servers_own_kernel(server: JupyterServer, prefix: Path) -> None:
    listed = server.kernelspecs()
    assert listed.keys() == {"python3", ML}
    spec = listed[ML]["spec"]
    assert spec["display_name"] == "alice/ml · Python 3.11".replace("3.11", python_version(prefix))
    assert spec["metadata"]["supported_encryption"] == ["curve"]
    assert spec["argv"][0] == f"{prefix}/bin/python"


def python_version(prefix: Path) -> str:
    return (prefix / "bin" / "python").readlink().name.removeprefix("python")


def test_the_logo_of_the_kernel_is_served(server: JupyterServer, prefix: Path) -> None:
    logo = server.ask("GET", server.kernelspecs()[ML]["resources"]["logo-64x64"])
    assert logo.content == (prefix / "share/jupyter/kernels/python3/logo-64x64.png").read_bytes()


def test_the_extension_tells_how_it_stands_to_whom_is_logged_in(server: JupyterServer) -> None:
    assert server.standing() == {"state": "connected", "message": "", "kernels": [ML]}
    assert httpx.get(f"{server.url}conda-store-hub/api/kernels", trust_env=False).status_code == 403


def test_the_picker_follows_without_a_restart_and_tells_front_ends(
    server: JupyterServer, shared_twin: ServiceTwin, prefix: Path
) -> None:
    before = shared_twin.state.kernels
    events = server.connect("api/events/subscribe")
    try:
        set_kernels(shared_twin, *before, make_kernel(prefix, environment="geo", build_id=2))
        event = receive(events, "https://conda-store-hub/events/kernels/v1")
        assert (event["added"], event["removed"], event["changed"]) == ([GEO], [], [])
        assert GEO in server.kernelspecs()
        set_kernels(shared_twin, *before)
        assert receive(events, "https://conda-store-hub/events/kernels/v1")["removed"] == [GEO]
        assert GEO not in server.kernelspecs()
    finally:
        events.close()


def receive(socket: Any, schema: str) -> dict[str, Any]:
    while True:
        event = json.loads(socket.recv())
        if event["schema_id"] == schema:
            return event


# A kernel


def test_a_kernel_runs_in_its_environment(kernel: Kernel, prefix: Path) -> None:
    assert kernel.value("[__import__('sys').prefix, __import__('sys').executable]") == [
        str(prefix),
        f"{prefix}/bin/python",
    ]
    assert kernel.value("__import__('ipykernel').__file__").startswith(str(prefix))
    assert kernel.value("__import__('shutil').which('python')") == f"{prefix}/bin/python"


def test_a_kernel_has_what_activating_sets_and_not_the_servers_secrets(kernel: Kernel, prefix: Path) -> None:
    env = kernel.value("dict(__import__('os').environ)")
    assert (env["FROM_SCRIPT"], env["FROM_STATE"], env["CONDA_PREFIX"]) == ("alice/ml", "a b", str(prefix))
    assert env["PYTHONHASHSEED"] == "7"
    assert TOKEN not in env.values()
    assert "PYTHONPATH" not in env


def test_the_list_of_processes_does_not_tell_the_path_of_the_prefix(kernel: Kernel, prefix: Path) -> None:
    process = psutil.Process(kernel.value("__import__('os').getpid()"))
    seen = [process, *process.parents()]
    assert process.exe().startswith(str(prefix))
    assert process.cmdline()[:3] == ["python", "-m", "ipykernel_launcher"]
    for each in seen[:2]:
        assert str(prefix).encode() not in Path(f"/proc/{each.pid}/cmdline").read_bytes()


def test_a_kernel_restarts_in_the_same_environment(server: JupyterServer, prefix: Path) -> None:
    kernel = server.start_kernel(ML)
    first = kernel.value("__import__('os').getpid()")
    kernel.restart()
    again = kernel.value(
        "[__import__('os').getpid(), __import__('sys').prefix, __import__('os').environ['FROM_SCRIPT']]"
    )
    assert again[0] != first
    assert again[1:] == [str(prefix), "alice/ml"]
    kernel.shutdown()


def test_a_kernel_is_interrupted(server: JupyterServer, kernel: Kernel) -> None:
    socket = server.connect(f"api/kernels/{kernel.id}/channels")
    try:
        sent = kernel.send(socket, "print('busy', flush=True)\nimport time; time.sleep(600)")
        while json.loads(socket.recv())["content"].get("text") != "busy\n":
            pass
        kernel.interrupt()
        assert "KeyboardInterrupt" in kernel.collect(socket, sent)
    finally:
        socket.close()
    assert kernel.execute("1 + 1") == "2"


def test_a_kernel_that_is_shut_down_is_gone(server: JupyterServer) -> None:
    kernel = server.start_kernel(ML)
    pid = kernel.value("__import__('os').getpid()")
    kernel.shutdown()
    assert not psutil.pid_exists(pid)


def test_a_running_kernel_outlives_its_place_in_the_picker(server: JupyterServer, shared_twin: ServiceTwin) -> None:
    before = shared_twin.state.kernels
    kernel = server.start_kernel(ML)
    try:
        set_kernels(shared_twin)
        wait_until(lambda: ML not in server.kernelspecs(), "an empty picker")
        kernel.restart()
        assert kernel.execute("1 + 1") == "2"
        pinned = server.start_kernel(f"{ML}.b1")
        assert pinned.execute("2 + 2") == "4"
        pinned.shutdown()
    finally:
        set_kernels(shared_twin, *before)
        wait_until(lambda: ML in server.kernelspecs(), "the kernel in the picker")
        kernel.shutdown()


def test_a_restart_takes_up_the_new_build_unless_one_is_pinned(
    server: JupyterServer, shared_twin: ServiceTwin, prefix: Path
) -> None:
    before = shared_twin.state.kernels
    kernel, pinned = server.start_kernel(ML), server.start_kernel(f"{ML}.b1")
    try:
        set_kernels(shared_twin, make_kernel(sys.prefix, build_id=2))
        wait_until(lambda: server.kernelspecs()[ML]["spec"]["argv"][0].startswith(sys.prefix), "the new build")
        assert kernel.value("__import__('sys').prefix") == str(prefix)
        for each in (kernel, pinned):
            each.restart()
        assert kernel.value("__import__('sys').prefix") == sys.prefix
        assert pinned.value("__import__('sys').prefix") == str(prefix)
    finally:
        set_kernels(shared_twin, *before)
        wait_until(lambda: server.kernelspecs()[ML]["spec"]["argv"][0].startswith(str(prefix)), "the first build")
        kernel.shutdown()
        pinned.shutdown()


def test_the_servers_own_kernel_still_starts(server: JupyterServer) -> None:
    kernel = server.start_kernel("python3")
    assert "CONDA_DEFAULT_ENV" not in kernel.value("dict(__import__('os').environ)")
    kernel.shutdown()


# What goes wrong


def test_an_environment_that_cannot_start_says_why(
    server: JupyterServer, shared_twin: ServiceTwin, tmp_path: Path
) -> None:
    before = shared_twin.state.kernels
    (tmp_path / "bin").mkdir()
    add_activation(tmp_path, "echo the licence server is away; exit 1")
    set_kernels(
        shared_twin,
        *before,
        make_kernel(tmp_path, environment="geo", build_id=8),
        make_kernel(tmp_path / "none", environment="gone", build_id=9),
    )
    wait_until(lambda: GEO in server.kernelspecs(), "the kernel in the picker")
    failed = server.start_session(GEO)
    assert failed.status_code == 500
    assert "the licence server is away" in failed.json()["message"]
    missing = server.start_session("csh.alice.gone.python3")
    assert "Build 9 of alice/gone is not on this machine" in missing.json()["message"]
    set_kernels(shared_twin, *before)
    wait_until(lambda: GEO not in server.kernelspecs(), "the picker as it was")


# Servers of their own


def test_a_server_started_in_an_outage_shows_and_starts_what_it_knew(
    twin: ServiceTwin, prefix: Path, tmp_path: Path
) -> None:
    twin.state.kernels = [make_kernel(prefix)]
    server = JupyterServer(tmp_path, CONDA_STORE_HUB_URL=twin.url, CONDA_STORE_HUB_TOKEN=TOKEN)
    try:
        server.start()
        (kept,) = wait_until(lambda: list(server.runtime.glob("conda-store-hub-kernels-*.json")), "the kept list")
        assert stat.S_IMODE(kept.stat().st_mode) == 0o600
        server.stop()
        twin.stop()
        server.start()
        wait_until(lambda: ML in server.kernelspecs(), "the kernel in the picker")
        assert wait_until(lambda: server.standing()["message"], "the reason")
        assert server.standing()["state"] == "unreachable"
        assert server.start_kernel(ML).execute("1 + 1") == "2"
        assert server.log.count("no news of kernels") == 1
    finally:
        server.close()


OTHER_MANAGER = """
from jupyter_client.kernelspec import KernelSpec, KernelSpecManager

class OtherManager(KernelSpecManager):
    def find_kernel_specs(self):
        return {**super().find_kernel_specs(), "others": "/nowhere"}

    def get_kernel_spec(self, kernel_name):
        if kernel_name == "others":
            return KernelSpec(argv=["true"], display_name="of the other manager", language="none")
        return super().get_kernel_spec(kernel_name)
"""


def test_another_manager_that_a_site_has_configured_stays(twin: ServiceTwin, tmp_path: Path) -> None:
    twin.state.kernels = [make_kernel("/p"), make_kernel("/q", environment="geo")]
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "other_manager.py").write_text(OTHER_MANAGER)
    config = {
        "ServerApp": {"kernel_spec_manager_class": "other_manager.OtherManager"},
        "KernelSpecManager": {"allowed_kernelspecs": ["python3", ML]},
    }
    path = os.pathsep.join(filter(None, [str(tmp_path / "modules"), os.environ.get("PYTHONPATH")]))
    variables = {"CONDA_STORE_HUB_URL": twin.url, "JUPYTERHUB_API_TOKEN": TOKEN, "PYTHONPATH": path}
    with run_jupyter(tmp_path / "server", config=config, **variables) as server:
        wait_until(lambda: len(server.standing()["kernels"]) == 2, "the kernels")
        listed = server.kernelspecs()
        assert listed.keys() == {"python3", "others", ML}
        assert listed["others"]["spec"]["display_name"] == "of the other manager"


def test_without_a_service_the_server_is_as_it_was(tmp_path: Path) -> None:
    with run_jupyter(tmp_path) as server:
        assert server.kernelspecs().keys() == {"python3"}
        assert server.standing() == {"state": "disabled", "message": "CONDA_STORE_HUB_URL is not set", "kernels": []}
        assert server.log.count("conda-store-hub: ") == 1
        assert "Traceback" not in server.log


@pytest.mark.parametrize(
    ("variables", "why"),
    [
        ({}, "CONDA_STORE_HUB_URL is not set"),
        ({"CONDA_STORE_HUB_URL": "http://127.0.0.1:1/"}, "there is no token"),
        ({"CONDA_STORE_HUB_URL": "hub.example.org", "JUPYTERHUB_API_TOKEN": "t"}, "is not an address"),
        ({"CONDA_STORE_HUB_URL": "http://a/", "JUPYTERHUB_API_TOKEN": "t", "JUPYTER_GATEWAY_URL": "x"}, "a gateway"),
        ({"CONDA_STORE_HUB_URL": "http://a/", "CONDA_STORE_HUB_TOKEN": "t"}, ""),
    ],
)
def test_what_keeps_the_extension_out_is_told(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], why: str
) -> None:
    for name in ("CONDA_STORE_HUB_URL", "CONDA_STORE_HUB_TOKEN", "JUPYTERHUB_API_TOKEN", "JUPYTER_GATEWAY_URL"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    said = CondaStoreHubExtension()._why_disabled(ServerApp())
    assert why in said
    assert bool(said) == bool(why)


def test_a_server_stops_after_a_kernel_that_could_not_start(twin: ServiceTwin, tmp_path: Path) -> None:
    twin.state.kernels = [make_kernel(tmp_path / "none")]
    variables = {"CONDA_STORE_HUB_URL": twin.url, "JUPYTERHUB_API_TOKEN": TOKEN}
    with run_jupyter(tmp_path, **variables) as server:
        wait_until(lambda: ML in server.kernelspecs(), "the kernel in the picker")
        assert server.start_session(ML).status_code == 500
        assert server.ask("GET", "api/kernels").json() == []
    assert "Kernel does not exist" not in server.log


def test_beside_a_gateway_the_extension_keeps_out(twin: ServiceTwin, tmp_path: Path) -> None:
    variables = {"CONDA_STORE_HUB_URL": twin.url, "JUPYTERHUB_API_TOKEN": TOKEN}
    config = {"GatewayClient": {"url": "http://127.0.0.1:1"}}
    with run_jupyter(tmp_path, config=config, **variables) as server:
        assert server.standing()["message"] == "kernels come from a gateway"
    assert twin.requests == []


def test_a_server_stops_at_once_and_quietly_while_its_poll_is_held(twin: ServiceTwin, tmp_path: Path) -> None:
    server = JupyterServer(tmp_path, CONDA_STORE_HUB_URL=twin.url, JUPYTERHUB_API_TOKEN=TOKEN)
    server.start()
    wait_until(lambda: len(twin.asked("kernels/")) == 2, "a held poll")
    server.close()
    for word in ("Traceback", "pending", "never retrieved", "Exception"):
        assert word not in server.log


@pytest.mark.parametrize(
    ("pattern", "shown", "says"),
    [
        ("{kernel} of {environment}", "Python 3 (ipykernel) of ml", ""),
        ("{nothing}", "alice/ml · Python 3 (ipykernel)", "“{nothing}” is no pattern for names"),
    ],
)
def test_kernels_are_named_as_a_site_wants_and_a_mistake_in_that_costs_no_kernel(
    twin: ServiceTwin, tmp_path: Path, pattern: str, shown: str, says: str
) -> None:
    twin.state.kernels = [make_kernel("/nowhere/p")]
    config = {"CondaStoreHubExtension": {"kernel_name_pattern": pattern}}
    with run_jupyter(tmp_path, config=config, CONDA_STORE_HUB_URL=twin.url, JUPYTERHUB_API_TOKEN=TOKEN) as server:
        wait_until(lambda: ML in server.kernelspecs(), "the kernel in the picker")
        assert server.kernelspecs()[ML]["spec"]["display_name"] == shown
    assert says in server.log
    assert "Traceback" not in server.log
