"""Which certificates are trusted, read when that is needed: it takes a tenth of a second."""

from __future__ import annotations

import functools
import ssl
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any, Self

from conda_store_hub.core.errors import InvalidRequestError


class LateTrust(ssl.SSLContext):
    """What httpx trusts by itself. A service at an address with http needs none, unless it sends one to https."""

    _protocols: list[str]

    def __new__(cls) -> Self:
        """Make one that trusts nobody."""
        made = super().__new__(cls, ssl.PROTOCOL_TLS_CLIENT)
        made._protocols = []
        return made

    def set_alpn_protocols(self, alpn_protocols: list[str]) -> None:  # type: ignore[override]
        """Keep it for what is read later."""
        self._protocols = list(alpn_protocols)

    def wrap_socket(self, *args: Any, **options: Any) -> ssl.SSLSocket:
        """Read now what is trusted, and connect."""
        return self._trusted.wrap_socket(*args, **options)

    def wrap_bio(self, *args: Any, **options: Any) -> ssl.SSLObject:
        """Do so through a proxy that is itself connected to by TLS."""
        return self._trusted.wrap_bio(*args, **options)

    @functools.cached_property
    def _trusted(self) -> ssl.SSLContext:
        import httpx

        context = httpx.create_ssl_context()
        context.set_alpn_protocols(self._protocols)
        return context


def make_trust(ca_file: Path) -> ssl.SSLContext:
    """Return what trusts the usual certificates and those in a file."""
    import httpx

    context = httpx.create_ssl_context()
    try:
        context.load_verify_locations(cafile=ca_file)
    except (ssl.SSLError, OSError) as exc:
        reason = exc.strerror if isinstance(exc, FileNotFoundError) else "there are no certificates in it"
        raise InvalidRequestError(f"{ca_file} cannot be used as --ca-file: {reason}.") from exc
    return context


def add_authorities(variables: dict[str, str], ca_file: Path) -> IO[bytes]:
    """Have variables name the usual certificate authorities and those in a file; return what a process has to inherit.

    The engine knows but these variables, and takes what they name in place of its own. Raises OSError.
    """
    import certifi

    usual = ssl.get_default_verify_paths()
    gathered = TemporaryFile()  # noqa: SIM115 it has no name, and goes with who has it open
    for path in (usual.cafile or certifi.where(), ca_file):
        gathered.write(Path(path).read_bytes() + b"\n")
    gathered.seek(0)
    variables["SSL_CERT_FILE"] = f"/dev/fd/{gathered.fileno()}"
    if usual.capath:
        variables.setdefault("SSL_CERT_DIR", usual.capath)
    return gathered
