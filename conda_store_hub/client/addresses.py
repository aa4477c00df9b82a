"""Addresses of services: which is meant, however it is written. Imports little: what needs it starts in no time."""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from conda_store_hub.core.errors import InvalidRequestError

_PORTS = {"http": 80, "https": 443}


class Address(NamedTuple):
    """What tells services apart: `host` has a port where that is not the scheme's own; no user, no password."""

    scheme: str
    host: str
    path: str

    @classmethod
    def parse(cls, url: str) -> Address:
        """Read an address; raise InvalidRequestError for what is none."""
        try:
            parts = urlsplit(url)
            name, port = parts.hostname or "", parts.port
        except ValueError as exc:
            raise InvalidRequestError(f"{url!r} is not an address: {exc}.") from exc
        host = f"[{name}]" if ":" in name else name
        if port is not None and port != _PORTS.get(parts.scheme):
            host = f"{host}:{port}"
        return cls(parts.scheme, host, parts.path.rstrip("/"))

    def is_place_of(self, other: Address) -> bool:
        """Tell whether two are one place, however one comes there: behind some proxies the scheme is told wrongly."""
        return (self.host, unquote(self.path)) == (other.host, unquote(other.path))


def name_server(url: str) -> str:
    """Return the address of a service as it stands in records: without a user and a password."""
    address = Address.parse(url)
    return f"{address.scheme}://{address.host}{address.path}/"
