"""The real thing on loopback: sample channel, Hub, proxy, service; and the same engine without them."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil

from conda_store_hub.core.names import DataDirectory
from conda_store_hub.demo.channel import serve_channel
from conda_store_hub.demo.hub import DemoHub
from tests.support.channel import sample_channel_dir
from tests.support.hub import make_settings

SPECS = ("python=3.11", "numpy", "pandas", "ipykernel", "flask")
_BARE = """
import asyncio, os, sys
from pathlib import Path
import rattler
channel, cache, prefix, *specs = sys.argv[1:]
async def main():
    client = rattler.Client.default_client()
    gateway = rattler.Gateway(cache_dir=Path(cache, "repodata"), client=client)
    records = await rattler.solve([rattler.Channel(channel)], [rattler.MatchSpec(s) for s in specs], gateway=gateway,
        virtual_packages=rattler.VirtualPackage.detect())
    await rattler.install(records, Path(prefix), cache_dir=Path(cache, "pkgs"), show_progress=False, client=client)
asyncio.run(main())
os._exit(0)
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Stack:
    """A running Hub with the service, and one user's client."""

    hub: DemoHub
    data: DataDirectory
    channel: str
    user: httpx.Client
    scratch: Path

    def submit(self, name: str, specs: Sequence[str] = SPECS, *, fresh: bool = False) -> int:
        """Submit a specification through the proxy, as a user does, or with a new solve; the build's id."""
        lines = "".join(f"  - {spec}\n" for spec in specs)
        text = f"name: {name}\nchannels:\n  - {self.channel}\ndependencies:\n{lines}"
        answer = self.user.post("api/v1/specification/", json={"specification": text, "fresh": fresh})
        answer.raise_for_status()
        return int(answer.json()["data"]["build_id"])

    @property
    def service(self) -> psutil.Process:
        """The service's process, below the Hub's."""
        below = psutil.Process(self.hub.pid).children(recursive=True)
        return next(
            process for process in below if "conda_store_hub" in process.cmdline() and "serve" in process.cmdline()
        )

    def build(self, build_id: int) -> dict[str, object]:
        """Return a build as the API shows it."""
        return self.user.get(f"api/v1/build/{build_id}/").json()["data"]

    def wait_until_whole(self, build_id: int, artifacts: int = 4) -> float:
        """Wait until all artifacts are there; the seconds it took. Ends with the build when that fails."""
        started = time.perf_counter()
        while len(self.build(build_id)["build_artifacts"]) < artifacts:  # type: ignore[arg-type]
            state = self.build(build_id)
            if state["status"] in ("FAILED", "CANCELED"):
                raise RuntimeError(f"build {build_id}: {state['status_info']}")
            time.sleep(0.01)
        return time.perf_counter() - started

    def forget_packages(self) -> None:
        """Empty the package and bytecode caches, as on a new machine."""
        for entry in self.data.packages.iterdir():
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
        for directory in (self.data.bytecode, self.data.repodata, self.data.pip_cache):
            directory.mkdir(mode=0o700)


@contextmanager
def running(channel: AbstractContextManager[str] | None = None, **settings: object) -> Generator[Stack]:
    """Start everything in a folder with a short path; all of it ends with the block.

    `channel`: what serves another one than the sample channel, and has its address.
    """
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="b", ignore_cleanup_errors=True)))
        url = stack.enter_context(channel or serve_channel(sample_channel_dir()))
        alias = url.rstrip("/").rpartition("/")[0]
        config = "\n".join(
            [
                "c.LocalExecutor.allow_root = True",
                f"c.CondaStore.conda_channel_alias = {alias!r}",
                f"c.CondaStore.conda_allowed_channels = [{url!r}]",
                f"c.CondaStore.conda_default_channels = [{url!r}]",
                "c.CondaStore.image_base = ''",
            ]
        )
        hub = stack.enter_context(DemoHub(scratch / "h", make_settings(service_config=config, **settings)))
        headers = {"Authorization": f"token {hub.make_token('alice')}"}
        client = httpx.Client(base_url=hub.service_url, headers=headers, trust_env=False, timeout=60)
        data = DataDirectory(scratch / "h" / "data")
        yield Stack(hub=hub, data=data, channel=url, user=stack.enter_context(client), scratch=scratch)


def bare(channel: str, cache: Path, prefix: Path, specs: Sequence[str] = SPECS) -> float:
    """Solve and install with nothing but the engine, as a process of its own; seconds."""
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", _BARE, channel, str(cache), str(prefix), *specs], check=True)
    return time.perf_counter() - started
