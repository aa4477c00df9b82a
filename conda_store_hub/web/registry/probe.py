"""Whether the registry's own port answers, and until when its certificate is good: as a client finds out."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from datetime import UTC, datetime
from typing import Any, cast

from conda_store_hub.core.errors import ConfigurationError
from conda_store_hub.web.registry.place import Registry

_PATIENCE = 5.0
_ANY = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - where to ask what listens everywhere


async def probe(registry: Registry) -> datetime | None:
    """Return when the certificate of the port ends, None where no TLS is spoken; raise ConfigurationError in words."""
    context = await asyncio.to_thread(_make_context, registry)
    host = _ANY.get(registry.bound, registry.bound)
    try:
        async with asyncio.timeout(_PATIENCE):
            _, writer = await asyncio.open_connection(host, registry.port, ssl=context)
    except ssl.SSLCertVerificationError as exc:
        raise ConfigurationError(f"The certificate at port {registry.port}: {exc.verify_message}.") from exc
    except OSError as exc:
        raise ConfigurationError(f"Nothing answers at port {registry.port} of {host}.") from exc
    shown = cast("dict[str, Any] | None", writer.get_extra_info("peercert"))
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return datetime.fromtimestamp(ssl.cert_time_to_seconds(shown["notAfter"]), UTC) if shown else None


def _make_context(registry: Registry) -> ssl.SSLContext | None:
    """Return what takes the certificate in the files and no other, whoever has signed it, and whatever its name."""
    if registry.load_certificate() is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.load_verify_locations(registry.certificate)
    return context
