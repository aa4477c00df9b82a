"""Activation with a real bash: what a kernel's process gets, what it is spared, and what goes wrong in words."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import shlex
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any

import psutil
import pytest

from conda_store_hub.core.errors import ActivationError
from conda_store_hub.core.schemas import KernelView
from conda_store_hub.lab.leases import LeaseKeeper
from conda_store_hub.lab.provisioner import MAX_ACTIVATIONS, CondaStoreHubProvisioner
from conda_store_hub.lab.specs import make_spec
from tests.lab.conftest import add_activation
from tests.support.jupyter import wait_until
from tests.support.service_twin import TOKEN, ServiceTwin, make_kernel

SERVER = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": "/home/alice", "LANG": "C.UTF-8"}


@pytest.fixture(autouse=True)
def _fresh_cache() -> Generator[None]:
    CondaStoreHubProvisioner._activations.clear()
    yield
    CondaStoreHubProvisioner._activations.clear()


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A prefix with as much in it as starting something needs."""
    place = tmp_path / "it's a prefix"
    (place / "bin").mkdir(parents=True)
    (place / "conda-meta").mkdir()
    (place / "bin" / "python").symlink_to(sys.executable)
    return place


def provisioner(
    prefix: Path, *, argv: list[str] | None = None, build_id: int = 1, environment: str = "ml", **traits: Any
) -> Any:
    told = {"argv": argv or ["python", "-V"], "language": "python", "env": {"FROM_SPEC": "${CONDA_PREFIX}!"}}
    view = KernelView.model_validate(make_kernel(prefix, environment=environment, build_id=build_id, spec=told))
    spec = make_spec(view)
    config = spec.metadata["kernel_provisioner"]["config"]
    return CondaStoreHubProvisioner(kernel_id="k", kernel_spec=spec, parent=None, **config, **traits)


def prepare(prefix: Path, server: dict[str, str] | None = None, **traits: Any) -> dict[str, Any]:
    return asyncio.run(provisioner(prefix, **traits).pre_launch(env=SERVER | (server or {})))


def variables(prefix: Path, server: dict[str, str] | None = None, **traits: Any) -> dict[str, str]:
    return prepare(prefix, server, **traits)["env"]


def write_state(prefix: Path, env_vars: object) -> None:
    (prefix / "conda-meta" / "state").write_text(json.dumps({"version": 1, "env_vars": env_vars}))


# What is set


def test_an_activated_process_is_in_its_environment(place: Path) -> None:
    env = variables(place)
    assert env["CONDA_PREFIX"] == str(place)
    assert (env["CONDA_DEFAULT_ENV"], env["CONDA_SHLVL"]) == ("alice/ml", "1")
    assert env["PATH"].split(os.pathsep) == [f"{place}/bin", *SERVER["PATH"].split(os.pathsep)]
    assert (env["HOME"], env["LANG"]) == (SERVER["HOME"], SERVER["LANG"])


def test_variables_of_packages_then_of_the_specification_then_scripts_then_the_kernel(place: Path) -> None:
    package = place / "etc" / "conda" / "env_vars.d" / "package.json"
    package.parent.mkdir(parents=True)
    package.write_text(json.dumps({"A": "package", "B": "package", "C": "package", "NUMBER": 3}))
    write_state(place, {"B": "it's $HOME\n`x`", "C": "state", "D": "***unset***", "not a name": "x"})
    add_activation(place, 'export C="$B and a script"')
    env = variables(place)
    assert (env["A"], env["B"], env["NUMBER"]) == ("package", "it's $HOME\n`x`", "3")
    assert env["C"] == "it's $HOME\n`x` and a script"
    assert env["FROM_SPEC"] == f"{place}!"
    assert not {"D", "not a name"} & env.keys()


def test_scripts_are_sourced_in_the_order_of_their_names_with_the_environment_active(place: Path) -> None:
    add_activation(place, 'export ORDER="$ORDER-B"', "B.sh")
    add_activation(place, 'export ORDER="$ORDER-a"; command -v python > /dev/null', "a.sh")
    add_activation(place, 'export ORDER="$CONDA_PREFIX"', "A.sh")
    add_activation(place, "export ORDER=wrong", "z.fish")
    assert variables(place)["ORDER"] == f"{place}-B-a"


