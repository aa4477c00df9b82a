"""A real JupyterHub as a child process: one folder of state, one proxy, the service, and users' servers."""

from __future__ import annotations

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from importlib import resources
from pathlib import Path
from typing import IO, Any, Self
from urllib.parse import quote

import httpx

from conda_store_hub.demo import leash, processes
from conda_store_hub.demo.errors import DemoError
from conda_store_hub.demo.state import ensure_data_dir, write_private

SERVICE_NAME = "conda-store-hub"


@dataclass(frozen=True, kw_only=True, slots=True)
class Ports:
    """Where on 127.0.0.1 each part listens."""

    public: int
    hub: int
    proxy: int
    service: int


@dataclass(frozen=True, kw_only=True, slots=True)
class HubSettings:
    """What a Hub is started with.

    proxy: the command of `configurable-http-proxy`, see `node.ensure_proxy`.
    password: every user's; at least 8 characters. admin_password: every admin's; at least 32.
    python: the interpreter that runs the Hub, the service and users' servers.
    service: keywords of `conda_store_hub.configure`; None for a Hub without the service.
    service_config: the text of `conda_store_hub_config.py`.
    lines: more of `jupyterhub_config.py`, read before `configure` is called.
    """

    proxy: Sequence[str]
    ports: Ports
    password: str
    admin_password: str
    token: str = field(default_factory=lambda: secrets.token_hex(32))
    base_url: str = "/"
    users: Sequence[str] = ()
    admins: Sequence[str] = ()
    groups: Mapping[str, Sequence[str]] = field(default_factory=dict[str, Sequence[str]])
    python: str = sys.executable
    service: Mapping[str, Any] | None = field(default_factory=dict[str, Any])
    service_config: str = ""
    lines: str = ""


def find_ports(**wanted: int) -> Ports:
    """Return free ports, those of `wanted` where they are free. Two at once may find the same."""
    names = ("public", "hub", "proxy", "service")
    with ExitStack() as held:
        return Ports(**{name: _hold_port(held, wanted.get(name, 0)) for name in names})


def find_free_port(wanted: int = 0) -> int:
    """Return a free port of 127.0.0.1, the wanted one if it is free."""
    with ExitStack() as held:
        return _hold_port(held, wanted)


