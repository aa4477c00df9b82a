"""`conda-store` as somebody types it, in this process: the command as it is, without the time that Python starts in."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from click.testing import CliRunner

from conda_store_hub.client.cli import main

_OF_THE_MACHINE = (
    *("CONDA_STORE_URL", "CONDA_STORE_TOKEN", "CONDA_STORE_AUTH", "CONDA_STORE_USERNAME", "CONDA_STORE_PASSWORD"),
    *("CONDA_STORE_NO_VERIFY", "CONDA_STORE_HUB_URL", "JUPYTERHUB_API_TOKEN", "VISUAL"),
)


@dataclass(frozen=True)
class Done:
    """How a command ended, and what it said where."""

    code: int
    stdout: str
    stderr: str

    @property
    def lines(self) -> list[str]:
        return self.stdout.splitlines()


@dataclass
class Shell:
    """Somebody with a token, or none, at a service."""

    url: str
    token: str | None = None
    variables: dict[str, str] = field(default_factory=dict)

    def ask(self, *arguments: object, text: str | None = None, **variables: str) -> Done:
        """Run a command to its end, whatever that is."""
        given: dict[str, str | None] = dict.fromkeys(_OF_THE_MACHINE)
        given |= {"CONDA_STORE_URL": self.url, "CONDA_STORE_TOKEN": self.token, "XDG_CONFIG_HOME": "/nonexistent"}
        given |= {**self.variables, **variables}
        done = CliRunner().invoke(main, list(map(str, arguments)), input=text, env=given, prog_name="conda-store")
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        return Done(done.exit_code, done.stdout, done.stderr)

    def run(self, *arguments: object, text: str | None = None, **variables: str) -> Done:
        """Run a command that has to succeed."""
        done = self.ask(*arguments, text=text, **variables)
        assert done.code == 0, done
        return done

    def fail(self, code: int, *arguments: object, text: str | None = None, **variables: str) -> str:
        """Run a command that has to end with a code, without an answer; return what it said."""
        done = self.ask(*arguments, text=text, **variables)
        assert done.code == code, done
        assert "Traceback" not in done.stderr
        return done.stderr

    def json(self, *arguments: object, text: str | None = None) -> Any:
        """Return the answer of a command as JSON."""
        return json.loads(self.run(*arguments, "--output", "json", text=text).stdout)

    def yaml(self, *arguments: object) -> Any:
        """Return the answer of a command as YAML."""
        return yaml.safe_load(self.run(*arguments, "--output", "yaml").stdout)

    def names(self, *arguments: object) -> list[str]:
        """Return the answer of a command as names."""
        return self.run(*arguments, "--output", "name").lines


def write(path: Path, text: str) -> Path:
    """Write a file and return its path."""
    path.write_text(text)
    return path


def put_program(folder: Path) -> Path:
    """Put `conda-store` into a folder, as the command that an installation has; returns its path."""
    folder.mkdir(exist_ok=True)
    path = write(folder / "conda-store", f"#!{sys.executable}\nfrom conda_store_hub.client.entry import main\nmain()\n")
    path.chmod(0o755)
    return path
