"""One call in `jupyterhub_config.py` makes a Hub start the service, let users in and tell their servers."""

from __future__ import annotations

import difflib
import inspect
import os
import re
import socket
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

from conda_store_hub import hubregistry, hubsettings
from conda_store_hub.hubsettings import ConfigurationError

CONFIG_NAME = "conda_store_hub_config.py"
DATA_NAME = "conda-store-hub"
ROLE_SCOPES = ("list:users", "read:users", "list:groups", "read:groups")
#: The Hub passes none of these on, and a build needs them to reach its channels.
NETWORK_VARIABLES = (
    *("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy"),
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE"),
)
SERVICE_FIELDS = (
    *("api_token", "cwd", "display", "info", "timeout"),
    *("oauth_client_allowed_scopes", "oauth_client_id", "oauth_no_confirm", "oauth_redirect_uri"),
)


def configure(
    c: Any,
    *,
    name: str = "conda-store-hub",
    port: int = 10101,
    config: str | os.PathLike[str] | None = None,
    data_dir: str | os.PathLike[str] | None = None,
    user: str | None = None,
    public: bool = True,
    url: str | None = None,
    internal_url: str | None = None,
    command: Sequence[str] | None = None,
    role_scopes: Iterable[str] = ROLE_SCOPES,
    server_scopes: Iterable[str] | None = None,
    service_environment: Mapping[str, str] | None = None,
    tab: str = "",
    registry: bool | Mapping[str, Any] = False,
    **service: Any,
) -> None:
    """Add the service to a Hub's configuration; appends, never replaces, and may be called twice.

    Meant as the last line of `jupyterhub_config.py`, so that it sees what the lines above have set.

    c: the configuration object of that file.
    config: the service's own file; by default `conda_store_hub_config.py` beside the calling file.
    data_dir: where environments live; by default `conda-store-hub` in the Hub's working directory.
    user: the account the service runs as (the Hub must be root); by default the Hub's own.
    public: every user of the Hub may use it. If not, give `access:services!service=NAME` in roles.
    url: where the service listens; by default `http://127.0.0.1:PORT`.
    internal_url: where users' servers reach it; by default `url` and the path that the Hub gives it.
    command: what the Hub starts. Empty: the service is started elsewhere, and `api_token` is needed.
    role_scopes: what the service may read from the Hub.
    server_scopes: what users' servers may do; by default use the service as their owner.
    service_environment: more variables for the service; the Hub's database keeps them, so no secrets.
    tab: what a tab in the Hub's own navigation says that leads to the service; empty for none.
    registry: whether container tools find images: True for at the Hub's own address; `{"port": 5000, "certificate": …,
        "key": …}` for at a port of its own. See "Container images" in docs/configuration.md.
    service: further fields of a JupyterHub service, for example `timeout`, `display`, `cwd`.

    Raises `ConfigurationError` with the reason in words.
    """
    _require_keywords(name, service)
    url = url or f"http://127.0.0.1:{_port(port)}"
    address = _address(url)
    offered = hubregistry.read(registry)
    listening = (address, *offered.listening)
    _require_no_clash(c, *listening)
    custom = _custom_scopes(c, name)
    spec: dict[str, Any] = {
        "name": name,
        "url": url,
        "timeout": 60,
        "oauth_no_confirm": True,
        "oauth_client_allowed_scopes": custom,
        **service,
    }
    if command is None or command:
        data = Path(data_dir or DATA_NAME).absolute()
        spec["command"] = list(command or _command(_config_file(config)))
        scoped = {"CONDA_STORE_HUB_SCOPES": "1"} if _has_role_scopes(custom, name) else {}
        scoped |= hubregistry.describe(c, offered)
        spec["environment"] = _environment(data, user) | scoped | dict(service_environment or {})
        if user:
            _require_account(user)
            spec["user"] = user
        if _is_starting():
            _require_free_ports(*listening)
            _ensure_data_dir(data, user)
    elif "api_token" not in spec:
        raise ConfigurationError(f"{name} is started elsewhere (command is empty): give api_token=")
    else:
        hubregistry.require_no_settings(offered, name)
    hubregistry.add_route(c, offered, url)
    access = f"access:services!service={name}"
    _add_service(c, spec, address)
    hubsettings.add_service_role(c, name, role_scopes)
    if public:
        hubsettings.add_user_scope(c, access)
    usual = [access, *(scope for scope in custom if not scope.endswith(":admin"))]
    if granted := usual if server_scopes is None else list(server_scopes):
        hubsettings.add_server_scopes(c, granted)
    hubsettings.add_spawner_variable(c, "CONDA_STORE_HUB_URL", internal_url or InternalURL(url, name))
    if tab:
        hubsettings.add_tab(c, name, tab)


