"""The variables that an environment has when it is active, for kernels, commands and images alike."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

from conda_store_hub.core.errors import ActivationError

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_CONDA_UNSET = "***unset***"  # conda: CONDA_ENV_VARS_UNSET_VAR


def read_variables(prefix: Path) -> dict[str, str]:
    """Return the variables of packages and then of the specification (conda: `_get_environment_env_vars`).

    Raises ActivationError for a file of them that cannot be read.
    """
    packages = prefix / "etc" / "conda" / "env_vars.d"
    files = sorted(packages.iterdir()) if packages.is_dir() else []
    variables: dict[str, object] = {}
    for file in files:
        variables |= _read_object(prefix, file)
    state = prefix / "conda-meta" / "state"
    if state.exists():
        told = _read_object(prefix, state).get("env_vars")
        variables |= told if isinstance(told, dict) else {}
    return {
        name: str(value) for name, value in variables.items() if _VARIABLE.fullmatch(name) and value != _CONDA_UNSET
    }


def _read_object(prefix: Path, file: Path) -> dict[str, object]:
    # A package could make it a link to what only the reader may read, and have it shown to others.
    if not Path(os.path.realpath(file)).is_relative_to(prefix.resolve()):  # which takes links that go round
        raise ActivationError(f"The environment's variables cannot be read from {file.name}: it is elsewhere.")
    try:
        value = json.loads(file.read_bytes())
    except (OSError, ValueError) as exc:
        raise ActivationError(f"The environment's variables cannot be read from {file.name}: {exc}.") from exc
    return value if isinstance(value, dict) else {}
