"""What activating an environment means: what is left behind, what is set, and which scripts are sourced."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from conda_store_hub.client.variables import SECRET, matches
from conda_store_hub.core.errors import ActivationError

# Of the server's own Python, R and libraries: in another environment they are wrong.
FOREIGN = (
    *("PYTHONPATH", "PYTHONHOME", "PYTHONEXECUTABLE", "VIRTUAL_ENV", "VIRTUAL_ENV_PROMPT"),
    *("R_HOME", "R_LIBS", "R_LIBS_*", "LD_LIBRARY_PATH"),
    *("CONDA_PREFIX", "CONDA_PREFIX_*", "CONDA_DEFAULT_ENV", "CONDA_SHLVL", "CONDA_PROMPT_MODIFIER"),
    "CONDA_STACKED_*",
)
# Addresses without which Bokeh, Dash and others cannot show anything in a notebook.
HARMLESS = (
    *("JUPYTERHUB_USER", "JUPYTERHUB_SERVER_NAME", "JUPYTERHUB_SERVICE_PREFIX", "JUPYTERHUB_BASE_URL"),
    *("JUPYTERHUB_HOST", "JUPYTERHUB_PUBLIC_URL", "JUPYTERHUB_PUBLIC_HUB_URL"),
)
_SHELL_NOISE = frozenset({"_", "SHLVL", "PWD", "OLDPWD"})
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_CONDA_UNSET = "***unset***"  # conda: CONDA_ENV_VARS_UNSET_VAR


@dataclass(frozen=True, kw_only=True, slots=True)
class Activation:
    """What activating an environment changes in the variables of a process."""

    changed: Mapping[str, str]
    removed: frozenset[str]

    def apply(self, variables: Mapping[str, str]) -> dict[str, str]:
        """Return the variables of an activated process."""
        kept = {name: value for name, value in variables.items() if name not in self.removed}
        return {**kept, **self.changed}

    @classmethod
    def between(cls, before: Mapping[str, str], after: Mapping[str, str]) -> Activation:
        """Return what a shell changed, without what every shell changes."""
        changed = {name: value for name, value in after.items() if before.get(name) != value}
        return cls(
            changed={name: value for name, value in changed.items() if name not in _SHELL_NOISE},
            removed=frozenset(before.keys() - after.keys() - _SHELL_NOISE),
        )


def clean_variables(variables: Mapping[str, str], keep: Iterable[str]) -> dict[str, str]:
    """Return the server's variables without its own environment and its secrets; `keep` are patterns to spare."""
    keep = tuple(keep)

    def is_kept(name: str) -> bool:
        return matches(name, keep) or not matches(name, (*FOREIGN, *SECRET))

    kept = {name: value for name, value in variables.items() if is_kept(name)}
    own = _own_folders(variables)
    folders = variables.get("PATH", os.defpath).split(os.pathsep)
    return {**kept, "PATH": os.pathsep.join(folder for folder in folders if folder not in own)}


def _own_folders(variables: Mapping[str, str]) -> set[str]:
    """Return the folders of the server's own environment: the `pip` of it must not pass for the kernel's."""
    prefixes = {variables.get("CONDA_PREFIX"), variables.get("VIRTUAL_ENV")}
    if sys.prefix != sys.base_prefix or (Path(sys.prefix) / "conda-meta").is_dir():
        prefixes.add(sys.prefix)
    return {str(Path(prefix) / "bin") for prefix in prefixes if prefix}


def make_script(prefix: Path, *, environment: str, path: str, leave: Path | None) -> str:
    """Return bash that activates as conda does (conda/activate.py) and writes `env -0` to what was stdout.

    environment: shown as CONDA_DEFAULT_ENV.
    path: PATH before.
    leave: an environment that is active now and is left first.

    What scripts say goes to stderr. Raises ActivationError when the environment's variables cannot be read.
    """
    tool = shutil.which("env", path=path) or "/usr/bin/env"  # before an environment's own comes first
    lines = ["exec 3>&1 1>&2"]
    if leave is not None:
        lines.append(_export("CONDA_PREFIX", str(leave)))
        lines += [_source(script) for script in reversed(_find_scripts(leave, "deactivate.d"))]
    lines += [
        _export("PATH", os.pathsep.join([str(prefix / "bin"), path])),
        _export("CONDA_PREFIX", str(prefix)),
        _export("CONDA_DEFAULT_ENV", environment),
        _export("CONDA_PROMPT_MODIFIER", f"({environment}) "),
        _export("CONDA_SHLVL", "1"),
        *(_export(name, value) for name, value in _read_variables(prefix).items()),
        *(_source(script) for script in _find_scripts(prefix, "activate.d")),
        "set +eu",
        f"exec {shlex.quote(tool)} -0 >&3",
    ]
    return "\n".join(lines) + "\n"


def parse_variables(output: bytes) -> dict[str, str]:
    """Parse `env -0`."""
    pairs = (entry.partition(b"=") for entry in output.split(b"\0") if entry)
    return {os.fsdecode(name): os.fsdecode(value) for name, _, value in pairs}


def _export(name: str, value: str) -> str:
    return f"export {name}={shlex.quote(value)}"


def _source(script: Path) -> str:
    # A script that ends with a failed test is common and means nothing; conda goes on, too.
    return f". {shlex.quote(str(script))} || echo {shlex.quote(f'{script.name} ended with')} $?"


def _find_scripts(prefix: Path, folder: str) -> list[Path]:
    try:
        return sorted(path for path in (prefix / "etc" / "conda" / folder).iterdir() if path.suffix == ".sh")
    except OSError:
        return []


def _read_variables(prefix: Path) -> dict[str, str]:
    """Return the variables of packages and then of the specification (conda: `_get_environment_env_vars`)."""
    packages = prefix / "etc" / "conda" / "env_vars.d"
    files = sorted(packages.iterdir()) if packages.is_dir() else []
    variables: dict[str, object] = {}
    for file in files:
        variables |= _read_object(file)
    state = prefix / "conda-meta" / "state"
    if state.exists():
        told = _read_object(state).get("env_vars")
        variables |= told if isinstance(told, dict) else {}
    return {
        name: str(value) for name, value in variables.items() if _VARIABLE.fullmatch(name) and value != _CONDA_UNSET
    }


def _read_object(file: Path) -> dict[str, object]:
    try:
        value = json.loads(file.read_bytes())
    except (OSError, ValueError) as exc:
        raise ActivationError(f"The environment's variables cannot be read from {file.name}: {exc}.") from exc
    return value if isinstance(value, dict) else {}
