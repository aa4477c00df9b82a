"""A person's home, which some accounts do not have: those of containers that run as any number."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from conda_store_hub.core.errors import ConfigurationError


def find_home() -> Path | None:
    """Return the home, or None for an account without one."""
    with suppress(RuntimeError):
        return Path.home()
    return None


def require_home(advice: str) -> Path:
    """Return the home; raise ConfigurationError for an account without one, with what there is to do instead."""
    home = find_home()
    if home is None:
        raise ConfigurationError(f"You have no home on this machine: set HOME, or {advice}.")
    return home
