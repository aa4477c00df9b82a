"""`configure(c, registry=…)`: where container tools find images, at the Hub's own address or at a port of its own."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

from conda_store_hub import hubsettings
from conda_store_hub.core.addresses import is_address
from conda_store_hub.hubsettings import ConfigurationError

VARIABLE = "CONDA_STORE_HUB_REGISTRY"
ROUTE = "/v2/"
"""Where container tools look, at the root of a host."""
KEYS = ("address", "behind_proxy", "certificate", "ip", "key", "port")
_OF_A_PORT = ("behind_proxy", "certificate", "ip", "key")


@dataclass(frozen=True, kw_only=True)
class Offer:
    """What was asked for: whether, with a port of its own or without, and the service's settings that were given."""

    is_wanted: bool = True
    port: int | None = None
    values: Mapping[str, Any] = field(default_factory=dict[str, Any])

    @property
    def listening(self) -> tuple[SplitResult, ...]:
        """The addresses on this machine that it takes."""
        host = str(self.values.get("ip") or "127.0.0.1")
        return (urlsplit(f"http://{f'[{host}]' if ':' in host else host}:{self.port}"),) if self.port else ()


def read(registry: Any) -> Offer:
    """Return what was asked for; raise ConfigurationError with what makes no sense."""
    if registry is None or isinstance(registry, bool):
        return Offer(is_wanted=bool(registry))
    if not isinstance(registry, Mapping):
        raise ConfigurationError(f'registry={registry!r}: give True, or settings such as {{"port": 5000, …}}')
    values = dict[str, Any](registry)
    for key in values.keys() - set(KEYS):
        near = difflib.get_close_matches(str(key), KEYS, 1)
        raise ConfigurationError(f"registry has no {key!r}" + (f": did you mean {near[0]!r}?" if near else ""))
    port = values.get("port")
    if port is None:
        _require_nothing_of_a_port(values)
    elif isinstance(port, bool) or not isinstance(port, int) or not 0 < port < 65536:
        raise ConfigurationError(f"registry: port={port!r}: give a number from 1 to 65535")
    if "address" in values and not is_address(str(values["address"])):
        raise ConfigurationError(
            f"registry: address={values['address']!r}: give what stands before the name of an image, a host and a port:"
            " hub.example.org:5000"
        )
    return Offer(port=port, values=values | _find_files(values))


def _require_nothing_of_a_port(values: Mapping[str, Any]) -> None:
    for key in _OF_A_PORT:
        if key in values:
            raise ConfigurationError(
                f"registry: {key!r} is for a port of its own: give a port, too. At the Hub's own address the"
                " certificate is the Hub's"
            )


def _find_files(values: Mapping[str, Any]) -> dict[str, str]:
    """Return the paths of certificate and key in full; the service starts elsewhere."""
    if "key" in values and "certificate" not in values:
        raise ConfigurationError("registry: a key is of no use without a certificate")
    files = {name: Path(values[name]).absolute() for name in ("certificate", "key") if values.get(name)}
    for name, path in files.items():
        if not path.is_file():
            raise ConfigurationError(f"registry: {name}={str(path)!r}: there is no such file")
    return {name: str(path) for name, path in files.items()}


def require_no_settings(offer: Offer, name: str) -> None:
    """Raise ConfigurationError for settings that would not reach a service which something else starts."""
    if offer.values:
        raise ConfigurationError(
            f"{name} is started elsewhere: set c.Registry.{min(offer.values)} in its own file, and registry=True here"
            " if the Hub's proxy is to pass /v2/ on"
        )


def describe(c: Any, offer: Offer) -> dict[str, str]:
    """Return the variables that tell the service; each of its own settings wins over them."""
    if not offer.is_wanted:
        return {}
    values = dict(offer.values) if offer.port else {"through_hub": True, **offer.values}
    domain = urlsplit(c.JupyterHub.get("subdomain_host") or "")
    if domain.hostname:  # the service's pages are at another host than the Hub
        values.setdefault("address", f"{domain.hostname}:{offer.port}" if offer.port else domain.netloc)
    return {VARIABLE: json.dumps(values, sort_keys=True)}


def add_route(c: Any, offer: Offer, url: str) -> None:
    """Have the Hub's proxy pass on what container tools ask for; with subdomains, what they ask of the Hub's host."""
    if not offer.is_wanted or offer.port:
        return
    domain = urlsplit(c.JupyterHub.get("subdomain_host") or "").hostname or ""
    hubsettings.add_route(c, f"{domain}{ROUTE}", url)
