"""A JupyterHub with the service and a channel of its own, for jupyter-server-proxy: `start.py PORT BASE_URL`.

Whoever reaches it may log in under any name, with any password: it is for where who that is was asked before.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from contextlib import ExitStack, suppress
from dataclasses import asdict
from pathlib import Path

from conda_store_hub.client.api import Client
from conda_store_hub.core.errors import CondaStoreHubError
from conda_store_hub.demo.channel_server import serve_channel
from conda_store_hub.demo.channels import SAMPLE, make_sample
from conda_store_hub.demo.hub import DemoHub, HubSettings, find_free_port, find_ports
from conda_store_hub.demo.node import ensure_proxy
from conda_store_hub.demo.state import State, ensure_data_dir, hold

HOME = Path.home() / ".environments"
USER, ADMIN = "demo", "admin"
LINES = f"""
c.JupyterHub.authenticator_class = "dummy"
c.Authenticator.allow_all = True
c.JupyterHub.template_vars = {{
    "announcement_login": "Log in as “{USER}”, or as “{ADMIN}” to see what administrators see, with any password."
}}
"""
EXAMPLE = f"name: example\nchannels:\n  - {SAMPLE}\ndependencies:\n  - python\n  - ipykernel\n  - numpy\n"


def main(arguments: list[str]) -> None:
    """Prepare, or run until a signal."""
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    if arguments == ["--prepare"]:
        prepare()
        return
    port, base_url = arguments
    with hold(HOME), ExitStack() as stack:
        prepare()
        state = State.load(HOME)
        channel = stack.enter_context(serve_channel(HOME / "channels", find_free_port(state.ports.get("channel", 0))))
        hub = stack.enter_context(DemoHub(HOME / "hub", make_settings(state, channel, base_url)))
        state.save(HOME)
        with suppress(CondaStoreHubError):  # the same again at a second start is no reason to stay away
            submit_example(hub, state)
        asyncio.run(forward(int(port), hub.settings.ports.public))


def prepare() -> None:
    """Get the proxy and make the channel, unless they are there."""
    ensure_proxy(HOME / "proxy")
    make_sample(HOME / "channels" / SAMPLE, print)


def make_settings(state: State, channel: str, base_url: str) -> HubSettings:
    """Return the settings of the Hub: everything on this machine, and the channel as the only one."""
    ports = find_ports()
    state.ports = asdict(ports) | {"channel": int(channel.rstrip("/").rpartition(":")[2])}
    root = "c.LocalExecutor.allow_root = True\n" if os.geteuid() == 0 else ""
    return HubSettings(
        proxy=ensure_proxy(HOME / "proxy"),
        ports=ports,
        password=state.password,
        admin_password=state.admin_password,
        token=state.token,
        base_url=base_url,
        users=[USER],
        admins=[ADMIN],
        service={"data_dir": str(ensure_data_dir(HOME / "data")), "tab": "Environments"},
        service_config=f"c.CondaStore.conda_channel_alias = {channel!r}\n"
        f"c.CondaStore.conda_default_channels = [{SAMPLE!r}]\n{root}",
        lines=LINES,
    )


def submit_example(hub: DemoHub, state: State) -> None:
    """Have something there to look at, once."""
    if state.submitted != EXAMPLE:
        with Client(hub.service_url, token=hub.make_token(USER)) as client:
            client.submit(USER, EXAMPLE)
        state.submitted = EXAMPLE
        state.save(HOME)


async def forward(port: int, target: int) -> None:
    """Pass connections on, now that the Hub answers: before, its proxy would say that there is nothing."""

    async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", target)
            await asyncio.gather(pump(reader, far_writer), pump(far_reader, writer))

    server = await asyncio.start_server(connect, "127.0.0.1", port)
    async with server:
        await server.serve_forever()


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Pass on what one side sends until it ends."""
    with suppress(OSError):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    writer.close()


if __name__ == "__main__":
    main(sys.argv[1:])
