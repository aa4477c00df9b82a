"""A certificate and its key, in files that somebody renews while the service runs."""

from __future__ import annotations

import logging
import ssl
from pathlib import Path
from typing import NoReturn

from conda_store_hub.core.errors import ConfigurationError

_WRONG_KEY = "KEY_VALUES_MISMATCH"


class Certificate:
    """What a port speaks TLS with. Connections that begin once the files changed are given what is in them then."""

    def __init__(self, certificate: Path, key: Path, log: logging.Logger) -> None:
        """Read the files; raise ConfigurationError in words if that cannot be."""
        self._files = (certificate, key)
        self._log = log
        self._seen = self._look()
        self._latest = self.context = self._load()
        self.context.sni_callback = self._choose  # it is called for clients that name no host, too

    def _look(self) -> tuple[tuple[int, int, int] | None, ...]:
        """Return what changes when a file does; links are followed, for those who renew swap them."""
        return tuple(_find_state(path) for path in self._files)

    def _choose(self, connection: ssl.SSLObject | ssl.SSLSocket, _name: str | None, _context: ssl.SSLContext) -> None:
        self._renew()
        connection.context = self._latest

    def _renew(self) -> None:
        """Read the files again if they changed; while they do not fit each other, what was read before counts."""
        now = self._look()
        if now == self._seen:
            return
        self._seen = now
        try:
            self._latest = self._load()
        except ConfigurationError as exc:
            self._log.warning("%s The certificate that was read before is still used.", exc.public_message)
        else:
            self._log.info("the certificate was read again")

    def _load(self) -> ssl.SSLContext:
        certificate, key = self._files
        for path in self._files:
            _require_readable(path)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.set_alpn_protocols(["http/1.1"])
        try:
            context.load_cert_chain(certificate, key, password=_refuse_password)
        except ssl.SSLError as exc:
            if exc.reason == _WRONG_KEY:
                raise ConfigurationError(f"The key in {key} is not that of the certificate in {certificate}.") from exc
            raise ConfigurationError(f"{certificate} and {key} have no certificate and key in the form PEM.") from exc
        return context


def _find_state(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


def _require_readable(path: Path) -> None:
    try:
        path.open("rb").close()
    except OSError as exc:
        raise ConfigurationError(
            f"{path} cannot be read by the account that the service runs as: {exc.strerror}."
        ) from exc


def _refuse_password() -> NoReturn:
    raise ConfigurationError("The key of c.Registry has a password, and there is nobody to type it: give one without.")
