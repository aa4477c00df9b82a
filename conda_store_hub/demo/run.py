"""`conda-store-hub demo`: a Hub with the service, an example environment, and a cell computed in it."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from types import FrameType

import click

from conda_store_hub.client.api import Client
from conda_store_hub.client.logstream import LogEnd, LogEvent, LogText
from conda_store_hub.core.errors import CondaStoreHubError
from conda_store_hub.core.names import NamespaceKind, namespace_name
from conda_store_hub.core.protocol import ArtifactState, BuildStatus
from conda_store_hub.core.schemas import KernelView, LogProgress, LogState
from conda_store_hub.demo import processes
from conda_store_hub.demo.base import choose_base
from conda_store_hub.demo.channels import Channel, Say, choose_channel
from conda_store_hub.demo.errors import DemoError
from conda_store_hub.demo.hub import DemoHub, HubSettings, find_ports
from conda_store_hub.demo.kernels import UserServer
from conda_store_hub.demo.node import ensure_proxy
from conda_store_hub.demo.state import State, ensure_data_dir, hold

USER = "demo"
NAMESPACE = namespace_name(NamespaceKind.USER, USER)
ENVIRONMENT = "example"
DEPENDENCIES = ("python", "ipykernel", "numpy", "pandas")
USUAL_PORT = 8000
CELL = """\
import json, sys
import numpy, pandas
numbers = pandas.DataFrame({"n": numpy.arange(10)})
print(json.dumps({"prefix": sys.prefix, "sum": int(numbers["n"].sum())}))
"""


@click.command()
@click.option("--once", is_flag=True, help="End after the example has been computed.")
@click.option("--state", "home", type=click.Path(path_type=Path), default=Path(".demo"), help="Where it is all kept.")
@click.option("--port", type=click.IntRange(1, 65535), default=None, help=f"The Hub's port; {USUAL_PORT} if free.")
def main(once: bool, home: Path, port: int | None) -> None:
    """Start a JupyterHub with the service, build an example environment and compute in it."""
    _prepare_process()
    try:
        with hold(home):
            _run(home.absolute(), port, once=once)
    except CondaStoreHubError as error:
        click.echo("\n".join(filter(None, (error.public_message, error.detail))), err=True)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        click.echo("stopped")
        sys.exit(130)


def _prepare_process() -> None:
    """Hear Ctrl-C and a polite end even as a background job, and ask this machine without a proxy."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, _exit_politely)
    for variable in ("NO_PROXY", "no_proxy"):
        os.environ[variable] = ",".join(filter(None, (os.environ.get(variable), "127.0.0.1", "localhost")))


def _run(home: Path, port: int | None, *, once: bool) -> None:
    started = time.monotonic()
    state = State.load(home)

    def say(text: str) -> None:
        click.echo(f"[{time.monotonic() - started:5.1f} s] {text}")

    with ExitStack() as stack:
        channel = stack.enter_context(choose_channel(home, state, say))
        config = channel.config + choose_base(home, channel, say)
        settings = _make_settings(home, state, config, port)
        state.save(home)
        say("starting JupyterHub with the service")
        hub = stack.enter_context(DemoHub(home / "hub", settings))
        say(f"JupyterHub answers at {hub.url}")
        if os.geteuid() == 0:
            say("this is root: the service was told that it may build as root (c.LocalExecutor.allow_root)")
        stack.callback(_ignore_interrupts)  # called first of all when the block ends: stopping is not to be stopped
        _show(hub, home, state, _example(channel), say)
        _tell_address(hub, home)
        if not once:
            _stay(hub)


def _make_settings(home: Path, state: State, config: str, port: int | None) -> HubSettings:
    wanted = {"public": USUAL_PORT} | state.ports | ({"public": port} if port else {})
    ports = find_ports(**{name: wanted.get(name, 0) for name in ("public", "hub", "proxy", "service")})
    if port and ports.public != port:
        raise DemoError(f"Port {port} is taken by another program; give another --port.")
    state.ports |= asdict(ports)
    return HubSettings(
        proxy=ensure_proxy(home / "proxy"),
        ports=ports,
        password=state.password,
        admin_password=state.admin_password,
        token=state.token,
        users=[USER],
        service={"data_dir": str(ensure_data_dir(home / "data")), "registry": True},
        service_config=config + ("c.LocalExecutor.allow_root = True\n" if os.geteuid() == 0 else ""),
    )


def _example(channel: Channel) -> str:
    lines = [f"name: {ENVIRONMENT}", "channels:", f"  - {channel.name}", "dependencies:"]
    return "\n".join([*lines, *(f"  - {name}" for name in DEPENDENCIES), ""])


