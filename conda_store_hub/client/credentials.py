"""What `conda-store login` keeps on this machine: a token for each service, in the system's keyring or in a file.

The file says which services there are, and which of them is meant where none is named. The token stands in it where the
machine has no keyring; only its owner may read it. The keyring is loaded when a token is in it: that takes time.
"""

from __future__ import annotations

import json
import os
import secrets
import stat
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from conda_store_hub.client.addresses import name_server
from conda_store_hub.client.filelocks import FileLock
from conda_store_hub.client.homes import find_home, require_home
from conda_store_hub.core.errors import ConfigurationError

_SERVICE = "conda-store"
_WAIT_SECONDS = 10.0
_ROOM = 1000  # bytes of one more login, and some
_READING = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK  # a pipe there would be waited for
_LEAST_PRIORITY = 1  # of keyrings that are one: the others say so by less


@dataclass(frozen=True, kw_only=True, slots=True)
class Login:
    """What is kept of one service. `made`: whether the token was made by this login, and ends with it.

    `token` is None where the keyring has it.
    """

    token: str | None = field(default=None, repr=False)
    made: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class _Kept:
    """What stands in the file: the service that is meant, and what there is, by address."""

    default: str | None = None
    logins: Mapping[str, Login] = field(default_factory=dict[str, Login])

    def dump(self) -> str:
        return json.dumps(asdict(self), indent=2) + "\n"

    @classmethod
    def parse(cls, data: bytes) -> _Kept:
        values: dict[str, Any] = json.loads(data)
        kept = cls(default=values["default"], logins={url: Login(**each) for url, each in values["logins"].items()})
        if kept.default not in {*kept.logins, None}:
            raise ValueError(kept.default)
        return kept


class Keyring(Protocol):
    """As much as is needed of a keyring of the `keyring` library."""

    def get_password(self, service: str, username: str) -> str | None:
        """Return what is kept."""
        ...

    def set_password(self, service: str, username: str, password: str) -> None:
        """Keep something."""
        ...

    def delete_password(self, service: str, username: str) -> None:
        """Forget it."""
        ...


