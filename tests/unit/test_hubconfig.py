"""`conda_store_hub.configure(c)`: what it adds, what it leaves alone, what it refuses."""

from __future__ import annotations

import asyncio
import copy
import getpass
import os
import pwd
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from jupyterhub._data import DATA_FILES_PATH
from jupyterhub.app import JupyterHub
from jupyterhub.roles import get_default_roles
from jupyterhub.services.service import Service
from jupyterhub.spawner import SimpleLocalProcessSpawner, Spawner
from traitlets.config import Config, PyFileConfigLoader

import conda_store_hub
from conda_store_hub.hubconfig import SERVICE_FIELDS, ConfigurationError, configure
from conda_store_hub.hubsettings import SERVER_SCOPES

ACCESS = "access:services!service=conda-store-hub"


@dataclass
class FakeHub:
    """What a spawner knows of its Hub."""

    base_url: str


@dataclass
class Asker:
    """As much of a spawner as an environment's callable asks."""

    hub: FakeHub


def read_hub(c: Config) -> JupyterHub:
    """Read a configuration as a Hub does."""
    return JupyterHub(config=copy.deepcopy(c))


def read_spawner(c: Config, kind: type[Spawner] = Spawner) -> dict[str, Any]:
    """Read the three settings as a spawner does, without making one."""
    section = Config()
    for name in [parent.__name__ for parent in reversed(kind.__mro__)]:
        if name in c:
            section.merge(copy.deepcopy(c[name]))
    held: dict[str, Any] = {}
    for key, empty in (("server_token_scopes", []), ("oauth_client_allowed_scopes", []), ("environment", {})):
        value = section.get(key, empty)
        held[key] = value.get_value(empty) if hasattr(value, "get_value") else value
    return held


def configured(prepare: Callable[[Config], None] | None = None, **keywords: Any) -> Config:
    c = Config()
    if prepare:
        prepare(c)
    configure(c, **keywords)
    return c


def service_of(c: Config, name: str = "conda-store-hub") -> dict[str, Any]:
    return next(spec for spec in read_hub(c).services if spec["name"] == name)


# What one call adds


def test_the_service_is_started_by_this_python_with_the_file_beside_the_hubs(tmp_path: Path) -> None:
    file = tmp_path / "jupyterhub_config.py"
    file.write_text("import conda_store_hub\nc = get_config()\nconda_store_hub.configure(c)\n")
    c = PyFileConfigLoader(file.name, path=str(tmp_path)).load_config()
    command = service_of(c)["command"]
    assert command[0] == sys.executable
    assert command[1:] == ["-P", "-m", "conda_store_hub", "serve", "--config", f"{tmp_path}/conda_store_hub_config.py"]


def test_called_from_no_configuration_file_the_working_directory_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert service_of(configured())["command"][-1] == str(tmp_path / "conda_store_hub_config.py")


def test_the_service_has_an_address_patience_and_no_confirmation_page() -> None:
    spec = service_of(configured())
    assert spec["url"] == "http://127.0.0.1:10101"
    assert spec["oauth_no_confirm"] is True
    assert spec["timeout"] == 60


def test_a_hub_takes_every_field_of_the_service() -> None:
    known = set(Service.class_traits(input=True))
    assert set(service_of(configured(user=getpass.getuser()))) <= known
    assert set(SERVICE_FIELDS) <= known


def test_the_data_directory_is_absolute_and_below_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert service_of(configured())["environment"]["CONDA_STORE_HUB_DATA"] == str(tmp_path / "conda-store-hub")
    relative = service_of(configured(data_dir="envs"))["environment"]
    assert relative["CONDA_STORE_HUB_DATA"] == str(tmp_path / "envs")


def test_the_service_has_a_home_even_if_the_hub_has_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HOME", raising=False)
    assert service_of(configured(data_dir=tmp_path))["environment"]["HOME"] == str(tmp_path)
    monkeypatch.setenv("HOME", "/somewhere")
    assert service_of(configured())["environment"]["HOME"] == "/somewhere"


def test_an_account_of_its_own_keeps_its_own_home() -> None:
    spec = service_of(configured(user=getpass.getuser()))
    assert spec["user"] == getpass.getuser()
    assert "HOME" not in spec["environment"]


