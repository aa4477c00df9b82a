"""uv as a child process: what it may learn of this service, and how it is told what to do."""

from __future__ import annotations

import os
import re
import shlex
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import uv

from conda_store_hub.builder import child
from conda_store_hub.builder.events import say
from conda_store_hub.core.engine import strip_credentials
from conda_store_hub.core.protocol import BuildRequest

# What uv may learn from the service's environment: how to reach the network, and nothing of its settings.
_PASSED = (
    "PATH", "SSL_CERT_FILE", "SSL_CERT_DIR",
    "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY",
    "http_proxy", "https_proxy", "all_proxy", "no_proxy",
)  # fmt: skip

# Everybody can read the process list. uv asks a Python what it is by the path it was given; this script becomes the
# prefix's Python without its path in an argument. Through a link, Python would take the link for its own place.
_PYTHON = """\
#!/bin/sh
PATH={folder}
export PATH
exec python "$@"
"""
# Only where that is the whole reason: of a version among others, what is in the way may be something else.
_NO_WHEELS = re.compile(
    r"Because\s+([\w.-]+)==(\S+)\s+has\s+no\s+(usable\s+wheels|wheels\s+with\s+a\s+matching).{0,200}?"
    r"\s+and\s+(?:only\s+\1==\2\s+is\s+available|you\s+require\s+\1\b)",
    re.DOTALL,
)
_UNTOLD = ("Using Python", "warning: The `--pylock`")


class UvError(Exception):
    """uv failed; the text is all that it said."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Wheelless:
    """A package that uv found and cannot use: there is only its source, or wheels are for other platforms."""

    name: str
    version: str
    has_source: bool


def find_wheelless(said: str) -> Wheelless | None:
    """Return what a resolution failed for, by what uv said, if it is that."""
    match = _NO_WHEELS.search(said)
    return match and Wheelless(name=match[1], version=match[2], has_source=match[3].startswith("usable"))


class UvTool:
    """Runs uv for the prefix of a request, in a folder of its own."""

    def __init__(self, request: BuildRequest, work: Path, environment: Mapping[str, str] | None = None) -> None:
        """Take also what uv is told by variables."""
        self.work = work
        self._told = environment or {}
        self._index = request.pip_index
        self._cache = request.directories.pip_cache
        self._interpreters = Path(request.directories.prefix) / "bin"

    def set_up(self) -> None:
        """Make the folder, and in it the way to the prefix's Python."""
        self.work.mkdir(parents=True, exist_ok=True)
        script = self.work / "python"
        script.write_text(_PYTHON.format(folder=shlex.quote(str(self._interpreters))), encoding="utf-8")
        script.chmod(0o700)

    def write(self, name: str, lines: Sequence[str]) -> str:
        """Write a file for uv to read; return its name."""
        (self.work / name).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        return name

    def read(self, name: str) -> str:
        """Return what uv wrote."""
        return (self.work / name).read_text(encoding="utf-8")

    def selection(self) -> list[str]:
        """Return the options that say for which Python, and from where."""
        index = ["--default-index", self._index] if self._index else []
        return ["--python", "./python", "--only-binary", ":all:", *index]

    def run(self, *arguments: str, aloud: bool = True) -> str:
        """Return what uv prints; what it says goes to the log if `aloud`. Raises UvError."""
        command = [uv.find_uv_bin(), *arguments, "--no-config", "--no-progress", "--no-python-downloads"]
        lines: list[str] = []

        def take(line: str) -> None:
            # The prefix's path is nobody's business, and pylock.toml is ours to find experimental.
            if not line.startswith(_UNTOLD):
                lines.append(strip_credentials(line))
                if aloud:
                    say(f"  {lines[-1]}")

        with tempfile.TemporaryFile("w+", dir=self.work) as output:
            code = child.follow(child.start(command, env=self._environment(), cwd=self.work, stdout=output), take)
            if code != 0:
                raise UvError("\n".join(lines))
            output.seek(0)
            return output.read()

    def _environment(self) -> dict[str, str]:
        passed = {name: os.environ[name] for name in _PASSED if name in os.environ}
        return passed | {
            "HOME": str(self.work),
            "TMPDIR": str(self.work),
            "LANG": "C.UTF-8",
            "UV_CACHE_DIR": self._cache,
            "UV_NO_CONFIG": "1",
            **self._told,
        }
