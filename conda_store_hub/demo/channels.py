"""Where the demonstration gets its packages: conda-forge where it answers, else the sample channel."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from conda_store_hub.demo.channel_server import serve_channel
from conda_store_hub.demo.errors import DemoError
from conda_store_hub.demo.hub import find_free_port
from conda_store_hub.demo.state import State
from conda_store_hub.settings import CondaStore

PATIENCE = 3.0
SAMPLE = "sample"

Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Channel:
    """A channel by its name, and the lines of the service's configuration that make the name mean it."""

    name: str
    config: str = ""


@contextmanager
def choose_channel(home: Path, state: State, say: Say) -> Generator[Channel]:
    """Find the channel; while the block runs, the sample channel is served if it is that one."""
    problem = find_problem(f"{get_alias()}/conda-forge/noarch/repodata.json.zst")
    if problem is None:
        say("conda-forge answers: packages come from there")
        yield Channel(name="conda-forge")
        return
    say(f"conda-forge does not answer ({problem}): packages come from a sample channel made on this machine")
    make_sample(home / "channels" / SAMPLE, say)
    state.ports["channel"] = find_free_port(state.ports.get("channel", 0))
    with serve_channel(home / "channels", state.ports["channel"]) as url:
        config = f"c.CondaStore.conda_channel_alias = {url!r}\nc.CondaStore.conda_default_channels = [{SAMPLE!r}]\n"
        yield Channel(name=SAMPLE, config=config)


def get_alias() -> str:
    """Return where the service looks for channels, unless it is configured otherwise."""
    return str(CondaStore.class_traits()["conda_channel_alias"].default_value)


def find_problem(url: str, patience: float = PATIENCE) -> str | None:
    """Ask once; None if something good came within `patience` seconds, else what was wrong, in words."""
    answers: list[str | None] = []

    def ask() -> None:
        try:
            status = httpx.head(url, timeout=patience).status_code
            answers.append(None if status < httpx.codes.BAD_REQUEST else f"status {status}")
        except httpx.HTTPError as error:
            answers.append(str(error) or type(error).__name__)

    # In a thread that nobody waits for: looking up a name can take longer than any time-out says.
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(patience)
    return answers[0] if answers else f"nothing within {patience:.0f} s"


def make_sample(directory: Path, say: Say) -> None:
    """Make the sample channel in a process of its own, because the engine may crash one that ends."""
    directory.parent.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    command = [sys.executable, "-m", "conda_store_hub.demo.channel", str(directory)]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode:
        raise DemoError(f"The sample channel could not be made:\n{(done.stderr or done.stdout).strip()[-2000:]}")
    say(f"the sample channel is in {directory} ({time.monotonic() - started:.1f} s)")