class Logins:
    """The logins of one person on one machine. Safe for several processes at once."""

    def __init__(self, path: Path | None = None, find_keyring: Callable[[], Keyring | None] | None = None) -> None:
        """`path`: by default `find_path()`; it is made when something is kept."""
        self._path = path or find_path()
        self._find_keyring = find_keyring or load_keyring

    @property
    def path(self) -> Path:
        """Where the file is, or would be; raises ConfigurationError for who has no home."""
        return self._path or require_home("CONDA_STORE_TOKEN in place of a login")

    def find_default(self) -> str | None:
        """Return the address of the service that is meant where none is named."""
        return self._read().default

    def find_token(self, url: str) -> str | None:
        """Return the token for the service at an address, and for no other."""
        name = name_server(url)
        login = self._read().logins.get(name)
        if login is None or login.token is not None:
            return None if login is None else login.token
        return self._ask_keyring(name)

    def has(self, url: str) -> bool:
        """Tell whether something is kept of a service."""
        return name_server(url) in self._read().logins

    def is_made(self, url: str) -> bool:
        """Tell whether the token for an address was made by the login that keeps it."""
        login = self._read().logins.get(name_server(url))
        return login is not None and login.made

    def require_room(self) -> None:
        """Raise ConfigurationError where nothing could be kept: better before there is something to be kept."""
        with self._held():
            self._stage(self._read().dump() + " " * _ROOM).unlink()

    def keep(self, url: str, token: str, *, made: bool) -> bool:
        """Keep a token, and mean this service where none is named; tell whether a keyring has it."""
        name = name_server(url)
        before = self._read().logins.get(name)
        in_keyring = self._put_into_keyring(name, token)
        login = Login(token=None if in_keyring else token, made=made)
        try:
            self._change(lambda kept: replace(kept, default=name, logins={**kept.logins, name: login}))
        except BaseException:
            if in_keyring:  # where nothing says that it is there
                with suppress(ConfigurationError):
                    self._take_from_keyring(name)
            raise
        if before is not None and before.token is None and not in_keyring:
            with suppress(ConfigurationError):
                self._take_from_keyring(name)
        return in_keyring

    def forget(self, url: str, *, whatever: bool = False) -> None:
        """Forget what is kept of a service; `whatever`: also where the keyring goes on keeping the token."""
        name = name_server(url)
        login = self._read().logins.get(name)
        if login is None:
            return
        if login.token is None:
            try:
                self._take_from_keyring(name)
            except ConfigurationError:
                if not whatever:
                    raise
        self._change(lambda kept: _without(kept, name))

    # The file

    def _read(self) -> _Kept:
        if self._path is None:
            return _Kept()
        try:
            with os.fdopen(os.open(self.path, _READING), "rb") as file:
                self._require_private(os.fstat(file.fileno()))
                return _Kept.parse(file.read())
        except (FileNotFoundError, NotADirectoryError):
            return _Kept()
        except OSError as exc:
            raise ConfigurationError(f"{self.path} cannot be read: {exc.strerror}.") from exc
        except (ValueError, TypeError, LookupError, AttributeError) as exc:
            raise ConfigurationError(f"{self.path} is damaged: remove it, and log in again.") from exc

    def _require_private(self, status: os.stat_result) -> None:
        if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid() or status.st_mode & 0o077:
            raise ConfigurationError(
                f"{self.path} belongs to somebody else or can be read by others, so they may know the token in it:"
                " revoke that on your page of the service, remove the file, and log in again."
            )

    def _change(self, change: Callable[[_Kept], _Kept]) -> None:
        """Have the old content there or the new one."""
        with self._held():
            stage = self._stage(change(self._read()).dump())
            try:
                stage.replace(self.path)
            finally:
                stage.unlink(missing_ok=True)

    @contextmanager
    def _held(self) -> Generator[None]:
        """Be alone with the file."""
        folder = self.path.parent
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            advice = "set XDG_CONFIG_HOME to a folder on another one, or CONDA_STORE_TOKEN in place of a login"
            with FileLock(folder / f"{self.path.name}.lock", advice=advice, error=ConfigurationError) as lock:
                lock.lock(seconds=_WAIT_SECONDS)
                yield
        except OSError as exc:
            raise ConfigurationError(f"{exc.filename or self.path} cannot be written: {exc.strerror}.") from exc

    def _stage(self, text: str) -> Path:
        """Write a file to take the place of ours, which others can read at no time."""
        stage = self.path.with_name(f".{self.path.name}-{secrets.token_hex(4)}")
        try:
            descriptor = os.open(stage, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(descriptor)
        except BaseException:
            stage.unlink(missing_ok=True)
            raise
        return stage

    # The keyring

    def _ask_keyring(self, name: str) -> str | None:
        with self._opened(name) as keyring:
            return keyring.get_password(_SERVICE, name)

    @contextmanager
    def _opened(self, name: str) -> Generator[Keyring]:
        """Give the keyring that has a token; raise ConfigurationError while it cannot be reached or is locked."""
        keyring = self._find_keyring()
        if keyring is None:
            raise ConfigurationError(
                f"Your token for {name} is in the system's keyring, which cannot be reached from here: set"
                " CONDA_STORE_TOKEN, or log in again."
            )
        try:
            yield keyring
        except Exception as exc:
            raise ConfigurationError(
                f"The system's keyring has your token for {name}, and does not give it: {exc}. Unlock it, or set"
                " CONDA_STORE_TOKEN."
            ) from exc

    def _put_into_keyring(self, name: str, token: str) -> bool:
        keyring = self._find_keyring()
        if keyring is None:
            return False
        with suppress(Exception):  # locked, or nobody there to unlock it: then the file has it
            keyring.set_password(_SERVICE, name, token)
            if keyring.get_password(_SERVICE, name) == token:
                return True
        with suppress(Exception):  # nothing would say that it is there
            keyring.delete_password(_SERVICE, name)
        return False

    def _take_from_keyring(self, name: str) -> None:
        with self._opened(name) as keyring:
            if keyring.get_password(_SERVICE, name) is not None:
                keyring.delete_password(_SERVICE, name)


def find_path() -> Path | None:
    """Return where logins are kept: in the person's folder of settings; None for who has no home."""
    settings = os.environ.get("XDG_CONFIG_HOME", "")
    home = find_home()
    own = None if home is None else home / ".config"
    folder = Path(settings) if Path(settings).is_absolute() else own
    return None if folder is None else folder / "conda-store" / "logins.json"


def load_keyring() -> Keyring | None:
    """Return the system's keyring; None where there is none, or the library is not installed."""
    with suppress(Exception):  # a backend that cannot be loaded is none
        import keyring

        found: Any = keyring.get_keyring()
        return found if found.priority >= _LEAST_PRIORITY else None
    return None


def _without(kept: _Kept, name: str) -> _Kept:
    logins = {url: each for url, each in kept.logins.items() if url != name}
    default = kept.default if kept.default in logins else next(iter(logins), None)
    return _Kept(default=default, logins=logins)
