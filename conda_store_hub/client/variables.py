"""The variables of processes that are started: nothing that runs an environment's own code is told secrets."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from pathlib import Path

# A notebook that prints its environment must not publish what the server may do.
SECRET = (
    *("JUPYTERHUB_*", "JPY_*TOKEN*", "JUPYTER_TOKEN"),
    *("CONDA_STORE_HUB_TOKEN", "CONDA_STORE_TOKEN", "CONDA_STORE_PASSWORD"),
)


def matches(name: str, patterns: Iterable[str]) -> bool:
    """Tell whether a variable is one of those that patterns name."""
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def drop_secrets(variables: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that hold no secret."""
    return {name: value for name, value in variables.items() if not matches(name, SECRET)}


def make_absolute(variables: Mapping[str, str]) -> dict[str, str]:
    """Return variables that mean the same in another folder, as far as what is started reads them."""
    found = dict(variables)
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR", "PYTHONPATH"):
        if value := found.get(name):
            parts = value.split(os.pathsep) if name == "PYTHONPATH" else [value]
            found[name] = os.pathsep.join(str(Path(part).absolute()) for part in parts)
    return found
