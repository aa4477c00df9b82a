"""`c.Registry`: where container tools find the registry, and what is told to people."""

from __future__ import annotations

import json
import re
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from traitlets import Bool, Integer, TraitError, Unicode, validate
from traitlets.config import LoggingConfigurable

from conda_store_hub.core import schemas
from conda_store_hub.core.addresses import is_address
from conda_store_hub.core.errors import ConfigurationError
from conda_store_hub.web.certificates import Certificate

_PORT = re.compile(r":[0-9]{1,5}$")
_PORTS = {"https": 443, "http": 80}


class Registry(LoggingConfigurable):
    """Where images are offered: at the Hub's own address, at a port of their own, or nowhere."""

    through_hub = Bool(
        default_value=False,
        help="Whether the Hub's proxy passes `/v2/` on to the service; `configure(c, registry=True)` sees to both.",
    ).tag(config=True)

    port = Integer(
        None, allow_none=True, min=1, max=65535, help="A port on which the registry listens, and nothing else does."
    ).tag(config=True)

    ip = Unicode(
        help="The address on which that port is open. Empty: with a certificate all of the machine's, else 127.0.0.1."
    ).tag(config=True)

    certificate = Unicode(
        help="""Path of the certificate for the port, as PEM, with those between it and the authority behind it. It is
        read again when it changes.""",
    ).tag(config=True)

    key = Unicode(help="Path of the certificate's key, as PEM; empty: it is in the same file.").tag(config=True)

    behind_proxy = Bool(
        default_value=False,
        help="""Whether a proxy of yours stands before the port and speaks TLS: then none is spoken here, and what the
        proxy says of clients in `X-Forwarded-For` and `X-Forwarded-Proto` is believed.""",
    ).tag(config=True)

    address = Unicode(
        help="""What people are told to write before the name of an image, `hub.example.org:5000`, and where clients are
        sent to log in. Empty: the host that people see the pages at, with `port` if there is one; and for clients, the
        host that they or the proxy before us name.""",
    ).tag(config=True)

    pulled_at_once = Integer(
        1000,
        min=1,
        help="""How many layers and files of images one person is sent at once. One pull secret of a cluster is one
        person, whose nodes pull three to six at once each.""",
    ).tag(config=True)

    @validate("address")
    def _check_address(self, proposal: dict[str, str]) -> str:
        if proposal["value"] and not is_address(proposal["value"]):
            raise TraitError("c.Registry.address is a host and a port: hub.example.org:5000")
        return proposal["value"]

    @property
    def is_offered(self) -> bool:
        """Whether people are told of it."""
        return self.through_hub or self.port is not None

    @property
    def bound(self) -> str:
        """The address on which the port is open; empty for all of the machine's."""
        return self.ip or ("" if self.certificate else "127.0.0.1")

    @property
    def scheme(self) -> str | None:
        """What clients speak at the port, to the service or to a proxy before it; None where there is no port."""
        if self.port is None:
            return None
        return "https" if self.behind_proxy or self.certificate else "http"

    def load_certificate(self) -> Certificate | None:
        """Return the certificate of the port, None where no TLS is spoken; raise ConfigurationError if it cannot be."""
        if self.port is None:
            return None
        if self.behind_proxy and self.certificate:
            raise ConfigurationError(
                "c.Registry has a certificate and a proxy before it: TLS ends at one of them, so name one of them."
            )
        if self.certificate:
            return Certificate(Path(self.certificate), Path(self.key or self.certificate), self.log)
        if not self.behind_proxy and not _is_loopback(self.bound):
            raise ConfigurationError(
                f"c.Registry: without a certificate everybody on the way to {self.bound} could read people's tokens."
                " Set c.Registry.certificate and c.Registry.key, or c.Registry.behind_proxy where a proxy of yours"
                " speaks TLS; or leave c.Registry.ip empty, for this machine alone."
            )
        return None

    def find_address(self, host: str, scheme: str) -> str:
        """Return what stands before the name of an image, for who sees the pages at `host`; empty for nothing."""
        if not self.is_offered or self.address or not is_address(host):
            return self.address if self.is_offered else ""
        if self.port is not None:
            return f"{_PORT.sub('', host)}:{self.port}"
        # Docker takes a name without a dot and a port for a user of its own registry.
        is_plain = "." not in host and ":" not in host and host != "localhost"
        return f"{host}:{_PORTS.get(scheme, 443)}" if is_plain else host

    def describe(self) -> schemas.RegistryPlace | None:
        """Say where it is, to a page that knows itself at which host it is seen; None where none is offered."""
        return schemas.RegistryPlace(address=self.address or None, port=self.port) if self.is_offered else None


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def read_given(text: str) -> dict[str, Any]:
    """Return what `configure` said, by the names of the traits; raise ConfigurationError if it cannot be read."""
    known = Registry.class_own_traits(config=True)
    try:
        given = dict(json.loads(text))
    except (TypeError, ValueError) as exc:
        raise ConfigurationError("The variable CONDA_STORE_HUB_REGISTRY holds no object of JSON.") from exc
    return {name: value for name, value in given.items() if name in known}
