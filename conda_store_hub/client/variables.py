"""Which variables of a process hold secrets: nothing that runs an environment's own code is told them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase

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
