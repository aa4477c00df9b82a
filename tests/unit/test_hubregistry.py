"""`configure(c, registry=…)`: which route it adds, what the service is told, what is refused."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from jupyterhub.app import JupyterHub
from traitlets.config import Config

from conda_store_hub.hubconfig import ConfigurationError, configure
from conda_store_hub.hubregistry import KEYS
from conda_store_hub.web.registry.place import Registry

URL = "http://127.0.0.1:10101"


def configured(c: Config | None = None, **keywords: Any) -> Config:
    made = Config() if c is None else c
    configure(made, **keywords)
    return made


def routes_of(c: Config, section: str = "Proxy") -> dict[str, str]:
    """Return what the Hub's proxy is to pass on."""
    value = copy.deepcopy(c)[section].get("extra_routes", {})
    return value.get_value({}) if hasattr(value, "get_value") else value


def told_to_service(c: Config) -> dict[str, Any]:
    """Return what the service hears of it."""
    (spec,) = JupyterHub(config=copy.deepcopy(c)).services
    return json.loads(spec["environment"].get("CONDA_STORE_HUB_REGISTRY", "{}"))


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    for name in ("hub.pem", "hub.key"):
        (tmp_path / name).touch()
    return {"certificate": str(tmp_path / "hub.pem"), "key": str(tmp_path / "hub.key")}


def test_without_a_word_no_registry_is_offered() -> None:
    for c in (configured(), configured(registry=False)):
        assert routes_of(c) == {}
        assert told_to_service(c) == {}


def test_at_the_hubs_own_address_the_proxy_passes_on_what_container_tools_ask_for() -> None:
    c = configured(registry=True)
    assert routes_of(c) == {"/v2/": URL}
    assert told_to_service(c) == {"through_hub": True}


def test_what_people_are_told_can_be_said() -> None:
    c = configured(registry={"address": "images.example.org"})
    assert routes_of(c) == {"/v2/": URL}
    assert told_to_service(c) == {"through_hub": True, "address": "images.example.org"}


def test_a_hub_with_subdomains_has_it_at_its_own_host() -> None:
    c = Config()
    c.JupyterHub.subdomain_host = "https://hub.example.org:8443"
    assert routes_of(configured(c, registry=True)) == {"hub.example.org/v2/": URL}
    assert told_to_service(c)["address"] == "hub.example.org:8443"


def test_a_port_of_its_own_leaves_the_proxy_alone(files: dict[str, str]) -> None:
    c = configured(registry={"port": 5000, **files})
    assert "Proxy" not in c or routes_of(c) == {}
    assert told_to_service(c) == {"port": 5000, **files}


def test_files_are_told_in_full(files: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(Path(files["key"]).parent)
    c = configured(registry={"port": 5000, "certificate": "hub.pem", "key": "hub.key"})
    assert told_to_service(c) == {"port": 5000, **files}


@pytest.mark.parametrize("how", ["assigned", "appended", "of the kind"])
def test_routes_of_the_sites_stay(how: str) -> None:
    c = Config()
    if how == "assigned":
        c.Proxy.extra_routes = {"/own/": "http://127.0.0.1:1"}
    elif how == "appended":
        c.Proxy.extra_routes.update({"/own/": "http://127.0.0.1:1"})
    else:
        c.ConfigurableHTTPProxy.extra_routes = {"/own/": "http://127.0.0.1:1"}
    for _ in range(2):
        configure(c, registry=True)
    section = "ConfigurableHTTPProxy" if how == "of the kind" else "Proxy"
    assert routes_of(c, section) == {"/own/": "http://127.0.0.1:1", "/v2/": URL}


def test_a_route_that_the_site_has_written_itself_is_taken_for_it() -> None:
    c = Config()
    c.Proxy.extra_routes = {"/v2/": f"{URL}/"}
    configure(c, registry=True)
    assert routes_of(c) == {"/v2/": f"{URL}/"}


@pytest.mark.parametrize(
    ("registry", "words"),
    [
        ({"prot": 5000}, "did you mean 'port'"),
        ({"completely": 1}, "no 'completely'"),
        ({"port": 0}, "1 to 65535"),
        ({"port": "5000"}, "1 to 65535"),
        ({"port": 10101}, "the service's own"),
        ({"port": 8000}, "the Hub's own"),
        ({"port": 5000, "certificate": "/no/such.pem"}, "no such file"),
        ({"port": 5000, "key": "/no/such.key"}, "without a certificate"),
        ({"certificate": "/no/such.pem"}, "give a port"),
        ({"behind_proxy": True}, "give a port"),
        ({"address": "https://hub.example.org/"}, "hub.example.org:5000"),
        ("hub", "give True"),
        (5000, "give True"),
    ],
)
def test_a_wrong_choice_is_an_error_in_words(registry: Any, words: str) -> None:
    c = Config()
    with pytest.raises(ConfigurationError) as refused:
        configure(c, registry=registry)
    assert words in str(refused.value)
    assert "services" not in c.JupyterHub


def test_the_hubs_address_has_room_for_one_registry() -> None:
    c = Config()
    c.Proxy.extra_routes = {"/v2/": "http://127.0.0.1:5000"}
    with pytest.raises(ConfigurationError, match="a port of its own"):
        configure(c, registry=True)
    assert "services" not in c.JupyterHub


def test_a_service_that_is_started_elsewhere_has_its_settings_in_its_own_file() -> None:
    elsewhere: dict[str, Any] = {"command": [], "url": "http://10.0.0.5:80", "api_token": "t" * 32}
    assert routes_of(configured(registry=True, **elsewhere)) == {"/v2/": "http://10.0.0.5:80"}
    with pytest.raises(ConfigurationError, match=r"c\.Registry\.port in its own file"):
        configured(registry={"port": 5000}, **elsewhere)


def test_every_key_is_a_trait_of_the_service() -> None:
    assert {*KEYS, "through_hub", "pulled_at_once"} == set(Registry.class_own_traits(config=True))