def _show(hub: DemoHub, home: Path, state: State, text: str, say: Say) -> None:
    """Build the example while the user's server starts; then compute in it, on that same server."""
    token = hub.make_token(USER)
    with Client(hub.service_url, token=token) as client, ThreadPoolExecutor(1) as beside:
        starting = beside.submit(hub.start_server, USER)
        if _needs_build(client, state, text):
            build_id = client.submit(NAMESPACE, text)
            state.submitted = text
            state.save(home)
            say(f"submitted {NAMESPACE}/{ENVIRONMENT}: build {build_id}")
            _follow(client, build_id, say)
        else:
            say(f"{NAMESPACE}/{ENVIRONMENT} is built already")
        with UserServer(starting.result(), token) as server:
            say(f"the server of {USER} runs at {hub.user_url(USER)}")
            kernel = _get_kernel(client)
            _wait_for_kernel(server, kernel, say)
            _compute(server, kernel, say)
    _write_notebook(hub.state / "users" / USER / "example.ipynb", kernel)


def _needs_build(client: Client, state: State, text: str) -> bool:
    """Tell whether to submit: not if the same was submitted before, and is still there."""
    if state.submitted != text:
        return True
    found = [e for e in client.list_environments(NAMESPACE) if e.name == ENVIRONMENT]
    return not found or found[0].current_build_id is None


def _follow(client: Client, build_id: int, say: Say) -> None:
    """Show a build's log and progress until it ends; DemoError with the reason if it fails."""
    shown = ""
    for event in client.stream_log(build_id):
        shown = _show_event(event, shown, say)
    build = client.get_build(build_id)
    if build.status is not BuildStatus.COMPLETED:
        raise DemoError(f"Build {build_id} ended as {build.status}: {build.status_info or 'see its log above'}")
    took = ", ".join(f"{step.phase} {step.seconds:.1f} s" for step in build.phases if step.seconds is not None)
    say(f"build {build_id} is {build.status}: {took}")
    for artifact in build.build_artifacts:
        if artifact.state is ArtifactState.FAILED:
            say(f"its {artifact.artifact_type} could not be made: {artifact.error}")


def _show_event(event: LogEvent, shown: str, say: Say) -> str:
    """Show one event; returns the phase that was shown last, which is shown again only when it is done."""
    match event:
        case LogText():
            for line in event.text.splitlines():
                click.echo(f"          | {line}")
        case LogState():
            say(f"build {event.status}")
        case LogProgress() if event.phase != shown or event.done == event.total:
            say(f"{event.phase}: {event.done} of {event.total} {event.unit}")
            return event.phase
        case LogProgress() | LogEnd():
            pass
    return shown


def _get_kernel(client: Client) -> KernelView:
    answer = client.kernels()
    for kernel in answer.kernels if answer else ():
        if (kernel.namespace, kernel.environment) == (NAMESPACE, ENVIRONMENT):
            return kernel
    raise DemoError(f"{NAMESPACE}/{ENVIRONMENT} has no kernel: is ipykernel in it?")


def _wait_for_kernel(server: UserServer, kernel: KernelView, say: Say, patience: float = 30.0) -> None:
    asked = time.monotonic()
    if not processes.wait_until(lambda: kernel.name in server.list_kernels(), patience, every=0.1):
        raise DemoError(f"The user's server did not list the kernel {kernel.name} within {patience:.0f} s.")
    say(f"it lists the kernel {kernel.name} ({time.monotonic() - asked:.1f} s)")


def _compute(server: UserServer, kernel: KernelView, say: Say) -> None:
    """Check that a cell computes, and where."""
    said = json.loads(server.compute(kernel.name, CELL))
    expected = {"prefix": str(Path(kernel.prefix).resolve()), "sum": 45}
    said["prefix"] = str(Path(said["prefix"]).resolve())
    if said != expected:
        raise DemoError(f"The kernel {kernel.name} computed {said}, not {expected}.")
    say(f"a cell with numpy and pandas computed {said['sum']} in {said['prefix']}")


def _write_notebook(path: Path, kernel: KernelView) -> None:
    """Leave a notebook to begin with, unless there is one."""
    if path.exists():
        return
    cell = {"cell_type": "code", "id": "example", "metadata": {}, "outputs": [], "execution_count": None}
    kernelspec = {"name": kernel.name, "display_name": kernel.spec.get("display_name", kernel.name)}
    notebook = {
        "cells": [{**cell, "source": CELL}],
        "metadata": {"kernelspec": kernelspec},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    path.write_text(json.dumps(notebook, indent=1))


def _tell_address(hub: DemoHub, home: Path) -> None:
    rows = {
        "JupyterHub": hub.url,
        "environments": hub.service_url,
        "user": USER,
        "password": hub.settings.password,
        "kept in": str(home),
    }
    click.echo("\n" + "\n".join(f"  {name:13} {value}" for name, value in rows.items()) + "\n")


def _stay(hub: DemoHub) -> None:
    click.echo("Ctrl-C ends it.")
    try:
        status = hub.wait()
    except KeyboardInterrupt:
        click.echo("\nstopping")
        return
    raise DemoError(f"JupyterHub ended by itself with status {status}:\n{hub.read_log_end()}")


def _exit_politely(number: int, _: FrameType | None) -> None:
    sys.exit(128 + number)


def _ignore_interrupts() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)


if __name__ == "__main__":
    main()