@dataclass(frozen=True)
class InternalURL:
    """The service's address under whatever base URL the Hub turns out to have: asked at spawn."""

    url: str
    name: str

    def __call__(self, spawner: Any) -> str:
        """Return the address for the server of `spawner`, with the base as `Spawner.get_env` takes it."""
        base: str = spawner.hub.base_url.removesuffix("hub/")
        return f"{self.url.rstrip('/')}{base}services/{self.name}/"


# What is asked of the caller


def _require_keywords(name: str, service: Mapping[str, Any]) -> None:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
        raise ConfigurationError(f"name={name!r}: letters, digits, '.', '_' and '-' make a name")
    known = [*SERVICE_FIELDS, *inspect.signature(configure).parameters]
    for word in sorted(set(service) - set(SERVICE_FIELDS)):
        near = ["service_environment"] if word == "environment" else difflib.get_close_matches(word, known, 1)
        raise ConfigurationError(
            f"configure() has no keyword {word!r}" + (f": did you mean {near[0]}=?" if near else "")
        )


def _port(port: Any) -> int:
    if isinstance(port, bool) or not isinstance(port, int) or not 0 < port < 65536:
        raise ConfigurationError(f"port={port!r}: give a number from 1 to 65535")
    return port


def _address(url: str) -> SplitResult:
    address = urlsplit(url)
    try:
        good = address.scheme == "http" and bool(address.hostname) and bool(address.port)
    except ValueError:  # a port that is none
        good = False
    if not good or address.path.strip("/"):
        raise ConfigurationError(f"url={url!r}: give an address and a port, like http://127.0.0.1:10101")
    return address


def _require_no_clash(c: Any, *addresses: SplitResult) -> None:
    hub = c.JupyterHub
    if hub.get("internal_ssl") is True:
        raise ConfigurationError(
            "c.JupyterHub.internal_ssl is on, and the service does not speak TLS to the Hub: turn it off"
        )
    taken = {
        _port_of(hub.get("bind_url")) or hub.get("port", 8000): "the Hub's own (c.JupyterHub.bind_url)",
        _port_of(hub.get("hub_bind_url")) or hub.get("hub_port", 8081): "the Hub's own (c.JupyterHub.hub_bind_url)",
        _port_of(c.ConfigurableHTTPProxy.get("api_url")) or 8001: "the Hub's own (c.ConfigurableHTTPProxy.api_url)",
    }
    for address in addresses:
        if address.port in taken and _is_here(address):
            raise ConfigurationError(
                f"port {address.port} is {taken[address.port]}: choose another, configure(c, port=…)"
            )
        taken[address.port] = "the service's own"


def _port_of(url: Any) -> int | None:
    try:
        return urlsplit(url).port if isinstance(url, str) else None
    except ValueError:  # the Hub will say so
        return None


def _is_here(address: SplitResult) -> bool:
    return address.hostname in ("127.0.0.1", "localhost", "0.0.0.0", "::", "::1")  # noqa: S104


def _require_account(user: str) -> None:
    import pwd  # not on every system, and only needed here

    try:
        uid = pwd.getpwnam(user).pw_uid
    except KeyError:
        raise ConfigurationError(f"user={user!r}: this machine has no such account; make it first") from None
    if os.geteuid() not in (0, uid):
        raise ConfigurationError(f"user={user!r}: only a Hub that is root can start it as somebody else")