def test_what_a_script_removes_is_gone_and_what_it_says_is_kept_out(place: Path) -> None:
    add_activation(place, "unset UNWANTED; echo chatter; echo more >&2; export KEPT=1; NOT_EXPORTED=1")
    env = variables(place, {"UNWANTED": "x"})
    assert env["KEPT"] == "1"
    assert not {"UNWANTED", "NOT_EXPORTED", "chatter"} & env.keys()
    assert not {name for name in env if name.startswith("_CSH") or name in {"SHLVL", "PWD", "_"}}


def test_a_script_that_ends_with_a_failed_test_does_no_harm(place: Path) -> None:
    add_activation(place, "set -e; export DONE=1; [ -n '' ]")
    add_activation(place, "export ALSO=1", "b.sh")
    env = variables(place)
    assert (env["DONE"], env["ALSO"]) == ("1", "1")


def test_what_the_server_sources_in_every_bash_is_not_part_of_activating(place: Path, tmp_path: Path) -> None:
    startup = tmp_path / "startup.sh"
    startup.write_text("export FROM_STARTUP=1; echo chatter\n")
    env = variables(place, {"BASH_ENV": str(startup)})
    assert "FROM_STARTUP" not in env
    assert env["BASH_ENV"] == str(startup)


def test_something_that_a_script_leaves_running_does_not_hold_up_the_kernel(place: Path, tmp_path: Path) -> None:
    add_activation(place, f"sleep 60 & echo $! > {shlex.quote(str(tmp_path / 'pid'))}")
    env = variables(place, activation_seconds=20)
    assert env["CONDA_PREFIX"] == str(place)
    psutil.Process(int((tmp_path / "pid").read_text())).kill()


# What is spared


def test_the_servers_own_environment_is_left_behind(place: Path, tmp_path: Path) -> None:
    own = tmp_path / "server"
    foreign = {
        "PATH": f"{own}/bin:/usr/bin:/bin",
        "CONDA_PREFIX": str(own),
        "CONDA_SHLVL": "2",
        "CONDA_PREFIX_1": "/base",
        "VIRTUAL_ENV": "/venv",
        **dict.fromkeys(("PYTHONPATH", "PYTHONHOME", "R_LIBS", "R_LIBS_USER", "R_HOME", "LD_LIBRARY_PATH"), "/server"),
    }
    env = variables(place, foreign)
    assert env["PATH"] == f"{place}/bin:/usr/bin:/bin"
    assert env["CONDA_SHLVL"] == "1"
    assert not (foreign.keys() - {"PATH", "CONDA_PREFIX", "CONDA_SHLVL"}) & env.keys()


def test_the_python_that_runs_the_server_is_taken_off_the_path(place: Path) -> None:
    env = variables(place, {"PATH": f"{sys.prefix}/bin:/usr/bin:/bin"})
    assert env["PATH"] == f"{place}/bin:/usr/bin:/bin"


def test_an_environment_that_is_active_is_deactivated_first(place: Path, tmp_path: Path) -> None:
    own = tmp_path / "server"
    add_activation(own, 'unset GDAL_DATA; export LEFT="$LEFT-a-$CONDA_PREFIX"', "a.sh", "deactivate.d")
    add_activation(own, 'export LEFT="$LEFT-b"', "b.sh", "deactivate.d")
    env = variables(place, {"CONDA_PREFIX": str(own), "GDAL_DATA": f"{own}/share/gdal", "LEFT": ""})
    assert env["LEFT"] == f"-b-a-{own}"
    assert "GDAL_DATA" not in env
    assert env["CONDA_PREFIX"] == str(place)


SECRETS = {
    "JUPYTERHUB_API_TOKEN": "s",
    "JUPYTERHUB_OAUTH_CLIENT_ALLOWED_SCOPES": "s",
    "JPY_API_TOKEN": "s",
    "CONDA_STORE_HUB_TOKEN": "s",
    "CONDA_STORE_TOKEN": "s",
    "JUPYTER_TOKEN": "s",
}


