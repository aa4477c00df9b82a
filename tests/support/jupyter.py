"""A real `jupyter server` as a child process, with the extension enabled as pip enables it, and its kernels."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import httpx
import psutil
import websocket

from tests.support.process import pauses

ROOT = Path(__file__).parents[2]
TOKEN = "a-token-of-the-jupyter-server"
T = TypeVar("T")
# Extensions of the tests' environment that only cost seconds at start.
WITHOUT = ("jupyterlab", "jupyter_lsp", "jupyter_server_terminals", "notebook", "notebook_shim")


def wait_until(condition: Callable[[], T], what: str, seconds: float = 30) -> T:
    """Return what `condition` returns as soon as it is true."""
    end = time.monotonic() + seconds
    looks = pauses()
    while not (result := condition()):
        if time.monotonic() > end:
            raise AssertionError(f"waited {seconds} s for {what}; last: {result!r}")
        time.sleep(next(looks))
    return result


class JupyterServer:
    """One user's server. Everything it writes is below `root`; it can be started again there."""

    def __init__(
        self, root: Path, *, config: dict[str, Any] | None = None, python: str = sys.executable, **variables: str
    ) -> None:
        self.root = root
        self._python = python
        self.runtime = root / "runtime"
        for folder in ("home", "config", "data", "runtime", "notebooks"):
            (root / folder).mkdir(parents=True, exist_ok=True)
        enabled = root / "config" / "jupyter_server_config.d"
        shutil.copytree(ROOT / "jupyter-config" / "server-config", enabled, dirs_exist_ok=True)
        settings = {"ServerApp": {"jpserver_extensions": dict.fromkeys(WITHOUT, False)}}
        for section, values in (config or {}).items():
            settings[section] = {**settings.get(section, {}), **values}
        (root / "config" / "jupyter_server_config.json").write_text(json.dumps(settings))
        passed = {name: os.environ[name] for name in ("PATH", "LANG", "PYTHONPATH") if name in os.environ}
        self._variables = {
            **passed,
            "HOME": str(root / "home"),
            "JUPYTER_CONFIG_DIR": str(root / "config"),
            "JUPYTER_DATA_DIR": str(root / "data"),
            "JUPYTER_RUNTIME_DIR": str(self.runtime),
            "IPYTHONDIR": str(root / "home" / ".ipython"),
            "PYTHONWARNINGS": "default",
            **variables,
        }
        self._process: subprocess.Popen[bytes] | None = None
        self._http = httpx.Client(timeout=60, trust_env=False, headers={"Authorization": f"token {TOKEN}"})

    def start(self) -> None:
        options = {
            "ServerApp.port": "0",
            "ServerApp.ip": "127.0.0.1",
            "ServerApp.root_dir": str(self.root / "notebooks"),
            "ServerApp.open_browser": "False",
            "ServerApp.allow_root": "True",
            "IdentityProvider.token": TOKEN,
        }
        command = [self._python, "-m", "jupyter_server", *(f"--{key}={value}" for key, value in options.items())]
        with (self.root / "log").open("ab") as log:
            self._process = subprocess.Popen(
                command, env=self._variables, cwd=self.root, stdout=log, stderr=log, start_new_session=True
            )
        self._http.base_url = wait_until(self._find_address, "the server's address")
        wait_until(self._answers, "the server's first answer")

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def url(self) -> str:
        return str(self._http.base_url)

    @property
    def log(self) -> str:
        return (self.root / "log").read_text()

    def stop(self) -> None:
        if self._process is None:
            return
        children = psutil.Process(self.pid).children(recursive=True) if self._process.poll() is None else []
        process, self._process = self._process, None
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)
            raise AssertionError(f"the server did not stop on SIGTERM:\n{self.log[-3000:]}") from None
        finally:
            for child in psutil.wait_procs(children, timeout=5)[1]:
                child.kill()

    def close(self) -> None:
        self.stop()
        self._http.close()

    def ask(self, method: str, path: str, **more: Any) -> httpx.Response:
        return self._http.request(method, path, **more)

    def kernelspecs(self) -> dict[str, dict[str, Any]]:
        """Return what the kernel picker of a running server gets, by name."""
        return self.ask("GET", "api/kernelspecs").raise_for_status().json()["kernelspecs"]

    def standing(self) -> dict[str, Any]:
        return self.ask("GET", "conda-store-hub/api/kernels").raise_for_status().json()

    def start_kernel(self, name: str) -> Kernel:
        """Start a kernel as JupyterLab does, as a session of a notebook."""
        answer = self.start_session(name)
        if answer.status_code != httpx.codes.CREATED:
            raise AssertionError(f"{answer.status_code} {answer.text}\n{self.log[-3000:]}")
        return Kernel(self, answer.json()["kernel"]["id"])

    def start_session(self, name: str) -> httpx.Response:
        path = f"{uuid.uuid4()}.ipynb"
        body = {"path": path, "name": path, "type": "notebook", "kernel": {"name": name}}
        return self.ask("POST", "api/sessions", json=body)

    def connect(self, path: str) -> websocket.WebSocket:
        url = str(self._http.base_url.copy_with(scheme="ws").join(path))
        return websocket.create_connection(url, header=[f"Authorization: token {TOKEN}"], timeout=60)

    def _answers(self) -> bool:
        try:
            return self.ask("GET", "api").is_success
        except httpx.ConnectError:  # the address is told before the port is open
            return False

    def _find_address(self) -> str | None:
        if self._process is not None and self._process.poll() is not None:
            raise AssertionError(f"the server ended:\n{self.log}")
        file = self.runtime / f"jpserver-{self.pid}.json"
        try:
            return json.loads(file.read_text())["url"]
        except (OSError, ValueError):
            return None


