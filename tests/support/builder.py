"""Runs the real builder as a child process, as the runner does, and reads what it tells."""

from __future__ import annotations

import base64
import hashlib
import os
import subprocess
import sys
import threading
import warnings
import zipfile
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from rattler import Subdir

from conda_store_hub.core.names import DataDirectory
from conda_store_hub.core.protocol import (
    ArtifactEvent,
    ArtifactType,
    BuildEvent,
    BuildRequest,
    Directories,
    ErrorEvent,
    LockEvent,
    ResultEvent,
    UsableEvent,
    build_event,
)
from conda_store_hub.core.spec import Entry

if TYPE_CHECKING:
    from conda_lock.lockfile.v2prelim.models import Lockfile

_PASSED_ON = ("PATH", "SSL_CERT_FILE", "SSL_CERT_DIR", "HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy")
REPOSITORY = Path(__file__).resolve().parents[2]
_E = TypeVar("_E")


@dataclass(frozen=True)
class Outcome:
    """How a builder ended. Only a written result is success, whatever the exit code."""

    code: int
    events: list[BuildEvent]
    log: str

    @property
    def succeeded(self) -> bool:
        return bool(self.events) and isinstance(self.events[-1], ResultEvent)

    @property
    def error(self) -> ErrorEvent:
        return self._only(ErrorEvent)

    @property
    def usable(self) -> UsableEvent:
        return self._only(UsableEvent)

    @property
    def lock(self) -> LockEvent:
        return self._only(LockEvent)

    @property
    def artifacts(self) -> dict[ArtifactType, ArtifactEvent]:
        return {event.artifact: event for event in self.events if isinstance(event, ArtifactEvent)}

    def _only(self, kind: type[_E]) -> _E:
        (event,) = (event for event in self.events if isinstance(event, kind))
        return event


class Workshop:
    """A data directory to build in; builds in it share their caches."""

    def __init__(self, root: Path, channels: Sequence[str], *, pip_index: str | None = None) -> None:
        self.data = DataDirectory(root)
        self.channels = tuple(channels)
        self.pip_index = pip_index
        self._count = 0

    def request(
        self, *dependencies: str, pip: Sequence[str] = (), virtual: Sequence[str] = (), **more: Any
    ) -> BuildRequest:
        """Return a request for a new prefix; lines of dependencies count from 5, those of pip from 50."""
        self._count += 1
        # Nobody else's: the process list, where a test looks for it, shows other processes of the suite too.
        name = f"{os.getpid():011}{self._count:011}"
        values: dict[str, Any] = {
            "build_id": self._count,
            "name": "an-environment",
            "channels": self.channels,
            "dependencies": tuple(Entry(text=text, line=5 + n, column=5) for n, text in enumerate(dependencies)),
            "pip": tuple(Entry(text=text, line=50 + n, column=9) for n, text in enumerate(pip)),
            "virtual_packages": tuple(Entry(text=text, line=70, column=5) for text in virtual),
            "platform": str(Subdir.current()),
            "directories": Directories(
                prefix=str(self.data.prefix(name)),
                packages=str(self.data.packages),
                bytecode=str(self.data.bytecode),
                repodata=str(self.data.repodata),
                pip_cache=str(self.data.pip_cache),
                work=str(self.data.work / name),
            ),
            "pip_index": self.pip_index,
            "sha256": "5e" * 32,
        }
        return BuildRequest(**(values | more))

    def build(self, *dependencies: str, **more: Any) -> Outcome:
        """Build to the end."""
        return run_builder(self.request(*dependencies, **more))


def run_builder(request: BuildRequest | bytes) -> Outcome:
    """Run one builder to its end."""
    with start_builder(request) as builder:
        return builder.wait()


class RunningBuilder:
    """A builder in a process group of its own."""

    def __init__(self, process: subprocess.Popen[str], events: int, request: bytes) -> None:
        self.process = process
        self.events: list[BuildEvent] = []
        self.news = threading.Condition()
        self._log: list[str] = []
        self._request = request
        self._threads = [
            threading.Thread(target=self._read_events, args=(events,)),
            threading.Thread(target=self._read_log),
        ]
        for thread in self._threads:
            thread.start()

    def wait(self) -> Outcome:
        """Wait for the end."""
        code = self.process.wait()
        for thread in self._threads:
            thread.join()
        return Outcome(code, self.events, "".join(self._log))

    def wait_for(self, text: str, seconds: float = 120) -> None:
        """Wait until an event has `text` in its JSON."""
        with self.news:
            found = self.news.wait_for(lambda: any(text in event.model_dump_json() for event in self.events), seconds)
        assert found, f"no event with {text}"

    def _read_events(self, descriptor: int) -> None:
        with os.fdopen(descriptor, "rb") as lines:
            for line in lines:
                with self.news:
                    if line.endswith(b"\n"):
                        self.events.append(build_event.validate_json(line))
                    self.news.notify_all()

    def _read_log(self) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.buffer.write(self._request)
        self.process.stdin.close()
        self._log.extend(self.process.stdout)


@contextmanager
def start_builder(request: BuildRequest | bytes) -> Generator[RunningBuilder]:
    """Run a builder while the block runs; what is left of its group then is killed."""
    read_end, write_end = os.pipe()
    process = subprocess.Popen(
        [sys.executable, "-m", "conda_store_hub.builder", "--events-fd", str(write_end)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        pass_fds=(write_end,),
        env={name: os.environ[name] for name in _PASSED_ON if name in os.environ},
        cwd=REPOSITORY,
        start_new_session=True,
        text=True,
    )
    os.close(write_end)
    text = request if isinstance(request, bytes) else request.model_dump_json().encode()
    builder = RunningBuilder(process, read_end, text)
    try:
        yield builder
    finally:
        if process.poll() is None:
            process.kill()
        builder.wait()
        process.stdout.close() if process.stdout else None


def make_wheel(
    directory: Path, name: str, version: str, files: Mapping[str, str], requires: Sequence[str] = ()
) -> None:
    """Write a pure wheel into a folder that `serve_index` serves."""
    info = f"{name}-{version}.dist-info"
    needs = "".join(f"Requires-Dist: {need}\n" for need in requires)
    contents = {
        **files,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\nLicense: MIT\n{needs}",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    rows = [f"{path},sha256={_digest(text)},{len(text)}\n" for path, text in contents.items()]
    contents[f"{info}/RECORD"] = "".join([*rows, f"{info}/RECORD,,\n"])
    folder = directory / name.replace("_", "-")
    folder.mkdir(parents=True, exist_ok=True)
    wheel = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for path, text in contents.items():
            archive.writestr(path, text)
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    with (folder / "index.html").open("a") as index:
        index.write(f'<a href="{wheel.name}#sha256={digest}">{wheel.name}</a>\n')


@contextmanager
def serve_index(directory: Path) -> Generator[str]:
    """Serve a package index (PEP 503) on loopback while the block runs; its address is the value."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(directory)))
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing."""


def read_lockfile(path: str) -> Lockfile:
    """Read `conda-lock.yml` with conda-lock's own reader."""
    with warnings.catch_warnings():
        # conda-lock brings an old conda along, which complains of itself.
        warnings.simplefilter("ignore")
        from conda_lock.lockfile import parse_conda_lock_file
    return parse_conda_lock_file(Path(path))


def _digest(text: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