def test_the_servers_secrets_are_not_handed_on(place: Path) -> None:
    env = variables(place, {**SECRETS, "JUPYTERHUB_USER": "alice", "JUPYTERHUB_SERVICE_PREFIX": "/user/alice/"})
    assert not SECRETS.keys() & env.keys()
    assert (env["JUPYTERHUB_USER"], env["JUPYTERHUB_SERVICE_PREFIX"]) == ("alice", "/user/alice/")


def test_a_site_can_hand_on_what_it_wants(place: Path) -> None:
    server = {**SECRETS, "LD_LIBRARY_PATH": "/usr/local/nvidia/lib64"}
    env = variables(place, server, keep_variables=["JUPYTERHUB_*", "LD_LIBRARY_PATH"])
    assert env["JUPYTERHUB_API_TOKEN"] == "s"
    assert env["LD_LIBRARY_PATH"] == "/usr/local/nvidia/lib64"
    assert "JPY_API_TOKEN" not in env


# What is started


def test_the_program_is_named_by_its_base_name_alone(place: Path) -> None:
    launch = prepare(place)
    assert launch["cmd"] == ["python", "-V"]
    assert launch["executable"] == f"{place}/bin/python"


def test_a_program_that_path_would_find_elsewhere_keeps_its_path(place: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "python").symlink_to(sys.executable)
    add_activation(place, f'export PATH={shlex.quote(str(other))}:"$PATH"')
    assert prepare(place)["cmd"][0] == f"{place}/bin/python"


def test_a_program_of_the_machine_is_found_on_the_path(place: Path) -> None:
    launch = prepare(place, argv=["sh", "-c", "true"])
    assert launch["cmd"] == ["sh", "-c", "true"]
    assert Path(launch["executable"]).is_absolute()


# The cache


def test_a_build_is_activated_once(place: Path, tmp_path: Path) -> None:
    count = tmp_path / "count"
    add_activation(place, f"echo x >> {shlex.quote(str(count))}; export MADE=1")
    envs = [variables(place, {"JPY_SESSION_NAME": name}) for name in ("one.ipynb", "two.ipynb")]
    assert [env["JPY_SESSION_NAME"] for env in envs] == ["one.ipynb", "two.ipynb"]
    assert [env["MADE"] for env in envs] == ["1", "1"]
    assert count.read_text() == "x\n"
    variables(place, build_id=2)
    assert count.read_text() == "x\nx\n"


def test_a_build_of_a_renamed_environment_is_activated_by_the_new_name(place: Path) -> None:
    names = [variables(place, environment=name)["CONDA_DEFAULT_ENV"] for name in ("ml", "stats")]
    assert names == ["alice/ml", "alice/stats"]


def test_the_cache_has_an_end(place: Path) -> None:
    for build_id in range(MAX_ACTIVATIONS + 3):
        variables(place, build_id=build_id)
    assert len(CondaStoreHubProvisioner._activations) == MAX_ACTIVATIONS


def test_a_failed_activation_is_tried_again(place: Path) -> None:
    add_activation(place, "exit 3")
    with pytest.raises(ActivationError):
        variables(place)
    add_activation(place, "export MENDED=1")
    assert variables(place)["MENDED"] == "1"


# What goes wrong


@pytest.mark.parametrize(
    "script", ["echo no licence >&2; exit 3", "echo no licence; exit 0", "set -u; echo no licence; echo $none"]
)
def test_a_script_that_ends_the_shell_is_told_with_what_it_wrote(place: Path, script: str) -> None:
    add_activation(place, script)
    with pytest.raises(ActivationError, match=r"alice/ml \(build 1\) did not come to its end.*no licence"):
        variables(place)


