"""References: how an image in a registry is named, with the host of its registry, as container tools take it."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, IPv6Network

from conda_store_hub.core.errors import InvalidNameError
from conda_store_hub.core.names import shorten
from conda_store_hub.core.repositories import REPOSITORY_PATTERN

TAG_PATTERN = r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}"
"""What a tag may be (distribution specification, "Pulling manifests")."""
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
_HOST = rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[0-9A-Fa-f:]+\])(?::[0-9]{{1,5}})?"
_REFERENCE = re.compile(
    rf"(?:(?P<scheme>https?|docker)://)?(?P<host>{_HOST})/(?P<name>{REPOSITORY_PATTERN})"
    rf"(?::(?P<tag>{TAG_PATTERN}))?(?:@(?P<digest>sha256:[0-9a-f]{{64}}))?"
)
# Of Amazon (over IPv6) and of Alibaba; the others have 169.254.169.254.
_OF_CLOUDS = {IPv6Address("fd00:ec2::254"), IPv4Address("100.100.100.200")}
# Well-known and local NAT64, and what was IPv4-compatible once.
_TRANSLATED = tuple(map(IPv6Network, ("64:ff9b::/96", "64:ff9b:1::/48", "::/96")))
_DOCKER_HUB = ("docker.io", "index.docker.io")


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageReference:
    """An image in a registry: the newest one of a tag, or exactly one, by its digest."""

    scheme: str
    host: str
    """As it is written; `docker.io` is asked at another one."""
    name: str
    tag: str
    digest: str

    def __str__(self) -> str:
        return f"{self.host}/{self.name}{f'@{self.digest}' if self.digest else f':{self.tag}'}"

    @classmethod
    def parse(cls, text: str) -> ImageReference:
        """Read a reference; raise InvalidNameError for what is none, or has no host: no registry is taken for granted.

        `http://` in front means a registry without TLS; those of this machine are asked without it anyway.
        """
        match = _REFERENCE.fullmatch(text)
        host = "" if match is None else match["host"]
        if match is None or not (set(".:") & set(host) or host == "localhost"):
            raise InvalidNameError(
                f"“{shorten(text)}” is no reference of an image: HOST/NAME:TAG, such as"
                " docker.io/library/debian:stable-slim, or HOST/NAME@sha256:…"
            )
        plain = match["scheme"] == "http" or (match["scheme"] != "https" and _is_this_machine(host))
        return cls(
            scheme="http" if plain else "https",
            host="docker.io" if host in _DOCKER_HUB else host,
            name=match["name"],
            tag=match["tag"] or "latest",
            digest=match["digest"] or "",
        )

    @property
    def wanted(self) -> str:
        """What a registry is asked for: the digest, or else the tag."""
        return self.digest or self.tag

    @property
    def address(self) -> str:
        """Where the registry has the images of that name."""
        host = "registry-1.docker.io" if self.host == "docker.io" else self.host
        return f"{self.scheme}://{host}/v2/{self.name}"


def is_near(name: str) -> bool:
    """Tell whether a host, by name or address, is this machine or at an address of the link that it is on.

    So are the addresses at which clouds tell machines their secrets, wherever they put them, and such ones in another's
    clothes: an IPv4 address within one of IPv6.
    """
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(name.strip("[]").partition("%")[0])
    except ValueError:
        return False
    return any(map(_is_near_address, (address, *_find_inner(address))))


def _is_near_address(address: IPv4Address | IPv6Address) -> bool:
    return address.is_loopback or address.is_link_local or address.is_unspecified or address in _OF_CLOUDS


def _find_inner(address: IPv4Address | IPv6Address) -> Iterator[IPv4Address]:
    """Yield what IPv4 address one of IPv6 leads to: mapped, translated (RFC 6052), by 6to4 or by Teredo."""
    if isinstance(address, IPv4Address):
        return
    if any(address in network for network in _TRANSLATED):
        yield IPv4Address(int(address) & 0xFFFFFFFF)
    found = (address.ipv4_mapped, address.sixtofour, *(address.teredo or ()))
    yield from (each for each in found if each is not None)


def _is_this_machine(host: str) -> bool:
    name = host if host.endswith("]") else host.rpartition(":")[0] or host
    try:
        return name == "localhost" or ipaddress.ip_address(name.strip("[]")).is_loopback
    except ValueError:
        return False
