"""`conda-store-hub` as a child process without a Hub: what start, stop and crash tests need."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

import httpx

from tests.support.ports import find_port

COMMAND = (sys.executable, "-P", "-m", "conda_store_hub")


def until(happened: Callable[[], object], seconds: float = 30.0) -> None:
    """Wait for a condition; fail when it does not come true."""
    deadline = time.monotonic() + seconds
    for pause in pauses():
        if happened():
            return
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(pause)


def pauses() -> Generator[float]:
    """Yield how long to wait before looking again: who waits longer looks less often, for looking costs others time."""
    pause = 0.01
    while True:
        yield pause
        pause = min(pause * 1.3, 0.15)


def is_alive(pid: int) -> bool:
    """Tell whether a process runs: one that waits to be reaped does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


@contextmanager
def as_nobody(*paths: Path) -> Generator[None]:
    """Be an account that modes hold for, and that owns these; root is held by none."""
    if os.geteuid():
        yield
        return
    for path in paths:
        os.chown(path, 65534, 65534)
    os.setegid(65534)
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)


class ServiceProcess:
    """One service on a data directory; ended by its id when the block ends."""

    def __init__(self, data: Path, config: str = "", **environment: str) -> None:
        self.port = find_port()
        self.url = f"http://127.0.0.1:{self.port}/services/csh/"
        self.file = data.parent / f"{data.name}-config.py"
        self.file.write_text(config)
        self.log = data.parent / f"{data.name}-log"
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(data.parent),
            "JUPYTERHUB_SERVICE_NAME": "csh",
            "JUPYTERHUB_SERVICE_PREFIX": "/services/csh/",
            "JUPYTERHUB_SERVICE_URL": f"http://127.0.0.1:{self.port}",
            "JUPYTERHUB_API_TOKEN": "token-of-the-service",
            "JUPYTERHUB_API_URL": "http://127.0.0.1:9/hub/api",
            "JUPYTERHUB_BASE_URL": "/",
            "JUPYTERHUB_CLIENT_ID": "service-csh",
            "JUPYTERHUB_OAUTH_CALLBACK_URL": "/services/csh/oauth_callback",
            "CONDA_STORE_HUB_DATA": str(data),
            **environment,
        }

    def __enter__(self) -> ServiceProcess:
        """Start it; the caller waits for what it needs."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*COMMAND, "serve", "--config", str(self.file)],
                env=self.environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                preexec_fn=default_signals,
            )
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _value: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        """End it, whatever it does."""
        self.process.kill()
        self.process.wait()

    def health(self) -> httpx.Response | None:
        """Ask for its health; None while nobody listens."""
        try:
            return httpx.get(f"{self.url}health", trust_env=False, verify=False, timeout=10)
        except httpx.TransportError:
            return None

    def wait_until_ready(self) -> None:
        """Wait for a healthy answer, or for its end."""

        def settled() -> bool:
            answer = self.health()
            return self.process.poll() is not None or (answer is not None and answer.status_code == 200)

        until(settled)
        assert self.process.poll() is None, self.log.read_text()

    def wait(self, seconds: float = 30.0) -> tuple[int, str]:
        """Wait for its end; the exit code and what it said."""
        code = self.process.wait(seconds)
        return code, self.log.read_text()


def default_signals() -> None:
    """Be called in a child before it begins (`preexec_fn`): SIGINT is what it is for who types Ctrl-C."""
    # A test runner in a shell's background has SIGINT ignored, and children inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