def test_the_service_reaches_channels_as_the_hub_does_but_no_password_is_stored(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    monkeypatch.setenv("HTTP_PROXY", "http://me:secret@proxy.example:3128")
    monkeypatch.setenv("SSL_CERT_FILE", "/etc/site.pem")
    environment = service_of(configured())["environment"]
    assert environment["HTTPS_PROXY"] == "http://proxy.example:3128"
    assert environment["SSL_CERT_FILE"] == "/etc/site.pem"
    assert "secret" not in str(environment)


def test_the_caller_can_add_to_the_services_environment_and_win() -> None:
    environment = service_of(configured(service_environment={"HOME": "/h", "UV_INDEX_URL": "u"}))["environment"]
    assert environment["HOME"] == "/h"
    assert environment["UV_INDEX_URL"] == "u"


def test_the_service_may_read_users_and_groups_and_nothing_else() -> None:
    (role,) = read_hub(configured()).load_roles
    assert role["services"] == ["conda-store-hub"]
    assert role["scopes"] == ["list:users", "read:users", "list:groups", "read:groups"]


def test_every_user_may_use_it_unless_it_is_not_public() -> None:
    assert read_hub(configured()).extra_user_scopes == {ACCESS}
    assert read_hub(configured(public=False)).extra_user_scopes == set()


def test_a_servers_token_keeps_what_the_hub_gives_it_by_default() -> None:
    by_default = next(role["scopes"] for role in get_default_roles() if role["name"] == "server")
    assert list(SERVER_SCOPES) == by_default
    assert read_spawner(configured())["server_token_scopes"] == [*by_default, ACCESS]
    assert read_spawner(configured())["oauth_client_allowed_scopes"] == [ACCESS]


@pytest.mark.parametrize(
    ("base", "expected"),
    [
        ("/hub/", "http://127.0.0.1:10101/services/conda-store-hub/"),
        ("/a/b/hub/", "http://127.0.0.1:10101/a/b/services/conda-store-hub/"),
        ("/@/space%20word/hub/", "http://127.0.0.1:10101/@/space%20word/services/conda-store-hub/"),
        ("/hub/hub/", "http://127.0.0.1:10101/hub/services/conda-store-hub/"),
    ],
)
def test_users_servers_learn_the_address_under_the_hubs_base(base: str, expected: str) -> None:
    address = read_spawner(configured())["environment"]["CONDA_STORE_HUB_URL"]
    assert address(Asker(FakeHub(base))) == expected


def test_a_spawner_gives_its_server_the_address() -> None:
    from jupyterhub.objects import Hub

    c = configured(port=10102)
    c.JupyterHub.base_url = "/set/after/"
    spawner = SimpleLocalProcessSpawner(
        config=c, hub=Hub(base_url="/set/after/hub/"), user=type("U", (), {"name": "a", "url": "/"})()
    )
    assert spawner.get_env()["CONDA_STORE_HUB_URL"] == "http://127.0.0.1:10102/set/after/services/conda-store-hub/"


# What is there stays there


def test_a_second_call_changes_nothing() -> None:
    once = configured()
    again = copy.deepcopy(once)
    configure(again)
    assert service_of(again) == service_of(once)
    assert len(read_hub(again).services) == 1
    assert read_hub(again).load_roles == read_hub(once).load_roles
    assert read_hub(again).extra_user_scopes == read_hub(once).extra_user_scopes
    assert read_spawner(again) == read_spawner(once)


def assigned(c: Config) -> None:
    c.JupyterHub.services = [{"name": "cull", "command": ["cull"]}]
    c.JupyterHub.load_roles = [{"name": "cull", "scopes": ["read:hub"], "services": ["cull"]}]
    c.JupyterHub.extra_user_scopes = {"access:services!service=other"}
    c.Spawner.server_token_scopes = ["users:activity!user", "read:users!user"]
    c.Spawner.oauth_client_allowed_scopes = ["read:users!user"]
    c.Spawner.environment = {"A": "1"}


def appended(c: Config) -> None:
    c.JupyterHub.services.append({"name": "cull", "command": ["cull"]})
    c.JupyterHub.load_roles.extend([{"name": "cull", "scopes": ["read:hub"], "services": ["cull"]}])
    c.JupyterHub.extra_user_scopes.add("access:services!service=other")
    c.Spawner.server_token_scopes.extend(["users:activity!user", "read:users!user"])
    c.Spawner.oauth_client_allowed_scopes.append("read:users!user")
    c.Spawner.environment.update({"A": "1"})


@pytest.mark.parametrize("prepare", [assigned, appended])
@pytest.mark.parametrize("calls", [1, 2])
def test_what_a_site_has_set_stays(prepare: Callable[[Config], None], calls: int) -> None:
    c = configured(prepare)
    for _ in range(calls - 1):
        configure(c)
    hub, spawner = read_hub(c), read_spawner(c)
    assert [spec["name"] for spec in hub.services] == ["cull", "conda-store-hub"]
    assert [role["name"] for role in hub.load_roles] == ["cull", "conda-store-hub"]
    assert hub.extra_user_scopes == {"access:services!service=other", ACCESS}
    assert spawner["server_token_scopes"] == ["users:activity!user", "read:users!user", ACCESS]
    assert spawner["oauth_client_allowed_scopes"] == ["read:users!user", ACCESS]
    assert spawner["environment"]["A"] == "1"
    assert "CONDA_STORE_HUB_URL" in spawner["environment"]


def test_what_is_appended_afterwards_is_kept_too() -> None:
    c = configured()
    c.JupyterHub.services.append({"name": "cull", "command": ["cull"]})
    c.Spawner.environment.update({"A": "1"})
    assert [spec["name"] for spec in read_hub(c).services] == ["conda-store-hub", "cull"]
    assert set(read_spawner(c)["environment"]) == {"A", "CONDA_STORE_HUB_URL"}


@pytest.mark.parametrize("calls", [1, 2])
@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_callable_for_scopes_is_still_asked(asynchronous: bool, calls: int) -> None:
    def ask(spawner: object) -> list[str]:
        return ["users:activity!user", f"read:users!user={spawner}"]

    async def ask_later(spawner: object) -> list[str]:
        return ask(spawner)

    c = Config()
    c.Spawner.server_token_scopes = ask_later if asynchronous else ask
    for _ in range(calls):
        configure(c)
    answer = read_spawner(c)["server_token_scopes"]("alice")
    scopes = asyncio.run(answer) if asynchronous else answer
    assert scopes == ["users:activity!user", "read:users!user=alice", ACCESS]


def test_a_callable_that_asks_for_nothing_still_means_the_hubs_defaults() -> None:
    c = Config()
    c.Spawner.server_token_scopes = lambda _: []
    configure(c)
    assert read_spawner(c)["server_token_scopes"]("alice") == [*SERVER_SCOPES, ACCESS]


def test_a_role_server_of_the_sites_is_the_default_then() -> None:
    c = Config()
    c.JupyterHub.load_roles = [{"name": "server", "scopes": ["users:activity!user", "inherit"]}]
    configure(c)
    assert read_spawner(c)["server_token_scopes"] == ["users:activity!user", "inherit", ACCESS]


def test_a_role_user_of_the_sites_gets_the_scope_since_the_hub_then_ignores_the_other_way() -> None:
    scopes = ["self"]
    c = Config()
    c.JupyterHub.load_roles = [{"name": "user", "scopes": scopes}]
    configure(c)
    configure(c)
    assert read_hub(c).load_roles[0]["scopes"] == ["self", ACCESS]
    assert scopes == ["self"]
    assert read_hub(c).extra_user_scopes == set()


def test_a_role_of_the_services_name_is_added_to() -> None:
    c = Config()
    c.JupyterHub.load_roles = [{"name": "conda-store-hub", "scopes": ["read:hub"], "users": ["ops"]}]
    configure(c)
    (role,) = read_hub(c).load_roles
    assert role["scopes"][0] == "read:hub"
    assert "list:users" in role["scopes"]
    assert (role["users"], role["services"]) == (["ops"], ["conda-store-hub"])


def test_an_address_that_the_site_has_given_is_kept() -> None:
    c = Config()
    c.Spawner.environment = {"CONDA_STORE_HUB_URL": "http://elsewhere/"}
    configure(c)
    assert read_spawner(c)["environment"] == {"CONDA_STORE_HUB_URL": "http://elsewhere/"}


def test_a_kind_of_spawner_with_settings_of_its_own_gets_them_too() -> None:
    c = Config()
    c.SimpleLocalProcessSpawner.environment = {"A": "1"}
    c.SimpleLocalProcessSpawner.server_token_scopes = ["users:activity!user"]
    configure(c)
    spawner = read_spawner(c, SimpleLocalProcessSpawner)
    assert set(spawner["environment"]) == {"A", "CONDA_STORE_HUB_URL"}
    assert spawner["server_token_scopes"] == ["users:activity!user", ACCESS]


def test_a_spawner_class_of_any_name_gets_them_too() -> None:
    class Launcher(SimpleLocalProcessSpawner):
        pass

    c = Config()
    c.JupyterHub.spawner_class = Launcher
    c.Launcher.environment = {"A": "1"}
    configure(c)
    assert set(read_spawner(c, Launcher)["environment"]) == {"A", "CONDA_STORE_HUB_URL"}


# What can be chosen


def test_every_choice_can_be_overridden(tmp_path: Path) -> None:
    file = tmp_path / "envs.py"
    file.touch()
    c = configured(
        name="envs",
        port=10333,
        config=file,
        internal_url="http://envs.svc:80/services/envs/",
        role_scopes=["read:groups"],
        server_scopes=["access:services"],
        timeout=5,
        display=False,
        oauth_no_confirm=False,
        cwd=str(tmp_path),
    )
    spec = service_of(c, "envs")
    assert (spec["url"], spec["timeout"], spec["cwd"]) == ("http://127.0.0.1:10333", 5, str(tmp_path))
    assert (spec["display"], spec["oauth_no_confirm"]) == (False, False)
    assert spec["command"][-1] == str(file)
    assert read_hub(c).load_roles[0]["scopes"] == ["read:groups"]
    assert read_hub(c).extra_user_scopes == {"access:services!service=envs"}
    spawner = read_spawner(c)
    assert spawner["server_token_scopes"] == [*SERVER_SCOPES, "access:services"]
    assert spawner["environment"]["CONDA_STORE_HUB_URL"] == "http://envs.svc:80/services/envs/"


def test_users_servers_can_be_kept_out() -> None:
    c = configured(server_scopes=())
    assert "server_token_scopes" not in c.Spawner
    assert "oauth_client_allowed_scopes" not in c.Spawner


def test_scopes_that_the_site_defines_for_it_reach_browsers_and_servers_but_administration_no_server() -> None:
    c = Config()
    c.JupyterHub.custom_scopes = {
        "custom:conda-store-hub:environments:write": {"description": "w"},
        "custom:conda-store-hub:environments:admin": {"description": "a"},
        "custom:something:else": {"description": "e"},
    }
    configure(c)
    write, admin = "custom:conda-store-hub:environments:write", "custom:conda-store-hub:environments:admin"
    assert service_of(c)["oauth_client_allowed_scopes"] == [admin, write]
    assert read_spawner(c)["server_token_scopes"] == [*SERVER_SCOPES, ACCESS, write]


HUB_TEMPLATES = str(Path(DATA_FILES_PATH) / "templates")


@pytest.mark.parametrize("as_set", [None, "assigned", "assigned whole", "inserted", "prepended"])
def test_a_tab_is_added_after_templates_and_variables_of_the_sites(as_set: str | None) -> None:
    c = Config()
    if as_set in ("assigned", "assigned whole"):
        c.JupyterHub.template_paths = ["/site", *([HUB_TEMPLATES] if as_set == "assigned whole" else [])]
        c.JupyterHub.template_vars = {"colour": "green"}
    elif as_set is not None:
        if as_set == "inserted":
            c.JupyterHub.template_paths.insert(0, "/site")
        else:
            c.JupyterHub.template_paths.prepend(["/site"])
        c.JupyterHub.template_vars.update({"colour": "green"})
    for _ in range(2):
        configure(c, tab="Environments")
    hub = read_hub(c)
    *before, ours = hub.template_paths[: 2 if as_set else 1]
    assert before == (["/site"] if as_set else [])
    assert hub.template_paths[len(before) + 1 :] == ([] if as_set == "assigned" else [HUB_TEMPLATES])
    assert (Path(ours) / "page.html").is_file()
    tab = {"service": "conda-store-hub", "label": "Environments"}
    assert hub.template_vars == ({"colour": "green"} if as_set else {}) | {"conda_store_hub_tab": tab}


def test_without_a_tab_the_hubs_templates_are_its_own() -> None:
    c = Config()
    configure(c)
    assert "template_paths" not in c.JupyterHub
    assert "template_vars" not in c.JupyterHub


def test_a_service_that_is_started_elsewhere_has_no_command() -> None:
    spec = service_of(configured(command=[], url="http://10.0.0.5:80", api_token="t" * 32))
    assert not {"command", "environment", "user"} & set(spec)
    assert spec["api_token"] == "t" * 32


# What is refused, in words


@pytest.mark.parametrize(
    ("keywords", "words"),
    [
        ({"port": 0}, "1 to 65535"),
        ({"port": "10101"}, "1 to 65535"),
        ({"port": 70000}, "1 to 65535"),
        ({"port": True}, "1 to 65535"),
        ({"port": 8000}, "the Hub's own"),
        ({"port": 8001}, "ConfigurableHTTPProxy.api_url"),
        ({"url": "https://127.0.0.1:1"}, "like http://127.0.0.1:10101"),
        ({"url": "127.0.0.1:10101"}, "like http://127.0.0.1:10101"),
        ({"url": "http://127.0.0.1:99999"}, "like http://127.0.0.1:10101"),
        ({"url": "http://127.0.0.1:10101/path"}, "like http://127.0.0.1:10101"),
        ({"name": "conda store"}, "make a name"),
        ({"name": "a/b"}, "make a name"),
        ({"name": ""}, "make a name"),
        ({"user": "nobody-of-this-name"}, "no such account"),
        ({"config": "/no/such/file.py"}, "no such file"),
        ({"command": []}, "api_token"),
        ({"prot": 1}, "did you mean port="),
        ({"environment": {}}, "service_environment"),
        ({"completely_else": 1}, "no keyword 'completely_else'"),
    ],
)
def test_a_wrong_choice_is_an_error_in_words(keywords: dict[str, Any], words: str) -> None:
    c = Config()
    with pytest.raises(ConfigurationError) as refused:
        configure(c, **keywords)
    assert words in str(refused.value)
    assert "services" not in c.JupyterHub


def test_ports_of_the_hub_as_it_is_configured_are_its_own() -> None:
    c = Config()
    c.JupyterHub.bind_url = "http://:9000/base/"
    with pytest.raises(ConfigurationError, match="the Hub's own"):
        configure(c, port=9000)
    configure(c, port=8000)


def test_a_port_of_another_service_is_refused() -> None:
    c = Config()
    c.JupyterHub.services = [{"name": "other", "url": "http://127.0.0.1:10101"}]
    with pytest.raises(ConfigurationError, match="of the service 'other'"):
        configure(c)


def test_two_that_differ_under_one_name_are_refused() -> None:
    c = configured()
    with pytest.raises(ConfigurationError, match="call configure once"):
        configure(c, port=10102)


def test_two_under_two_names_are_two_services() -> None:
    c = configured()
    configure(c, name="second", port=10102)
    assert [spec["name"] for spec in read_hub(c).services] == ["conda-store-hub", "second"]


def test_internal_tls_is_refused_since_the_service_does_not_speak_it() -> None:
    c = Config()
    c.JupyterHub.internal_ssl = True
    with pytest.raises(ConfigurationError, match="internal_ssl"):
        configure(c)


def test_only_root_can_start_it_as_somebody_else() -> None:
    own = os.geteuid()
    if own == 0:
        os.seteuid(65534)
    try:
        with pytest.raises(ConfigurationError, match="only a Hub that is root"):
            configure(Config(), user="root")
    finally:
        os.seteuid(own)


# A Hub that starts


def run_hub(directory: Path, port: int, *arguments: str) -> subprocess.CompletedProcess[str]:
    lines = ["import conda_store_hub", "c = get_config()", f"conda_store_hub.configure(c, port={port})"]
    (directory / "jupyterhub_config.py").write_text("\n".join(lines))
    return subprocess.run(
        [sys.executable, "-m", "jupyterhub", *arguments],
        cwd=directory,
        env=os.environ | {"PYTHONPATH": str(Path(conda_store_hub.__file__).parents[1])},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_an_occupied_port_stops_a_starting_hub_with_the_reason(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = run_hub(tmp_path, port)
    assert done.returncode == 1
    assert f"port {port} on 127.0.0.1 is taken by another program" in done.stderr


def test_a_command_beside_a_running_hub_is_not_stopped_by_its_port(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = run_hub(tmp_path, taken.getsockname()[1], "token", "nobody")
    assert "No such user: nobody" in done.stderr


def test_a_root_hub_makes_the_data_directory_for_the_account(tmp_path: Path) -> None:
    root = os.geteuid() == 0
    user = "nobody" if root else getpass.getuser()
    lines = [
        "import sys, jupyterhub.app, conda_store_hub",
        "from traitlets.config import Config",
        "jupyterhub.app.JupyterHub.instance()",
        "conda_store_hub.configure(Config(), user=sys.argv[1], data_dir=sys.argv[2], port=int(sys.argv[3]))",
    ]
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    data = tmp_path / "data"
    subprocess.run([sys.executable, "-c", "\n".join(lines), user, data, str(port)], check=True, timeout=60)
    assert data.exists() is root  # anybody else leaves it to the service
    if root:
        assert data.stat().st_uid == pwd.getpwnam(user).pw_uid
        assert data.stat().st_mode & 0o777 == 0o711


def test_importing_it_loads_nothing_but_the_standard_library() -> None:
    code = [
        "import sys",
        "sys.path.insert(0, sys.argv[1])",
        "import conda_store_hub",
        "names = {m.split('.')[0] for m in sys.modules} - set(sys.stdlib_module_names)",
        "print(sorted(n for n in names if not n.startswith('_')))",
    ]
    root = str(Path(conda_store_hub.__file__).parents[1])
    command = [sys.executable, "-I", "-S", "-c", "\n".join(code), root]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['conda_store_hub']"