def test_a_script_that_hangs_is_stopped_with_all_it_started(place: Path, tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    add_activation(place, f"echo waiting for a licence; sleep 600 & echo $! > {shlex.quote(str(pid))}; wait")
    with pytest.raises(ActivationError, match=r"took longer than 0.5 s and was stopped.*waiting for a licence"):
        variables(place, activation_seconds=0.5)
    started = int(pid.read_text())
    wait_until(lambda: not psutil.pid_exists(started) or psutil.Process(started).status() == "zombie", "the end of it")


def test_a_start_that_is_given_up_leaves_no_shell(place: Path, tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    add_activation(place, f"echo $$ > {shlex.quote(str(pid))}; sleep 600")

    async def give_up() -> None:
        start = asyncio.create_task(provisioner(place).pre_launch(env=SERVER))
        async with asyncio.timeout(20):
            while not (pid.exists() and pid.read_text()):
                await asyncio.sleep(0.01)
        start.cancel()
        with pytest.raises(asyncio.CancelledError):
            await start

    asyncio.run(give_up())
    assert not psutil.pid_exists(int(pid.read_text()))


def test_much_that_a_script_writes_is_cut(place: Path) -> None:
    add_activation(place, "printf 'x%.0s' {1..100000}; echo the end; exit 1")
    with pytest.raises(ActivationError) as caught:
        variables(place)
    assert len(caught.value.message) < 3000
    assert caught.value.message.endswith("the end")


def test_a_prefix_that_is_not_here_is_told(tmp_path: Path) -> None:
    with pytest.raises(ActivationError, match="Build 1 of alice/ml is not on this machine"):
        variables(tmp_path / "none")


def test_an_environment_without_its_kernels_program_is_told(place: Path) -> None:
    (place / "bin" / "python").unlink()
    with pytest.raises(ActivationError, match=r"alice/ml has no python, .*ipykernel"):
        variables(place)


@pytest.mark.parametrize("content", ["{", "\xff"])
def test_variables_that_cannot_be_read_are_told(place: Path, content: str) -> None:
    (place / "conda-meta" / "state").write_bytes(content.encode("latin-1"))
    with pytest.raises(ActivationError, match="cannot be read from state"):
        variables(place)


def test_a_machine_without_bash_is_told(place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ActivationError, match="there is none on this machine"):
        variables(place, {"PATH": str(tmp_path)})


# The lease


def start_leased(prefix: Path, twin: ServiceTwin, **traits: Any) -> None:
    """Prepare a kernel with a keeper of leases, and wait until that has said all it has to say."""

    async def start() -> None:
        keeper = CondaStoreHubProvisioner.keeper = LeaseKeeper(url=twin.url, token=TOKEN, log=logging.getLogger("k"))
        keeper.start()
        try:
            await provisioner(prefix, **traits).pre_launch(env=SERVER)
        finally:
            CondaStoreHubProvisioner.keeper = None
            await keeper.stop()

    asyncio.run(start())


def test_a_build_that_was_deleted_is_told_and_its_kernel_does_not_start(place: Path, twin: ServiceTwin) -> None:
    twin.state.instead = (410, {}, b'{"status": "error", "code": "gone", "message": "It is gone."}')
    with pytest.raises(ActivationError, match=r"Build 1 of alice/ml was deleted: choose the kernel again\."):
        start_leased(place, twin)


@pytest.mark.parametrize("status", [401, 403, 404, 409, 500, 503])
def test_whatever_else_the_service_says_of_a_lease_the_kernel_starts(
    place: Path, twin: ServiceTwin, status: int
) -> None:
    twin.state.instead = (status, {}, b"<html>")
    start_leased(place, twin)


def test_a_kernel_that_does_not_start_lets_its_build_go(place: Path, twin: ServiceTwin) -> None:
    add_activation(place, "exit 3")
    with pytest.raises(ActivationError, match="did not come to its end"):
        start_leased(place, twin)
    asked = [(request.method, json.loads(request.body)["holder"]) for request in twin.asked("build/1/lease/")]
    assert ("PUT", "kernel k") in asked
    assert asked[-1] == ("DELETE", "kernel k")


def test_a_kernel_of_another_service_holds_no_build_of_this_servers(place: Path, twin: ServiceTwin) -> None:
    start_leased(place, twin)
    assert len(twin.asked("build/1/lease/")) > 0
    before = len(twin.requests)
    start_leased(place, twin, service="https://elsewhere.example.org/services/conda-store-hub/")
    assert len(twin.requests) == before