# What is asked of the machine, by a Hub that starts and not by `jupyterhub token`, which reads the same file


def _is_starting() -> bool:
    module = sys.modules.get("jupyterhub.app")
    return module is not None and bool(module.JupyterHub.initialized())


def _require_free_ports(*addresses: SplitResult, patience: float = 3.0) -> None:
    """Wait for what a killed Hub left behind to go, then refuse."""
    until = time.monotonic() + patience
    for address in addresses:
        while _is_here(address) and not _can_bind(address):
            if time.monotonic() > until:
                raise ConfigurationError(
                    f"port {address.port} on {address.hostname} is taken by another program (an earlier Hub's "
                    "service?): end it, or give another port, conda_store_hub.configure(c, port=…)"
                )
            time.sleep(0.1)


def _can_bind(address: SplitResult) -> bool:
    family = socket.AF_INET6 if ":" in (address.hostname or "") else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address.hostname, address.port))
        except OSError:
            return False
        return True


def _ensure_data_dir(data: Path, user: str | None) -> None:
    """Make the folder where the account itself cannot: below one of root's."""
    if user and os.geteuid() == 0 and not data.exists():
        import shutil

        data.mkdir(mode=0o711, parents=True)
        shutil.chown(data, user)


# What the service is started with


def _config_file(config: str | os.PathLike[str] | None) -> Path:
    if config is None:
        return _calling_directory() / CONFIG_NAME
    path = Path(config).absolute()
    if not path.is_file():
        raise ConfigurationError(f"config={str(config)!r}: there is no such file")
    return path


def _calling_directory() -> Path:
    """Return the folder of the configuration file that is being read, else the working directory."""
    frame = inspect.currentframe()
    while frame is not None:
        if {"c", "get_config", "load_subconfig", "__file__"} <= frame.f_globals.keys():
            return Path(frame.f_globals["__file__"]).absolute().parent
        frame = frame.f_back
    return Path.cwd()


def _command(config: Path) -> list[str]:
    # -P: the Hub's working directory, where the service starts, is not a place to import from.
    return [sys.executable, "-P", "-m", "conda_store_hub", "serve", "--config", str(config)]


def _environment(data: Path, user: str | None) -> dict[str, str]:
    found = {key: os.environ[key] for key in NETWORK_VARIABLES if os.environ.get(key)}
    # A proxy's password would end up in the Hub's database.
    kept = {key: value for key, value in found.items() if "@" not in value}
    if not user:  # for an account of its own the Hub sets HOME
        kept["HOME"] = os.environ.get("HOME") or str(data)
    # MANAGED: the service is to end with its Hub, whose next start needs the port.
    return kept | {"CONDA_STORE_HUB_DATA": str(data), "CONDA_STORE_HUB_MANAGED": "1"}


def _custom_scopes(c: Any, name: str) -> list[str]:
    """List the scopes that the site has defined for this service: `custom:NAME:…`."""
    defined = hubsettings.list_keys(c.JupyterHub.get("custom_scopes"))
    return sorted(scope for scope in defined if scope.startswith(f"custom:{name}:"))


def _has_role_scopes(custom: Iterable[str], name: str) -> bool:
    """Tell whether the site's scopes say what people may do: then they count, and no rule beside them."""
    return any(scope.startswith(f"custom:{name}:environments:") for scope in custom)


def _add_service(c: Any, spec: dict[str, Any], address: SplitResult) -> None:
    others = [s for s in hubsettings.list_items(c.JupyterHub.get("services")) if isinstance(s, Mapping)]
    if spec in others:
        return
    for other in others:
        if other.get("name") == spec["name"]:
            raise ConfigurationError(
                f"c.JupyterHub.services has another {spec['name']!r}: call configure once, or give name="
            )
        if _port_of(other.get("url")) == address.port:
            raise ConfigurationError(
                f"port {address.port} is that of the service {other.get('name')!r}: configure(c, port=…)"
            )
    hubsettings.add_to_list(c.JupyterHub, "services", [spec])