class Kernel:
    """A running kernel, reached through its server."""

    def __init__(self, server: JupyterServer, kernel_id: str) -> None:
        self._server = server
        self.id = kernel_id

    def execute(self, code: str) -> str:
        """Run code and return what it printed, and the text of its last value or of its error."""
        socket = self._server.connect(f"api/kernels/{self.id}/channels")
        try:
            return self.collect(socket, self.send(socket, code))
        finally:
            socket.close()

    def send(self, socket: websocket.WebSocket, code: str) -> str:
        """Send code to run; return the id of the request."""
        identifier = uuid.uuid4().hex
        header = {"msg_id": identifier, "msg_type": "execute_request", "username": "", "session": "s", "version": "5.4"}
        content = {"code": code, "silent": False, "store_history": False, "user_expressions": {}, "allow_stdin": False}
        message = {"channel": "shell", "header": header, "parent_header": {}, "metadata": {}, "content": content}
        socket.send(json.dumps({**message, "buffers": []}))
        return identifier

    def collect(self, socket: websocket.WebSocket, identifier: str) -> str:
        """Return what a request brings until the kernel is idle again."""
        text = ""
        while True:
            message = json.loads(socket.recv())
            if message["parent_header"].get("msg_id") != identifier:
                continue
            content = message["content"]
            match message["msg_type"]:
                case "stream":
                    text += content["text"]
                case "execute_result":
                    text += content["data"]["text/plain"]
                case "error":
                    text += f"{content['ename']}: {content['evalue']}"
                case "status" if content["execution_state"] == "idle":
                    return text
                case _:
                    pass

    def value(self, expression: str) -> Any:
        """Return the value of an expression that JSON can carry."""
        return json.loads(self.execute(f"import json; print(json.dumps({expression}))"))

    def restart(self) -> None:
        self._server.ask("POST", f"api/kernels/{self.id}/restart").raise_for_status()

    def interrupt(self) -> None:
        self._server.ask("POST", f"api/kernels/{self.id}/interrupt").raise_for_status()

    def shutdown(self) -> None:
        self._server.ask("DELETE", f"api/kernels/{self.id}").raise_for_status()


@contextmanager
def run_jupyter(root: Path, *, config: dict[str, Any] | None = None, **variables: str) -> Generator[JupyterServer]:
    """Run a server until the end of the block."""
    server = JupyterServer(root, config=config, **variables)
    try:
        server.start()
        yield server
    finally:
        server.close()
