"""Which service the command line talks to, and as whom.

The address is looked for in one order: an option, the environment, a login that is kept on this machine, and what the
Hub told a server that it started. What the Hub gave is sent to the Hub's service alone, and what was kept of a login to
the service that it is of. In the Hub's own server the Hub's token is that of the person whom the server is for, while a
login may lie in a home that several share: for the Hub's service the former counts first.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from conda_store_hub.client.addresses import name_server
from conda_store_hub.core.errors import ConfigurationError, InvalidRequestError, NotAuthenticatedError

if TYPE_CHECKING:
    from conda_store_hub.client.api import Client

ANSWER_SECONDS = 30.0


class AuthKind(StrEnum):
    """What is shown to the service."""

    NONE = "none"
    TOKEN = "token"  # noqa: S105 a word
    BASIC = "basic"


class Source(StrEnum):
    """Where an address or a credential was found, as people are told."""

    NONE = "nothing"
    OPTION = "an option"
    ENVIRONMENT = "the environment"
    LOGIN = "conda-store login"
    HUB = "the Hub"


#: What to do where the service does not take what was found.
_ADVICE = {
    Source.NONE: "Log in with `conda-store login`, or set CONDA_STORE_TOKEN.",
    Source.OPTION: "",
    Source.ENVIRONMENT: "What CONDA_STORE_TOKEN, or CONDA_STORE_PASSWORD, holds is not known there or has ended: set"
    " another token, or unset it and log in with `conda-store login`.",
    Source.LOGIN: "Your login there has ended or was revoked: log in again with `conda-store login {url}`.",
    Source.HUB: "This server's token of the Hub is not taken: start the server anew, or set CONDA_STORE_TOKEN.",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class ConnectionOptions:
    """The global options, each None or False where it was not given."""

    url: str | None = None
    auth: AuthKind | None = None
    no_verify: bool = False
    ca_file: Path | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Credentials:
    """What is shown to the service: a token, or a name with a password."""

    source: Source
    token: str | None = field(default=None, repr=False)
    basic: tuple[str, str] | None = field(default=None, repr=False)


class StoredLogins(Protocol):
    """What `conda-store login` keeps on this machine."""

    def find_default(self) -> str | None:
        """Return the address of the service that is meant where none is named."""
        ...

    def find_token(self, url: str) -> str | None:
        """Return the token for the service at an address."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Connection:
    """A service, and what is shown to it."""

    url: str
    source: Source
    credentials: Credentials | None = None
    no_verify: bool = False
    ca_file: Path | None = None

    def connect(self, *, timeout: float = ANSWER_SECONDS) -> Client:
        """Return a client; nothing is asked yet."""
        # httpx and pydantic: `--help` stays quick without them.
        from conda_store_hub.client.api import Client
        from conda_store_hub.client.trust import make_trust

        shown = self.credentials
        try:
            return Client(
                self.url,
                token=None if shown is None else shown.token,
                basic=None if shown is None else shown.basic,
                timeout=timeout,
                advice=_ADVICE[Source.NONE if shown is None else shown.source].format(url=self.url),
                verify=make_trust(self.ca_file) if self.ca_file is not None else not self.no_verify,
            )
        except OSError as exc:  # what httpx reads of these says nothing of itself
            raise ConfigurationError(
                f"The certificate authorities that SSL_CERT_FILE or SSL_CERT_DIR names cannot be used: {exc.strerror}."
            ) from exc


def load_logins() -> StoredLogins:
    """Return what is kept of logins on this machine."""
    from conda_store_hub.client.credentials import Logins

    return Logins()


def find_connection(
    options: ConnectionOptions,
    environ: Mapping[str, str] | None = None,
    logins: StoredLogins | None = None,
) -> Connection:
    """Return the service that is meant, and what is shown to it.

    Raises InvalidRequestError where no service is named or options contradict each other, NotAuthenticatedError where
    there is nothing of the kind that `--auth` asks for.
    """
    environ = os.environ if environ is None else environ
    logins = load_logins() if logins is None else logins
    if options.no_verify and options.ca_file is not None:
        raise InvalidRequestError("Give --ca-file or --no-verify-ssl, not both.")
    url, source = _find_url(options, environ, logins)
    return Connection(
        url=url,
        source=source,
        credentials=_find_credentials(url, options.auth, environ, logins),
        no_verify=options.no_verify,
        ca_file=options.ca_file,
    )


def _find_url(options: ConnectionOptions, environ: Mapping[str, str], logins: StoredLogins) -> tuple[str, Source]:
    if options.url:
        return options.url, Source.OPTION
    if url := environ.get("CONDA_STORE_URL"):
        return url, Source.ENVIRONMENT
    if url := logins.find_default():
        return url, Source.LOGIN
    if url := environ.get("CONDA_STORE_HUB_URL"):
        return url, Source.HUB
    raise InvalidRequestError("Where is the service? Give --conda-store-url, set CONDA_STORE_URL, or log in.")


def _find_credentials(
    url: str, kind: AuthKind | None, environ: Mapping[str, str], logins: StoredLogins
) -> Credentials | None:
    if kind is AuthKind.NONE:
        return None
    token = None if kind is AuthKind.BASIC else _find_token(url, environ, logins)
    basic = None if kind is AuthKind.TOKEN else _find_basic(environ)
    if kind is AuthKind.TOKEN and token is None:
        raise NotAuthenticatedError("There is no token for this service: log in, or set CONDA_STORE_TOKEN.")
    if kind is AuthKind.BASIC and basic is None:
        raise NotAuthenticatedError("For --auth basic, set CONDA_STORE_USERNAME and CONDA_STORE_PASSWORD.")
    if token is not None and token.source is not Source.ENVIRONMENT:
        return basic or token  # what stands in the environment comes first, whatever its kind
    return token or basic


def _find_token(url: str, environ: Mapping[str, str], logins: StoredLogins) -> Credentials | None:
    if token := environ.get("CONDA_STORE_TOKEN"):
        return Credentials(source=Source.ENVIRONMENT, token=token)
    if is_hub_service(url, environ):
        return Credentials(source=Source.HUB, token=environ["JUPYTERHUB_API_TOKEN"])
    if token := logins.find_token(url):
        return Credentials(source=Source.LOGIN, token=token)
    return None


def is_hub_service(url: str, environ: Mapping[str, str]) -> bool:
    """Tell whether this is a server of the Hub's with a token for the service at an address."""
    hub = environ.get("CONDA_STORE_HUB_URL")
    return bool(hub and environ.get("JUPYTERHUB_API_TOKEN")) and _is_same(url, hub or "")


def _find_basic(environ: Mapping[str, str]) -> Credentials | None:
    name, password = environ.get("CONDA_STORE_USERNAME"), environ.get("CONDA_STORE_PASSWORD")
    if not name or not password:
        return None
    return Credentials(source=Source.ENVIRONMENT, basic=(name, password))


def _is_same(one: str, other: str) -> bool:
    try:
        return name_server(one) == name_server(other)
    except InvalidRequestError:  # who connects is told
        return False
