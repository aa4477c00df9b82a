"""Secrets that the service makes for itself at first start: files only its account can read, never rows."""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path

from conda_store_hub.core.errors import ConfigurationError
from conda_store_hub.core.names import DataDirectory

_BYTES = 32


def ensure_secret(data: DataDirectory, name: str) -> bytes:
    """Return 32 secret bytes kept under `name`; two services that start at once agree on them."""
    path = data.secrets / name
    with contextlib.suppress(FileExistsError):
        _create(path)
    value = path.read_bytes()
    if len(value) != _BYTES:
        raise ConfigurationError(f"The secret {path} is damaged; remove it, and a new one is made at the next start.")
    return value


def _create(path: Path) -> None:
    if path.exists():
        return
    staged = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(secrets.token_bytes(_BYTES))
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(staged, path)  # fails where another was first, and is whole where it succeeds
    finally:
        staged.unlink()
