"""What the demonstration remembers between two starts."""

from __future__ import annotations

import fcntl
import json
import secrets
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Self

from conda_store_hub.core.errors import ConfigurationError
from conda_store_hub.core.names import DataDirectory
from conda_store_hub.demo.errors import DemoError

_FILE = "state.json"


@dataclass(kw_only=True)
class State:
    """Ports, secrets, and the specification that was submitted last."""

    ports: dict[str, int] = field(default_factory=dict[str, int])
    password: str = field(default_factory=lambda: secrets.token_urlsafe(9))
    admin_password: str = field(default_factory=lambda: secrets.token_urlsafe(30))
    token: str = field(default_factory=lambda: secrets.token_hex(32))
    submitted: str = ""

    @classmethod
    def load(cls, home: Path) -> Self:
        """Read what is remembered below `home`, or begin anew."""
        try:
            return cls(**json.loads((home / _FILE).read_text()))
        except FileNotFoundError:
            return cls()
        except (ValueError, TypeError) as error:
            raise DemoError(f"{home / _FILE} cannot be read ({error}): remove it to begin anew.") from error

    def save(self, home: Path) -> None:
        """Write it, whole or not at all."""
        write_private(home / _FILE, json.dumps(asdict(self), indent=1))


@contextmanager
def hold(home: Path) -> Generator[None]:
    """Keep others from using `home` at the same time; DemoError if somebody does."""
    home.mkdir(parents=True, exist_ok=True)
    with (home / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DemoError(f"A demonstration runs already in {home}; end it first, or give another --state.") from None
        yield


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner may read, whole or not at all."""
    with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
        file.write(text)  # 0600 from the beginning
    Path(file.name).replace(path)


def ensure_data_dir(wanted: Path) -> Path:
    """Make the data directory at `wanted`; where prefixes would be too long there, elsewhere with a link to it."""
    if wanted.is_symlink() and wanted.is_dir():
        return wanted.resolve()
    try:
        DataDirectory(wanted.absolute()).check()
    except ConfigurationError:
        short = Path(tempfile.mkdtemp(prefix="csh-", dir="/var/tmp"))
        short.chmod(0o711)
        wanted.unlink(missing_ok=True)
        wanted.symlink_to(short)
        return short
    wanted.mkdir(mode=0o711, parents=True, exist_ok=True)
    return wanted.absolute()