class DemoHub:
    """One Hub; as a context manager it is stopped at the end, with everything it started."""

    def __init__(self, state: Path, settings: HubSettings) -> None:
        """Keep everything that the Hub writes below `state`."""
        self.state = state.absolute()
        self.settings = settings
        self.log_path = self.state / "hub.log"
        self.url = f"http://127.0.0.1:{settings.ports.public}{settings.base_url}"
        self.name: str = (settings.service or {}).get("name", SERVICE_NAME)
        self.service_url = f"{self.url}services/{self.name}/"
        self.direct_url = f"http://127.0.0.1:{settings.ports.service}{settings.base_url}services/{self.name}/"
        self._child: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        """Start it."""
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop it."""
        self.stop()

    @property
    def pid(self) -> int:
        """The Hub's process id."""
        if self._child is None:
            raise DemoError("The Hub has not been started.")
        return self._child.pid

    def start(self, patience: float = 90.0) -> None:
        """Start the Hub and wait until it and the service answer; `DemoError` with the log's end if not.

        They end with the thread that calls this, should the process be killed.
        """
        self._write_state()
        with self.log_path.open("ab") as log:
            self._child = self._start_process(log)
        try:
            self._wait_until_ready(patience)
        except BaseException:
            self.stop()
            raise

    def stop(self, patience: float = 20.0) -> None:
        """End the Hub and whatever it started and left."""
        if self._child is None:
            return
        started = processes.list_descendants(self._child.pid)
        if self._child.poll() is None:
            self._child.send_signal(signal.SIGTERM)
            try:
                self._child.wait(patience)
            except subprocess.TimeoutExpired:
                started += processes.list_descendants(self._child.pid)
                self._child.kill()
                self._child.wait()
        processes.end_processes(started)
        self._child = None

    def wait(self) -> int:
        """Wait until the Hub ends by itself; its exit status."""
        return self._child.wait() if self._child is not None else 0

    def kill(self) -> list[processes.Process]:
        """End the Hub without a word, as a crash would; returns what it had started."""
        started = processes.list_descendants(self.pid)
        if self._child is not None:
            self._child.kill()
            self._child.wait()
        return started

    def api(self, method: str, path: str, **options: Any) -> Any:
        """Ask the Hub's REST API as the operator; options as for httpx, the answer's JSON."""
        headers = {"Authorization": f"token {self.settings.token}"}
        with httpx.Client(trust_env=False, timeout=60) as http:
            answer = http.request(method, f"{self.url}hub/api/{path}", headers=headers, **options)
        if answer.is_error:
            raise DemoError(f"The Hub refused {method} {path}: {answer.status_code} {answer.text[:500]}")
        return answer.json() if answer.content else None

    def make_token(self, user: str, *scopes: str) -> str:
        """Return a new token of a user's; without scopes it may do all that the user may."""
        wanted: dict[str, Any] = {"note": "made by conda-store-hub demo", "expires_in": 86_400}
        if scopes:
            wanted["scopes"] = list(scopes)
        return self.api("POST", f"users/{quote(user, safe='')}/tokens", json=wanted)["token"]

    def user_url(self, user: str) -> str:
        """Return the address of a user's server."""
        return f"{self.url}user/{quote(user, safe='@~')}/"

    def start_server(self, user: str, patience: float = 120.0) -> str:
        """Start a user's server, wait until it is ready, and return its address."""
        person = f"users/{quote(user, safe='')}"
        if not self._is_ready(person):
            self.api("POST", f"{person}/server")
        if not processes.wait_until(lambda: self._is_ready(person), patience, every=0.2):
            raise DemoError(f"The server of {user} did not start.", detail=self.read_log_end())
        return self.user_url(user)

    def stop_server(self, user: str, patience: float = 60.0) -> None:
        """Stop a user's server and wait until it is gone."""
        person = f"users/{quote(user, safe='')}"
        self.api("DELETE", f"{person}/server")
        processes.wait_until(lambda: not self.api("GET", person)["servers"], patience, every=0.1)

    def read_log_end(self, size: int = 4000) -> str:
        """Return the last lines that the Hub, the proxy, the service and the servers have written."""
        with self.log_path.open("rb") as log:
            log.seek(max(0, self.log_path.stat().st_size - size))
            return log.read().decode(errors="replace")

    def _is_ready(self, person: str) -> bool:
        server = self.api("GET", person)["servers"].get("", {})
        return bool(server.get("ready"))

    def _write_state(self) -> None:
        self.state.mkdir(parents=True, exist_ok=True)
        (self.state / "users").mkdir(exist_ok=True)
        service = self.settings.service
        if service is not None:
            service = {"data_dir": str(ensure_data_dir(self.state / "data")), **service}
        values = asdict(self.settings) | {"service": service}
        template = resources.files("conda_store_hub.demo").joinpath("jupyterhub_config.py.in").read_text()
        write_private(self.state / "hub.json", json.dumps(values, indent=1))
        write_private(self.state / "jupyterhub_config.py", template.replace("#MORE\n", self.settings.lines + "\n"))
        (self.state / "conda_store_hub_config.py").write_text(self.settings.service_config)

    def _start_process(self, log: IO[bytes]) -> subprocess.Popen[bytes]:
        command = [self.settings.python, "-m", "jupyterhub", "-f", str(self.state / "jupyterhub_config.py")]
        return subprocess.Popen(
            [sys.executable, "-m", leash.__name__, *command],
            cwd=self.state,
            env=os.environ | {"PYTHONUNBUFFERED": "1"},
            stdin=subprocess.DEVNULL,  # a user's server that sees a terminal asks it before it stops
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C is for whoever started the Hub, who then stops it in order
        )

    def _wait_until_ready(self, patience: float) -> None:
        until = time.monotonic() + patience
        base, ports = self.settings.base_url, self.settings.ports
        # Each part itself first: what the proxy says of what is not there yet would fill the log.
        waiting = [f"http://127.0.0.1:{ports.hub}{base}hub/api/"]
        if self.settings.service is not None:
            waiting += [f"{self.direct_url}health", f"{self.service_url}health"]
        with httpx.Client(trust_env=False, timeout=30) as http:
            while waiting:
                if self._child is None or self._child.poll() is not None:
                    raise DemoError(f"The Hub ended at its start:\n{self.read_log_end()}")
                if time.monotonic() > until:
                    raise DemoError(f"{waiting[0]} did not answer in {patience:.0f} s:\n{self.read_log_end()}")
                if _answers(http, waiting[0]):
                    del waiting[0]
                else:
                    time.sleep(0.05)


def _answers(http: httpx.Client, url: str) -> bool:
    try:
        return http.get(url).is_success
    except httpx.TransportError:
        return False


def _hold_port(held: ExitStack, port: int) -> int:
    probe = held.enter_context(socket.socket())
    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        probe.bind(("127.0.0.1", port))
    except OSError:
        probe.bind(("127.0.0.1", 0))
    return probe.getsockname()[1]
