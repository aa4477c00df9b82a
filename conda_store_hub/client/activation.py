"""What activating an environment means: what is left behind, what is set, and which scripts are sourced."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from conda_store_hub.client.variables import SECRET, matches
from conda_store_hub.core.package_variables import read_variables

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
# What conda keeps of environments that are active below another.
_STACK = ("CONDA_PREFIX_*", "CONDA_STACKED_*")
_SHELL_NOISE = frozenset({"_", "SHLVL", "PWD", "OLDPWD"})


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
            # What is no name in a shell may get lost in it, which says nothing.
            removed=frozenset(name for name in before.keys() - after.keys() - _SHELL_NOISE if name.isidentifier()),
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
    lines = [
        "exec 3>&1 1>&2",
        *_leave(leave),
        *_enter(prefix, environment, path),
        "set +eu",
        f"exec {shlex.quote(tool)} -0 >&3",
    ]
    return "\n".join(lines) + "\n"


def make_script_for(prefix: Path, *, environment: str, variables: Mapping[str, str]) -> str:
    """Return the same for a process with these variables, whose active environment is left first."""
    leave = _find_active(variables)
    path = _drop_folders(variables.get("PATH", os.defpath), leave)
    return make_script(prefix, environment=environment, path=path, leave=leave)


def activate_plainly(prefix: Path, *, environment: str, variables: Mapping[str, str]) -> dict[str, str] | None:
    """Return the variables of an activated process; None where scripts have to be run for that."""
    leave = _find_active(variables)
    if _find_scripts(prefix, "activate.d") or (leave is not None and _find_scripts(leave, "deactivate.d")):
        return None
    path = _drop_folders(variables.get("PATH", os.defpath), leave)
    return {**variables, **_name_variables(prefix, environment, path)}


def drop_stack(variables: Mapping[str, str]) -> dict[str, str]:
    """Return variables without what conda keeps of environments below the active one: none is below ours."""
    return {name: value for name, value in variables.items() if not matches(name, _STACK)}


def _leave(prefix: Path | None) -> list[str]:
    if prefix is None:
        return []
    scripts = reversed(_find_scripts(prefix, "deactivate.d"))
    return [_export("CONDA_PREFIX", str(prefix)), *map(_source, scripts)]


def _enter(prefix: Path, environment: str, path: str) -> list[str]:
    values = _name_variables(prefix, environment, path)
    return [
        *(_export(name, value) for name, value in values.items()),
        *map(_source, _find_scripts(prefix, "activate.d")),
    ]


def _name_variables(prefix: Path, environment: str, path: str) -> dict[str, str]:
    return {
        "PATH": os.pathsep.join([str(prefix / "bin"), path]),
        "CONDA_PREFIX": str(prefix),
        "CONDA_DEFAULT_ENV": environment,
        "CONDA_PROMPT_MODIFIER": f"({environment}) ",
        "CONDA_SHLVL": "1",
        **read_variables(prefix),
    }


def _find_active(variables: Mapping[str, str]) -> Path | None:
    """Return the environment of conda's that is active, if it is there."""
    prefix = Path(variables.get("CONDA_PREFIX", ""))
    return prefix if prefix.is_absolute() and (prefix / "conda-meta").is_dir() else None


def _drop_folders(path: str, leave: Path | None) -> str:
    own = None if leave is None else str(leave / "bin")
    return os.pathsep.join(folder for folder in path.split(os.pathsep) if folder != own)


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
